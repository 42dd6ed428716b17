//! The DNS servers to ask, in turn.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// The port of DNS.
const PORT: u16 = 53;

/// The DNS servers of a resolver. Those of `conf=` may change while it is in use.
#[derive(Debug)]
pub(super) struct Servers {
    /// Those of the directive itself.
    fixed: Vec<SocketAddr>,
    /// At least one.
    all: Mutex<Arc<[SocketAddr]>>,
    next: AtomicUsize,
}

impl Servers {
    pub(super) fn new(fixed: Vec<SocketAddr>, conf: &[IpAddr]) -> Self {
        let all = Mutex::new(together(&fixed, conf));
        Self { fixed, all, next: AtomicUsize::new(0) }
    }

    pub(super) fn replace_conf(&self, conf: &[IpAddr]) {
        *self.all.lock().unwrap_or_else(PoisonError::into_inner) = together(&self.fixed, conf);
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

    fn all(&self) -> Arc<[SocketAddr]> {
        Arc::clone(&self.all.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn together(fixed: &[SocketAddr], conf: &[IpAddr]) -> Arc<[SocketAddr]> {
    let conf = conf.iter().map(|ip| SocketAddr::new(*ip, PORT));
    let all: Arc<[_]> = fixed.iter().copied().chain(conf).collect();
    // As the originals, and as resolv.conf(5) has it.
    if all.is_empty() { [SocketAddr::from((Ipv4Addr::LOCALHOST, PORT))].into() } else { all }
}

/// What is wrong with a file of `conf=`. The rest of it is used. Texts as in the originals' log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfFault {
    /// It is empty.
    #[error("zero file size \"{path}\"")]
    Empty {
        /// The file.
        path: String,
    },
    /// A `nameserver` that is no IP address.
    #[error("cannot parse IP address ({addr}) from \"{path}\"")]
    NoAddress {
        /// What stands there.
        addr: String,
        /// The file.
        path: String,
    },
}

/// The name servers in the text of a file like `/etc/resolv.conf`. All other keywords are ignored.
pub fn name_servers(path: &str, text: &str) -> (Vec<IpAddr>, Vec<ConfFault>) {
    if text.is_empty() {
        return (Vec::new(), vec![ConfFault::Empty { path: path.to_owned() }]);
    }
    let (mut addrs, mut faults) = (Vec::new(), Vec::new());
    for addr in text.lines().filter_map(name_server) {
        match addr.parse() {
            Ok(addr) => addrs.push(addr),
            Err(_) => faults.push(ConfFault::NoAddress { addr: addr.to_owned(), path: path.to_owned() }),
        }
    }
    (addrs, faults)
}

fn name_server(line: &str) -> Option<&str> {
    let mut words = line.split_ascii_whitespace();
    (words.next()? == "nameserver").then(|| words.next().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addr(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[test]
    fn servers_take_turns() {
        let servers = Servers::new(vec![addr("192.0.2.1:53"), addr("[2001:db8::1]:5353")], &[]);
        let turns: Vec<_> = (0..4).map(|_| servers.next().to_string()).collect();
        assert_eq!(turns, ["192.0.2.1:53", "[2001:db8::1]:5353", "192.0.2.1:53", "[2001:db8::1]:5353"]);
    }

    #[test]
    fn a_changed_file_changes_its_servers_only() {
        let servers = Servers::new(vec![addr("192.0.2.1:5353")], &["192.0.2.2".parse().unwrap()]);
        assert_eq!(*servers.all(), [addr("192.0.2.1:5353"), addr("192.0.2.2:53")]);
        servers.replace_conf(&["::1".parse().unwrap(), "192.0.2.4".parse().unwrap()]);
        assert_eq!(*servers.all(), [addr("192.0.2.1:5353"), addr("[::1]:53"), addr("192.0.2.4:53")]);
    }

    #[test]
    fn without_any_server_this_machine_is_asked() {
        assert_eq!(*Servers::new(vec![], &[]).all(), [addr("127.0.0.1:53")]);
    }

    #[test]
    fn only_name_servers_of_the_file_count() {
        let text = "# nameserver 192.0.2.9\nsearch example\nnameserver 192.0.2.1 # first\n\tnameserver\t::1\r\n\
                    nameservers 192.0.2.8\nnameserver dns.example\noptions ndots:1\nnameserver\n;nameserver 1.1.1.1";
        let (addrs, faults) = name_servers("/etc/resolv.conf", text);
        assert_eq!(addrs, ["192.0.2.1", "::1"].map(|addr| addr.parse::<IpAddr>().unwrap()));
        let faults: Vec<_> = faults.iter().map(ToString::to_string).collect();
        assert_eq!(
            faults,
            [
                "cannot parse IP address (dns.example) from \"/etc/resolv.conf\"",
                "cannot parse IP address () from \"/etc/resolv.conf\"",
            ]
        );
        let (addrs, faults) = name_servers("P", "");
        assert!(addrs.is_empty());
        assert_eq!(faults[0].to_string(), "zero file size \"P\"");
    }
}
