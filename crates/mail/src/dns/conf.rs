//! The files of `conf`, which are like `/etc/resolv.conf`: the name servers in them, and those that are in them now.
//!
//! Nothing is read here. Whoever may open files says what is in them, at first with the configuration and then with
//! every change.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::servers::PORT;

/// A file of `conf`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfFile {
    /// Its path as written.
    pub path: String,
    /// The name servers in it when the configuration was read.
    pub servers: Vec<SocketAddr>,
}

/// All such files as they are now, by their paths. They outlive configurations: a change counts for the resolvers of
/// all sessions that there are.
#[derive(Debug, Default)]
pub struct ConfFiles(Mutex<BTreeMap<String, Arc<Current>>>);

/// The name servers that are in one file now.
#[derive(Debug, Default)]
pub(super) struct Current(Mutex<Arc<[SocketAddr]>>);

impl ConfFiles {
    /// The file at `path` has these name servers from now on. Nothing happens if no resolver asks them.
    pub fn replace(&self, path: &str, servers: &[SocketAddr]) {
        if let Some(current) = self.lock().get(path) {
            current.set(servers);
        }
    }

    /// The name servers of `file`: at first those that the configuration found, which is the latest news of it.
    pub(super) fn follow(&self, file: &ConfFile) -> Arc<Current> {
        let mut files = self.lock();
        // Those that no configuration in use names any more.
        files.retain(|_, current| Arc::strong_count(current) > 1);
        let current = files.entry(file.path.clone()).or_default();
        current.set(&file.servers);
        Arc::clone(current)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Arc<Current>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Current {
    pub(super) fn servers(&self) -> Arc<[SocketAddr]> {
        Arc::clone(&self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn set(&self, servers: &[SocketAddr]) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = servers.into();
    }
}

/// What is wrong with a file of `conf`. The rest of it is used. Texts as in the originals' log.
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

/// The name servers in a file like `/etc/resolv.conf`. All other keywords are ignored.
pub fn name_servers(path: &str, contents: &[u8]) -> (Vec<SocketAddr>, Vec<ConfFault>) {
    if contents.is_empty() {
        return (Vec::new(), vec![ConfFault::Empty { path: path.to_owned() }]);
    }
    let (mut addrs, mut faults) = (Vec::new(), Vec::new());
    for addr in String::from_utf8_lossy(contents).lines().filter_map(name_server) {
        match address(addr) {
            Some(addr) => addrs.push(addr),
            None => faults.push(ConfFault::NoAddress { addr: addr.to_owned(), path: path.to_owned() }),
        }
    }
    (addrs, faults)
}

fn name_server(line: &str) -> Option<&str> {
    let mut words = line.split_ascii_whitespace();
    (words.next()? == "nameserver").then(|| words.next().unwrap_or_default())
}

/// `ADDR`, or `[ADDR]:PORT` as OpenBSD's resolv.conf(5) has it. The originals know no port.
fn address(text: &str) -> Option<SocketAddr> {
    if let Ok(ip) = text.parse::<IpAddr>() {
        return Some(SocketAddr::new(ip, PORT));
    }
    let (ip, port) = text.strip_prefix('[')?.split_once("]:")?;
    Some(SocketAddr::new(ip.parse().ok()?, port.parse().ok().filter(|port| *port != 0)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addrs(texts: &[&str]) -> Vec<SocketAddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn only_name_servers_of_the_file_count() {
        let text = "# nameserver 192.0.2.9\nsearch example\nnameserver 192.0.2.1 # first\n\tnameserver\t::1\r\n\
                    nameservers 192.0.2.8\nnameserver dns.example\noptions ndots:1\nnameserver\n;nameserver 1.1.1.1";
        let (found, faults) = name_servers("/etc/resolv.conf", text.as_bytes());
        assert_eq!(found, addrs(&["192.0.2.1:53", "[::1]:53"]));
        let faults: Vec<_> = faults.iter().map(ToString::to_string).collect();
        assert_eq!(
            faults,
            [
                "cannot parse IP address (dns.example) from \"/etc/resolv.conf\"",
                "cannot parse IP address () from \"/etc/resolv.conf\"",
            ]
        );
        let (found, faults) = name_servers("P", b"");
        assert!(found.is_empty());
        assert_eq!(faults[0].to_string(), "zero file size \"P\"");
    }

    #[test]
    fn a_name_server_may_have_a_port() {
        let text = b"nameserver [192.0.2.1]:5353\nnameserver [2001:db8::1]:54\n";
        assert_eq!(name_servers("P", text), (addrs(&["192.0.2.1:5353", "[2001:db8::1]:54"]), vec![]));
        for wrong in
            ["[::1]", "[::1]:", "[::1]:0", "[::1]:65536", "192.0.2.1:53", "[dns]:53", "[::1]53", "\u{e9}"]
        {
            let (found, faults) = name_servers("P", format!("nameserver {wrong}").as_bytes());
            assert_eq!((found.len(), faults.len()), (0, 1), "{wrong}");
        }
        assert_eq!(name_servers("P", b"nameserver \xff").1.len(), 1);
    }

    #[test]
    fn whoever_follows_a_file_sees_what_it_says_last() {
        let files = ConfFiles::default();
        let file = |path: &str, server: &str| ConfFile { path: path.to_owned(), servers: addrs(&[server]) };
        let (one, other) =
            (files.follow(&file("one", "192.0.2.1:53")), files.follow(&file("other", "192.0.2.2:53")));
        files.replace("one", &addrs(&["192.0.2.3:53"]));
        files.replace("nobody's", &addrs(&["192.0.2.4:53"]));
        assert_eq!(*one.servers(), addrs(&["192.0.2.3:53"]));
        assert_eq!(*other.servers(), addrs(&["192.0.2.2:53"]));
        let again = files.follow(&file("one", "192.0.2.5:53"));
        assert_eq!(*one.servers(), *again.servers());
        drop((one, other, again));
        files.follow(&file("new", "192.0.2.1:53"));
        assert_eq!(files.lock().keys().collect::<Vec<_>>(), ["new"], "nobody needs the others");
    }
}
