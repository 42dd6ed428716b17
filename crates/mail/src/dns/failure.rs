//! Why a look-up has no result, in the originals' numbers and words.

use std::io;

use hickory_proto::op::ResponseCode;

/// Why a look-up has no result. Printed as in `ADDR could not be resolved (3: Host not found)`, without the number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Failure {
    /// The server did not understand the question.
    #[error("Format error")]
    FormatError,
    /// The server could not find out, or sent what nobody can read.
    #[error("Server failure")]
    ServerFailure,
    /// There is no such name, it has no records of the type, or its aliases lead nowhere.
    #[error("Host not found")]
    NotFound,
    /// The server does not know such questions.
    #[error("Unimplemented")]
    Unimplemented,
    /// The server does not want to answer.
    #[error("Operation refused")]
    Refused,
    /// No answer within `resolver_timeout`.
    #[error("Operation timed out")]
    TimedOut,
    /// Any other RCODE.
    #[error("Unknown error")]
    Other(u16),
}

impl Failure {
    /// The number that the originals print before the text: an RCODE, or 110 (ETIMEDOUT).
    pub fn code(self) -> u16 {
        match self {
            Self::FormatError => 1,
            Self::ServerFailure => 2,
            Self::NotFound => 3,
            Self::Unimplemented => 4,
            Self::Refused => 5,
            Self::TimedOut => 110,
            Self::Other(code) => code,
        }
    }

    /// The failure that an RCODE stands for; `None` if it stands for none.
    pub(super) fn of(code: ResponseCode) -> Option<Self> {
        match u16::from(code) {
            0 => None,
            1 => Some(Self::FormatError),
            2 => Some(Self::ServerFailure),
            3 => Some(Self::NotFound),
            4 => Some(Self::Unimplemented),
            5 => Some(Self::Refused),
            code => Some(Self::Other(code)),
        }
    }
}

impl From<Failure> for io::Error {
    fn from(failure: Failure) -> Self {
        let kind = match failure {
            Failure::NotFound => io::ErrorKind::NotFound,
            Failure::TimedOut => io::ErrorKind::TimedOut,
            _ => io::ErrorKind::Other,
        };
        Self::new(kind, failure)
    }
}
