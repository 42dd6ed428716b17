//! The `error_log` and `error_log_user_tag` directives.

mod filter;
mod parameters;
mod syslog;

use std::path::PathBuf;
use std::sync::Arc;

use conf::{Args, Count, Directive, Fault, List, Mistake, Position, doc};

use self::parameters::Parameters;
use super::Surroundings;
use crate::flavour::Flavour;

pub use self::filter::{Filter, Subject};
pub use self::syslog::SyslogServer;

/// One `error_log` line.
///
/// Two that are equal are the same line of a configuration, seen from several servers.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ErrorLog {
    /// Where messages go.
    pub destination: Destination,
    /// The least severe level that is written.
    pub level: Level,
    /// How lines look.
    pub format: Format,
    /// Messages per second; 0: no limit.
    pub rate: u64,
    /// What lines have to match, all of it.
    pub filters: Vec<Filter>,
    /// Where it stands; `None` for the log that nobody asked for.
    pub at: Option<Position>,
}

/// Where an [`ErrorLog`] writes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Destination {
    /// A file, opened for appending.
    File(PathBuf),
    /// Standard error.
    Stderr,
    /// Datagrams.
    Syslog(SyslogServer),
}

/// How lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// Text with Angie's context.
    Angie,
    /// Text with nginx's context.
    Nginx,
    /// JSON, as Angie's.
    Json,
}

impl Format {
    /// The one that a program of this flavour has unless told otherwise.
    pub const fn of(flavour: Flavour) -> Self {
        match flavour {
            Flavour::Gatepost | Flavour::Angie => Self::Angie,
            Flavour::Nginx => Self::Nginx,
        }
    }
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
    /// All of them, most severe first.
    pub const ALL: [Self; 8] = [
        Self::Emerg,
        Self::Alert,
        Self::Crit,
        Self::Error,
        Self::Warn,
        Self::Notice,
        Self::Info,
        Self::Debug,
    ];

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
    logs: List<Written>,
}

/// The `error_log_user_tag` directives of one context as written.
#[derive(Debug, Default)]
pub struct TagBlock {
    tags: List<Box<str>>,
}

/// An `error_log` whose defaults are not settled yet.
#[derive(Debug)]
struct Written {
    destination: WrittenDestination,
    parameters: Parameters,
    at: Position,
}

#[derive(Debug)]
enum WrittenDestination {
    File(PathBuf),
    Stderr,
    Syslog(syslog::Written),
    Memory,
}

/// Directives about logs, for every context.
pub const LOG: &[Directive<LogBlock>] = &[Directive::new(
    "error_log",
    Count::AtLeast(1),
    doc(
        "FILE | stderr | syslog:server=ADDRESS[,facility=NAME][,severity=LEVEL][,tag=TAG][,nohostname] \
         [emerg | alert | crit | error | warn | notice | info | debug] [format=default | json | nginx] \
         [rate=NUMBER] [filter=TYPE:PATTERN] …",
        "/var/log/gatepost/error.log error",
        "Where messages go that are at least as severe as the level, `error` unless given. A relative FILE is \
         relative to the prefix. The directive may be repeated; a context that has any does not use those of the \
         outer context. Sessions are told at level `info`, their steps at level `debug`. \
         `syslog:` sends datagrams, by UDP to a host and port (514 unless given) or to `unix:PATH`; names are \
         resolved once. The facility is `local7` unless given, the tag is the program's name. \
         `format=json` writes an object per line, `format=nginx` the context of lines as nginx has it. \
         `rate=` is how many messages per second are written, 1000 unless given (no limit when called as \
         nginx), `0` for all; severe ones get through longer. \
         `filter=` may be repeated; a line is written if all match. TYPE is `logline` (all behind the session's \
         number), `message`, `tag`, or a field such as `client`, `server`, `login`, `upstream` (`gatepost \
         --log-filters` lists them). PATTERN is a part of the text, or `=` and the whole text, or `~` and a regular \
         expression in the syntax of the Rust crate `regex`, which is that of Perl without look-around and \
         back-references. \
         Lines are written by a thread of their own: when a disk or a reader does not keep up, lines are dropped and \
         their number is written later.",
    ),
    |b, a| {
        b.logs.push(written(a)?);
        Ok(())
    },
)];

/// Directives about logs of sessions.
pub const TAGS: &[Directive<TagBlock>] = &[Directive::new(
    "error_log_user_tag",
    Count::Exactly(1),
    doc(
        "TAG",
        "",
        "A tag for messages of sessions, in JSON and for `filter=tag:`. It may be repeated; a context that has any \
         does not use those of the outer context.",
    ),
    |b, a| {
        let tag = a.string()?;
        if !tag.is_empty() {
            b.tags.push(tag.into());
        }
        Ok(())
    },
)];

/// What only a build of the originals for their developers has.
#[derive(Debug, thiserror::Error)]
enum Unsupported {
    #[error("{} was built without debug support", product(*.0))]
    Memory(Flavour),
}

/// The program's name as it begins a sentence.
const fn product(flavour: Flavour) -> &'static str {
    match flavour {
        Flavour::Gatepost => "gatepost",
        Flavour::Angie => "Angie",
        Flavour::Nginx => "nginx",
    }
}

fn written(args: &Args<'_>) -> Result<Written, Fault> {
    let first = args.first();
    let destination = match first.as_bytes() {
        b"stderr" => WrittenDestination::Stderr,
        [b'm', b'e', b'm', b'o', b'r', b'y', b':', ..] => WrittenDestination::Memory,
        [b's', b'y', b's', b'l', b'o', b'g', b':', ..] => {
            WrittenDestination::Syslog(syslog::parse(args, &args.text(&first)?["syslog:".len()..])?)
        }
        _ => WrittenDestination::File(first.as_path().to_owned()),
    };
    Ok(Written { destination, parameters: Parameters::parse(args)?, at: args.at().clone() })
}

impl Written {
    fn resolve(&self, around: &Surroundings) -> Result<ErrorLog, Fault> {
        let Parameters { level, format, rate, filters } = &self.parameters;
        let flavour = around.flavour;
        let destination = match &self.destination {
            WrittenDestination::File(path) => Destination::File(around.in_prefix(path)),
            WrittenDestination::Stderr => Destination::Stderr,
            WrittenDestination::Syslog(server) => {
                Destination::Syslog(server.resolve(product(flavour), &around.host_name))
            }
            WrittenDestination::Memory => return Err(Fault::own(Unsupported::Memory(flavour), &self.at)),
        };
        if let Some(unknown) = filters.iter().find_map(|filter| filter.unknown_property(&self.at)) {
            return Err(Fault::nowhere(Mistake::own(unknown)));
        }
        let defaults = ErrorLog::new(destination, *level, flavour);
        Ok(ErrorLog {
            format: format.unwrap_or(defaults.format),
            rate: rate.unwrap_or(defaults.rate),
            filters: filters.clone(),
            at: Some(self.at.clone()),
            ..defaults
        })
    }
}

impl ErrorLog {
    /// An `error_log` with nothing but destination and level.
    pub fn new(destination: Destination, level: Level, flavour: Flavour) -> Self {
        let rate = if flavour == Flavour::Nginx { 0 } else { 1000 };
        Self { destination, level, format: Format::of(flavour), rate, filters: Vec::new(), at: None }
    }
}

impl LogBlock {
    /// The logs of this context, else those of `outer`; files are relative to the prefix.
    ///
    /// # Errors
    /// What only shows now: a destination that does not exist here, a filter on a field that does not.
    pub fn resolve(&self, outer: &Self, around: &Surroundings) -> Result<Vec<ErrorLog>, Fault> {
        self.logs.or(&outer.logs).iter().map(|log| log.resolve(around)).collect()
    }
}

impl TagBlock {
    /// The tags of this context, else those of `outer`.
    pub fn resolve(&self, outer: &Self) -> Arc<[Box<str>]> {
        self.tags.or(&outer.tags).into()
    }
}

#[cfg(test)]
pub(crate) mod tests;
