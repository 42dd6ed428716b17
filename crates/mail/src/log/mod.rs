//! The error log: outputs with levels, formats, filters and limits.
//!
//! A [`Record`] goes through the outputs of a [`Log`]; each writes it in its format to its [`Sink`]. Opening files and
//! sockets is the binary's business; here they are written to.

mod clock;
mod escaped;
mod filter;
mod json;
mod plain;
mod queue;
mod rate;
mod record;
mod server;
mod sink;
mod syslog;

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use self::plain::Dialect;
use crate::settings::ErrorLog;
use crate::settings::log::{Filter, Format, Level};

pub use self::clock::settle;
pub use self::escaped::Escaped;
pub use self::rate::{Admission, Bucket};
pub use self::record::{Context, Field, NAMES, Record};
pub use self::server::ServerLog;
pub use self::sink::{Sink, Target};
pub use self::syslog::{Complaints, Syslog, SyslogError};

/// Longest line, line end included (as the originals).
const LONGEST: usize = 2048;

/// A set of outputs, each with the least severe level that it takes.
#[derive(Clone, Default)]
pub struct Log {
    outputs: Vec<Output>,
    /// `error_log_user_tag`: the tags of session messages beside that of their subsystem.
    tags: Arc<[Box<str>]>,
}

/// One `error_log`: what it takes, how it writes it, and where to.
#[derive(Clone)]
pub struct Output {
    sink: Arc<Sink>,
    level: Level,
    format: Format,
    filters: Arc<[Filter]>,
    bucket: Arc<Bucket>,
}

impl Output {
    /// Writes to `sink` as `settings` say. Outputs of the same `error_log` share their bucket.
    pub fn new(sink: Arc<Sink>, settings: &ErrorLog, bucket: Arc<Bucket>) -> Self {
        let filters = settings.filters.as_slice().into();
        Self { sink, level: settings.level, format: settings.format, filters, bucket }
    }

    /// Writes everything that is at least as severe as `level` to `sink`, in Angie's format.
    pub fn all(sink: Arc<Sink>, level: Level) -> Self {
        let bucket = Arc::new(Bucket::new(0, level, Instant::now()));
        Self { sink, level, format: Format::Angie, filters: Arc::default(), bucket }
    }

    fn write(&self, record: &Record<'_>, tags: &[Box<str>]) {
        if !filter::passes(&self.filters, record, tags, self.format.dialect()) {
            return;
        }
        match self.bucket.admit(record.level, Instant::now()) {
            Admission::Pass => self.put(record, tags),
            Admission::Drop => {}
            Admission::DropAndSay => {
                let context = Context::NONE;
                let message = &"too many log messages, limiting";
                self.put(&Record { message, context, errno: None, nginx: None, ..*record }, &[]);
            }
        }
    }

    fn put(&self, record: &Record<'_>, tags: &[Box<str>]) {
        let bytes = self.format.render(record, tags);
        self.sink.write(Line { level: record.level, format: self.format, bytes });
    }
}

/// A line on its way out.
#[derive(Debug)]
pub(crate) struct Line {
    level: Level,
    format: Format,
    /// With its line end.
    bytes: Vec<u8>,
}

impl Format {
    fn render(self, record: &Record<'_>, tags: &[Box<str>]) -> Vec<u8> {
        match self {
            Self::Json => json::render(record, tags),
            Self::Angie | Self::Nginx => plain::render(record, self.dialect()),
        }
    }

    const fn dialect(self) -> Dialect {
        match self {
            Self::Nginx => Dialect::Nginx,
            Self::Angie | Self::Json => Dialect::Angie,
        }
    }
}

impl Log {
    /// A log that writes to each of `outputs` what that takes.
    pub fn new(outputs: Vec<Output>) -> Self {
        Self { outputs, tags: Arc::default() }
    }

    /// The same log with `error_log_user_tag`s.
    pub fn tagged(self, tags: Arc<[Box<str>]>) -> Self {
        Self { tags, ..self }
    }

    /// The same log with outputs that take everything, and leave nothing out for its number; filters stay.
    fn at_debug(&self) -> Self {
        let output = |output: &Output| Output {
            level: Level::Debug,
            bucket: Arc::new(Bucket::new(0, Level::Debug, Instant::now())),
            ..output.clone()
        };
        Self { outputs: self.outputs.iter().map(output).collect(), tags: Arc::clone(&self.tags) }
    }

    /// Whether any output takes messages of `level`: what nobody reads need not be formatted.
    pub fn takes(&self, level: Level) -> bool {
        self.outputs.iter().any(|output| level <= output.level)
    }

    /// Writes a message that belongs to no session and has no context; it comes escaped.
    pub fn line(&self, level: Level, connection: Option<u64>, message: impl fmt::Display) {
        self.record(&Record { connection, ..Record::new(level, &message) });
    }

    /// Writes a message with the system error that belongs to it.
    pub fn failure(&self, level: Level, message: impl fmt::Display, errno: Option<i32>) {
        self.record(&Record { errno, ..Record::new(level, &message) });
    }

    /// Writes `record` to every output that takes it.
    pub fn record(&self, record: &Record<'_>) {
        for output in self.outputs.iter().filter(|output| record.level <= output.level) {
            output.write(record, &self.tags);
        }
    }
}

impl fmt::Debug for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.outputs.iter().map(|output| output.level)).finish()
    }
}

/// Cuts `line` to at most `limit` bytes, not in the middle of a character.
fn cut(line: &mut Vec<u8>, limit: usize) {
    if line.len() > limit {
        let is_boundary = |at: &usize| line[*at] & 0xC0 != 0x80;
        // Bytes that are no UTF-8 have no boundaries; a character has at most four bytes.
        let at = (limit.saturating_sub(3)..=limit).rev().find(is_boundary).unwrap_or(limit);
        line.truncate(at);
    }
}

#[cfg(test)]
pub(crate) mod tests;
