//! The resolver against Debian's unbound.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use gatepost_mail::auth::Resolve;
use gatepost_mail::dns::{ConfFiles, Resolver, Settings, Zones};
use rig::real::Unbound;

const ZONES: [(&str, &str); 3] =
    [("example.", "static"), ("2.0.192.in-addr.arpa.", "static"), ("refused.test.", "refuse")];

const RECORDS: [&str; 8] = [
    "example. 60 IN SOA ns.example. root.example. 1 7200 3600 86400 20",
    "2.0.192.in-addr.arpa. 60 IN SOA ns.example. root.example. 1 7200 3600 86400 20",
    "mail.example. 60 IN A 192.0.2.1",
    "mail.example. 60 IN AAAA 2001:db8::1",
    "www.example. 60 IN CNAME mail.example.",
    "1.2.0.192.in-addr.arpa. 60 IN PTR mail.example.",
    "2.2.0.192.in-addr.arpa. 60 IN PTR mail.example.",
    "3.2.0.192.in-addr.arpa. 60 IN PTR my_host.example.",
];

/// So many that they do not fit into a packet.
fn many() -> impl Iterator<Item = String> {
    (1..=100).map(|last| format!("many.example. 60 IN A 198.51.100.{last}"))
}

fn resolver(server: SocketAddr) -> Resolver {
    let settings = Settings {
        servers: vec![server],
        conf: Vec::new(),
        valid: None,
        ipv4: true,
        ipv6: true,
        timeout: Some(Duration::from_secs(30)),
        status_zone: None,
    };
    Resolver::new(settings, &Zones::default(), &ConfFiles::default())
}

async fn resolved(resolver: &Resolver, host: &str) -> io::Result<Vec<String>> {
    let mut addrs: Vec<_> = resolver.resolve(host).await?.addrs.iter().map(ToString::to_string).collect();
    addrs.sort();
    Ok(addrs)
}

#[tokio::test]
async fn names_and_aliases_have_the_addresses_that_unbound_knows() {
    let unbound =
        Unbound::start(&ZONES, &RECORDS.map(str::to_owned).into_iter().chain(many()).collect::<Vec<_>>());
    let resolver = resolver(unbound.addr());
    for name in ["mail.example", "www.example", "WWW.Example."] {
        assert_eq!(resolved(&resolver, name).await.unwrap(), ["192.0.2.1", "2001:db8::1"], "{name}");
    }
    assert_eq!(resolved(&resolver, "many.example").await.unwrap().len(), 100, "over TCP");
    for (name, text) in [("nobody.example", "Host not found"), ("a.refused.test", "Operation refused")] {
        assert_eq!(resolved(&resolver, name).await.unwrap_err().to_string(), text);
    }
}

#[tokio::test]
async fn clients_have_the_names_that_unbound_knows() {
    let unbound = Unbound::start(&ZONES, &RECORDS);
    let resolver = resolver(unbound.addr());
    for (client, name) in [
        ("192.0.2.1", "mail.example"),
        ("::ffff:192.0.2.1", "mail.example"),
        ("192.0.2.2", "[UNAVAILABLE]"),
        ("192.0.2.3", "[TEMPUNAVAIL]"),
        ("192.0.2.4", "[UNAVAILABLE]"),
    ] {
        assert_eq!(resolver.client_name(client.parse().unwrap()).await.as_str(), name, "{client}");
    }
}
