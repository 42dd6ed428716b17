//! A program that a test started, ended by its own id at the latest when its value is dropped.

use std::io;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill, killpg};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use nix::unistd::Pid;

use crate::PATIENCE;

/// A running program and whatever it started: it leads a process group of its own.
#[derive(Debug)]
pub struct Process {
    name: String,
    pid: Pid,
    /// Not reaped before this value is dropped, so its id and its group's are nobody else's until then.
    child: Child,
    state: Arc<State>,
}

#[derive(Debug, Default)]
struct State {
    status: Mutex<Option<ExitStatus>>,
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
        let state = Arc::<State>::default();
        std::thread::spawn({
            let state = Arc::clone(&state);
            move || state.watch(pid)
        });
        Ok(Self { name, pid, child, state })
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.pid.as_raw().unsigned_abs()
    }

    /// How many descriptors it has open.
    #[track_caller]
    pub fn descriptors(&self) -> usize {
        let open = std::fs::read_dir(format!("/proc/{}/fd", self.pid));
        open.unwrap_or_else(|error| panic!("{} has no descriptors: {error}", self.name)).count()
    }

    /// Bytes of memory that it has written to and that no file stands behind: heap, stacks and such.
    ///
    /// Pages of its file are left out, for what they weigh depends on who else runs it.
    #[track_caller]
    pub fn memory(&self) -> u64 {
        let maps = std::fs::read_to_string(format!("/proc/{}/smaps_rollup", self.pid)).unwrap_or_default();
        let row = maps.lines().find_map(|line| line.strip_prefix("Anonymous:")?.strip_suffix("kB"));
        let pages = row.and_then(|row| row.trim().parse::<u64>().ok());
        pages.unwrap_or_else(|| panic!("the system does not tell the memory of {}", self.name)) * 1024
    }

    /// Sends a signal to the program alone, not to its group. Does nothing if it has ended.
    pub fn signal(&self, signal: Signal) {
        kill(self.pid, signal).expect("a child can be signalled");
    }

    /// Has the program ended, or does it within `pause`?
    pub fn ends_within(&self, pause: Duration) -> Option<ExitStatus> {
        let (status, _) = self
            .state
            .ended
            .wait_timeout_while(self.state.lock(), pause, |status| status.is_none())
            .unwrap_or_else(PoisonError::into_inner);
        *status
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
    /// Nobody asks a program about its data after its test, so it is not asked to leave but ended, with its whole group.
    fn drop(&mut self) {
        // The watching thread ends with the program, and this with it. Neither call fails for a child not yet reaped.
        let _ = killpg(self.pid, Signal::SIGKILL);
        let _ = self.child.wait();
    }
}

impl State {
    fn lock(&self) -> MutexGuard<'_, Option<ExitStatus>> {
        self.status.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for the end without reaping.
    fn watch(&self, pid: Pid) {
        let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT;
        let status = loop {
            match waitid(Id::Pid(pid), flags) {
                Ok(WaitStatus::Exited(_, code)) => break ExitStatus::from_raw(code << 8),
                Ok(WaitStatus::Signaled(_, signal, _)) => break ExitStatus::from_raw(signal as i32),
                Ok(_) | Err(Errno::EINTR) => {}
                // Reaped already: the value is dropped and nobody asks any more.
                Err(_) => return,
            }
        };
        *self.lock() = Some(status);
        self.ended.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn descriptors_and_memory_of_a_program_can_be_seen() {
        let process = Process::start(Command::new("sleep").arg("600").stdin(std::process::Stdio::null()));
        assert!(process.descriptors() >= 3);
        assert!((4096..16 << 20).contains(&process.memory()), "{}", process.memory());
    }

    #[test]
    fn stopping_says_how_it_ended() {
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
