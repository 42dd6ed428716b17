//! `daemon on`: goes to the background by running the program once more.
//!
//! The first process waits until the second says that it serves, so that its exit code tells whether the start
//! succeeded (as Angie; nginx's first process leaves before anything can fail).

use std::env;
use std::ffi::OsStr;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

use nix::sys::stat::{Mode, umask};
use nix::unistd::{dup2_stderr, dup2_stdout, setsid};

/// Set in the environment of the second process.
const MARK: &str = "GATEPOST_DAEMON";

/// What the second process writes to its standard output when it serves.
const READY: u8 = b'+';

/// Whether this is the process that is to serve in the background.
pub(crate) fn is_background() -> bool {
    env::var_os(MARK).is_some()
}

/// Starts the second process and waits for its word; what it has to complain about it writes to standard error.
pub(crate) fn launch() -> io::Result<ExitCode> {
    let mut args = env::args_os();
    let name = args.next().unwrap_or_else(|| OsStr::new("gatepost").to_owned());
    let mut child = Command::new(env::current_exe()?)
        .arg0(name)
        .args(args)
        .env(MARK, "1")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut word = Vec::new();
    if let Some(mut stdout) = child.stdout.take() {
        stdout.read_to_end(&mut word)?;
    }
    if word == [READY] {
        return Ok(ExitCode::SUCCESS);
    }
    let status = child.wait()?;
    Ok(ExitCode::from(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1)))
}

/// Leaves the terminal of the first process.
pub(crate) fn detach() -> io::Result<()> {
    setsid()?;
    umask(Mode::empty());
    Ok(())
}

/// Lets go of the standard error of the first process: whoever reads it to its end must not wait for ours. What might
/// still be said there, such as a panic, goes to `log`.
pub(crate) fn leave_stderr(log: Option<&Path>) -> io::Result<()> {
    let other = log.map_or_else(null, |log| OpenOptions::new().append(true).open(log));
    dup2_stderr(other?)?;
    Ok(())
}

/// Tells the first process that the second one serves, and lets go of it.
pub(crate) fn ready() -> io::Result<()> {
    let mut stdout = io::stdout();
    stdout.write_all(&[READY])?;
    stdout.flush()?;
    dup2_stdout(null()?)?;
    Ok(())
}

fn null() -> io::Result<File> {
    OpenOptions::new().write(true).open("/dev/null")
}
