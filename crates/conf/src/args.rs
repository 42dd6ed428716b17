//! The arguments of a directive, read as what the directive takes, with faults in the originals' words.

use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::engine::Reading;
use crate::fault::{Fault, Mistake, Notice, SystemError};
use crate::position::Position;
use crate::statement::Statement;
use crate::value;
use crate::word::Word;

/// A statement on its way into its owner's block.
///
/// The engine has counted the arguments, so there are as many as the directive's row says. Methods that name no
/// argument read the first.
#[derive(Debug, Clone, Copy)]
pub struct Args<'a> {
    statement: &'a Statement,
    reading: &'a Reading<'a>,
}

impl<'a> Args<'a> {
    pub(crate) const fn new(statement: &'a Statement, reading: &'a Reading<'a>) -> Self {
        Self { statement, reading }
    }

    /// The directive.
    pub fn name(&self) -> Word {
        self.statement.name.clone()
    }

    /// All arguments.
    pub fn words(&self) -> &'a [Word] {
        &self.statement.args
    }

    /// The first argument; empty where the directive takes none.
    pub fn first(&self) -> Word {
        self.words().first().cloned().unwrap_or_else(|| "".into())
    }

    /// Where the directive stands.
    pub fn at(&self) -> &'a Position {
        &self.statement.at
    }

    /// What is common to all statements of this reading, for directives with a block.
    pub const fn reading(&self) -> &'a Reading<'a> {
        self.reading
    }

    /// `on` or `off`.
    pub fn flag(&self) -> Result<bool, Fault> {
        let value = self.first();
        value::flag(value.as_bytes())
            .ok_or_else(|| self.fault(Mistake::NotAFlag { name: self.name(), value }))
    }

    /// A number.
    pub fn number(&self) -> Result<u64, Fault> {
        value::number(self.first().as_bytes()).ok_or_else(|| self.fault(Mistake::NotANumber(self.name())))
    }

    /// A size in bytes.
    pub fn size(&self) -> Result<u64, Fault> {
        value::size(self.first().as_bytes()).ok_or_else(|| self.invalid_value())
    }

    /// A size in bytes that may be given in gigabytes.
    pub fn offset(&self) -> Result<u64, Fault> {
        value::offset(self.first().as_bytes()).ok_or_else(|| self.invalid_value())
    }

    /// A length of time to the millisecond.
    pub fn msec(&self) -> Result<Duration, Fault> {
        value::milliseconds(self.first().as_bytes()).ok_or_else(|| self.invalid_value())
    }

    /// A length of time to the second.
    pub fn sec(&self) -> Result<Duration, Fault> {
        value::seconds(self.first().as_bytes()).ok_or_else(|| self.invalid_value())
    }

    /// One of the words of `choice`, in any case.
    pub fn one_of<T: Copy>(&self, choice: &[(&str, T)]) -> Result<T, Fault> {
        self.choose(&self.first(), choice)
    }

    /// What `word` stands for in `choice`, in any case.
    pub fn choose<T: Copy>(&self, word: &Word, choice: &[(&str, T)]) -> Result<T, Fault> {
        choice
            .iter()
            .find(|(name, _)| word.as_bytes().eq_ignore_ascii_case(name.as_bytes()))
            .map(|(_, value)| *value)
            .ok_or_else(|| self.fault(Mistake::UnknownValue(word.clone())))
    }

    /// The argument as text.
    pub fn string(&self) -> Result<String, Fault> {
        self.text(&self.first()).map(str::to_owned)
    }

    /// The argument as a path.
    pub fn path(&self) -> &'a Path {
        self.words().first().map_or(Path::new(""), Word::as_path)
    }

    /// `word` as text.
    pub fn text<'w>(&self, word: &'w Word) -> Result<&'w str, Fault> {
        let not_text = || self.fault(Mistake::NotText { name: self.name(), value: word.clone() });
        word.to_str().ok_or_else(not_text)
    }

    /// `mistake` at this directive.
    pub fn fault(&self, mistake: Mistake) -> Fault {
        Fault::at(mistake, self.at())
    }

    /// `"X" directive invalid value`
    pub fn invalid_value(&self) -> Fault {
        self.fault(Mistake::InvalidValue(self.name()))
    }

    /// The addresses of a host name.
    pub fn resolve(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        self.reading.names.resolve(name)
    }

    /// `path`, relative to the directory of the main configuration file.
    pub fn in_directory(&self, path: &Path) -> PathBuf {
        self.reading.disk.directory.join(path)
    }

    /// The argument as a path relative to the directory of the main configuration file.
    pub fn path_in_directory(&self) -> PathBuf {
        self.in_directory(self.path())
    }

    /// All of the file `path`. May be secret.
    pub fn read(&self, path: &Path) -> Result<Vec<u8>, Fault> {
        let failed =
            |error: io::Error| Mistake::Open { path: path.into(), reason: SystemError::from(&error) };
        (self.reading.disk.read)(path).map_err(|error| self.fault(failed(error)))
    }

    /// Warns of `notice` at this directive.
    pub fn warn(&self, notice: Notice) {
        self.reading.warnings.add(notice, Some(self.at()));
    }
}
