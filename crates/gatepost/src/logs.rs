//! Opens the files behind `error_log` and opens them again on USR1.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use mail::log::{Log, Sink};
use mail::settings::ErrorLog;
use mail::settings::log::{Destination, Level};
use nix::unistd::{Uid, fchown};

/// All open logs. A file that is named in several places is opened once.
#[derive(Default)]
pub(crate) struct Logs {
    sinks: HashMap<Destination, Arc<Sink>>,
    /// The same files by their paths, for whoever may not open them himself.
    files: BTreeMap<PathBuf, File>,
    /// Another process opens the files: there are no more of them.
    given: bool,
}

/// A log file that cannot be opened.
#[derive(Debug, thiserror::Error)]
#[error("open() \"{}\" failed", path.display())]
pub(crate) struct OpenError {
    /// The file.
    pub(crate) path: PathBuf,
    /// The system's reason.
    pub(crate) source: io::Error,
}

impl Logs {
    /// A log that writes to all of `settings`.
    pub(crate) fn open(&mut self, settings: &[ErrorLog]) -> Result<Log, OpenError> {
        let outputs = settings.iter().map(|log| Ok((log.level, self.sink(&log.destination)?)));
        outputs.collect::<Result<Vec<(Level, Arc<Sink>)>, OpenError>>().map(Log::new)
    }

    /// Logs in files that another process has opened.
    pub(crate) fn given(files: BTreeMap<PathBuf, File>) -> Self {
        Self { sinks: HashMap::new(), files, given: true }
    }

    /// All files, to be given to another process.
    pub(crate) fn files(&self) -> &BTreeMap<PathBuf, File> {
        &self.files
    }

    /// Opens all files again by name; a file that cannot be opened stays what it is.
    pub(crate) fn reopen(&mut self) -> Vec<OpenError> {
        let paths: Vec<PathBuf> = self.files.keys().cloned().collect();
        let reopen = |path: PathBuf| {
            let failed = |source| OpenError { path: path.clone(), source };
            append(&path).and_then(|file| self.renew(path.clone(), file).map_err(failed)).err()
        };
        paths.into_iter().filter_map(reopen).collect()
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

    /// Writes to `file` from now on where lines went to `path`.
    pub(crate) fn renew(&mut self, path: PathBuf, file: File) -> io::Result<()> {
        let destination = Destination::File(path.clone());
        if let Some(sink) = self.sinks.get(&destination) {
            sink.replace(file.try_clone()?);
        }
        self.files.insert(path, file);
        Ok(())
    }

    fn sink(&mut self, destination: &Destination) -> Result<Arc<Sink>, OpenError> {
        if let Some(sink) = self.sinks.get(destination) {
            return Ok(Arc::clone(sink));
        }
        let sink = Arc::new(match destination {
            Destination::File(path) => Sink::new(self.file(path)?),
            Destination::Stderr => Sink::new(io::stderr()),
        });
        self.sinks.insert(destination.clone(), Arc::clone(&sink));
        Ok(sink)
    }

    fn file(&mut self, path: &Path) -> Result<File, OpenError> {
        let failed = |source| OpenError { path: path.to_owned(), source };
        if !self.given {
            self.files.insert(path.to_owned(), append(path)?);
        }
        let file = self.files.get(path).ok_or_else(|| failed(io::ErrorKind::NotFound.into()))?;
        file.try_clone().map_err(failed)
    }
}

impl fmt::Debug for Logs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.sinks.keys()).finish()
    }
}

/// A file for appending, created with mode 0644 if it is missing (as the originals).
fn append(path: &Path) -> Result<File, OpenError> {
    OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o644)
        .open(path)
        .map_err(|source| OpenError { path: path.to_owned(), source })
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

    use super::*;

    fn to(path: &Path, level: Level) -> ErrorLog {
        ErrorLog { destination: Destination::File(path.to_owned()), level }
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
        assert_eq!(logs.sinks.len(), 1);
        assert!(fs::read_to_string(&path).unwrap().ends_with(": kept\n"));
    }

    #[test]
    fn a_file_that_cannot_be_opened_is_named() {
        let error = Logs::default().open(&[to(Path::new("/nonexistent/x.log"), Level::Error)]);
        assert_eq!(error.err().unwrap().to_string(), "open() \"/nonexistent/x.log\" failed");
    }
}
