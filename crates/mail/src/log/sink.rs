//! Where lines go: a file, standard error, a syslog server; at once, or by a thread of its own.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use rustix::fs::{FileType, fstat};

use super::Line;
use super::queue::Queue;
use super::syslog::Syslog;

/// Something that takes whole lines and can be replaced while it is in use.
pub struct Sink(Kind);

enum Kind {
    /// Whoever has something to say writes it.
    Direct(Mutex<Box<dyn Write + Send>>),
    /// A thread of its own writes it.
    Queued(Arc<Queue>),
}

impl Sink {
    /// Writes to `output` at once: for programs that nobody waits for, such as tests of a configuration.
    pub fn new(output: impl Write + Send + 'static) -> Self {
        Self(Kind::Direct(Mutex::new(Box::new(output))))
    }

    /// Writes to `target` by a thread of its own, so that a slow disk or a stopped reader stalls nobody.
    ///
    /// What waits to be written is bounded; what does not fit is dropped, counted, and said when there is room.
    ///
    /// # Errors
    /// When the system has no thread to give.
    pub fn queued(target: Target) -> io::Result<Self> {
        Queue::start(target).map(|queue| Self(Kind::Queued(queue)))
    }

    /// Writes to `file` from now on (USR1: log files are reopened by name). Lines that are waiting go where they would
    /// have gone.
    pub fn replace(&self, file: File) {
        match &self.0 {
            Kind::Direct(output) => *output.lock().unwrap_or_else(PoisonError::into_inner) = Box::new(file),
            Kind::Queued(queue) => queue.replace(Target::file(file)),
        }
    }

    /// Waits until all is written, but no longer than `patience`. Whether it is.
    pub fn flush(&self, patience: Duration) -> bool {
        match &self.0 {
            Kind::Direct(output) => output.lock().unwrap_or_else(PoisonError::into_inner).flush().is_ok(),
            Kind::Queued(queue) => queue.flush(patience),
        }
    }

    /// Takes a line. A log that cannot be written must not stop the mail, so errors end here.
    pub(super) fn write(&self, line: Line) {
        match &self.0 {
            Kind::Direct(output) => {
                let _ = output.lock().unwrap_or_else(PoisonError::into_inner).write_all(&line.bytes);
            }
            Kind::Queued(queue) => queue.push(line),
        }
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        if let Kind::Queued(queue) = &self.0 {
            queue.close();
        }
    }
}

/// The most bytes that one write to something other than a file may have without being torn apart by other writers
/// (PIPE_BUF of POSIX, as Linux has it). Every line fits.
const PIPE: usize = 4096;

/// The same for files, which are opened for appending: here only what a call is worth.
const FILE: usize = 64 * 1024;

/// What a thread writes lines to.
pub enum Target {
    /// A file, a pipe, a terminal.
    Stream {
        /// It.
        to: File,
        /// How many bytes of whole lines go in one write.
        chunk: usize,
    },
    /// A syslog server.
    Syslog(Syslog),
}

impl Target {
    /// Writes to `file`, which must be open for appending if it is a regular one.
    pub fn file(file: File) -> Self {
        // Not by `metadata`: in a sandbox it fails, since C libraries ask by calls that take names as well.
        let regular = fstat(&file).is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode).is_file());
        Self::Stream { to: file, chunk: if regular { FILE } else { PIPE } }
    }

    /// Writes to standard error.
    ///
    /// # Errors
    /// When it cannot be duplicated.
    pub fn stderr() -> io::Result<Self> {
        io::stderr().as_fd().try_clone_to_owned().map(|fd| Self::file(fd.into()))
    }

    /// How many of `lines` go out with one call.
    pub(super) fn portion(&self, lines: &[Line]) -> usize {
        let Self::Stream { chunk, .. } = self else { return 1 };
        let mut bytes = 0;
        let fits = |line: &&Line| {
            bytes += line.bytes.len();
            bytes <= *chunk
        };
        lines.iter().take_while(fits).count().max(1)
    }
}

/// Writes all of `bytes`; how many were written, and why not all.
pub(super) fn write(mut to: &File, bytes: &[u8]) -> (usize, Option<io::Error>) {
    let mut written = 0;
    while written < bytes.len() {
        match to.write(&bytes[written..]) {
            Ok(0) => return (written, Some(io::ErrorKind::WriteZero.into())),
            Ok(n) => written += n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // Standard error may be a pipe that somebody else has made non-blocking.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                if let Err(error) = writable(to) {
                    return (written, Some(error));
                }
            }
            Err(error) => return (written, Some(error)),
        }
    }
    (written, None)
}

fn writable(to: &File) -> io::Result<()> {
    match poll(&mut [PollFd::new(to.as_fd(), PollFlags::POLLOUT)], PollTimeout::NONE) {
        Ok(_) | Err(Errno::EINTR) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}
