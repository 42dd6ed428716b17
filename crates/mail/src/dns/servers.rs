//! The DNS servers to ask, in turn.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::conf::Current;

/// The port of DNS.
pub(super) const PORT: u16 = 53;

/// The DNS servers of a resolver. Those of `conf` may change while it is in use.
#[derive(Debug)]
pub(super) struct Servers {
    /// Those of the directive itself.
    fixed: Vec<SocketAddr>,
    /// Those of `conf`.
    files: Vec<Arc<Current>>,
    next: AtomicUsize,
}

impl Servers {
    pub(super) const fn new(fixed: Vec<SocketAddr>, files: Vec<Arc<Current>>) -> Self {
        Self { fixed, files, next: AtomicUsize::new(0) }
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.all().len()
    }

    /// The server whose turn it is: each question, and each repetition of one, goes to the next.
    pub(super) fn next(&self) -> SocketAddr {
        let all = self.all();
        all[self.next.fetch_add(1, Ordering::Relaxed) % all.len()]
    }

    /// At least one.
    fn all(&self) -> Vec<SocketAddr> {
        let mut all = self.fixed.clone();
        for file in &self.files {
            all.extend_from_slice(&file.servers());
        }
        if all.is_empty() {
            // As the originals, and as resolv.conf(5) has it.
            all.push(SocketAddr::from((Ipv4Addr::LOCALHOST, PORT)));
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::super::conf::{ConfFile, ConfFiles};
    use super::*;

    fn addr(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[test]
    fn servers_take_turns() {
        let servers = Servers::new(vec![addr("192.0.2.1:53"), addr("[2001:db8::1]:5353")], vec![]);
        let turns: Vec<_> = (0..4).map(|_| servers.next().to_string()).collect();
        assert_eq!(turns, ["192.0.2.1:53", "[2001:db8::1]:5353", "192.0.2.1:53", "[2001:db8::1]:5353"]);
    }

    #[test]
    fn a_changed_file_changes_its_servers_only() {
        let files = ConfFiles::default();
        let file = ConfFile { path: "F".to_owned(), servers: vec![addr("192.0.2.2:53")] };
        let servers = Servers::new(vec![addr("192.0.2.1:5353")], vec![files.follow(&file)]);
        assert_eq!(servers.all(), [addr("192.0.2.1:5353"), addr("192.0.2.2:53")]);
        files.replace("F", &[addr("[::1]:53"), addr("192.0.2.4:53")]);
        assert_eq!(servers.all(), [addr("192.0.2.1:5353"), addr("[::1]:53"), addr("192.0.2.4:53")]);
    }

    #[test]
    fn without_any_server_this_machine_is_asked() {
        assert_eq!(Servers::new(vec![], vec![]).all(), [addr("127.0.0.1:53")]);
    }
}
