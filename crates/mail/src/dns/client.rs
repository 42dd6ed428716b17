//! The name of a client: what its PTR record says, if that name leads back to the client.

use super::{Failure, HostName, InvalidName};

/// What DNS knows of a client, for `Client-Host` and XCLIENT.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClientName {
    /// The name of the PTR record, which has the client's address.
    Confirmed(HostName),
    /// None that could be relied on.
    Nameless(Nameless),
}

/// Why a client has no name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Nameless {
    /// No `resolver` in the configuration.
    NoResolver,
    /// It came over a unix socket.
    UnixSocket,
    /// Its address has no name: `ADDR could not be resolved (N: TEXT)`.
    Unresolved(Failure),
    /// Its address has a name that nobody may see: `ADDR resolved to invalid host name "NAME"`.
    Invalid(InvalidName),
    /// Its name has no addresses: `"NAME" could not be resolved (N: TEXT)`.
    NameUnresolved {
        /// The name of the PTR record.
        name: HostName,
        /// What became of the question for its addresses.
        failure: Failure,
    },
    /// Its name has other addresses than this. Nothing to log.
    Unconfirmed(HostName),
}

impl ClientName {
    /// The name, `[UNAVAILABLE]`, or `[TEMPUNAVAIL]`.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Confirmed(name) => name.as_str(),
            Self::Nameless(reason) if reason.may_pass() => "[TEMPUNAVAIL]",
            Self::Nameless(_) => "[UNAVAILABLE]",
        }
    }
}

impl Nameless {
    /// Could it be otherwise another time? Then the upstream should not refuse the client for good.
    pub fn may_pass(&self) -> bool {
        match self {
            Self::NoResolver | Self::Unconfirmed(_) => false,
            Self::UnixSocket | Self::Invalid(_) => true,
            Self::Unresolved(failure) | Self::NameUnresolved { failure, .. } => *failure != Failure::NotFound,
        }
    }
}
