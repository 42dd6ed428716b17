//! The resolver against a DNS server that plays a script.

mod clients;
mod names;
mod servers;

use rig::dns::{A, AAAA, DnsServer, Reply};

use super::*;

/// Long enough for any answer from this machine.
const PATIENCE: Duration = Duration::from_secs(10);

/// Short enough to be waited for, long enough for an answer to come first on an idle machine. It does no harm if not.
const SOON: Duration = Duration::from_millis(50);

/// Never, as far as a test goes.
const NEVER: Duration = Duration::from_hours(1);

fn settings(servers: &[&DnsServer]) -> Settings {
    Settings {
        servers: servers.iter().map(|server| server.addr()).collect(),
        conf: Vec::new(),
        valid: None,
        ipv4: true,
        ipv6: true,
        timeout: Some(PATIENCE),
        status_zone: None,
    }
}

/// A resolver that asks `servers` and does not repeat itself.
fn patient(servers: &[&DnsServer]) -> Resolver {
    resolver(settings(servers), NEVER)
}

fn resolver(settings: Settings, resend: Duration) -> Resolver {
    let mut resolver = Resolver::new(settings, &Zones::default(), &ConfFiles::default());
    resolver.exchange.resend = resend;
    resolver
}

/// The addresses of `host`, sorted, or what went wrong.
async fn resolved(resolver: &Resolver, host: &str) -> Result<Vec<String>, Failure> {
    let known = resolver.addresses(host).await?;
    let mut addrs: Vec<_> = known.answer?.addrs.iter().map(ToString::to_string).collect();
    addrs.sort();
    Ok(addrs)
}

/// Lets time pass for caches only.
async fn pass(time: Duration) {
    tokio::time::pause();
    tokio::time::advance(time).await;
    tokio::time::resume();
}

/// `name` has this address, and no other.
fn has(server: &DnsServer, name: &str, ttl: u32, ip: &str) {
    let (has, lacks) = if ip.contains(':') { (AAAA, A) } else { (A, AAAA) };
    server.says(name, has, Reply::addr(name, ttl, ip));
    server.says(name, lacks, Reply::empty());
}

/// The address of a server that is not there.
fn nobody() -> SocketAddr {
    SocketAddr::from((rig::port::host(), 1))
}
