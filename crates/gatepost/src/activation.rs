//! Sockets that systemd has opened for us (sd_listen_fds(3)).
//!
//! A `listen` with the address of such a socket uses it. systemd keeps its own copy open all the time, so ours are kept
//! too, whether a `listen` names them or not: an address that a reload brings back could not be bound again. For the
//! same reason the files of unix sockets are left to systemd.

use std::env;
use std::os::fd::RawFd;

use mail::address::Endpoint;
use mail::listener::Bound;
use mail::log::Log;
use mail::settings::log::Level;
use nix::unistd::Pid;
use socket2::Socket;

use crate::launch::Launch;
use crate::master::upgrade;
use crate::sockets;
use crate::start::Say;

/// The number of the first socket.
const FIRST: RawFd = 3;

/// What a socket is called that has no name (as sd_listen_fds_with_names(3)).
const NAMELESS: &str = "unknown";

/// Sockets of systemd.
#[derive(Debug, Default)]
pub(crate) struct Activated {
    bounds: Vec<Bound>,
    /// What each is called there (`FileDescriptorName=`). That says nothing about its use, and is only told.
    names: Vec<(Endpoint, String)>,
}

impl Activated {
    /// Takes those that this process was started with; to be called once. What cannot be used is said and closed.
    pub(crate) fn take(launch: &Launch, say: Say<'_>) -> Self {
        let (mut names, mut sockets) = (Vec::new(), Vec::new());
        for (number, name) in Passed::here().numbers(launch.first_process()) {
            if let Some((endpoint, socket)) = adopt(number, &name, say) {
                names.push((endpoint.clone(), name));
                sockets.push((endpoint, socket));
            }
        }
        sockets.extend(upgrade::inherited_of_systemd(say));
        Self { bounds: sockets::as_bounds(sockets), names }
    }

    /// They, as if each had been opened for a plain `listen`.
    pub(crate) fn bounds(&self) -> &[Bound] {
        &self.bounds
    }

    /// Says which there are, and which `bounds` do not use.
    pub(crate) fn introduce(&self, bounds: &[Bound], log: &Log) {
        for (endpoint, name) in &self.names {
            let message = format_args!("using socket \"{name}\" of systemd, {endpoint}");
            if is_used(endpoint, bounds) {
                log.line(Level::Notice, None, message);
            }
        }
        self.tell_unused(bounds, log);
    }

    /// Says which of them `bounds` do not use: clients that come there wait in vain.
    pub(crate) fn tell_unused(&self, bounds: &[Bound], log: &Log) {
        for Bound { listen, .. } in self.bounds.iter().filter(|it| !is_used(&it.listen.endpoint, bounds)) {
            let message = format_args!("no \"listen\" names {}, a socket of systemd", listen.endpoint);
            log.line(Level::Warn, None, message);
        }
    }
}

fn is_used(endpoint: &Endpoint, bounds: &[Bound]) -> bool {
    bounds.iter().any(|bound| bound.listen.endpoint == *endpoint)
}

fn adopt(number: RawFd, name: &str, say: Say<'_>) -> Option<(Endpoint, Socket)> {
    let adopted = sockets::adopt(number);
    if adopted.is_err() {
        say(
            Level::Warn,
            &format_args!("#{number} (\"{name}\") of systemd is no listening stream socket, ignored"),
        );
        // No worker must come to have it.
        let _ = nix::unistd::close(number);
    }
    adopted.ok()
}

/// What the environment says of such sockets.
#[derive(Debug, Default)]
struct Passed {
    /// `LISTEN_PID`.
    process: Option<String>,
    /// `LISTEN_FDS`.
    count: Option<String>,
    /// `LISTEN_FDNAMES`.
    names: Option<String>,
}

impl Passed {
    fn here() -> Self {
        let variable = |name| env::var_os(name).map(|value| value.to_string_lossy().into_owned());
        Self {
            process: variable("LISTEN_PID"),
            count: variable("LISTEN_FDS"),
            names: variable("LISTEN_FDNAMES"),
        }
    }

    /// The sockets' numbers with their names, if they are for `process`.
    fn numbers(&self, process: Pid) -> Vec<(RawFd, String)> {
        let is_ours = self.process.as_deref() == Some(process.to_string().as_str());
        let count = self.count.as_deref().filter(|_| is_ours).and_then(|count| count.parse::<u16>().ok());
        let names = self.names.as_deref().map(|names| names.split(':')).into_iter().flatten();
        let names = names.chain(std::iter::repeat(NAMELESS)).map(str::to_owned);
        (FIRST..FIRST + RawFd::from(count.unwrap_or(0))).zip(names).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passed(process: &str, count: &str, names: Option<&str>) -> Vec<(RawFd, String)> {
        let own = |text: &str| Some(text.to_owned());
        Passed { process: own(process), count: own(count), names: names.map(str::to_owned) }
            .numbers(Pid::from_raw(7))
    }

    #[test]
    fn sockets_are_numbered_from_three_and_have_names() {
        let named = |names: &[&str]| (3..).zip(names.iter().map(|&name| name.to_owned())).collect::<Vec<_>>();
        assert_eq!(passed("7", "2", Some("imap:pop3")), named(&["imap", "pop3"]));
        assert_eq!(passed("7", "2", Some("imap")), named(&["imap", "unknown"]));
        assert_eq!(passed("7", "1", None), named(&["unknown"]));
        assert_eq!(passed("7", "1", Some("a:b")), named(&["a"]));
    }

    #[test]
    fn what_makes_no_sense_or_is_for_another_process_is_none() {
        for (process, count) in
            [("8", "1"), ("", "1"), ("7", "0"), ("7", "-1"), ("7", ""), ("7", "99999999999"), ("07", "1")]
        {
            assert_eq!(passed(process, count, None), [], "{process} {count}");
        }
        assert_eq!(Passed::default().numbers(Pid::from_raw(7)), []);
    }
}
