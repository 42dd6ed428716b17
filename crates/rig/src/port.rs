//! Free addresses for programs that must be told where to listen.
//!
//! A port that was found free can be taken by somebody else before the program binds it. That cannot happen here: every
//! test process has a loopback address of its own, made of its process id, and remembers which ports it gave out.

use std::collections::HashSet;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::fd::AsRawFd;
use std::sync::{Mutex, PoisonError};

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, SockaddrStorage, bind, setsockopt, socket, sockopt,
};

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

/// Does some program listen on this address?
///
/// Tries to have the address too, which is refused if so: nothing appears in the program's log, as it would if this
/// connected, and it takes no longer if the machine has many sockets, as reading the kernel's table of them does. For
/// those who mean to reuse the address, as servers do, it is no hindrance to be faster.
pub(crate) fn listens(address: SocketAddr) -> bool {
    let family = if address.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    let probe = socket(family, SockType::Stream, SockFlag::SOCK_CLOEXEC, None).expect("a socket");
    setsockopt(&probe, sockopt::ReuseAddr, &true).expect("an address may be reused");
    bind(probe.as_raw_fd(), &SockaddrStorage::from(address)) == Err(Errno::EADDRINUSE)
}

#[cfg(test)]
mod tests {
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
        drop(listener);
        assert!(!listens(address));
    }
}
