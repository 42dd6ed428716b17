//! A new program takes over the listening sockets of the one that runs (USR2).
//!
//! The sockets stay open over its start, and a variable of its environment names their numbers, as the originals do
//! it: so nginx can be followed by gatepost, and the other way round.

use std::collections::HashMap;
use std::env;
use std::ffi::OsString;
use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd, RawFd};
use std::process::{Child, Command};
use std::sync::Arc;

use mail::address::Endpoint;
use mail::flavour::Flavour;
use mail::listener::Bound;
use mail::settings::listen::SocketOptions;
use mail::settings::log::Level;
use mail::settings::{Door, Listen};
use rustix::io::{FdFlags, fcntl_setfd};
use rustix::process::{PidfdFlags, PidfdGetfdFlags, getpid, pidfd_getfd, pidfd_open};
use socket2::Socket;

use crate::settings::{OF_SYSTEMD, Variable};
use crate::start::{Reason, Say, StartError};

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
    let mut sockets: HashMap<Endpoint, Vec<Socket>> = HashMap::new();
    for number in numbers(&value, name, say) {
        match adopt(number) {
            Ok((endpoint, socket)) => sockets.entry(endpoint).or_default().push(socket),
            Err(source) => {
                let error = StartError::call(format!("taking over socket #{number}"))(source);
                say(Level::Emerg, &Reason(&error));
            }
        }
    }
    let bound = |(endpoint, sockets): (Endpoint, Vec<Socket>)| {
        let options = SocketOptions { reuseport: sockets.len() > 1, ..SocketOptions::default() };
        let door = Door { server: 0, ssl: false, proxy_protocol: false };
        let listen = Listen { endpoint, door, exact: Vec::new(), options };
        Bound::adopt(Arc::new(listen), sockets).ok()
    };
    sockets.into_iter().filter_map(bound).collect()
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

/// The socket with a number that this process was started with.
///
/// A number is not a descriptor that anybody owns. The system gives an owned copy of a descriptor of any process that
/// one may debug, which this one may of itself; so no `unsafe` is needed. The number itself is then closed.
fn adopt(number: RawFd) -> io::Result<(Endpoint, Socket)> {
    let this = pidfd_open(getpid(), PidfdFlags::empty())?;
    let owned: OwnedFd = pidfd_getfd(this, number, PidfdGetfdFlags::empty())?;
    let socket = Socket::from(owned);
    let listens = socket.is_listener()?;
    let endpoint = endpoint(&socket).filter(|_| listens).ok_or(io::ErrorKind::InvalidInput)?;
    nix::unistd::close(number)?;
    Ok((endpoint, socket))
}

fn endpoint(socket: &Socket) -> Option<Endpoint> {
    let address = socket.local_addr().ok()?;
    let path = || address.as_pathname().map(|path| Endpoint::Unix(path.to_owned()));
    address.as_socket().map(Endpoint::Tcp).or_else(path)
}

/// A new program that runs beside this one.
#[derive(Debug)]
pub(super) struct NewProgram(Child);

impl NewProgram {
    /// Starts the program called `name`, which may have been replaced meanwhile, with the arguments of this one and the
    /// sockets of `bounds`.
    pub(super) fn start(
        name: &OsString,
        flavour: Flavour,
        environment: &[Variable],
        bounds: &[Bound],
    ) -> io::Result<Self> {
        let sockets: Vec<&Socket> = bounds.iter().flat_map(Bound::sockets).collect();
        let list = sockets.iter().fold(OsString::new(), |mut list, socket| {
            list.push(socket.as_raw_fd().to_string());
            list.push(";");
            list
        });
        let mut command = Command::new(name);
        command.args(env::args_os().skip(1)).env_clear().envs(Variable::environment(environment));
        let of_systemd = OF_SYSTEMD.into_iter().filter_map(|name| Some((name, env::var_os(name)?)));
        command.envs(of_systemd).env(variable(flavour), list);
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

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::fmt::Display;
    use std::os::fd::IntoRawFd as _;

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

    #[test]
    fn a_number_becomes_a_socket_of_its_own() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let number = listener.into_raw_fd();
        let (endpoint, socket) = adopt(number).unwrap();
        assert_eq!(endpoint, Endpoint::Tcp(address));
        assert!(std::net::TcpStream::connect(address).is_ok());
        drop(socket);
        assert!(std::net::TcpStream::connect(address).is_err(), "nobody holds it any more");
        assert!(adopt(number).is_err());
    }
}
