//! What a line is made of, before a format has written it.

use std::fmt;
use std::net::SocketAddr;

use super::escaped::Escaped;
use crate::address::{ClientAddr, Endpoint};
use crate::settings::log::Level;

/// One message with all that belongs to it.
#[derive(Clone, Copy)]
pub struct Record<'a> {
    /// How severe it is.
    pub level: Level,
    /// The number of the session, `*N` in lines.
    pub connection: Option<u64>,
    /// The message alone, escaped where it shows what a peer sent.
    pub message: &'a dyn fmt::Display,
    /// The system error that belongs to it.
    pub errno: Option<i32>,
    /// Where it happened. Not shown at level debug (as the originals).
    pub context: Context<'a>,
    /// What nginx says instead; it then shows no context.
    pub nginx: Option<&'a dyn fmt::Display>,
}

impl<'a> Record<'a> {
    /// A message that needs no more than its words.
    pub const fn new(level: Level, message: &'a dyn fmt::Display) -> Self {
        Self { level, connection: None, message, errno: None, context: Context::NONE, nginx: None }
    }

    /// And the context, unless lines of this level have none.
    pub(super) fn shown_context(&self) -> Context<'a> {
        if self.level == Level::Debug { Context::NONE } else { self.context }
    }
}

/// Where something happened.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    /// Whose message it is: the object that JSON has for it, and its first tag. `None`: of no subsystem.
    pub subsystem: Option<&'static str>,
    /// What was being done; empty if nothing that needs saying.
    pub action: &'static str,
    /// What is known, in the order of lines.
    pub fields: &'a [Field<'a>],
}

impl Context<'_> {
    /// No context.
    pub const NONE: Self = Self { subsystem: None, action: "", fields: &[] };

    pub(super) const fn is_empty(&self) -> bool {
        self.action.is_empty() && self.fields.is_empty()
    }
}

/// One thing that is known of where something happened.
#[derive(Debug, Clone, Copy)]
pub enum Field<'a> {
    /// The client of a session.
    Client(ClientAddr),
    /// The listening address that it came to.
    Server(&'a Endpoint),
    /// It began TLS in mid-session.
    Starttls,
    /// Who it says it is, as received.
    Login(&'a [u8]),
    /// The upstream.
    Upstream(&'a Endpoint),
    /// A listening address.
    ListenAddr(&'a Endpoint),
    /// A syslog server.
    SyslogServer(&'a Endpoint),
}

/// The names of fields, as filters and JSON have them, and the module that each belongs to. Not all of them are ever
/// set here: a configuration that filters on the others is good, and gets no lines (as in Angie).
pub const NAMES: [(&str, &str); 14] = [
    ("context", "core"),
    ("message", "core"),
    ("resolver", "core"),
    ("syslog_server", "core"),
    ("listen_addr", "core"),
    ("responder", "core"),
    ("peer", "core"),
    ("certificate", "core"),
    ("mail", "mail"),
    ("client", "mail"),
    ("server", "mail"),
    ("starttls", "mail"),
    ("login", "mail"),
    ("upstream", "mail"),
];

impl Field<'_> {
    /// Its name in lines, in JSON and in filters.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Client(_) => "client",
            Self::Server(_) => "server",
            Self::Starttls => "starttls",
            Self::Login(_) => "login",
            Self::Upstream(_) => "upstream",
            Self::ListenAddr(_) => "listen_addr",
            Self::SyslogServer(_) => "syslog_server",
        }
    }

    /// Its value as it is, which may be any bytes.
    pub(super) fn bytes(&self) -> Vec<u8> {
        match self {
            Self::Login(login) => login.to_vec(),
            other => other.to_string().into_bytes(),
        }
    }
}

/// The value, escaped where it is a peer's.
impl fmt::Display for Field<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Client(client) => fmt::Display::fmt(client, f),
            Self::Starttls => f.write_str("true"),
            Self::Login(login) => fmt::Display::fmt(&Escaped(login), f),
            // The originals show an IPv6 upstream without brackets.
            Self::Upstream(Endpoint::Tcp(addr)) => write_bare(addr, f),
            Self::Server(at) | Self::Upstream(at) | Self::ListenAddr(at) | Self::SyslogServer(at) => {
                fmt::Display::fmt(at, f)
            }
        }
    }
}

fn write_bare(addr: &SocketAddr, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    write!(f, "{}:{}", addr.ip(), addr.port())
}
