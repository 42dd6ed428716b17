//! Ports for the proxy of the demo: the usual one, or the next that is free.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use super::limits;

/// A port that is ours, and the ones before it that were not to be had.
#[derive(Debug)]
pub(crate) struct Claim {
    /// Bound and listening.
    pub(crate) listener: TcpListener,
    /// Where it listens.
    pub(crate) address: SocketAddr,
    /// The ports that others have, in the order in which they were tried.
    pub(crate) taken: Vec<u16>,
}

/// Listens on loopback at the first free port from `wanted` on.
///
/// The last "address in use" is the error if all [`limits::PORTS`] are taken; any other error ends the search.
pub(crate) fn claim(wanted: u16) -> io::Result<Claim> {
    let mut taken = Vec::new();
    loop {
        let port = wanted.saturating_add(u16::try_from(taken.len()).unwrap_or(u16::MAX));
        match TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
            Ok(listener) => return Ok(Claim { address: listener.local_addr()?, listener, taken }),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => taken.push(port),
            Err(error) => return Err(error),
        }
        if taken.len() >= usize::from(limits::PORTS) || port == u16::MAX {
            return Err(io::ErrorKind::AddrInUse.into());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taken_port_is_named_and_the_next_one_used() {
        let first = claim(0).unwrap();
        let wanted = first.address.port();
        let second = claim(wanted).unwrap();
        assert_eq!(second.taken.first(), Some(&wanted));
        assert_eq!(usize::from(second.address.port() - wanted), second.taken.len());
        assert!(second.address.ip().is_loopback());
    }
}
