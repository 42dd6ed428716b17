//! Every question that the configuration settles, as plain structs.
//!
//! Each file has one owner: the block as written, the table of directives, the resolved struct. [`MailBlock`] reads
//! the `mail {}` blocks into the blocks of all owners, and resolves them into [`Mail`].

pub mod auth_http;
pub mod auth_user_file;
pub mod core;
mod front;
pub mod imap;
pub mod limit;
pub mod listen;
mod load;
pub mod log;
pub mod peers;
pub mod penalty;
pub mod pop3;
pub mod proxy;
pub mod proxy_ssl;
pub mod realip;
pub mod resolver;
mod scope;
pub mod smtp;
pub mod ssl;
mod zone;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use proto::Protocol;

use crate::flavour::Flavour;

pub use auth_http::AuthHttp;
pub use core::Core;
pub use limit::{ConnLimit, ConnLimits};
pub use listen::{Door, Listen};
pub use load::{MailBlock, chapters, vocabulary};
pub use log::ErrorLog;
pub use peers::Peers;
pub use penalty::PenaltySettings;
pub use proxy::{Proxy, UpstreamTls};
pub use realip::RealIp;
pub use ssl::TlsSettings;

use crate::dns;
use crate::tls::ClientSettings;

/// Default of the buffer sizes: a memory page of the machines that most run on.
pub(crate) const PAGE: u64 = 4096;

/// The whole of `mail {}`.
#[derive(Debug)]
pub struct Mail {
    /// All `server {}` blocks, in their order.
    pub servers: Vec<Arc<Server>>,
    /// All sockets to listen on.
    pub listens: Vec<Listen>,
}

/// One `server {}` with everything inherited filled in.
#[derive(Debug)]
pub struct Server {
    /// Name, time limits, logs.
    pub core: Core,
    /// The exchange with the auth server, unless only a users file decides.
    pub auth_http: Option<AuthHttp>,
    /// `auth_user_file`: asked before `auth_http`.
    pub auth_user_file: Option<PathBuf>,
    /// Upstream side.
    pub proxy: Proxy,
    /// TLS with clients; `None` unless a `listen … ssl` or `starttls` needs it.
    pub tls: Option<TlsSettings>,
    /// TLS with upstreams, wherever `proxy_ssl` or the authority wants it.
    pub upstream_tls: ClientSettings,
    /// `smtp_greeting_delay`; zero in other protocols.
    pub greeting_delay: Duration,
    /// `set_real_ip_from`.
    pub real_ip: RealIp,
    /// `limit_conn` and what belongs to it.
    pub limits: ConnLimits,
    /// `auth_penalty`, if it is on.
    pub penalty: Option<PenaltySettings>,
    /// `resolver`; the same value for all servers that inherit it, since they share what it knows. `None`: the
    /// system's, which is not asked for the names of clients.
    pub resolver: Option<Arc<dns::Settings>>,
    /// The protocol with its own settings.
    pub protocol: ProtocolSettings,
}

/// The protocol of a server with what its fronts say.
#[derive(Debug, Clone)]
pub enum ProtocolSettings {
    /// IMAP.
    Imap(Arc<proto::Settings>),
    /// POP3.
    Pop3(Arc<proto::Settings>),
    /// SMTP.
    Smtp(Arc<proto::Settings>),
}

impl ProtocolSettings {
    /// Which protocol it is.
    pub const fn protocol(&self) -> Protocol {
        match self {
            Self::Imap(_) => Protocol::Imap,
            Self::Pop3(_) => Protocol::Pop3,
            Self::Smtp(_) => Protocol::Smtp,
        }
    }

    /// What its fronts say.
    pub const fn fronts(&self) -> &Arc<proto::Settings> {
        match self {
            Self::Imap(settings) | Self::Pop3(settings) | Self::Smtp(settings) => settings,
        }
    }
}

/// What is around a configuration and decides what its words mean.
#[derive(Debug, Clone)]
pub struct Surroundings {
    /// The directory of the main configuration file.
    pub directory: PathBuf,
    /// `-p`.
    pub prefix: PathBuf,
    /// The machine's name.
    pub host_name: String,
    /// Whose defaults hold.
    pub flavour: Flavour,
}

impl Surroundings {
    /// `path`, relative to the directory of the main configuration file.
    pub fn in_directory(&self, path: &Path) -> PathBuf {
        self.directory.join(path)
    }

    /// `path`, relative to the prefix.
    pub fn in_prefix(&self, path: &Path) -> PathBuf {
        self.prefix.join(path)
    }
}
