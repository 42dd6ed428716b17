//! Protocol versions: SSLv2 to TLSv1.3 by name, of which the last two exist.

use rustls::{ProtocolVersion, SupportedProtocolVersion, version};

use super::mistake::{Mistake, Remark};

/// A version that configurations may name, oldest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    /// SSLv2.
    Ssl2,
    /// SSLv3.
    Ssl3,
    /// TLSv1.
    Tls1,
    /// TLSv1.1.
    Tls11,
    /// TLSv1.2 (RFC 5246).
    Tls12,
    /// TLSv1.3 (RFC 8446).
    Tls13,
}

impl Version {
    /// All of them.
    pub const ALL: [Self; 6] = [Self::Ssl2, Self::Ssl3, Self::Tls1, Self::Tls11, Self::Tls12, Self::Tls13];
    /// Those of `ssl_protocols` when nothing is said.
    pub const DEFAULT: [Self; 2] = [Self::Tls12, Self::Tls13];

    /// The version called `name`, in any letter case.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|version| version.name().eq_ignore_ascii_case(name))
    }

    /// As configurations and OpenSSL write it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ssl2 => "SSLv2",
            Self::Ssl3 => "SSLv3",
            Self::Tls1 => "TLSv1",
            Self::Tls11 => "TLSv1.1",
            Self::Tls12 => "TLSv1.2",
            Self::Tls13 => "TLSv1.3",
        }
    }

    /// The version that a connection has agreed upon.
    pub const fn of(version: ProtocolVersion) -> Option<Self> {
        match version {
            ProtocolVersion::TLSv1_2 => Some(Self::Tls12),
            ProtocolVersion::TLSv1_3 => Some(Self::Tls13),
            _ => None,
        }
    }

    fn supported(self) -> Option<&'static SupportedProtocolVersion> {
        match self {
            Self::Tls12 => Some(&version::TLS12),
            Self::Tls13 => Some(&version::TLS13),
            _ => None,
        }
    }
}

/// The versions that will be spoken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Protocols(Vec<Version>);

impl Protocols {
    /// Those of `listed` that exist; `directive` is named if there are none, or others too.
    pub(super) fn new(
        directive: &'static str,
        listed: &[Version],
        remarks: &mut Vec<Remark>,
    ) -> Result<Self, Mistake> {
        let mut listed = listed.to_vec();
        listed.sort_unstable();
        listed.dedup();
        let (usable, old): (Vec<_>, Vec<_>) =
            listed.into_iter().partition(|version| version.supported().is_some());
        if usable.is_empty() {
            return Err(Mistake::NoProtocol(directive));
        }
        if !old.is_empty() {
            remarks.push(Remark::OldProtocols(directive, old));
        }
        Ok(Self(usable))
    }

    /// Leaves out what is older than `least`.
    pub(super) fn at_least(&mut self, least: Version) {
        self.0.retain(|version| *version >= least);
    }

    /// Leaves out what is newer than `most`.
    pub(super) fn at_most(&mut self, most: Version) {
        self.0.retain(|version| *version <= most);
    }

    /// Leaves out `version`.
    pub(super) fn without(&mut self, version: Version) {
        self.0.retain(|other| *other != version);
    }

    #[cfg(test)]
    pub(super) fn contains(&self, version: Version) -> bool {
        self.0.contains(&version)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// For rustls.
    pub(super) fn supported(&self) -> Vec<&'static SupportedProtocolVersion> {
        self.0.iter().filter_map(|version| version.supported()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(listed: &[Version]) -> (Result<Protocols, Mistake>, Vec<String>) {
        let mut remarks = Vec::new();
        let protocols = Protocols::new("ssl_protocols", listed, &mut remarks);
        (protocols, remarks.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn versions_are_named_in_any_letter_case() {
        for version in Version::ALL {
            assert_eq!(Version::from_name(&version.name().to_lowercase()), Some(version));
        }
        assert_eq!(Version::from_name("TLSv1.4"), None);
    }

    #[test]
    fn the_two_that_exist_are_spoken() {
        for listed in [&[Version::Tls12][..], &[Version::Tls13], &Version::DEFAULT] {
            assert_eq!(chosen(listed), (Ok(Protocols(listed.to_vec())), Vec::new()));
        }
    }

    #[test]
    fn older_ones_beside_them_are_left_out_with_a_remark() {
        let (protocols, remarks) = chosen(&[Version::Tls12, Version::Tls1, Version::Ssl3, Version::Tls12]);
        assert_eq!(protocols, Ok(Protocols(vec![Version::Tls12])));
        assert_eq!(remarks, ["\"ssl_protocols\": SSLv3, TLSv1 cannot be had and will not be spoken"]);
    }

    #[test]
    fn older_ones_alone_are_a_mistake() {
        let (protocols, _) = chosen(&[Version::Tls1, Version::Tls11]);
        assert_eq!(
            protocols.map_err(|mistake| mistake.to_string()),
            Err("no usable protocol in \"ssl_protocols\": there are TLSv1.2 and TLSv1.3".into())
        );
    }

    #[test]
    fn commands_narrow_the_choice() {
        let mut protocols = Protocols(Version::DEFAULT.to_vec());
        protocols.at_least(Version::Tls1);
        assert_eq!(protocols, Protocols(Version::DEFAULT.to_vec()));
        protocols.at_most(Version::Tls12);
        assert_eq!(protocols, Protocols(vec![Version::Tls12]));
        protocols.at_least(Version::Tls13);
        assert!(protocols.is_empty());
    }
}
