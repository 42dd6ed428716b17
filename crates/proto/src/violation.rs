//! What a client did that an operator may want to know. Wording and log level are the log's business.

use bytes::Bytes;

use crate::Mechanism;

/// A breach of protocol by a client. Carries no secret: passwords and tokens never get in here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Violation {
    /// A command that does not fit into the limit. The session ends.
    TooLong {
        /// How many bytes of it were there.
        seen: usize,
        /// The part that certainly holds no secret: tag and verb.
        start: Bytes,
    },
    /// `max_errors` reached. The session ends.
    TooManyErrors,
    /// `max_commands` exceeded. The session ends.
    TooManyCommands,
    /// A SASL response that is not base64.
    InvalidBase64(Mechanism),
    /// A SASL response without a usable user name.
    InvalidLogin(Mechanism),
    /// A SASL PLAIN response without a password.
    InvalidPassword(Mechanism),
    /// A CRAM-MD5 response without a digest of the right length.
    InvalidHash,
    /// An XOAUTH2 or OAUTHBEARER response without a token.
    InvalidToken(Mechanism),
    /// SMTP MAIL before authentication; a copy of what the client has sent so far.
    Unauthenticated(Bytes),
}
