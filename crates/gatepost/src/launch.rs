//! From the program that somebody starts to the process that stays: in the background if it is to be there, and with
//! room for a title that tells what it is.
//!
//! Both need the program to be run once more: only a process that is being started can be given room. With
//! `daemon on` that is a second process; the first waits until the second says that it serves, so that its exit code
//! tells whether the start succeeded (as Angie; nginx's first process leaves before anything can fail).

use std::env;
use std::ffi::{OsStr, OsString};
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode, Stdio};

use mail::flavour::Flavour;
use mail::settings::log::Destination;
use nix::sys::stat::{Mode, umask};
use nix::unistd::{Pid, dup2_stderr, dup2_stdout, getpid, getppid, setsid};

use crate::activation::Activated;
use crate::settings::Process;
use crate::title::{OwnTitle, Role, with_room};

/// Set in the environment of the process that stays: [`BACKGROUND`] or not, and the name that the program was called
/// by, which its title has taken the place of.
const MARK: &str = "GATEPOST_MASTER";

const BACKGROUND: &str = "background ";
const FOREGROUND: &str = "foreground ";

/// What the second process writes to its standard output when it serves.
const READY: u8 = b'+';

/// How this process was started.
#[derive(Debug)]
pub(crate) struct Launch {
    /// The name that the program was called by.
    pub(crate) name: OsString,
    /// What it was called with.
    pub(crate) arguments: Vec<OsString>,
    /// This process is to stay; where, was decided before it was started.
    staying: Option<Place>,
    /// Who has started it.
    parent: Pid,
    /// The sockets that systemd has started it with, once they are taken.
    pub(crate) activated: Activated,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Background,
    Foreground,
}

impl Launch {
    /// Of this process, which was called with `words`, its name first.
    pub(crate) fn this(words: impl IntoIterator<Item = OsString>) -> Self {
        let mut words = words.into_iter();
        let argv0 = words.next();
        let mark = env::var_os(MARK);
        let marked = |place: &str| {
            let mark = mark.as_deref()?.as_encoded_bytes();
            let name = mark.strip_prefix(place.as_bytes())?;
            Some(<OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(name).to_owned())
        };
        let (name, staying) = match (marked(BACKGROUND), marked(FOREGROUND)) {
            (Some(name), _) => (name, Some(Place::Background)),
            (_, Some(name)) => (name, Some(Place::Foreground)),
            _ => (argv0.unwrap_or_else(|| "gatepost".into()), None),
        };
        let (arguments, parent) = (words.collect(), getppid());
        Self { name, arguments, staying, parent, activated: Activated::default() }
    }

    /// Whether this process is the one that stays.
    pub(crate) const fn stays(&self) -> bool {
        self.staying.is_some()
    }

    /// Whether it has been sent to the background.
    pub(crate) fn is_background(&self) -> bool {
        self.staying == Some(Place::Background)
    }

    /// The process that somebody has started: this one, or the one that has sent it to the background.
    pub(crate) fn first_process(&self) -> Pid {
        if self.is_background() { self.parent } else { getpid() }
    }

    /// Whether the process that has started this one is still there.
    pub(crate) fn has_parent(&self) -> bool {
        getppid() == self.parent
    }

    /// The title of this process, if it is the one that stays; nobody may read its arguments anew from then on.
    pub(crate) fn title(&self, flavour: Flavour) -> OwnTitle {
        if self.stays() { OwnTitle::new(flavour, self.words()) } else { OwnTitle::none(flavour) }
    }

    /// Starts a second process and waits for its word; what it has to complain about it writes to standard error.
    pub(crate) fn to_background(&self, flavour: Flavour, role: Role) -> io::Result<ExitCode> {
        let mut command = self.again(flavour, role, BACKGROUND)?;
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
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

    /// Puts the program with its title in the place of this process; returns only if that fails.
    pub(crate) fn in_place(&self, flavour: Flavour, role: Role) -> io::Error {
        match self.again(flavour, role, FOREGROUND) {
            Ok(mut command) => command.exec(),
            Err(error) => error,
        }
    }

    /// The program with its arguments. Until it shows a title of its own, it shows one with the arguments behind it.
    fn again(&self, flavour: Flavour, role: Role, place: &str) -> io::Result<Command> {
        let mut mark = OsString::from(place);
        mark.push(&self.name);
        let mut command = Command::new(env::current_exe()?);
        let name = with_room(flavour, role, 1, std::slice::from_ref(&self.name));
        command.arg0(name).args(&self.arguments).env(MARK, mark);
        Ok(command)
    }

    /// The whole command line.
    fn words(&self) -> Vec<OsString> {
        std::iter::once(&self.name).chain(&self.arguments).cloned().collect()
    }
}

/// Leaves the terminal of the first process.
pub(crate) fn detach() -> io::Result<()> {
    setsid()?;
    umask(Mode::empty());
    Ok(())
}

/// Lets go of the standard error of the first process: whoever reads it to its end must not wait for ours. What might
/// still be said there, such as a panic, goes to the first log file of `process`.
pub(crate) fn leave_stderr(process: &Process) -> io::Result<()> {
    let log = process.error_logs.iter().find_map(|log| match &log.destination {
        Destination::File(path) => Some(path.as_path()),
        Destination::Stderr | Destination::Syslog(_) => None,
    });
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
