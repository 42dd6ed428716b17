//! A program that a test started, ended by its own id at the latest when its value is dropped.

use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill, killpg};
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::Pid;

use crate::PATIENCE;

/// A running program and whatever it started: it leads a process group of its own.
#[derive(Debug)]
pub struct Process {
    name: String,
    pid: Pid,
    state: Arc<State>,
}

#[derive(Debug)]
struct State {
    /// `None` as soon as the program has ended and its id may belong to somebody else.
    child: Mutex<(Option<Child>, Option<ExitStatus>)>,
    ended: Condvar,
}

impl Process {
    /// Starts a program.
    #[track_caller]
    pub fn start(command: &mut Command) -> Self {
        let name = command.get_program().to_string_lossy().into_owned();
        Self::try_start(command).unwrap_or_else(|error| panic!("cannot start {name}: {error}"))
    }

    /// Starts a program, if there is one.
    pub fn try_start(command: &mut Command) -> io::Result<Self> {
        let name = command.get_program().to_string_lossy().into_owned();
        let child = command.process_group(0).spawn()?;
        let pid = Pid::from_raw(child.id().try_into().expect("process ids are positive"));
        let state = Arc::new(State { child: Mutex::new((Some(child), None)), ended: Condvar::new() });
        std::thread::spawn({
            let state = Arc::clone(&state);
            move || state.reap(pid)
        });
        Ok(Self { name, pid, state })
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.pid.as_raw().unsigned_abs()
    }

    /// Sends a signal to the program alone, not to its group. Does nothing if it has ended.
    pub fn signal(&self, signal: Signal) {
        let child = self.state.lock();
        if child.0.is_some() {
            // Not reaped, so the id is still its own.
            kill(self.pid, signal).expect("a child can be signalled");
        }
    }

    /// Has the program ended, or does it within `pause`?
    pub fn ends_within(&self, pause: Duration) -> Option<ExitStatus> {
        let (child, _) = self
            .state
            .ended
            .wait_timeout_while(self.state.lock(), pause, |child| child.1.is_none())
            .unwrap_or_else(PoisonError::into_inner);
        child.1
    }

    /// Waits for the program's own end.
    #[track_caller]
    pub fn end(&self) -> ExitStatus {
        self.ends_within(PATIENCE).unwrap_or_else(|| panic!("{} goes on after {PATIENCE:?}", self.name))
    }

    /// Asks the program to stop (TERM) and waits until it has.
    #[track_caller]
    pub fn stop(&self) -> ExitStatus {
        self.signal(Signal::SIGTERM);
        self.end()
    }

    /// Waits until `ready` says yes; what went wrong if the program ends before that or takes too long.
    pub(crate) fn wait_until(&self, mut ready: impl FnMut() -> bool) -> Result<(), String> {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if ready() {
                return Ok(());
            }
            if let Some(status) = self.ends_within(Duration::from_millis(3)) {
                return Err(format!("{} ended: {status}", self.name));
            }
        }
        Err(format!("{} is not ready after {PATIENCE:?}", self.name))
    }
}

impl Drop for Process {
    /// A program that forks is asked first, so that it can end what it started in sessions of their own.
    fn drop(&mut self) {
        if self.ends_within(Duration::ZERO).is_none() {
            self.signal(Signal::SIGTERM);
            self.ends_within(Duration::from_secs(2));
        }
        // Members of the group keep its id from being used again; without members there is nobody to hit.
        let _ = killpg(self.pid, Signal::SIGKILL);
        self.ends_within(PATIENCE);
    }
}

impl State {
    fn lock(&self) -> MutexGuard<'_, (Option<Child>, Option<ExitStatus>)> {
        self.child.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for the end without reaping, so that nobody can signal an id that is no longer the program's.
    fn reap(&self, pid: Pid) {
        let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT;
        while waitid(Id::Pid(pid), flags) == Err(nix::errno::Errno::EINTR) {}
        let mut child = self.lock();
        child.1 = child.0.take().and_then(|mut child| child.wait().ok());
        self.ended.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn stopping_says_how_it_ended() {
        use std::os::unix::process::ExitStatusExt;
        let process = Process::start(Command::new("sleep").arg("600"));
        assert_eq!(process.stop().signal(), Some(Signal::SIGTERM as i32));
    }

    #[test]
    fn dropping_ends_what_the_program_started() {
        let (mut output, end) = io::pipe().expect("a pipe");
        let mut shell = Command::new("sh");
        let process = Process::start(shell.arg("-c").arg("sleep 30 & echo started; wait").stdout(end));
        // The command keeps its own copy of the pipe's end.
        drop(shell);
        let mut started = [0; 8];
        output.read_exact(&mut started).expect("the shell says that it has started");
        drop(process);
        let mut rest = String::new();
        // Ends when the last holder of the other end is gone.
        output.read_to_string(&mut rest).expect("the pipe is readable");
        assert_eq!((&started, rest.as_str()), (b"started\n", ""));
    }

    #[test]
    fn a_program_that_ends_early_is_not_waited_for() {
        let process = Process::start(&mut Command::new("false"));
        let why = process.wait_until(|| false).expect_err("it ended");
        assert!(why.contains("exit status: 1"), "{why}");
    }
}
