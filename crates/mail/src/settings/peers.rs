//! Peers by where they come from, as directives list them: addresses, networks, names, unix sockets.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use conf::{Args, Fault, Notice, Word, value};

use crate::address::ClientAddr;

/// A set of peers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Peers {
    pub(super) networks: Vec<Network>,
    /// `unix:`: whoever comes over a unix socket.
    pub(super) unix: bool,
}

impl Peers {
    /// Whether `peer` is one of them.
    pub fn contain(&self, peer: ClientAddr) -> bool {
        match peer.ip() {
            Some(ip) => self.networks.iter().any(|network| network.contains(ip)),
            None => self.unix,
        }
    }

    /// Whether nobody is.
    pub fn are_none(&self) -> bool {
        self.networks.is_empty() && !self.unix
    }
}

impl FromIterator<Written> for Peers {
    fn from_iter<I: IntoIterator<Item = Written>>(written: I) -> Self {
        let mut peers = Self::default();
        for written in written {
            match written {
                Written::Networks(networks) => peers.networks.extend(networks),
                Written::Unix => peers.unix = true,
            }
        }
        peers
    }
}

/// The prefix of the network of all IPv4-mapped addresses (RFC 4291, section 2.5.5.2).
const MAPPED: u8 = 96;

/// A CIDR block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    /// Its first address.
    pub address: IpAddr,
    /// How many of its bits count: at most 32 or 128.
    pub prefix: u8,
}

impl Network {
    /// Whether `ip` is in it. An IPv4-mapped address is in IPv4 networks, and neither it nor one of IPv4 is in a network
    /// of IPv6 (as the originals), but in one that has nothing else.
    pub fn contains(&self, ip: IpAddr) -> bool {
        match (self.address, ip.to_canonical()) {
            (IpAddr::V4(network), IpAddr::V4(ip)) => (network.to_bits() ^ ip.to_bits()) & self.mask_v4() == 0,
            (IpAddr::V6(_), IpAddr::V4(ip)) => self.prefix >= MAPPED && self.has(ip.to_ipv6_mapped()),
            (IpAddr::V6(_), IpAddr::V6(ip)) => self.has(ip),
            (IpAddr::V4(_), IpAddr::V6(_)) => false,
        }
    }

    fn has(&self, ip: Ipv6Addr) -> bool {
        let IpAddr::V6(network) = self.address else { return false };
        (network.to_bits() ^ ip.to_bits()) & self.mask_v6() == 0
    }

    fn mask_v4(&self) -> u32 {
        u32::MAX.checked_shl(32_u32.saturating_sub(self.prefix.into())).unwrap_or(0)
    }

    fn mask_v6(&self) -> u128 {
        u128::MAX.checked_shl(128_u32.saturating_sub(self.prefix.into())).unwrap_or(0)
    }
}

/// What one directive names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Written {
    /// An address, a network, or all addresses of a name.
    Networks(Vec<Network>),
    /// `unix:`.
    Unix,
}

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

impl Written {
    /// Reads `ADDRESS | CIDR | unix: | NAME`.
    pub fn parse(args: &Args<'_>, word: &Word) -> Result<Self, Fault> {
        let text = args.text(word)?;
        if text == "unix:" {
            return Ok(Self::Unix);
        }
        if let Some(network) = Network::parse(text) {
            if network != network.first() {
                args.warn(Notice::own(LowBits(text.to_owned())));
            }
            return Ok(Self::Networks(vec![network.first()]));
        }
        // What no name looks like is not looked up.
        let found = if text.contains(['/', ':', '[']) { None } else { args.resolve(text).ok() };
        match found {
            Some(found) if !found.is_empty() => {
                Ok(Self::Networks(found.into_iter().map(Network::only).collect()))
            }
            _ => Err(Fault::own(NotFound { directive: args.name(), text: text.to_owned() }, args.at())),
        }
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
            ("::", 0, "2001:db8::1", "10.1.2.3"),
            ("::", 0, "2001:db8::1", "::ffff:10.1.2.3"),
            ("::", 64, "::1", "10.1.2.3"),
        ] {
            let network = Network { address: network.parse().unwrap(), prefix };
            assert!(network.contains(inside.parse().unwrap()), "{network:?} {inside}");
            assert!(!network.contains(outside.parse().unwrap()), "{network:?} {outside}");
        }
    }

    #[test]
    fn unix_sockets_are_named_by_their_own_word_only() {
        let everyone = Network { address: "0.0.0.0".parse().unwrap(), prefix: 0 };
        assert!(!Peers::from_iter([Written::Networks(vec![everyone])]).contain(ClientAddr::Unix));
        assert!(Peers::from_iter([Written::Unix]).contain(ClientAddr::Unix));
    }
}
