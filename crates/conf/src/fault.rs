//! What can be wrong with a configuration, in the words of the originals.

use std::cell::RefCell;
use std::error::Error;
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use crate::position::Position;
use crate::word::Word;

/// A mistake that makes a configuration unusable, and where it was made.
///
/// Shown as `MESSAGE in FILE:LINE`, or without the place where there is none to name.
#[derive(Debug, Clone)]
pub struct Fault {
    /// What is wrong.
    pub mistake: Mistake,
    /// Where.
    pub at: Option<Position>,
}

impl Fault {
    /// A mistake that belongs to no line.
    pub const fn nowhere(mistake: Mistake) -> Self {
        Self { mistake, at: None }
    }

    /// A mistake at `at`.
    pub fn at(mistake: Mistake, at: &Position) -> Self {
        Self { mistake, at: Some(at.clone()) }
    }

    /// A mistake that only the owner of a directive has words for, at `at`.
    pub fn own(mistake: impl Error + Send + Sync + 'static, at: &Position) -> Self {
        Self::at(Mistake::own(mistake), at)
    }

    /// How bad it is in the log; the configuration is unusable either way.
    pub const fn severity(&self) -> Severity {
        match self.mistake {
            Mistake::Read { .. } => Severity::Crit,
            _ => Severity::Emerg,
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.mistake, Suffix(self.at.as_ref()))
    }
}

impl Error for Fault {}

/// The level of a message about the configuration, most severe first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// `emerg`
    Emerg,
    /// `crit`
    Crit,
    /// `warn`
    Warn,
}

/// What can be wrong. The texts are those of the originals, except where they have no such case.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Mistake {
    /// A character where it cannot stand.
    #[error("unexpected \"{0}\"")]
    Unexpected(Word),
    /// The file ends, a block does not.
    #[error("unexpected end of file, expecting \"}}\"")]
    EndInBlock,
    /// The file ends, a statement does not.
    #[error("unexpected end of file, expecting \";\" or \"}}\"")]
    EndInStatement,
    /// The text of `-g` ends, a statement does not.
    #[error("unexpected end of parameter, expecting \";\"")]
    EndOfParameter,
    /// An unquoted word beyond the limit; holds its first bytes.
    #[error("too long parameter \"{0}...\" started")]
    TooLong(Word),
    /// A quoted word beyond the limit; holds the quote.
    #[error("too long parameter, probably missing terminating \"{0}\" character")]
    TooLongQuoted(char),
    /// A block in the text of `-g`.
    #[error("block directives are not supported in -g option")]
    BlockInParameter,
    /// Blocks in blocks in blocks. The originals have no such limit.
    #[error("blocks are nested more than {limit} levels deep")]
    NestedTooDeep {
        /// How deep they may be.
        limit: usize,
    },
    /// A file that cannot be opened.
    #[error("open() \"{}\" failed ({reason})", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        reason: SystemError,
    },
    /// A file that can be opened but not read, such as a directory.
    #[error("pread() \"{}\" failed ({reason})", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        reason: SystemError,
    },
    /// A file too large to be a configuration. The originals have no such limit.
    #[error("file \"{}\" is larger than {limit} bytes", path.display())]
    FileTooLarge {
        /// The file.
        path: PathBuf,
        /// How large it may be.
        limit: u64,
    },
    /// Files that include one another without end. The originals run out of descriptors instead.
    #[error("open() \"{}\" failed (included more than {limit} levels deep)", path.display())]
    IncludedTooDeep {
        /// The file that would have been next.
        path: PathBuf,
        /// How deep they may be.
        limit: usize,
    },
    /// Too many files altogether. The originals have no such limit.
    #[error("open() \"{}\" failed (more than {limit} files included)", path.display())]
    TooManyIncludes {
        /// The file that would have been next.
        path: PathBuf,
        /// How many there may be.
        limit: usize,
    },
    /// A name that nobody knows.
    #[error("unknown directive \"{0}\"")]
    UnknownDirective(Word),
    /// A name that is known, but not in this context.
    #[error("\"{0}\" directive is not allowed here")]
    NotAllowedHere(Word),
    /// Too few or too many arguments.
    #[error("invalid number of arguments in \"{0}\" directive")]
    ArgumentCount(Word),
    /// A block where there must be none.
    #[error("directive \"{0}\" is not terminated by \";\"")]
    NotTerminated(Word),
    /// No block where there must be one.
    #[error("directive \"{0}\" has no opening \"{{\"")]
    NoBlock(Word),
    /// A directive of a later release.
    #[error("\"{0}\" directive is not supported yet")]
    NotYet(Word),
    /// A directive that will never be supported.
    #[error("\"{name}\" directive is not supported: {reason}")]
    Refused {
        /// The directive.
        name: Word,
        /// Why.
        reason: &'static str,
    },
    /// A value of a directive that works otherwise, which a later release will bring.
    #[error("\"{parameter}\" in \"{name}\" directive is not supported yet")]
    ParameterNotYet {
        /// The directive.
        name: Word,
        /// The value.
        parameter: Word,
    },
    /// A second occurrence in the same context.
    #[error("\"{0}\" directive is duplicate")]
    Duplicate(Word),
    /// Neither `on` nor `off`.
    #[error("invalid value \"{value}\" in \"{name}\" directive, it must be \"on\" or \"off\"")]
    NotAFlag {
        /// The directive.
        name: Word,
        /// What was written.
        value: Word,
    },
    /// Not a number.
    #[error("\"{0}\" directive invalid number")]
    NotANumber(Word),
    /// Not a size, an offset or a time.
    #[error("\"{0}\" directive invalid value")]
    InvalidValue(Word),
    /// None of the words that a directive knows.
    #[error("invalid value \"{0}\"")]
    UnknownValue(Word),
    /// A parameter that a directive does not know.
    #[error("invalid parameter \"{0}\"")]
    InvalidParameter(Word),
    /// Not UTF-8 where text is needed. The originals take any bytes.
    #[error("\"{name}\" directive invalid value \"{value}\", it must be UTF-8")]
    NotText {
        /// The directive.
        name: Word,
        /// What was written, as far as it can be shown.
        value: Word,
    },
    /// A mistake that only the owner of a directive has words for.
    #[error(transparent)]
    Own(Arc<dyn Error + Send + Sync>),
}

impl Mistake {
    /// A mistake that only the owner of a directive has words for.
    pub fn own(mistake: impl Error + Send + Sync + 'static) -> Self {
        Self::Own(Arc::new(mistake))
    }
}

/// The system's reason for a failure as the originals write it: `2: No such file or directory`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SystemError(String);

impl From<&io::Error> for SystemError {
    fn from(error: &io::Error) -> Self {
        let text = error.to_string();
        Self(match error.raw_os_error() {
            Some(code) => format!("{code}: {}", text.trim_end_matches(&format!(" (os error {code})"))),
            None => text,
        })
    }
}

impl fmt::Display for SystemError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Something that looks wrong in a configuration that is usable.
#[derive(Debug, Clone)]
pub struct Warning {
    /// What looks wrong.
    pub notice: Notice,
    /// Where.
    pub at: Option<Position>,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.notice, Suffix(self.at.as_ref()))
    }
}

/// What can look wrong.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Notice {
    /// A word twice in a set of words.
    #[error("duplicate value \"{0}\"")]
    DuplicateValue(Word),
    /// A block that belongs to another kind of server.
    #[error("\"{0}\" block is not supported by a mail proxy and is skipped")]
    BlockSkipped(Word),
    /// Something that only the owner of a directive has words for.
    #[error(transparent)]
    Own(Arc<dyn Error + Send + Sync>),
}

impl Notice {
    /// Something that only the owner of a directive has words for.
    pub fn own(notice: impl Error + Send + Sync + 'static) -> Self {
        Self::Own(Arc::new(notice))
    }
}

/// Collects warnings while a configuration is read.
///
/// Shared by everyone who reads, so that setters need no second mutable argument.
#[derive(Debug, Default)]
pub struct Warnings(RefCell<Vec<Warning>>);

impl Warnings {
    /// None yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// One more.
    pub fn add(&self, notice: Notice, at: Option<&Position>) {
        self.0.borrow_mut().push(Warning { notice, at: at.cloned() });
    }

    /// All of them, in the order in which they were found.
    pub fn into_vec(self) -> Vec<Warning> {
        self.0.into_inner()
    }
}

/// ` in FILE:LINE`, or nothing.
struct Suffix<'a>(Option<&'a Position>);

impl fmt::Display for Suffix<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(at) => write!(f, " in {at}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_of_the_system_are_written_as_the_originals_write_them() {
        let reason = |code| SystemError::from(&io::Error::from_raw_os_error(code)).to_string();
        assert_eq!(reason(2), "2: No such file or directory");
        assert_eq!(reason(13), "13: Permission denied");
        assert_eq!(SystemError::from(&io::Error::other("no code")).to_string(), "no code");
    }

    #[test]
    fn a_fault_names_its_place_if_it_has_one() {
        let mistake = Mistake::UnknownDirective("foo".into());
        let at = Position::File { path: PathBuf::from("/etc/x.conf").into(), line: 7 };
        assert_eq!(Fault::at(mistake.clone(), &at).to_string(), "unknown directive \"foo\" in /etc/x.conf:7");
        assert_eq!(
            Fault::at(mistake.clone(), &Position::CommandLine).to_string(),
            "unknown directive \"foo\" in command line"
        );
        assert_eq!(Fault::nowhere(mistake).to_string(), "unknown directive \"foo\"");
    }
}
