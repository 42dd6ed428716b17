//! Free addresses for programs that must be told where to listen.
//!
//! A port that was found free can be taken by somebody else before the program binds it. That cannot happen here: every
//! test process has a loopback address of its own, made of its process id, and remembers which ports it gave out.

use std::collections::HashSet;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::{Mutex, PoisonError};

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

/// Does some program listen on this address? Looks, and does not connect, so nothing appears in the program's log.
pub(crate) fn listens(address: SocketAddr) -> bool {
    let SocketAddr::V4(address) = address else { return false };
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap_or_default();
    // The kernel prints the address as the number that its four bytes make in memory, hence native order.
    let number = u32::from_ne_bytes(address.ip().octets());
    let local = format!("{number:08X}:{:04X}", address.port());
    table.lines().filter_map(|line| row(line)).any(|(at, state)| at == local && state == LISTEN)
}

/// TCP_LISTEN in the kernel's table.
const LISTEN: &str = "0A";

/// Local address and state of a row of the table.
fn row(line: &str) -> Option<(&str, &str)> {
    let mut words = line.split_ascii_whitespace().skip(1);
    let local = words.next()?;
    Some((local, words.nth(1)?))
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
