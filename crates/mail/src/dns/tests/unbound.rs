//! The resolver against Debian's unbound, which has zones of its own and asks nobody else.

use std::fmt::Write;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use super::*;

/// A running unbound. It ends when dropped.
struct Unbound {
    child: Child,
    addr: SocketAddr,
    _dir: TempDir,
}

impl Unbound {
    fn start(data: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        // Out of the range from which the system gives ports to others.
        let addr = SocketAddr::from((own_host(), 5353));
        let conf = dir.path().join("unbound.conf");
        let (host, port) = (addr.ip(), addr.port());
        let text = format!(
            "server:\n interface: {host}\n port: {port}\n do-daemonize: no\n chroot: \"\"\n username: \"\"\n \
             directory: {dir:?}\n pidfile: \"\"\n use-syslog: no\n verbosity: 0\n module-config: \"iterator\"\n \
             num-threads: 1\n{data}remote-control:\n control-enable: no\n",
            dir = dir.path()
        );
        std::fs::write(&conf, text).unwrap();
        // Debian has it where only root's path goes.
        let path = format!("{}:/usr/sbin", std::env::var("PATH").unwrap_or_default());
        let mut command = Command::new("unbound");
        command.arg("-d").arg("-c").arg(&conf).env("PATH", path).stdin(Stdio::null());
        let child = command.spawn().expect("unbound is installed (Debian: apt-get install unbound)");
        Self { child, addr, _dir: dir }
    }

    /// Asks until unbound is there to answer.
    fn resolver(&self) -> Resolver {
        resolver(Settings { servers: vec![self.addr], ..settings(&[]) }, SOON)
    }
}

impl Drop for Unbound {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Zones as they stand in unbound.conf.
fn zones() -> String {
    let mut data = String::from(
        " local-zone: \"example.\" static\n local-zone: \"2.0.192.in-addr.arpa.\" static\n \
         local-zone: \"refused.test.\" refuse\n",
    );
    let records = [
        "example. 60 IN SOA ns.example. root.example. 1 7200 3600 86400 20",
        "2.0.192.in-addr.arpa. 60 IN SOA ns.example. root.example. 1 7200 3600 86400 20",
        "mail.example. 60 IN A 192.0.2.1",
        "mail.example. 60 IN AAAA 2001:db8::1",
        "www.example. 60 IN CNAME mail.example.",
        "1.2.0.192.in-addr.arpa. 60 IN PTR mail.example.",
        "2.2.0.192.in-addr.arpa. 60 IN PTR mail.example.",
        "3.2.0.192.in-addr.arpa. 60 IN PTR my_host.example.",
    ];
    for record in records {
        writeln!(data, " local-data: \"{record}\"").unwrap();
    }
    for last in 1..=100 {
        writeln!(data, " local-data: \"many.example. 60 IN A 198.51.100.{last}\"").unwrap();
    }
    data
}

#[tokio::test]
async fn unbound_and_we_understand_each_other() {
    let unbound = Unbound::start(&zones());
    let resolver = unbound.resolver();
    let both = Ok(vec!["192.0.2.1".to_owned(), "2001:db8::1".to_owned()]);
    assert_eq!(resolved(&resolver, "mail.example").await, both);
    assert_eq!(resolved(&resolver, "www.example").await, both);
    assert_eq!(resolved(&resolver, "nobody.example").await, Err(Failure::NotFound));
    assert_eq!(resolved(&resolver, "a.refused.test").await, Err(Failure::Refused));
    assert_eq!(resolved(&resolver, "many.example").await.unwrap().len(), 100, "fetched over TCP");
    for (client, name) in [
        ("192.0.2.1", "mail.example"),
        ("192.0.2.2", "[UNAVAILABLE]"),
        ("192.0.2.3", "[TEMPUNAVAIL]"),
        ("192.0.2.4", "[UNAVAILABLE]"),
    ] {
        assert_eq!(resolver.client_name(client.parse().unwrap()).await.as_str(), name, "{client}");
    }
}
