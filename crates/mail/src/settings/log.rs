//! The `error_log` directive.

use std::path::PathBuf;

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
