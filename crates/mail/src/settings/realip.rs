//! The realip module: whose PROXY headers to believe.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use conf::{Args, Count, Directive, Fault, List, Notice, Word, doc, value};

use crate::address::ClientAddr;

/// Whose word about the client's address is believed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RealIp {
    /// Balancers and proxies, by address.
    pub networks: Vec<Network>,
    /// `unix:`: whoever comes over a unix socket.
    pub unix: bool,
}

impl RealIp {
    /// Whether `peer` may say that a client is somebody else.
    pub fn trusts(&self, peer: ClientAddr) -> bool {
        match peer.ip() {
            Some(ip) => self.networks.iter().any(|network| network.contains(ip)),
            None => self.unix,
        }
    }
}

/// A CIDR block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    /// Its first address.
    pub address: IpAddr,
    /// How many of its bits count: at most 32 or 128.
    pub prefix: u8,
}

impl Network {
    /// Whether `ip` is in it. An IPv4-mapped address is in IPv4 networks (as the originals).
    pub fn contains(&self, ip: IpAddr) -> bool {
        match (self.address, ip.to_canonical()) {
            (IpAddr::V4(network), IpAddr::V4(ip)) => (network.to_bits() ^ ip.to_bits()) & self.mask_v4() == 0,
            (IpAddr::V6(network), ip) => {
                let ip = match ip {
                    IpAddr::V4(ip) => ip.to_ipv6_mapped(),
                    IpAddr::V6(ip) => ip,
                };
                (network.to_bits() ^ ip.to_bits()) & self.mask_v6() == 0
            }
            (IpAddr::V4(_), IpAddr::V6(_)) => false,
        }
    }

    fn mask_v4(&self) -> u32 {
        u32::MAX.checked_shl(32_u32.saturating_sub(self.prefix.into())).unwrap_or(0)
    }

    fn mask_v6(&self) -> u128 {
        u128::MAX.checked_shl(128_u32.saturating_sub(self.prefix.into())).unwrap_or(0)
    }
}

/// The realip module as written.
#[derive(Debug, Default)]
pub struct RealipBlock {
    trusted: List<Trusted>,
}

/// What one `set_real_ip_from` names.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Trusted {
    Networks(Vec<Network>),
    Unix,
}

/// Directives of the realip module.
pub const REALIP: &[Directive<RealipBlock>] = &[Directive::new(
    "set_real_ip_from",
    Count::Exactly(1),
    doc(
        "ADDRESS | CIDR | unix: | NAME",
        "",
        "Whose PROXY headers replace the client's address, where `listen` has `proxy_protocol`: an address or a \
         network, every peer on a unix socket, or all addresses of a name. IPv6 addresses have no brackets. \
         Where `listen` has no `proxy_protocol`, such a peer may say who the client is by the commands ID (IMAP) \
         and XCLIENT (POP3, SMTP), as `proxy_imap_id`, `proxy_pop3_xclient` and `xclient` make other proxies do: \
         list only those through which nobody else can speak. \
         The directive may be repeated; a server that has any does not use those of `mail`.",
    ),
    |b, a| {
        b.trusted.push(trusted(a)?);
        Ok(())
    },
)];

/// What is neither an address nor a network nor a name.
#[derive(Debug, thiserror::Error)]
#[error("host not found in {directive} \"{text}\"")]
struct NotFound {
    directive: Word,
    text: String,
}

/// A network whose address is not its first.
#[derive(Debug, thiserror::Error)]
#[error("low address bits of {0} are meaningless")]
struct LowBits(String);

fn trusted(args: &Args<'_>) -> Result<Trusted, Fault> {
    let word = args.first();
    if word == "unix:" {
        return Ok(Trusted::Unix);
    }
    networks(args, &word).map(Trusted::Networks)
}

/// The networks that `word` means: an address, a network, or all addresses of a name.
pub(super) fn networks(args: &Args<'_>, word: &Word) -> Result<Vec<Network>, Fault> {
    let text = args.text(word)?;
    if let Some(network) = Network::parse(text) {
        if network != network.first() {
            args.warn(Notice::own(LowBits(text.to_owned())));
        }
        return Ok(vec![network.first()]);
    }
    // What no name looks like is not looked up.
    let found = if text.contains(['/', ':', '[']) { None } else { args.resolve(text).ok() };
    match found {
        Some(found) if !found.is_empty() => Ok(found.into_iter().map(Network::only).collect()),
        _ => Err(Fault::own(NotFound { directive: args.name(), text: text.to_owned() }, args.at())),
    }
}

impl Network {
    /// `address` and no other.
    const fn only(address: IpAddr) -> Self {
        Self { address, prefix: bits(address) }
    }

    /// `192.0.2.1`, `192.0.2.0/24`, `2001:db8::/32`.
    fn parse(text: &str) -> Option<Self> {
        let Some((address, prefix)) = text.split_once('/') else {
            return text.parse().ok().map(Self::only);
        };
        let address = address.parse().ok()?;
        let prefix = value::number(prefix.as_bytes()).and_then(|prefix| u8::try_from(prefix).ok())?;
        (prefix <= bits(address)).then_some(Self { address, prefix })
    }

    /// The network with its first address.
    fn first(&self) -> Self {
        let address = match self.address {
            IpAddr::V4(address) => Ipv4Addr::from_bits(address.to_bits() & self.mask_v4()).into(),
            IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & self.mask_v6()).into(),
        };
        Self { address, prefix: self.prefix }
    }
}

/// How many bits addresses of this family have.
const fn bits(address: IpAddr) -> u8 {
    match address {
        IpAddr::V4(_) => 32,
        IpAddr::V6(_) => 128,
    }
}

/// Whom a server believes.
pub fn resolve(server: &RealipBlock, mail: &RealipBlock) -> RealIp {
    let mut real_ip = RealIp::default();
    for trusted in server.trusted.or(&mail.trusted) {
        match trusted {
            Trusted::Networks(networks) => real_ip.networks.extend(networks),
            Trusted::Unix => real_ip.unix = true,
        }
    }
    real_ip
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_has_the_addresses_that_share_its_first_bits() {
        for (network, prefix, inside, outside) in [
            ("192.0.2.0", 24, "192.0.2.255", "192.0.3.0"),
            ("192.0.2.7", 32, "192.0.2.7", "192.0.2.6"),
            ("0.0.0.0", 0, "203.0.113.9", "2001:db8::1"),
            ("2001:db8::", 32, "2001:db8:ffff::1", "2001:db9::"),
            ("::1", 128, "::1", "::2"),
            ("10.0.0.0", 8, "::ffff:10.1.2.3", "::ffff:11.0.0.0"),
            ("::ffff:0:0", 96, "10.1.2.3", "2001:db8::1"),
        ] {
            let network = Network { address: network.parse().unwrap(), prefix };
            assert!(network.contains(inside.parse().unwrap()), "{network:?} {inside}");
            assert!(!network.contains(outside.parse().unwrap()), "{network:?} {outside}");
        }
    }

    #[test]
    fn unix_sockets_are_trusted_by_their_own_word_only() {
        let everyone = Network { address: "0.0.0.0".parse().unwrap(), prefix: 0 };
        assert!(!RealIp { networks: vec![everyone], unix: false }.trusts(ClientAddr::Unix));
        assert!(RealIp { networks: Vec::new(), unix: true }.trusts(ClientAddr::Unix));
    }
}
