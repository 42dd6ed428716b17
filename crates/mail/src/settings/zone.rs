//! Zones of shared memory, as the originals call them: `zone=NAME:SIZE`, and that each name has one size.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use conf::{Args, Fault, Word, value};

/// The smallest zone of the originals, bytes: eight pages.
const SMALLEST: usize = 32 * 1024;

/// A zone as a parameter declares it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Declared {
    pub(super) name: String,
    /// Bytes.
    pub(super) size: usize,
}

/// The zones of one kind in a configuration: names and sizes. All blocks of it have the same value.
#[derive(Debug, Clone, Default)]
pub(super) struct Sizes(Rc<RefCell<BTreeMap<String, usize>>>);

/// Two sizes for one zone.
#[derive(Debug, thiserror::Error)]
#[error("the size {size} of shared memory zone \"{name}\" conflicts with already declared size {declared}")]
pub(super) struct Conflict {
    name: String,
    size: usize,
    declared: usize,
}

impl Sizes {
    /// Notes a zone; it has one size, whoever names it.
    pub(super) fn declare(&self, name: &str, size: usize) -> Result<(), Conflict> {
        match *self.0.borrow_mut().entry(name.to_owned()).or_insert(size) {
            declared if declared == size => Ok(()),
            declared => Err(Conflict { name: name.to_owned(), size, declared }),
        }
    }
}

/// The zones that a configuration has declared so far, by who may name them.
#[derive(Debug, Clone, Default)]
pub(super) struct Zones {
    /// `ssl_session_cache`.
    pub(super) ssl: Sizes,
    /// `auth_penalty`.
    pub(super) penalty: Sizes,
}

/// What is wrong with a `zone=`, in the originals' words.
#[derive(Debug, thiserror::Error)]
enum ZoneMistake {
    #[error("invalid zone size \"{0}\"")]
    Size(Word),
    #[error("zone \"{0}\" is too small")]
    TooSmall(String),
}

/// What `word` declares; `None` if it is no `zone=` at all.
pub(super) fn parse(args: &Args<'_>, word: &Word) -> Result<Option<Declared>, Fault> {
    let Some(declared) = args.text(word)?.strip_prefix("zone=") else { return Ok(None) };
    let invalid = || Fault::own(ZoneMistake::Size(word.clone()), args.at());
    let (name, size) = declared.split_once(':').filter(|(name, _)| !name.is_empty()).ok_or_else(invalid)?;
    let size =
        value::size(size.as_bytes()).and_then(|size| usize::try_from(size).ok()).ok_or_else(invalid)?;
    if size < SMALLEST {
        return Err(Fault::own(ZoneMistake::TooSmall(name.to_owned()), args.at()));
    }
    Ok(Some(Declared { name: name.to_owned(), size }))
}
