//! Looks up host names for a process of root.
//!
//! What DNS answers, strangers have written, and the code that reads it, getaddrinfo(3), has been wrong before
//! (CVE-2015-7547). So a process of root does not ask itself: for each name it runs this program again, which gives up
//! all that it may do before it looks at anything, asks, says what it has found, and ends. Whoever is not root has
//! nothing to lose and asks by itself.

use std::env;
use std::io::{self, Read as _, Write as _};
use std::net::IpAddr;
use std::os::fd::AsFd as _;
use std::process::{Child, ChildStdout, Command, ExitCode, Stdio};
use std::time::Instant;

use conf::Names;
use mail::address::written;
use mail::auth::Resolve as _;
use mail::auth::resolve::{LOOKUP_TIME, SystemResolver};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::prctl;
use nix::unistd::{Gid, Uid, geteuid, setgroups, setresgid, setresuid};
use tokio::task::spawn_blocking;

use crate::worker::privileges::give_up_capabilities;

/// Set in the environment of a process that looks up a name.
const MARK: &str = "GATEPOST_LOOKUP";

/// This program, even if its file has been replaced meanwhile.
const THIS_PROGRAM: &str = "/proc/self/exe";

/// What resolver(5) takes from the environment, which such a process sees.
const OF_RESOLVER: [&str; 2] = ["LOCALDOMAIN", "RES_OPTIONS"];

/// The user and the group that own nothing, whatever they are called: what the kernel shows for those that it cannot
/// show (/proc/sys/kernel/overflowuid).
const NOBODY: u32 = 65534;

/// The longest name that is asked for; DNS knows none with more than 253 bytes (RFC 1035, section 2.3.4).
pub(crate) const LONGEST_NAME: usize = 255;

/// The longest answer, bytes: room for some hundred addresses.
const LONGEST_ANSWER: usize = 16 * 1024;

/// How much of a reason is passed on, characters.
const LONGEST_REASON: usize = 200;

/// What the system says of a name, or why it says nothing.
type Answer = Result<Vec<IpAddr>, String>;

/// Whether this process is to look up a name.
pub(crate) fn is_lookup() -> bool {
    env::var_os(MARK).is_some()
}

/// Looks up the name on standard input and writes what is found to standard output.
pub(crate) fn main() -> ExitCode {
    match give_up_all().and_then(|()| answer()) {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever has asked hears that there is no answer.
        Err(_) => ExitCode::FAILURE,
    }
}

/// Becomes nobody, without a way back.
fn give_up_all() -> io::Result<()> {
    if geteuid().is_root() {
        let (uid, gid) = (Uid::from_raw(NOBODY), Gid::from_raw(NOBODY));
        match setgroups(&[]).and_then(|()| setresgid(gid, gid, gid)).and_then(|()| setresuid(uid, uid, uid)) {
            // A container of root alone has no other user; without capabilities it is not much of a root either.
            Ok(()) | Err(Errno::EINVAL) => {}
            Err(error) => return Err(error.into()),
        }
    }
    prctl::set_no_new_privs()?;
    give_up_capabilities()?;
    Ok(prctl::set_dumpable(false)?)
}

fn answer() -> io::Result<()> {
    let mut name = String::new();
    io::stdin().take(LONGEST_NAME as u64).read_to_string(&mut name)?;
    let answer: Answer = written::system(&name).map_err(|error| error.to_string());
    let bytes = postcard::to_allocvec(&answer).map_err(io::Error::other)?;
    io::stdout().write_all(&bytes)
}

/// The host names of a configuration, which the system knows.
pub(crate) fn names() -> Names {
    if geteuid().is_root() { Names::asking(in_configuration) } else { written::names() }
}

fn in_configuration(name: &str) -> io::Result<Vec<IpAddr>> {
    Question::ask(name)?.wait().map(written::usable)
}

/// What the system says of `host`; takes as long as that takes, but no longer than [`LOOKUP_TIME`].
pub(crate) async fn look_up(host: &str) -> Result<Vec<IpAddr>, String> {
    let found = if geteuid().is_root() {
        // Started here, where no other process is just being given descriptors that are not for this one.
        match Question::ask(host) {
            Ok(question) => spawn_blocking(|| question.wait()).await.unwrap_or_else(|end| Err(end.into())),
            Err(error) => Err(error),
        }
    } else {
        SystemResolver.resolve(host).await.map(|found| found.addrs)
    };
    found.map_err(|error| error.to_string())
}

/// A process that looks up a name. It ends when this is dropped, at the latest.
struct Question {
    child: Child,
    deadline: Instant,
}

impl Question {
    fn ask(name: &str) -> io::Result<Self> {
        if name.len() > LONGEST_NAME {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let child = Command::new(THIS_PROGRAM)
            .env_clear()
            .envs(OF_RESOLVER.iter().filter_map(|name| Some((name, env::var_os(name)?))))
            .env(MARK, "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let mut question = Self { child, deadline: Instant::now() + LOOKUP_TIME };
        // Fits into any pipe. Dropped with it is the writing end: the name is complete.
        if let Some(mut stdin) = question.child.stdin.take() {
            stdin.write_all(name.as_bytes())?;
        }
        Ok(question)
    }

    /// Waits for the answer.
    fn wait(mut self) -> io::Result<Vec<IpAddr>> {
        let stdout = self.child.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?;
        understand(&read_until(stdout, self.deadline)?)
    }
}

impl Drop for Question {
    fn drop(&mut self) {
        // It has answered, or will not.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// All that the process has to say. It is believed about addresses, but not trusted.
fn read_until(mut stdout: ChildStdout, deadline: Instant) -> io::Result<Vec<u8>> {
    let mut said = vec![0; LONGEST_ANSWER];
    let mut length = 0;
    while length < said.len() {
        let left = deadline.saturating_duration_since(Instant::now());
        let left = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
        match poll(&mut [PollFd::new(stdout.as_fd(), PollFlags::POLLIN)], left) {
            Ok(0) => return Err(io::ErrorKind::TimedOut.into()),
            Ok(_) => {}
            Err(Errno::EINTR) => continue,
            Err(error) => return Err(error.into()),
        }
        match stdout.read(&mut said[length..])? {
            0 => {
                said.truncate(length);
                return Ok(said);
            }
            n => length += n,
        }
    }
    Err(io::ErrorKind::InvalidData.into())
}

fn understand(said: &[u8]) -> io::Result<Vec<IpAddr>> {
    let answer: Answer = postcard::from_bytes(said).map_err(|_| io::ErrorKind::InvalidData)?;
    answer.map_err(|reason| {
        let readable = reason.chars().filter(|c| !c.is_control()).take(LONGEST_REASON);
        io::Error::other(readable.collect::<String>())
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// What a shell says, as if it were the program.
    fn said(script: &str, patience: Duration) -> io::Result<Vec<u8>> {
        let mut child = Command::new("sh").arg("-c").arg(script).stdout(Stdio::piped()).spawn().unwrap();
        let said = read_until(child.stdout.take().unwrap(), Instant::now() + patience);
        let _ = child.kill();
        child.wait().unwrap();
        said
    }

    #[test]
    fn an_answer_is_read_to_its_end() {
        assert_eq!(said("printf one; printf two", LOOKUP_TIME).unwrap(), b"onetwo");
        assert_eq!(said("", LOOKUP_TIME).unwrap(), b"");
    }

    #[test]
    fn silence_and_endless_talk_have_an_end() {
        let silence = said("exec sleep 60", Duration::from_millis(10));
        assert_eq!(silence.unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert_eq!(said("exec yes", LOOKUP_TIME).unwrap_err().kind(), io::ErrorKind::InvalidData);
    }

    #[test]
    fn answers_are_addresses_or_readable_reasons() {
        let say = |answer: Answer| understand(&postcard::to_allocvec(&answer).unwrap());
        let addresses: Vec<IpAddr> = vec![[192, 0, 2, 1].into(), [0, 0, 0, 0, 0, 0, 0, 1].into()];
        assert_eq!(say(Ok(addresses.clone())).unwrap(), addresses);
        assert_eq!(say(Err("no\r\nsuch \x1bname".to_owned())).unwrap_err().to_string(), "nosuch name");
        assert_eq!(say(Err("x".repeat(5000))).unwrap_err().to_string().len(), LONGEST_REASON);
        for nonsense in [&b""[..], b"\x02", b"\0\x05\0", &[0xFF; 100]] {
            assert_eq!(understand(nonsense).unwrap_err().kind(), io::ErrorKind::InvalidData, "{nonsense:?}");
        }
    }

    #[test]
    fn names_longer_than_any_are_not_asked_for() {
        assert!(Question::ask(&"x".repeat(LONGEST_NAME + 1)).is_err());
    }
}
