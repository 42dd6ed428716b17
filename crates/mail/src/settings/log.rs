//! The `error_log` directive.

use std::path::PathBuf;

use conf::{Args, Count, Directive, Fault, List, Mistake, Word, doc};

use super::Surroundings;

/// One `error_log` line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ErrorLog {
    /// Where messages go.
    pub destination: Destination,
    /// The least severe level that is written.
    pub level: Level,
}

/// Where an [`ErrorLog`] writes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Destination {
    /// A file, opened for appending.
    File(PathBuf),
    /// Standard error.
    Stderr,
}

/// Severity, most severe first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Level {
    /// The program cannot go on.
    Emerg,
    /// Act at once.
    Alert,
    /// Something is broken.
    Crit,
    /// Something failed.
    #[default]
    Error,
    /// Something looks wrong.
    Warn,
    /// Worth knowing.
    Notice,
    /// Every session.
    Info,
    /// Everything.
    Debug,
}

impl Level {
    /// The word in the configuration and in log lines.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Emerg => "emerg",
            Self::Alert => "alert",
            Self::Crit => "crit",
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Notice => "notice",
            Self::Info => "info",
            Self::Debug => "debug",
        }
    }
}

/// The `error_log` directives of one context as written.
#[derive(Debug, Default)]
pub struct LogBlock {
    logs: List<ErrorLog>,
}

/// Directives about logs, for every context.
pub const LOG: &[Directive<LogBlock>] = &[
    Directive::new("error_log", Count::AtLeast(1), doc("FILE | stderr [emerg | alert | crit | error | warn | notice | info | debug]", "logs/error.log error", "Where messages go that are at least as severe as the level, `error` unless given. A relative FILE is relative
to the prefix. The directive may be repeated; a context that has any does not use those of the outer context.
Sessions are told at level `info`. Not yet: `syslog:`, `memory:`, `rate=`, `format=` and `filter=`."), |b, a| {
        b.logs.push(parse(a)?);
        Ok(())
    }),
    Directive::not_yet("error_log_user_tag", Count::Exactly(1), "logs in JSON", doc("TAG", "", "A tag for lines in JSON and for `filter=tag:`.")),
];

/// A level that is none, or one too many.
#[derive(Debug, thiserror::Error)]
enum LevelMistake {
    #[error("invalid log level \"{0}\"")]
    Invalid(Word),
    #[error("duplicate log level \"{0}\"")]
    Duplicate(Word),
}

/// The levels of an `error_log` as far as they have been read.
#[derive(Clone, Copy)]
enum Levels {
    /// None.
    Unset,
    /// A level, after which no other may come.
    One(Level),
    /// `debug_core` and its siblings, which imply everything up to `info`.
    Parts(Level),
}

impl Levels {
    fn add(self, args: &Args<'_>, word: &Word) -> Result<Self, Fault> {
        let wrong = |mistake| Err(Fault::own(mistake, args.at()));
        let level = LEVELS.iter().copied().find(|level| *word == level.name());
        match (self, level, debug_part(word)) {
            (Self::Unset, Some(level), _) => Ok(Self::One(level)),
            (Self::One(_) | Self::Parts(_), Some(_), _) => wrong(LevelMistake::Duplicate(word.clone())),
            (Self::Unset, None, Some(level)) => Ok(Self::Parts(level)),
            (Self::Parts(other), None, Some(level)) => Ok(Self::Parts(level.max(other))),
            (Self::One(_), None, Some(_)) | (Self::Unset, None, None) => {
                wrong(LevelMistake::Invalid(word.clone()))
            }
            _ => Err(args.fault(Mistake::InvalidParameter(word.clone()))),
        }
    }

    const fn level(self) -> Level {
        match self {
            Self::Unset => Level::Error,
            Self::One(level) | Self::Parts(level) => level,
        }
    }
}

const LEVELS: [Level; 8] = [
    Level::Emerg,
    Level::Alert,
    Level::Crit,
    Level::Error,
    Level::Warn,
    Level::Notice,
    Level::Info,
    Level::Debug,
];

/// What a part of the originals' debug messages comes to here: only those about mail are ours.
fn debug_part(word: &Word) -> Option<Level> {
    match word.to_str()? {
        "debug_mail" => Some(Level::Debug),
        "debug_core" | "debug_alloc" | "debug_mutex" | "debug_event" | "debug_http" | "debug_stream" => {
            Some(Level::Info)
        }
        _ => None,
    }
}

/// Prefixes of what a later release has.
const LATER_DESTINATIONS: [&[u8]; 2] = [b"syslog:", b"memory:"];
const LATER_PARAMETERS: [&[u8]; 3] = [b"rate=", b"format=", b"filter="];

fn parse(args: &Args<'_>) -> Result<ErrorLog, Fault> {
    let destination = args.first();
    refuse_later(args, &destination, &LATER_DESTINATIONS)?;
    let mut levels = Levels::Unset;
    for word in args.words().iter().skip(1) {
        refuse_later(args, word, &LATER_PARAMETERS)?;
        levels = levels.add(args, word)?;
    }
    let destination = if destination == "stderr" {
        Destination::Stderr
    } else {
        Destination::File(destination.as_path().to_owned())
    };
    Ok(ErrorLog { destination, level: levels.level() })
}

fn refuse_later(args: &Args<'_>, word: &Word, later: &[&[u8]]) -> Result<(), Fault> {
    if later.iter().any(|prefix| word.as_bytes().starts_with(prefix)) {
        let parameter = word.clone();
        return Err(args.fault(Mistake::ParameterNotYet { name: args.name(), parameter }));
    }
    Ok(())
}

impl LogBlock {
    /// The logs of this context, else those of `outer`; files are relative to the prefix.
    pub fn resolve(&self, outer: &Self, around: &Surroundings) -> Vec<ErrorLog> {
        let resolve = |log: &ErrorLog| match &log.destination {
            Destination::File(path) => {
                ErrorLog { destination: Destination::File(around.in_prefix(path)), level: log.level }
            }
            Destination::Stderr => log.clone(),
        };
        self.logs.or(&outer.logs).iter().map(resolve).collect()
    }
}
