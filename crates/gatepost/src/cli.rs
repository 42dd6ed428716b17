//! The command line: words in, [`Invocation`] or [`UsageError`] out. Reads and prints nothing.
//!
//! Options are those of the originals, theirs united: `-tq` is `-t -q`, a value may be attached (`-cFILE`) or be
//! the next word whatever it looks like. Words are read from left to right and the first mistake ends it.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use mail::flavour::Flavour;
use mail::settings::log::{Destination, Level};

use crate::defaults;

/// What the program is asked to do.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Invocation {
    /// Show version line and help text.
    Help,
    /// Run the demonstration.
    Demo,
    /// Everything that has options.
    Run(Options),
}

/// Options, as given.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Options {
    /// What to show first.
    pub(crate) show: Show,
    /// `-t`, `-T`: test the configuration and exit.
    pub(crate) test: bool,
    /// `-T`: write it out as well.
    pub(crate) dump: bool,
    /// `-q`: say nothing of a good test.
    pub(crate) quiet: bool,
    /// `-M`: read the configuration, show the modules and exit.
    pub(crate) list_modules: bool,
    /// `-s`: tell the running master and exit.
    pub(crate) signal: Option<Signal>,
    /// `-p`: the prefix.
    pub(crate) prefix: Option<PathBuf>,
    /// `-c`: the configuration file.
    pub(crate) configuration: Option<PathBuf>,
    /// `-e`: the start-up error log and the default of `error_log`.
    pub(crate) error_log: Option<PathBuf>,
    /// `-g`: directives that come before the file.
    pub(crate) directives: Option<OsString>,
    /// `--log-level=`: the least severe level of the start-up log.
    pub(crate) level: Option<Level>,
}

/// What can be shown without a configuration.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Show {
    /// `-v`, `-V`: the version line.
    pub(crate) version: bool,
    /// `-V`: how it was built.
    pub(crate) build: bool,
    /// `-m`: the modules.
    pub(crate) modules: bool,
    /// `--build-env`: the environment of the build.
    pub(crate) environment: bool,
    /// `--log-filters`: what `filter=` can look at.
    pub(crate) log_filters: bool,
}

impl Show {
    fn anything(self) -> bool {
        self != Self::default()
    }
}

/// What is left to do once [`Options::show`] is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Task {
    /// Nothing: exit with 0.
    Exit,
    /// Test the configuration.
    Test,
    /// Read the configuration and show the modules.
    ListModules,
    /// Read the configuration and signal the running master.
    Signal(Signal),
    /// Serve.
    Serve,
}

/// A word of `-s`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Signal {
    /// TERM.
    Stop,
    /// QUIT.
    Quit,
    /// USR1.
    Reopen,
    /// HUP.
    Reload,
}

/// A command line that makes no sense. Shown behind the program's name; exit code 1.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum UsageError {
    /// No such option, or no option at all.
    #[error("invalid option: \"{0}\"")]
    Invalid(String),
    /// Dashes with nothing behind them.
    #[error("incomplete option: \"{0}\"")]
    Incomplete(&'static str),
    /// The end where a value should be.
    #[error("option \"-{option}\" requires {what}")]
    NoValue {
        /// Its letter.
        option: char,
        /// What is missing.
        what: &'static str,
    },
    /// A word that is no log level.
    #[error("invalid log level: \"{0}\"")]
    Level(String),
}

impl UsageError {
    /// Whether the help text follows the message.
    pub(crate) fn shows_help(&self, flavour: Flavour) -> bool {
        match self {
            Self::Invalid(_) | Self::Incomplete(_) | Self::Level(_) => flavour != Flavour::Nginx,
            Self::NoValue { .. } => false,
        }
    }
}

/// Understands the words behind the program's name.
pub(crate) fn parse(
    flavour: Flavour,
    words: impl IntoIterator<Item = OsString>,
) -> Result<Invocation, UsageError> {
    let mut words = words.into_iter().peekable();
    if flavour == Flavour::Gatepost && words.next_if(|word| word == "demo").is_some() {
        return match words.next() {
            None => Ok(Invocation::Demo),
            Some(word) => Err(invalid(&word)),
        };
    }
    let mut options = Options::default();
    while let Some(word) = words.next() {
        let next = match word.as_bytes() {
            b"-" => Err(UsageError::Incomplete("-")),
            [b'-', b'-', name @ ..] => options.long(name),
            [b'-', letters @ ..] => options.letters(letters, &mut words),
            _ => Err(invalid(&word)),
        }?;
        if next == Next::Help {
            return Ok(Invocation::Help);
        }
    }
    Ok(Invocation::Run(options))
}

/// Whether to read on.
#[derive(Debug, PartialEq, Eq)]
enum Next {
    More,
    Help,
}

impl Options {
    /// What is left to do. A test wins over whatever else is asked for.
    pub(crate) fn task(&self) -> Task {
        if self.test {
            Task::Test
        } else if self.show.anything() {
            Task::Exit
        } else if self.list_modules {
            Task::ListModules
        } else {
            self.signal.map_or(Task::Serve, Task::Signal)
        }
    }

    /// The prefix in force.
    pub(crate) fn prefix(&self, flavour: Flavour) -> PathBuf {
        self.prefix.clone().unwrap_or_else(|| defaults::prefix(flavour))
    }

    /// The configuration file in force.
    pub(crate) fn configuration(&self, flavour: Flavour) -> PathBuf {
        let file = self.configuration.clone().unwrap_or_else(|| defaults::configuration(flavour));
        self.prefix(flavour).join(file)
    }

    /// The start-up error log in force.
    pub(crate) fn error_log(&self, flavour: Flavour) -> Destination {
        match &self.error_log {
            Some(file) if file == Path::new("stderr") => Destination::Stderr,
            Some(file) => Destination::File(self.prefix(flavour).join(file)),
            None => Destination::File(defaults::error_log(flavour)),
        }
    }

    fn long(&mut self, name: &[u8]) -> Result<Next, UsageError> {
        match name {
            [] => return Err(UsageError::Incomplete("--")),
            // Any word that begins like this, as in the originals.
            [b'h' | b'?', ..] => return Ok(Next::Help),
            b"build-env" => self.show.environment = true,
            b"log-filters" => self.show.log_filters = true,
            _ => match name.strip_prefix(b"log-level=") {
                Some(word) => self.level = Some(level(word)?),
                None => return Err(UsageError::Invalid(format!("--{}", lossy(name)))),
            },
        }
        Ok(Next::More)
    }

    /// Reads `tq`, or `tcFILE`, the value of the last one perhaps being the next word.
    fn letters(
        &mut self,
        mut letters: &[u8],
        words: &mut impl Iterator<Item = OsString>,
    ) -> Result<Next, UsageError> {
        while let Some((&letter, attached)) = letters.split_first() {
            letters = attached;
            match letter {
                b'h' | b'?' => return Ok(Next::Help),
                b'v' => self.show.version = true,
                b'V' => (self.show.version, self.show.build) = (true, true),
                b'm' => self.show.modules = true,
                b'M' => self.list_modules = true,
                b't' => self.test = true,
                b'T' => (self.test, self.dump) = (true, true),
                b'q' => self.quiet = true,
                b's' | b'p' | b'e' | b'c' | b'g' => {
                    return self.value(letter, attached, words).map(|()| Next::More);
                }
                _ => return Err(UsageError::Invalid(first_character(letter, attached))),
            }
        }
        Ok(Next::More)
    }

    fn value(
        &mut self,
        letter: u8,
        attached: &[u8],
        words: &mut impl Iterator<Item = OsString>,
    ) -> Result<(), UsageError> {
        let value = match attached {
            [] => words.next().ok_or_else(|| no_value(letter))?,
            _ => OsString::from_vec(attached.to_vec()),
        };
        match letter {
            b's' => self.signal = Some(Signal::named(&value)?),
            b'p' => self.prefix = Some(value.into()),
            b'e' => self.error_log = Some(value.into()),
            b'c' => self.configuration = Some(value.into()),
            _ => self.directives = Some(value),
        }
        Ok(())
    }
}

impl Signal {
    fn named(word: &OsStr) -> Result<Self, UsageError> {
        match word.as_bytes() {
            b"stop" => Ok(Self::Stop),
            b"quit" => Ok(Self::Quit),
            b"reopen" => Ok(Self::Reopen),
            b"reload" => Ok(Self::Reload),
            other => Err(UsageError::Invalid(format!("-s {}", lossy(other)))),
        }
    }
}

fn no_value(letter: u8) -> UsageError {
    let what = match letter {
        b'c' | b'e' => "file name",
        b'p' => "directory name",
        _ => "parameter",
    };
    UsageError::NoValue { option: letter.into(), what }
}

/// A level of `error_log`; those of single subsystems are `debug` here.
fn level(word: &[u8]) -> Result<Level, UsageError> {
    const SUBSYSTEMS: [&[u8]; 7] = [b"core", b"alloc", b"mutex", b"event", b"http", b"mail", b"stream"];
    if word.strip_prefix(b"debug_").is_some_and(|subsystem| SUBSYSTEMS.contains(&subsystem)) {
        return Ok(Level::Debug);
    }
    let named = Level::ALL.into_iter().find(|level| level.name().as_bytes() == word);
    named.ok_or_else(|| UsageError::Level(lossy(word)))
}

fn invalid(word: &OsStr) -> UsageError {
    UsageError::Invalid(lossy(word.as_bytes()))
}

/// The whole character that begins with `byte`, not just its first byte.
fn first_character(byte: u8, rest: &[u8]) -> String {
    let bytes = [&[byte], rest].concat();
    lossy(&bytes).chars().take(1).collect()
}

/// An argument as it can be shown.
fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[cfg(test)]
mod tests;
