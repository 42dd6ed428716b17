//! Why a session ended other than well. Whose side it was on, and how loud to say it, follow from the variant.

use std::io;

use proto::Violation;
use proto::proxy_protocol::Fault as HeaderFault;

use crate::address::Endpoint;
use crate::limit::Limited;
use crate::link::HandshakeError;
use crate::link::TlsError;
use crate::settings::log::Level;
use crate::tls::Rejection;

/// The end of a session that nobody wished for.
#[derive(Debug, thiserror::Error)]
pub enum Trouble {
    /// The client went away before it was logged in. Happens all day; said nowhere (as the originals).
    #[error("client closed connection")]
    ClientGone,
    /// A time limit passed on the client's side.
    #[error("client timed out")]
    ClientTimedOut,
    /// The client's socket failed.
    #[error("{}", Failed(*call, source))]
    Client {
        /// What failed.
        call: Call,
        /// The system's reason.
        source: io::Error,
    },
    /// The PROXY header of the client's connection is none.
    #[error(transparent)]
    Header(#[from] HeaderFault),
    /// There is no TLS with the client.
    #[error(transparent)]
    Handshake(#[from] HandshakeError),
    /// The client's certificate will not do.
    #[error("{0}")]
    Certificate(Rejection),
    /// The client talked before the greeting.
    #[error("client was rejected before greeting")]
    EarlyTalker {
        /// What it said, as far as it was read.
        said: Vec<u8>,
    },
    /// There are as many connections like it as there may be.
    #[error(transparent)]
    Limited(#[from] Limited),
    /// The upstream's side.
    #[error(transparent)]
    Upstream(#[from] UpstreamTrouble),
    /// `worker_shutdown_timeout` passed while the session was proxied.
    #[error("shutdown timeout")]
    ShutdownTimeout,
}

/// Why there is no session with an upstream.
#[derive(Debug, thiserror::Error)]
pub enum UpstreamTrouble {
    /// No free connection slot for it.
    #[error("worker_connections are not enough")]
    NoSlot,
    /// Its name does not resolve.
    #[error("upstream \"{name}\" could not be resolved")]
    Resolve {
        /// The name.
        name: String,
        /// The resolver's reason.
        source: io::Error,
    },
    /// No connection.
    #[error("connect() to {endpoint} failed")]
    Connect {
        /// Where.
        endpoint: Endpoint,
        /// The system's reason.
        source: io::Error,
    },
    /// It is where the client has connected to, so that it would come back for ever.
    #[error("upstream {0} is this server, which would be a loop")]
    Loop(Endpoint),
    /// `timeout` passed before it accepted the login.
    #[error("upstream timed out")]
    TimedOut,
    /// Its socket failed.
    #[error("{}", Failed(*call, source))]
    Io {
        /// What failed.
        call: Call,
        /// The system's reason.
        source: io::Error,
    },
    /// It closed the connection during the login.
    #[error("upstream prematurely closed connection")]
    Closed,
    /// A reply that does not fit into `proxy_buffer`.
    #[error("upstream sent too long response line")]
    TooLong {
        /// What there was of it.
        reply: Vec<u8>,
    },
    /// A reply that is not the one hoped for.
    #[error("upstream sent invalid response")]
    Refused {
        /// The reply, without the part that was matched and without its last line end.
        reply: Vec<u8>,
        /// Whether the client is shown it, which makes it less of an error (as the originals).
        passed: bool,
    },
    /// It does not begin TLS, or has said more in clear than it was asked.
    #[error("upstream did not start TLS")]
    NoTls {
        /// What it has said.
        reply: Vec<u8>,
    },
    /// TLS with it failed.
    #[error("{0}")]
    Handshake(HandshakeError),
    /// TLS was asked for, and is not configured or has no name to verify.
    #[error("no TLS with upstream: {0}")]
    Unprepared(&'static str),
    /// `proxy_smtp_auth` without a password.
    #[error("no password available")]
    NoPassword,
    /// Credentials that would change the meaning of the command they go into.
    #[error("user name or password cannot be sent to upstream: it contains CR, LF or NUL")]
    Unsendable,
}

/// A system call, as log lines name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Call {
    /// Reading.
    Recv,
    /// Writing.
    Send,
}

impl std::fmt::Display for Call {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Recv => "recv",
            Self::Send => "send",
        })
    }
}

/// What failed, as log lines say it: a system call, or TLS with its reason.
struct Failed<'a>(Call, &'a io::Error);

impl std::fmt::Display for Failed<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self(call, source) = self;
        match (TlsError::behind(source), call) {
            (None, call) => write!(f, "{call}() failed"),
            (Some(error), Call::Recv) => write!(f, "SSL_read() failed ({error})"),
            (Some(error), Call::Send) => write!(f, "SSL_write() failed ({error})"),
        }
    }
}

impl Trouble {
    /// How loud to say it; `None`: not at all.
    pub fn level(&self) -> Option<Level> {
        match self {
            Self::ClientGone => None,
            Self::ClientTimedOut
            | Self::Certificate(_)
            | Self::EarlyTalker { .. }
            | Self::ShutdownTimeout => Some(Level::Info),
            Self::Client { source, .. } => Some(level_of(source, Level::Info)),
            Self::Header(_) => Some(Level::Error),
            Self::Handshake(error) => Some(error.level()),
            Self::Limited(limited) => Some(limited.level),
            Self::Upstream(trouble) => Some(trouble.level()),
        }
    }

    /// The system error that belongs to it.
    pub fn errno(&self) -> Option<i32> {
        match self {
            Self::ClientTimedOut => Some(nix::libc::ETIMEDOUT),
            Self::Client { source, .. } => source.raw_os_error(),
            Self::Upstream(trouble) => trouble.errno(),
            Self::Handshake(error) => error.errno(),
            Self::ClientGone
            | Self::Header(_)
            | Self::Certificate(_)
            | Self::EarlyTalker { .. }
            | Self::Limited(_)
            | Self::ShutdownTimeout => None,
        }
    }
}

impl UpstreamTrouble {
    fn level(&self) -> Level {
        match self {
            Self::NoSlot => Level::Alert,
            Self::TimedOut | Self::Refused { passed: true, .. } => Level::Info,
            Self::Io { source, .. } => level_of(source, Level::Error),
            Self::Connect { source, .. } if level_of(source, Level::Error) != Level::Error => Level::Crit,
            _ => Level::Error,
        }
    }

    fn errno(&self) -> Option<i32> {
        match self {
            Self::TimedOut => Some(nix::libc::ETIMEDOUT),
            Self::Resolve { source, .. } | Self::Connect { source, .. } | Self::Io { source, .. } => {
                source.raw_os_error()
            }
            Self::Handshake(error) => error.errno(),
            _ => None,
        }
    }
}

/// `usual` for what happens on every network, alert for what does not (as the originals).
pub(crate) fn level_of(error: &io::Error, usual: Level) -> Level {
    use nix::libc::{
        EAGAIN, ECONNREFUSED, ECONNRESET, EHOSTDOWN, EHOSTUNREACH, ENETDOWN, ENETUNREACH, ENOBUFS, ENOENT,
        ENOTCONN, EPIPE, ETIMEDOUT,
    };
    match error.raw_os_error() {
        Some(
            ECONNRESET | EPIPE | ENOTCONN | ETIMEDOUT | ECONNREFUSED | ENETDOWN | ENETUNREACH | EHOSTDOWN
            | EHOSTUNREACH | ENOBUFS | ENOENT | EAGAIN,
        )
        | None => usual,
        Some(_) => Level::Alert,
    }
}

/// A breach of protocol is always the client's and never loud.
pub const VIOLATION_LEVEL: Level = Level::Info;

/// What is wrong with a client's SASL message, in the originals' words; `None` for other violations.
pub fn sasl_fault(violation: &Violation) -> Option<(&'static str, proto::Mechanism)> {
    match *violation {
        Violation::InvalidBase64(mechanism) => Some(("base64 encoding", mechanism)),
        Violation::InvalidLogin(mechanism) => Some(("login", mechanism)),
        Violation::InvalidPassword(mechanism) => Some(("password", mechanism)),
        Violation::InvalidHash => Some(("CRAM-MD5 hash", proto::Mechanism::CramMd5)),
        Violation::InvalidToken(mechanism) => Some(("token", mechanism)),
        _ => None,
    }
}
