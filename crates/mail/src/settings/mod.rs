//! Every question that the configuration settles, as plain structs.
//!
//! Each file has one owner: the block as written, the table of directives, the resolved struct.

pub mod auth_http;
pub mod core;
pub mod listen;
pub mod log;
pub mod proxy;

use std::sync::Arc;

pub use auth_http::AuthHttp;
pub use core::Core;
pub use listen::Listen;
pub use log::ErrorLog;
pub use proxy::Proxy;

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
    pub auth_user_file: Option<std::path::PathBuf>,
    /// Upstream side.
    pub proxy: Proxy,
    /// `smtp_greeting_delay`; zero in other protocols.
    pub greeting_delay: std::time::Duration,
    /// The protocol with its own settings.
    pub protocol: ProtocolSettings,
}

/// The protocol of a server with its own settings.
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
    pub const fn protocol(&self) -> proto::Protocol {
        match self {
            Self::Imap(_) => proto::Protocol::Imap,
            Self::Pop3(_) => proto::Protocol::Pop3,
            Self::Smtp(_) => proto::Protocol::Smtp,
        }
    }

    /// What its fronts say.
    pub const fn fronts(&self) -> &Arc<proto::Settings> {
        match self {
            Self::Imap(settings) | Self::Pop3(settings) | Self::Smtp(settings) => settings,
        }
    }
}
