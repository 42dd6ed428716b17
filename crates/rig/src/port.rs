//! Free addresses for programs that must be told where to listen.
//!
//! A port that was found free can be taken by somebody else before the program binds it. That cannot happen here: every
//! test process has a loopback address of its own, made of its process id, and remembers which ports it gave out.

use std::collections::HashSet;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::fd::AsRawFd;
use std::sync::{Mutex, PoisonError};

use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, SockaddrIn, bind, setsockopt, socket, sockopt};

/// An address on which nothing listens and that nobody else will be given.
pub fn free() -> SocketAddr {
    static GIVEN: Mutex<Option<HashSet<u16>>> = Mutex::new(None);
    let mut given = GIVEN.lock().unwrap_or_else(PoisonError::into_inner);
    let given = given.get_or_insert_default();
    loop {
        let found = unused();
        if given.insert(found.port()) {
            return found;
        }
    }
}

/// The loopback address of this test process. Process ids have 22 bits on Linux; 127.0.0.1 is left to others.
pub fn host() -> Ipv4Addr {
    let [high, middle, low] = *std::process::id().to_be_bytes().last_chunk().expect("four bytes hold three");
    Ipv4Addr::new(127, 0x40 | (high & 0x3f), middle, low)
}

fn unused() -> SocketAddr {
    let listener = TcpListener::bind((host(), 0)).expect("the system has a free port");
    listener.local_addr().expect("a listener has an address")
}

/// Does some program listen on this address? It does not connect, so nothing appears in the program's log.
///
/// Linux lets two sockets with SO_REUSEADDR have one address for as long as none of them listens. So binding there tells,
/// and is in nobody's way: servers set the option. The kernel's table of sockets would tell as well, but takes long to read
/// where tests have left thousands of closed connections.
pub fn listens(address: SocketAddr) -> bool {
    let SocketAddr::V4(address) = address else { return false };
    probe(SockaddrIn::from(address)) == Err(Errno::EADDRINUSE)
}

fn probe(address: SockaddrIn) -> nix::Result<()> {
    let socket = socket(AddressFamily::Inet, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?;
    setsockopt(&socket, sockopt::ReuseAddr, &true)?;
    bind(socket.as_raw_fd(), &address)
}

#[cfg(test)]
mod tests {
    use std::net::TcpStream;

    use super::*;

    #[test]
    fn no_address_is_given_twice() {
        let all: HashSet<_> = (0..100).map(|_| free()).collect();
        assert_eq!(all.len(), 100);
    }

    #[test]
    fn a_listener_is_seen_while_it_is_there() {
        let listener = TcpListener::bind((host(), 0)).expect("bind");
        let address = listener.local_addr().expect("address");
        assert!(listens(address));
        let client = TcpStream::connect(address).expect("connect");
        let server = listener.accept().expect("accept");
        drop(listener);
        assert!(!listens(address), "connections that it had accepted count");
        drop((client, server));
    }

    #[test]
    fn looking_is_in_no_listeners_way() {
        let address = free();
        let looking =
            socket(AddressFamily::Inet, SockType::Stream, SockFlag::SOCK_CLOEXEC, None).expect("socket");
        setsockopt(&looking, sockopt::ReuseAddr, &true).expect("option");
        let SocketAddr::V4(v4) = address else { panic!("this host has IPv4") };
        bind(looking.as_raw_fd(), &SockaddrIn::from(v4)).expect("bind");
        TcpListener::bind(address).expect("a server can listen meanwhile");
    }
}
