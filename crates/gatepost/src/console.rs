//! What is said before the log of the configuration takes over: to standard error, and to the start-up log.

use std::fmt;
use std::io::{self, Write};

use conf::{Severity, Warning};
use mail::flavour::Flavour;
use mail::log::Log;
use mail::settings::log::{Destination, Level};

use crate::logs;
use crate::settings::Rejected;
use crate::start::Reason;

/// The least severe level that standard error is bothered with (as the originals).
const LOUD: Level = Level::Warn;

/// Standard error and the start-up log.
pub(crate) struct Console {
    flavour: Flavour,
    log: Log,
    /// The start-up log is standard error itself; then it alone is written.
    is_stderr: bool,
}

impl Console {
    /// Opens the start-up log, or complains and goes on without it.
    pub(crate) fn open(flavour: Flavour, destination: &Destination, level: Level) -> Self {
        let is_stderr = *destination == Destination::Stderr;
        let (log, failed) = match logs::open_startup(destination, level) {
            Ok(log) => (log, None),
            Err(error) => (Log::default(), Some(error)),
        };
        let console = Self { flavour, log, is_stderr };
        if let Some(error) = &failed {
            console.say(Level::Alert, format_args!("could not open error log file: {}", Reason(error)));
        }
        console
    }

    /// Says something at `level`.
    pub(crate) fn say(&self, level: Level, message: impl fmt::Display) {
        if level <= LOUD && !self.is_stderr {
            self.print(format_args!("[{}] {message}", level.name()));
        }
        self.log.line(level, None, message);
    }

    /// Writes a line behind the program's name to standard error only.
    pub(crate) fn print(&self, message: impl fmt::Display) {
        print(self.flavour, message);
    }

    /// Says what looks wrong in a configuration.
    pub(crate) fn warn(&self, warnings: &[Warning]) {
        for warning in warnings {
            self.say(Level::Warn, warning);
        }
    }

    /// Says why a configuration cannot be used.
    pub(crate) fn reject(&self, rejected: &Rejected) {
        let level = match rejected.fault.severity() {
            Severity::Emerg => Level::Emerg,
            Severity::Crit => Level::Crit,
            Severity::Warn => Level::Warn,
        };
        self.say(level, &rejected.fault);
    }
}

/// Writes a line behind the program's name to standard error. Nothing can be done if that fails.
pub(crate) fn print(flavour: Flavour, message: impl fmt::Display) {
    let _ = writeln!(io::stderr(), "{}: {message}", flavour.program());
}

/// Writes text to standard error as it is.
pub(crate) fn print_text(text: &str) {
    let _ = io::stderr().write_all(text.as_bytes());
}
