//! `zone=NAME:SIZE`, as the originals write zones of shared memory.

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
