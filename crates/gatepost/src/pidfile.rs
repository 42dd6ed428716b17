//! The pid file: written at start, read by `-s`, removed at the end.

use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::unistd::Pid;

use crate::settings::Process;
use crate::start::StartError;

/// What is put behind the name while a new program has its own file there.
const OLD: &str = ".oldbin";

/// Writes the pid file that `process` asks for, if it does.
pub(crate) fn of(process: &Process) -> Result<Option<PidFile>, StartError> {
    let Some(path) = &process.pid else { return Ok(None) };
    let written = PidFile::write(path);
    written.map(Some).map_err(StartError::call(format!("open() \"{}\"", path.display())))
}

/// The pid file of this process; it is removed when this is dropped, unless another one is there by then.
#[derive(Debug)]
pub(crate) struct PidFile {
    path: PathBuf,
    /// Kept open: without privileges the file may be empty-able although its directory is closed to us.
    file: File,
}

/// Why no process can be signalled.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReadError {
    /// It cannot be read.
    #[error("open() \"{}\" failed", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// There is no process number in it.
    #[error("invalid PID number \"{text}\" in \"{}\"", path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
        /// What is in it.
        text: String,
    },
}

impl PidFile {
    /// Writes the number of this process to `path`: beside it first, then renamed, so that nobody reads half a number.
    pub(crate) fn write(path: &Path) -> io::Result<Self> {
        let mut beside = path.as_os_str().to_owned();
        beside.push(".tmp");
        // Whatever is there may lead elsewhere, where root must not write.
        let _ = fs::remove_file(&beside);
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o644).open(&beside)?;
        writeln!(file, "{}", std::process::id())?;
        fs::rename(&beside, path)?;
        Ok(Self { path: path.to_owned(), file })
    }

    /// Makes room for the file of a new program: `.oldbin` is put behind the name (as the originals).
    pub(crate) fn make_old(&mut self) -> io::Result<()> {
        let mut old = self.path.clone().into_os_string();
        old.push(OLD);
        self.rename(old.into())
    }

    /// Takes the name back.
    pub(crate) fn make_current(&mut self) -> io::Result<()> {
        let old = self.path.as_os_str().as_encoded_bytes();
        match old.strip_suffix(OLD.as_bytes()) {
            Some(current) => self.rename(Path::new(OsStr::from_bytes(current)).to_owned()),
            None => Ok(()),
        }
    }

    fn rename(&mut self, to: PathBuf) -> io::Result<()> {
        fs::rename(&self.path, &to)?;
        self.path = to;
        Ok(())
    }

    /// The process that `path` names.
    pub(crate) fn read(path: &Path) -> Result<Pid, ReadError> {
        let text =
            fs::read_to_string(path).map_err(|source| ReadError::Open { path: path.to_owned(), source })?;
        let text = text.trim_end();
        match text.parse() {
            Ok(pid @ 1..) => Ok(Pid::from_raw(pid)),
            _ => Err(ReadError::Invalid { path: path.to_owned(), text: text.to_owned() }),
        }
    }
}

impl PidFile {
    /// Whether another one has been put in its place.
    fn is_replaced(&self) -> bool {
        let place = |it: fs::Metadata| (it.dev(), it.ino());
        match (self.file.metadata().map(place), fs::metadata(&self.path).map(place)) {
            (Ok(own), Ok(there)) => own != there,
            _ => false,
        }
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        if self.is_replaced() {
            return;
        }
        if fs::remove_file(&self.path).is_err() {
            // A number that may soon be another process's is worse than none.
            let _ = self.file.set_len(0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_names_this_process_and_goes_with_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("gatepost.pid");
        let pid_file = PidFile::write(&path).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), format!("{}\n", std::process::id()));
        assert_eq!(PidFile::read(&path).unwrap(), Pid::this());
        drop(pid_file);
        assert!(!path.exists());
    }

    #[test]
    fn the_file_makes_room_for_that_of_a_new_program_and_comes_back() {
        let dir = tempfile::tempdir().unwrap();
        let (path, old) = (dir.path().join("gatepost.pid"), dir.path().join("gatepost.pid.oldbin"));
        let mut pid_file = PidFile::write(&path).unwrap();
        pid_file.make_old().unwrap();
        assert!(!path.exists() && old.exists());
        let newer = PidFile::write(&path).unwrap();
        drop(newer);
        pid_file.make_current().unwrap();
        pid_file.make_current().unwrap();
        assert_eq!(PidFile::read(&path).unwrap(), Pid::this());
        pid_file.make_old().unwrap();
        drop(pid_file);
        assert!(!path.exists() && !old.exists());
    }

    #[test]
    fn what_waits_beside_it_is_not_written_to() {
        let dir = tempfile::tempdir().unwrap();
        let (path, other) = (dir.path().join("pid"), dir.path().join("other"));
        fs::write(&other, "precious").unwrap();
        std::os::unix::fs::symlink(&other, dir.path().join("pid.tmp")).unwrap();
        let _pid_file = PidFile::write(&path).unwrap();
        assert_eq!(PidFile::read(&path).unwrap(), Pid::this());
        assert_eq!(fs::read_to_string(&other).unwrap(), "precious");
    }

    #[test]
    fn the_file_of_another_process_stays() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pid");
        let before = PidFile::write(&path).unwrap();
        // By another name for the same place, as a reload from /var/run to /run has it.
        let after = PidFile::write(&dir.path().join("../").join(dir.path().file_name().unwrap()).join("pid"));
        drop(before);
        assert_eq!(PidFile::read(&path).unwrap(), Pid::this());
        drop(after.unwrap());
        assert!(!path.exists());
    }

    #[test]
    fn what_is_no_process_is_refused_in_the_originals_words() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pid");
        for text in ["", "x", "-1", "0", "99999999999"] {
            fs::write(&path, text).unwrap();
            let expected = format!("invalid PID number \"{text}\" in \"{}\"", path.display());
            assert_eq!(PidFile::read(&path).unwrap_err().to_string(), expected);
        }
        let missing = dir.path().join("missing");
        let expected = format!("open() \"{}\" failed", missing.display());
        assert_eq!(PidFile::read(&missing).unwrap_err().to_string(), expected);
    }
}
