//! The realip module: whose PROXY headers to believe. For a later release.

use std::net::{IpAddr, Ipv6Addr};

use conf::{Count, Directive, doc};

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
            (IpAddr::V4(network), IpAddr::V4(ip)) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(self.prefix)).unwrap_or(0);
                network.to_bits() & mask == ip.to_bits() & mask
            }
            (IpAddr::V6(network), ip) => {
                let ip = match ip {
                    IpAddr::V4(ip) => ip.to_ipv6_mapped(),
                    IpAddr::V6(ip) => ip,
                };
                self.contains_v6(network, ip)
            }
            (IpAddr::V4(_), IpAddr::V6(_)) => false,
        }
    }

    fn contains_v6(&self, network: Ipv6Addr, ip: Ipv6Addr) -> bool {
        let mask = u128::MAX.checked_shl(128 - u32::from(self.prefix)).unwrap_or(0);
        network.to_bits() & mask == ip.to_bits() & mask
    }
}

/// The realip module as written: nothing can be.
#[derive(Debug, Default)]
pub struct RealipBlock;

/// Directives of the realip module.
pub const REALIP: &[Directive<RealipBlock>] = &[Directive::not_yet(
    "set_real_ip_from",
    Count::Exactly(1),
    "PROXY headers from clients",
    doc("ADDRESS | CIDR | unix: | NAME", "", "Whose PROXY headers replace the client's address."),
)];

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
