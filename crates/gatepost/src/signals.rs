//! Signals as a stream, with who has sent them.
//!
//! They are blocked in every thread and read from a descriptor, which alone tells the sender.

use std::fmt;
use std::io;

use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::unistd::Pid;
use tokio::io::unix::AsyncFd;

/// All that are waited for. ALRM, IO and SYS mean nothing, and must not end the process.
const AWAITED: [Signal; 11] = [
    Signal::SIGTERM,
    Signal::SIGINT,
    Signal::SIGQUIT,
    Signal::SIGHUP,
    Signal::SIGUSR1,
    Signal::SIGUSR2,
    Signal::SIGWINCH,
    Signal::SIGCHLD,
    Signal::SIGALRM,
    Signal::SIGIO,
    Signal::SIGSYS,
];

/// The signals of this process.
#[derive(Debug)]
pub(crate) struct Signals(AsyncFd<SignalFd>);

/// A signal that has arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Received {
    /// Which.
    pub(crate) signal: Signal,
    /// Who sent it, unless it was the kernel.
    pub(crate) from: Option<Pid>,
}

impl Signals {
    /// Takes all signals; to be called before there are threads, which inherit that.
    pub(crate) fn block() -> io::Result<Blocked> {
        let mask: SigSet = AWAITED.into_iter().collect();
        mask.thread_block()?;
        let flags = SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC;
        Ok(Blocked(SignalFd::with_flags(&mask, flags)?))
    }

    /// The next signal.
    pub(crate) async fn next(&self) -> io::Result<Received> {
        loop {
            let mut ready = self.0.readable().await?;
            let read = ready.try_io(|fd| match fd.get_ref().read_signal() {
                Ok(Some(info)) => Ok(info),
                Ok(None) => Err(io::ErrorKind::WouldBlock.into()),
                Err(error) => Err(error.into()),
            });
            let Ok(info) = read else { continue };
            let info = info?;
            let signal = i32::try_from(info.ssi_signo).ok().and_then(|number| Signal::try_from(number).ok());
            let from = i32::try_from(info.ssi_pid).ok().filter(|pid| *pid > 0).map(Pid::from_raw);
            if let Some(signal) = signal {
                return Ok(Received { signal, from });
            }
        }
    }
}

/// Signals that are blocked and not yet read.
#[derive(Debug)]
pub(crate) struct Blocked(SignalFd);

impl Blocked {
    /// Begins to read; to be called on the runtime that waits for them.
    pub(crate) fn read(self) -> io::Result<Signals> {
        #[expect(
            deprecated,
            reason = "what replaces it is unsafe; a SignalFd owns its descriptor, so this is sound"
        )]
        AsyncFd::new(self.0).map(Signals)
    }
}

/// As log lines name it, without a word of what it leads to.
impl fmt::Display for Received {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "signal {} ({}) received", self.signal as i32, self.signal.as_str())?;
        self.from.map_or(Ok(()), |pid| write!(f, " from {pid}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_signal_tells_its_sender() {
        let signals = Signals::block().unwrap().read().unwrap();
        // To this thread alone, since others of the test's process do not block it.
        nix::sys::signal::raise(Signal::SIGWINCH).unwrap();
        let received = signals.next().await.unwrap();
        assert_eq!(received, Received { signal: Signal::SIGWINCH, from: Some(Pid::this()) });
        assert_eq!(received.to_string(), format!("signal 28 (SIGWINCH) received from {}", Pid::this()));
    }
}
