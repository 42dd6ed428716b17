//! Opens the files behind `error_log` and opens them again on USR1.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::panic;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::{Arc, Mutex, Once, PoisonError, Weak};
use std::time::{Duration, Instant};

use mail::address::Endpoint;
use mail::log::{Bucket, Complaints, Log, Output, Sink, Syslog, SyslogError, Target};
use mail::settings::ErrorLog;
use mail::settings::log::{Destination, Level};
use nix::unistd::{Uid, dup2_stderr, fchown};
use rustix::fs::fstat;

/// How long the end of the program waits for lines to be written.
const PATIENCE: Duration = Duration::from_secs(2);

/// All open logs. A file that is named in several places is opened once.
///
/// When dropped it waits until all is written, but not for long: whoever does not read must not keep the program.
#[derive(Default)]
pub(crate) struct Logs {
    sinks: HashMap<Destination, Arc<Sink>>,
    /// Those of the configuration before, while this one is being opened.
    before: HashMap<Destination, Arc<Sink>>,
    /// Every `error_log` has one limit, however many servers inherit it.
    buckets: HashMap<ErrorLog, Arc<Bucket>>,
    complaints: Complaints,
    /// The files by their paths, for whoever may not open them himself.
    files: BTreeMap<PathBuf, File>,
    /// Another process opens the files: there are no more of them.
    given: bool,
}

/// Where a panic is told. It keeps no log from being closed.
struct LastWords {
    main: Weak<Log>,
    sinks: Vec<Weak<Sink>>,
}

/// Whether panics are told already.
static HOOK: Once = Once::new();

static LAST_WORDS: Mutex<LastWords> = Mutex::new(LastWords { main: Weak::new(), sinks: Vec::new() });

impl LastWords {
    fn say(info: &panic::PanicHookInfo<'_>) {
        // Whoever panics while the logs change says nothing.
        let Ok(last) = LAST_WORDS.try_lock() else { return };
        // The place only: what a panic says may contain anything.
        if let (Some(main), Some(place)) = (last.main.upgrade(), info.location()) {
            main.line(Level::Alert, None, format_args!("internal error at {place}, exiting"));
        }
        flush(&last.sinks.iter().filter_map(Weak::upgrade).collect::<Vec<_>>());
    }
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

    /// Logs in files that another process has opened.
    pub(crate) fn given(files: BTreeMap<PathBuf, File>) -> Self {
        let mut logs = Self::default();
        (logs.files, logs.given) = (files, true);
        logs
    }

    /// Writes where `before` does as that does: its sessions go on with it, and must not be left behind when files are
    /// reopened. A syslog server has nothing to reopen, and complains to a log of its own configuration.
    pub(crate) fn following(mut self, before: &Self) -> Self {
        let sinks = before.sinks.iter().map(|(destination, sink)| (destination.clone(), Arc::clone(sink)));
        self.before =
            sinks.filter(|(destination, _)| !matches!(destination, Destination::Syslog(_))).collect();
        self
    }

    /// All are open.
    pub(crate) fn settle(&mut self) {
        self.before = HashMap::new();
    }

    /// All files, to be given to another process.
    pub(crate) fn files(&self) -> &BTreeMap<PathBuf, File> {
        &self.files
    }

    /// Opens all files again by name; a file that cannot be opened stays what it is.
    pub(crate) fn reopen(&mut self) -> Vec<OpenError> {
        let paths: Vec<PathBuf> = self.files.keys().cloned().collect();
        let reopen = |path: PathBuf| append(&path).and_then(|file| self.renew(path, file)).err();
        paths.into_iter().filter_map(reopen).collect()
    }

    /// Writes to `file` from now on where lines went to `path`.
    pub(crate) fn renew(&mut self, path: PathBuf, file: File) -> Result<(), OpenError> {
        if let Some(sink) = self.sinks.get(&Destination::File(path.clone())) {
            sink.replace(copy(&path, &file)?);
        }
        if let Some(before) = self.files.get(&path) {
            // A process that says less goes on all the same.
            let _ = renew_stderr(before, &file);
        }
        self.files.insert(path, file);
        Ok(())
    }

    /// Waits until all is written, but no longer than a moment for all logs together.
    pub(crate) fn flush(&self) {
        flush(self.sinks.values());
    }

    /// Sees to it that a panic, which ends the program at once, is told in `main`, and that nothing said before is lost.
    /// These logs take the place of those that had this task before.
    pub(crate) fn survive_panic(&self, main: &Arc<Log>) {
        let last = LastWords {
            main: Arc::downgrade(main),
            sinks: self.sinks.values().map(Arc::downgrade).collect(),
        };
        *LAST_WORDS.lock().unwrap_or_else(PoisonError::into_inner) = last;
        HOOK.call_once(|| {
            let usual = panic::take_hook();
            panic::set_hook(Box::new(move |info| {
                usual(info);
                LastWords::say(info);
                // Builds for tests would unwind, and go on without one of their threads.
                process::abort();
            }));
        });
    }

    /// Whether anything is written to standard error.
    pub(crate) fn use_stderr(&self) -> bool {
        self.sinks.contains_key(&Destination::Stderr)
    }

    /// Gives all files to `user`, who will have to open them again (as the originals). Where that cannot be done
    /// safely, or at all, a file stays as it is.
    pub(crate) fn give_to(&self, user: Uid) {
        for path in self.files.keys() {
            let _ = give(path, user);
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
        if let Some(sink) = self.before.remove(destination) {
            if let Destination::File(path) = destination {
                sink.replace(self.file(path)?);
            }
            self.sinks.insert(destination.clone(), Arc::clone(&sink));
            return Ok(sink);
        }
        let target = match destination {
            Destination::File(path) => Target::file(self.file(path)?),
            Destination::Stderr => Target::stderr().map_err(OpenError::Start)?,
            Destination::Syslog(server) => Target::Syslog(Syslog::open(server, self.complaints.clone())?),
        };
        let sink = Arc::new(Sink::queued(target).map_err(OpenError::Start)?);
        self.sinks.insert(destination.clone(), Arc::clone(&sink));
        Ok(sink)
    }

    fn file(&mut self, path: &Path) -> Result<File, OpenError> {
        if !self.given {
            self.files.insert(path.to_owned(), append(path)?);
        }
        let missing = || OpenError::File { path: path.to_owned(), source: io::ErrorKind::NotFound.into() };
        copy(path, self.files.get(path).ok_or_else(missing)?)
    }
}

impl fmt::Debug for Logs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.sinks.keys()).finish()
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

/// In the background a log is standard error as well; then that is its new file too, as in the originals.
fn renew_stderr(before: &File, after: &File) -> io::Result<()> {
    let (log, stderr) = (fstat(before)?, fstat(io::stderr())?);
    if (log.st_dev, log.st_ino) == (stderr.st_dev, stderr.st_ino) {
        dup2_stderr(after)?;
    }
    Ok(())
}

/// Another descriptor of `file`, which is at `path`.
fn copy(path: &Path, file: &File) -> Result<File, OpenError> {
    file.try_clone().map_err(|source| OpenError::File { path: path.to_owned(), source })
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
