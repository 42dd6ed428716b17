//! The `listen` directive.

use std::time::Duration;

use crate::address::Endpoint;

/// One socket to listen on, and which server each of its addresses belongs to.
#[derive(Debug, Clone)]
pub struct Listen {
    /// Where to bind.
    pub endpoint: Endpoint,
    /// Index of the server in [`super::Mail::servers`] that a connection belongs to if no exact address matches.
    pub server: usize,
    /// Addresses of the same port without a socket of their own, by the local address of the connection.
    pub exact: Vec<(std::net::SocketAddr, usize)>,
    /// Options of the socket.
    pub options: SocketOptions,
}

/// Parameters of `listen` that are options of the socket.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SocketOptions {
    /// `backlog=`; 511 unless set.
    pub backlog: Option<i32>,
    /// `rcvbuf=`, bytes.
    pub rcvbuf: Option<usize>,
    /// `sndbuf=`, bytes.
    pub sndbuf: Option<usize>,
    /// `ipv6only=`; on unless set.
    pub ipv6only: Option<bool>,
    /// `so_keepalive=`.
    pub keepalive: Option<Keepalive>,
    /// `reuseport`: a socket of its own for each serving thread.
    pub reuseport: bool,
    /// `multipath`: MPTCP.
    pub multipath: bool,
}

/// `so_keepalive=` of `listen`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keepalive {
    /// `off`.
    Off,
    /// `on`, or with its numbers; `None` leaves the system's.
    On {
        /// Silence before the first probe.
        idle: Option<Duration>,
        /// Between probes.
        interval: Option<Duration>,
        /// Probes without answer that end the connection.
        count: Option<u32>,
    },
}
