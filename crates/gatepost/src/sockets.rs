//! Opens listening sockets, keeps those that are open already, or takes over those that somebody else has opened.

use std::collections::HashMap;
use std::io;
use std::os::fd::{OwnedFd, RawFd};
use std::sync::Arc;
use std::time::Duration;

use mail::address::Endpoint;
use mail::listener::Bound;
use mail::settings::listen::SocketOptions;
use mail::settings::log::Level;
use mail::settings::{Door, Listen};
use nix::errno::Errno;
use rustix::process::{PidfdFlags, PidfdGetfdFlags, getpid, pidfd_getfd, pidfd_open};
use socket2::Socket;
use tokio::time::sleep;

use crate::start::{Reason, Say, StartError};

/// How often a socket is tried to be bound, and how long to wait in between (as the originals).
const TRIES: usize = 5;
const PAUSE: Duration = Duration::from_millis(500);

/// Opens what `listens` ask for; an address in use is tried again for two seconds (as the originals). Sockets of
/// `open` with the same address are kept, with options changed as far as that is possible; the first that has it.
///
/// On an error no socket of `open` has changed, but perhaps in an option, and nothing is left of the others.
pub(crate) async fn open(
    listens: &[Listen],
    threads: usize,
    open: &[&[Bound]],
    say: Say<'_>,
) -> Result<Vec<Bound>, StartError> {
    let listens: Vec<_> = listens.iter().cloned().map(Arc::new).collect();
    let kept = |listen: &Listen| {
        open.iter().copied().flatten().find(|bound| bound.listen.endpoint == listen.endpoint)
    };
    let missing: Vec<_> = listens.iter().filter(|listen| kept(listen).is_none()).cloned().collect();
    let mut opened: Vec<Option<Bound>> = missing.iter().map(|_| None).collect();
    let bound = bind_all(&missing, &mut opened, threads, say).await;
    let renew = |listen: &Arc<Listen>| Some(kept(listen)?.renew(Arc::clone(listen), threads));
    let renewed = bound.and_then(|()| Ok(listens.iter().filter_map(renew).collect::<Result<Vec<_>, _>>()?));
    let mut opened = opened.into_iter().flatten();
    match renewed {
        Ok(renewed) => {
            let mut renewed = renewed.into_iter();
            let next = |listen| if kept(listen).is_some() { renewed.next() } else { opened.next() };
            Ok(listens.iter().map(Arc::as_ref).filter_map(next).collect())
        }
        Err(error) => {
            delete_files(&opened.collect::<Vec<_>>(), &[], &|_, _| {});
            Err(error)
        }
    }
}

async fn bind_all(
    listens: &[Arc<Listen>],
    bound: &mut [Option<Bound>],
    threads: usize,
    say: Say<'_>,
) -> Result<(), StartError> {
    for attempt in 1..=TRIES {
        let mut in_use = false;
        for (listen, place) in listens.iter().zip(bound.iter_mut()).filter(|(_, place)| place.is_none()) {
            match Bound::open(Arc::clone(listen), threads) {
                Ok(socket) => *place = Some(socket),
                Err(error) if error.source.raw_os_error() == Some(Errno::EADDRINUSE as i32) => {
                    say(Level::Emerg, &Reason(&error));
                    in_use = true;
                }
                Err(error) => return Err(error.into()),
            }
        }
        if !in_use {
            return Ok(());
        }
        if attempt < TRIES {
            say(Level::Notice, &"try again to bind() after 500ms");
            sleep(PAUSE).await;
        }
    }
    Err(StartError::StillInUse)
}

/// Removes the file of each unix socket of `closed` that none of `open` listens on.
pub(crate) fn delete_files(closed: &[Bound], open: &[&[Bound]], say: Say<'_>) {
    for bound in closed {
        let Endpoint::Unix(path) = &bound.listen.endpoint else { continue };
        if open.iter().copied().flatten().all(|open| open.listen.endpoint != bound.listen.endpoint) {
            say(Level::Warn, &format_args!("deleting socket {}", path.display()));
            // Without privileges the directory may be closed to us; then the file stays, as after a crash.
            let _ = std::fs::remove_file(path);
        }
    }
}

/// A listening stream socket that this process was started with, under this number.
///
/// A number is not a descriptor that anybody owns. The system gives an owned copy of a descriptor of any process that
/// one may debug, which this one may of itself; so no `unsafe` is needed. The number itself is then closed.
pub(crate) fn adopt(number: RawFd) -> io::Result<(Endpoint, Socket)> {
    let this = pidfd_open(getpid(), PidfdFlags::empty())?;
    let owned: OwnedFd = pidfd_getfd(this, number, PidfdGetfdFlags::empty())?;
    let socket = Socket::from(owned);
    let listens = socket.is_listener()?;
    let endpoint = endpoint(&socket).filter(|_| listens).ok_or(io::ErrorKind::InvalidInput)?;
    nix::unistd::close(number)?;
    Ok((endpoint, socket))
}

/// Adopted sockets by their addresses, as if they had been opened for plain `listen`s.
pub(crate) fn as_bounds(adopted: Vec<(Endpoint, Socket)>) -> Vec<Bound> {
    let mut sockets: HashMap<Endpoint, Vec<Socket>> = HashMap::new();
    for (endpoint, socket) in adopted {
        sockets.entry(endpoint).or_default().push(socket);
    }
    let bound = |(endpoint, sockets): (Endpoint, Vec<Socket>)| {
        let options = SocketOptions { reuseport: sockets.len() > 1, ..SocketOptions::default() };
        let door = Door { server: 0, ssl: false, proxy_protocol: false };
        let listen = Listen { endpoint, door, exact: Vec::new(), options };
        Bound::adopt(Arc::new(listen), sockets).ok()
    };
    sockets.into_iter().filter_map(bound).collect()
}

fn endpoint(socket: &Socket) -> Option<Endpoint> {
    let address = socket.local_addr().ok()?;
    let path = || address.as_pathname().map(|path| Endpoint::Unix(path.to_owned()));
    address.as_socket().map(Endpoint::Tcp).or_else(path)
}

#[cfg(test)]
mod tests {
    use std::os::fd::IntoRawFd as _;

    use super::*;

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
