//! Opens the files behind `error_log` and opens them again on USR1.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::panic;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use mail::address::Endpoint;
use mail::log::{Bucket, Complaints, Log, Output, Sink, Syslog, SyslogError, Target};
use mail::settings::ErrorLog;
use mail::settings::log::{Destination, Level};
use nix::unistd::{Uid, fchown};

/// How long the end of the program waits for lines to be written.
const PATIENCE: Duration = Duration::from_secs(2);

/// All open logs. A file that is named in several places is opened once.
///
/// When dropped it waits until all is written, but not for long: whoever does not read must not keep the program.
#[derive(Default)]
pub(crate) struct Logs {
    sinks: HashMap<Destination, Arc<Sink>>,
    /// Every `error_log` has one limit, however many servers inherit it.
    buckets: HashMap<ErrorLog, Arc<Bucket>>,
    complaints: Complaints,
}

/// A log that cannot be opened.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OpenError {
    /// A file.
    #[error("open() \"{}\" failed", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// The socket to a syslog server.
    #[error("socket to syslog server \"{server}\" failed")]
    Syslog {
        /// Which.
        server: Endpoint,
        /// The system's reason.
        source: io::Error,
    },
    /// Standard error, or the thread that writes.
    #[error("starting a log failed")]
    Start(#[source] io::Error),
}

impl Logs {
    /// A log that writes to all of `settings`.
    pub(crate) fn open(&mut self, settings: &[ErrorLog]) -> Result<Log, OpenError> {
        settings.iter().map(|log| self.output(log)).collect::<Result<Vec<Output>, OpenError>>().map(Log::new)
    }

    /// Tells `main` from now on what cannot be sent to syslog servers.
    pub(crate) fn complain_to(&self, main: &Arc<Log>) {
        self.complaints.to(main);
    }

    /// Opens all files again by name; a file that cannot be opened stays what it is.
    pub(crate) fn reopen(&self) -> Vec<OpenError> {
        let mut errors = Vec::new();
        for (destination, sink) in &self.sinks {
            let Destination::File(path) = destination else { continue };
            match append(path) {
                Ok(file) => sink.replace(file),
                Err(error) => errors.push(error),
            }
        }
        errors
    }

    /// Waits until all is written, but no longer than a moment for all logs together.
    pub(crate) fn flush(&self) {
        flush(self.sinks.values());
    }

    /// Sees to it that a panic, which ends the program at once, is told in `main`, and that nothing said before is lost.
    pub(crate) fn survive_panic(&self, main: &Arc<Log>) {
        let (sinks, main) = (self.sinks.values().cloned().collect::<Vec<_>>(), Arc::clone(main));
        let usual = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            usual(info);
            // The place only: what a panic says may contain anything.
            if let Some(place) = info.location() {
                main.line(Level::Alert, None, format_args!("internal error at {place}, exiting"));
            }
            flush(&sinks);
        }));
    }

    /// Whether anything is written to standard error.
    pub(crate) fn use_stderr(&self) -> bool {
        self.sinks.contains_key(&Destination::Stderr)
    }

    /// Gives all files to `user`, who will have to open them again (as the originals). Where that cannot be done
    /// safely, or at all, a file stays as it is.
    pub(crate) fn give_to(&self, user: Uid) {
        for destination in self.sinks.keys() {
            if let Destination::File(path) = destination {
                let _ = give(path, user);
            }
        }
    }

    fn output(&mut self, settings: &ErrorLog) -> Result<Output, OpenError> {
        let sink = self.sink(&settings.destination)?;
        let bucket = || Arc::new(Bucket::new(settings.rate, settings.level, Instant::now()));
        let bucket = self.buckets.entry(settings.clone()).or_insert_with(bucket);
        Ok(Output::new(sink, settings, Arc::clone(bucket)))
    }

    fn sink(&mut self, destination: &Destination) -> Result<Arc<Sink>, OpenError> {
        if let Some(sink) = self.sinks.get(destination) {
            return Ok(Arc::clone(sink));
        }
        let target = match destination {
            Destination::File(path) => Target::file(append(path)?),
            Destination::Stderr => Target::stderr().map_err(OpenError::Start)?,
            Destination::Syslog(server) => Target::Syslog(Syslog::open(server, self.complaints.clone())?),
        };
        let sink = Arc::new(Sink::queued(target).map_err(OpenError::Start)?);
        self.sinks.insert(destination.clone(), Arc::clone(&sink));
        Ok(sink)
    }
}

impl Drop for Logs {
    fn drop(&mut self) {
        self.flush();
    }
}

impl From<SyslogError> for OpenError {
    fn from(error: SyslogError) -> Self {
        let SyslogError { server, source } = error;
        Self::Syslog { server, source }
    }
}

fn flush<'s>(sinks: impl IntoIterator<Item = &'s Arc<Sink>>) {
    let until = Instant::now() + PATIENCE;
    for sink in sinks {
        sink.flush(until.saturating_duration_since(Instant::now()));
    }
}

/// The start-up log, which is written at once: nobody waits for it, and the program may end at any line.
pub(crate) fn open_startup(destination: &Destination, level: Level) -> Result<Log, OpenError> {
    let sink = match destination {
        Destination::File(path) => Sink::new(append(path)?),
        Destination::Stderr => Sink::new(io::stderr()),
        // The command line names no servers.
        Destination::Syslog(_) => return Ok(Log::default()),
    };
    Ok(Log::new(vec![Output::all(Arc::new(sink), level)]))
}

/// A file for appending, created with mode 0644 if it is missing (as the originals).
fn append(path: &Path) -> Result<File, OpenError> {
    OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o644)
        .open(path)
        .map_err(|source| OpenError::File { path: path.to_owned(), source })
}

/// Only a plain file that has one name, which is no link: whoever may write to a directory of logs must not be able to
/// have other files given to him (CVE-2016-1247 was such a hole in a package of nginx).
fn give(path: &Path, user: Uid) -> io::Result<()> {
    let file = OpenOptions::new().append(true).open(path)?;
    let (opened, named) = (file.metadata()?, fs::symlink_metadata(path)?);
    let is_same = (opened.dev(), opened.ino()) == (named.dev(), named.ino());
    if opened.is_file() && is_same && opened.nlink() == 1 && opened.uid() != user.as_raw() {
        fchown(&file, Some(user), None)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use mail::flavour::Flavour;

    use super::*;

    fn to(path: &Path, level: Level) -> ErrorLog {
        ErrorLog::new(Destination::File(path.to_owned()), level, Flavour::Gatepost)
    }

    #[test]
    fn a_file_that_was_moved_away_is_created_again_when_logs_are_reopened() {
        let dir = tempfile::tempdir().unwrap();
        let (path, moved) = (dir.path().join("error.log"), dir.path().join("error.log.1"));
        let mut logs = Logs::default();
        let log = logs.open(&[to(&path, Level::Error)]).unwrap();
        log.line(Level::Error, None, "first");
        fs::rename(&path, &moved).unwrap();
        log.line(Level::Error, None, "still the old file");
        assert!(logs.reopen().is_empty());
        log.line(Level::Error, None, "second");
        logs.flush();
        assert_eq!(fs::read_to_string(&moved).unwrap().lines().count(), 2);
        assert!(fs::read_to_string(&path).unwrap().ends_with(": second\n"));
    }

    #[test]
    fn a_file_named_twice_is_opened_once_and_takes_both_levels() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("error.log");
        let mut logs = Logs::default();
        let quiet = logs.open(&[to(&path, Level::Error)]).unwrap();
        let loud = logs.open(&[to(&path, Level::Info)]).unwrap();
        quiet.line(Level::Info, None, "lost");
        loud.line(Level::Info, None, "kept");
        logs.flush();
        assert_eq!(logs.sinks.len(), 1);
        assert!(fs::read_to_string(&path).unwrap().ends_with(": kept\n"));
    }

    #[test]
    fn a_file_that_cannot_be_opened_is_named() {
        let error = Logs::default().open(&[to(Path::new("/nonexistent/x.log"), Level::Error)]);
        assert_eq!(error.err().unwrap().to_string(), "open() \"/nonexistent/x.log\" failed");
    }
}
