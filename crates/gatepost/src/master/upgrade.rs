//! A new program takes over the listening sockets of the one that runs (USR2).
//!
//! The sockets stay open over its start, and a variable of its environment names their numbers, as the originals do
//! it: so nginx can be followed by gatepost, and the other way round.

use std::env;
use std::ffi::OsString;
use std::io;
use std::os::fd::{AsRawFd as _, RawFd};
use std::process::{Child, Command};

use mail::address::Endpoint;
use mail::flavour::Flavour;
use mail::listener::Bound;
use mail::settings::log::Level;
use rustix::io::{FdFlags, fcntl_setfd};
use socket2::Socket;

use crate::launch::Launch;
use crate::settings::{OF_SYSTEMD, Variable};
use crate::sockets;
use crate::start::{Reason, Say, StartError};

/// The variable that names those sockets that are systemd's. They are named among all sockets too, for the originals.
const SYSTEMD: &str = "GATEPOST_SYSTEMD";

/// The variable that names the sockets: by the name of the program that looks for it.
fn variable(flavour: Flavour) -> &'static str {
    match flavour {
        Flavour::Gatepost => "GATEPOST",
        Flavour::Angie => "ANGIE",
        Flavour::Nginx => "NGINX",
    }
}

/// Whether this program takes over sockets of another one.
pub(crate) fn inherits(flavour: Flavour) -> bool {
    env::var_os(variable(flavour)).is_some_and(|value| !value.is_empty())
}

/// The sockets that the program before has left open, as if they had been opened for a plain `listen`.
pub(crate) fn inherited(flavour: Flavour, say: Say<'_>) -> Vec<Bound> {
    let name = variable(flavour);
    let Some(value) = env::var_os(name).filter(|value| !value.is_empty()) else { return Vec::new() };
    let value = value.to_string_lossy();
    say(Level::Notice, &format_args!("using inherited sockets from \"{value}\""));
    sockets::as_bounds(take_over(&value, name, say))
}

/// Sockets of systemd that the program before has left open, those that no `listen` names included.
pub(crate) fn inherited_of_systemd(say: Say<'_>) -> Vec<(Endpoint, Socket)> {
    let value = env::var_os(SYSTEMD).unwrap_or_default();
    take_over(&value.to_string_lossy(), SYSTEMD, say)
}

/// The sockets whose numbers are in `value`.
fn take_over(value: &str, name: &str, say: Say<'_>) -> Vec<(Endpoint, Socket)> {
    let adopt = |number| {
        let adopted =
            sockets::adopt(number).map_err(StartError::call(format!("taking over socket #{number}")));
        adopted.inspect_err(|error| say(Level::Emerg, &Reason(error))).ok()
    };
    numbers(value, name, say).into_iter().filter_map(adopt).collect()
}

/// The numbers in `value`, each ended by `;` or `:`, as far as they make sense.
fn numbers(value: &str, name: &str, say: Say<'_>) -> Vec<RawFd> {
    let mut numbers = Vec::new();
    let mut rest = value;
    while let Some((number, after)) = rest.split_once([';', ':']) {
        let Ok(socket @ 0..) = number.parse() else {
            let what = "environment variable, ignoring the rest of the variable";
            say(Level::Emerg, &format_args!("invalid socket number \"{number}\" in {name} {what}"));
            return numbers;
        };
        numbers.push(socket);
        rest = after;
    }
    if !rest.is_empty() {
        say(
            Level::Emerg,
            &format_args!("invalid socket number \"{rest}\" in {name} environment variable, ignoring"),
        );
    }
    numbers
}

/// A new program that runs beside this one.
#[derive(Debug)]
pub(super) struct NewProgram(Child);

impl NewProgram {
    /// Starts the program of `launch`, which may have been replaced meanwhile, with the arguments of this one and the
    /// sockets of `bounds`, and those that systemd has activated.
    pub(super) fn start(
        launch: &Launch,
        flavour: Flavour,
        environment: &[Variable],
        bounds: &[Bound],
    ) -> io::Result<Self> {
        let activated = launch.activated.bounds();
        let mut command = Command::new(&launch.name);
        command.args(&launch.arguments).env_clear().envs(Variable::environment(environment));
        let of_systemd = OF_SYSTEMD.into_iter().filter_map(|name| Some((name, env::var_os(name)?)));
        command.envs(of_systemd).env(variable(flavour), list(bounds));
        if !activated.is_empty() {
            command.env(SYSTEMD, list(activated));
        }
        let sockets: Vec<&Socket> = bounds.iter().chain(activated).flat_map(Bound::sockets).collect();
        let left_open = sockets.iter().try_for_each(|socket| fcntl_setfd(socket, FdFlags::empty()));
        let child = left_open.map_err(io::Error::from).and_then(|()| command.spawn());
        for socket in sockets {
            // A worker that gets a copy too many is nothing to end for.
            let _ = fcntl_setfd(socket, FdFlags::CLOEXEC);
        }
        child.map(Self)
    }

    pub(super) fn id(&self) -> u32 {
        self.0.id()
    }

    /// Whether it has ended.
    pub(super) fn has_ended(&mut self) -> bool {
        !matches!(self.0.try_wait(), Ok(None))
    }
}

/// The numbers of all sockets of `bounds`, each ended by `;`.
fn list(bounds: &[Bound]) -> OsString {
    let numbers = bounds.iter().flat_map(Bound::sockets).map(|socket| format!("{};", socket.as_raw_fd()));
    OsString::from(numbers.collect::<String>())
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::fmt::Display;

    use super::*;

    fn read(value: &str) -> (Vec<RawFd>, Vec<String>) {
        let said = RefCell::new(Vec::new());
        let say = |_: Level, message: &dyn Display| said.borrow_mut().push(message.to_string());
        let numbers = numbers(value, "NGINX", &say);
        (numbers, said.into_inner())
    }

    #[test]
    fn numbers_end_with_semicolons_or_colons() {
        assert_eq!(read("5;6;"), (vec![5, 6], Vec::new()));
        assert_eq!(read("5:6;"), (vec![5, 6], Vec::new()));
        let rest =
            "invalid socket number \"x\" in NGINX environment variable, ignoring the rest of the variable";
        assert_eq!(read("5;x;6;"), (vec![5], vec![rest.to_owned()]));
        let last = "invalid socket number \"6\" in NGINX environment variable, ignoring";
        assert_eq!(read("5;6"), (vec![5], vec![last.to_owned()]));
    }
}
