//! The network of a client: what one person, or one attacker, is likely to have all of.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// How many bits of an IPv4 address count.
const V4_BITS: u32 = 24;

/// How many bits of an IPv6 address count. A customer of a provider gets a /56 or a /64 (RFC 6177, section 2).
const V6_BITS: u32 = 56;

/// Tells IPv4 from IPv6: above the 56 bits that either needs.
const V4: u64 = 1 << 63;

/// The /24 of an IPv4 address, or the /56 of an IPv6 address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Prefix(u64);

impl Prefix {
    /// The network that `ip` is in. An IPv4-mapped address is an IPv4 address.
    pub fn of(ip: IpAddr) -> Self {
        match ip.to_canonical() {
            IpAddr::V4(ip) => Self(V4 | u64::from(ip.to_bits() >> (u32::BITS - V4_BITS))),
            IpAddr::V6(ip) => {
                let bits = ip.to_bits() >> (u128::BITS - V6_BITS);
                Self(u64::try_from(bits).expect("56 bits fit into 64"))
            }
        }
    }

    /// The same network, the same bytes; another network, other bytes.
    pub const fn bytes(self) -> [u8; 8] {
        self.0.to_be_bytes()
    }
}

/// `192.0.2.0/24`, `2001:db8:0:100::/56`.
impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bits = self.0 & !V4;
        if self.0 == bits {
            let first = Ipv6Addr::from_bits(u128::from(bits) << (u128::BITS - V6_BITS));
            write!(f, "{first}/{V6_BITS}")
        } else {
            let bits = u32::try_from(bits).expect("24 bits fit into 32");
            write!(f, "{}/{V4_BITS}", Ipv4Addr::from_bits(bits << (u32::BITS - V4_BITS)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_bits_of_an_address_are_its_network() {
        for (ip, network) in [
            ("192.0.2.255", "192.0.2.0/24"),
            ("::ffff:192.0.2.1", "192.0.2.0/24"),
            ("0.0.0.0", "0.0.0.0/24"),
            ("255.255.255.255", "255.255.255.0/24"),
            ("2001:db8:1:2ff::1", "2001:db8:1:200::/56"),
            ("::1", "::/56"),
            ("ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe", "ffff:ffff:ffff:ff00::/56"),
        ] {
            assert_eq!(Prefix::of(ip.parse().unwrap()).to_string(), network, "{ip}");
        }
        let distinct: std::collections::HashSet<_> = ["0.0.0.1", "::1", "0.0.1.1", "0:0:0:100::"]
            .into_iter()
            .map(|ip| Prefix::of(ip.parse().unwrap()).bytes())
            .collect();
        assert_eq!(distinct.len(), 4);
    }
}
