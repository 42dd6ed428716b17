//! A proxy with everything around it, for one scenario.

use std::net::SocketAddr;

use rig::auth_server::{allow_with, refuse};
use rig::{AuthServer, Backend, Client, Proxy, Request, Script};

use crate::Peer;

/// The `server_name` of every stage.
pub const SERVER_NAME: &str = "proxy.example";

/// Which of the three protocols a scenario is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// IMAP4rev1.
    Imap,
    /// POP3.
    Pop3,
    /// SMTP.
    Smtp,
}

impl Protocol {
    /// Its word in the configuration and in auth requests.
    pub fn name(self) -> &'static str {
        match self {
            Self::Imap => "imap",
            Self::Pop3 => "pop3",
            Self::Smtp => "smtp",
        }
    }

    /// How its greeting begins.
    pub fn greeting(self) -> &'static str {
        match self {
            Self::Imap => "* OK IMAP4 ready\r\n",
            Self::Pop3 => "+OK POP3 ready",
            Self::Smtp => "220 proxy.example ESMTP ready\r\n",
        }
    }

    /// A command that does nothing, and its answer.
    pub fn noop(self) -> (&'static str, &'static str) {
        match self {
            Self::Imap => ("zz NOOP\r\n", "zz OK completed\r\n"),
            Self::Pop3 => ("NOOP\r\n", "+OK\r\n"),
            Self::Smtp => ("NOOP\r\n", "250 2.0.0 OK\r\n"),
        }
    }

    /// What a client is told when something behind the proxy failed.
    pub fn internal_error(self) -> &'static str {
        match self {
            Self::Imap => "* BAD internal server error\r\n",
            Self::Pop3 => "-ERR internal server error\r\n",
            Self::Smtp => "451 4.3.2 Internal server error\r\n",
        }
    }
}

/// A proxy for one protocol, its auth server and its backend.
#[derive(Debug)]
pub struct Stage {
    /// What the proxy listens as.
    pub protocol: Protocol,
    /// The program under test. First, so that it ends before its peers do.
    pub proxy: Proxy,
    /// What it asks.
    pub auth: AuthServer,
    /// What it logs in to.
    pub backend: Backend,
}

impl Stage {
    /// Starts all three; `settings` are directives of the `server` block.
    #[track_caller]
    pub fn new(peer: &Peer, protocol: Protocol, settings: &str, auth: AuthServer, backend: Backend) -> Self {
        let mail = format!(
            "server_name {SERVER_NAME};\nauth_http {}/auth;\nserver {{ listen @proxy; protocol {};\n{settings}\n}}",
            auth.address(),
            protocol.name()
        );
        Self { protocol, proxy: Proxy::start(&peer.program(), &mail), auth, backend }
    }

    /// Everybody may log in and is sent to a backend that plays `script`; the answer has these further lines.
    #[track_caller]
    pub fn allowing(peer: &Peer, protocol: Protocol, settings: &str, script: Script, lines: &[&str]) -> Self {
        let backend = Backend::start(script);
        let auth = AuthServer::always(allow_with(backend.address(), lines));
        Self::new(peer, protocol, settings, auth, backend)
    }

    /// The auth server answers as told; there is a backend, at which nobody should arrive.
    #[track_caller]
    pub fn answering(peer: &Peer, protocol: Protocol, settings: &str, auth: AuthServer) -> Self {
        Self::new(peer, protocol, settings, auth, Backend::start(Script::new().close()))
    }

    /// Nobody may log in; the reason given is what the proxy asked, see [`echo`].
    #[track_caller]
    pub fn echoing(peer: &Peer, protocol: Protocol, settings: &str) -> Self {
        Self::answering(peer, protocol, settings, AuthServer::start(echo))
    }

    /// Where clients connect.
    pub fn address(&self) -> SocketAddr {
        self.proxy.at("proxy")
    }

    /// A client that has been greeted.
    #[track_caller]
    pub fn client(&self) -> Client {
        let mut client = Client::connect(self.address());
        client.expect_prefix(self.protocol.greeting());
        client
    }
}

/// Refuses, with method, user and password of the request as the reason: `[plain|user|password]`.
///
/// So a table of what a client sends and gets shows what the auth server would see.
pub fn echo(request: &Request) -> Script {
    let value = |name| request.value(name).unwrap_or(b"?").to_vec();
    let [method, user, password] = ["Auth-Method", "Auth-User", "Auth-Pass"].map(value);
    let text = [b"[", method.as_slice(), b"|", &user, b"|", &password, b"]"].concat();
    let Ok(text) = String::from_utf8(text.clone()) else {
        let head: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nAuth-Status: ";
        return Script::new().say([head, &text, b"\r\n\r\n"].concat());
    };
    refuse(&text)
}
