//! A proxy with everything around it, for one test.

use std::net::SocketAddr;

use rig::auth_server::allow_with;
use rig::{AuthServer, Backend, Client, Program, Proxy, Script, backend};

/// The `server_name` of every proxy here.
pub(crate) const SERVER_NAME: &str = "proxy.example";

/// What the proxy speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    Imap,
    Pop3,
    Smtp,
}

impl Protocol {
    pub(crate) const ALL: [Self; 3] = [Self::Imap, Self::Pop3, Self::Smtp];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Imap => "imap",
            Self::Pop3 => "pop3",
            Self::Smtp => "smtp",
        }
    }

    pub(crate) fn greeting(self) -> &'static str {
        match self {
            Self::Imap => "* OK IMAP4 ready\r\n",
            Self::Pop3 => "+OK POP3 ready\r\n",
            Self::Smtp => "220 proxy.example ESMTP ready\r\n",
        }
    }

    /// A client's login as u/p, in one piece.
    pub(crate) fn login(self) -> &'static str {
        match self {
            Self::Imap => "a LOGIN u p\r\n",
            Self::Pop3 => "USER u\r\nPASS p\r\n",
            Self::Smtp => "EHLO c\r\nAUTH PLAIN AHUAcA==\r\n",
        }
    }

    /// What the client hears before the verdict.
    pub(crate) fn asked(self) -> &'static str {
        match self {
            Self::Imap => "",
            Self::Pop3 => "+OK\r\n",
            Self::Smtp => "250-proxy.example\r\n250 AUTH PLAIN LOGIN\r\n",
        }
    }

    /// What the client hears when it is logged in at [`Protocol::backend`].
    pub(crate) fn logged_in(self) -> &'static str {
        match self {
            Self::Imap => "a OK logged in\r\n",
            Self::Pop3 => "+OK logged in\r\n",
            Self::Smtp => "235 2.0.0 OK\r\n",
        }
    }

    /// What the client hears when it is refused with the reason `no`.
    pub(crate) fn refused(self) -> &'static str {
        match self {
            Self::Imap => "a NO no\r\n",
            Self::Pop3 => "-ERR no\r\n",
            Self::Smtp => "535 5.7.0 no\r\n",
        }
    }

    /// What the client hears when something behind the proxy failed.
    pub(crate) fn internal_error(self) -> &'static str {
        match self {
            Self::Imap => "* BAD internal server error\r\n",
            Self::Pop3 => "-ERR internal server error\r\n",
            Self::Smtp => "451 4.3.2 Internal server error\r\n",
        }
    }

    /// A command that does nothing, and its answer before login.
    pub(crate) fn noop(self) -> (&'static str, &'static str) {
        match self {
            Self::Imap => ("n NOOP\r\n", "n OK completed\r\n"),
            Self::Pop3 => ("NOOP\r\n", "+OK\r\n"),
            Self::Smtp => ("NOOP\r\n", "250 2.0.0 OK\r\n"),
        }
    }

    /// A backend that lets u/p in (SMTP: anybody whom the proxy trusts) and then waits for the script's next steps.
    pub(crate) fn backend(self) -> Script {
        match self {
            Self::Imap => backend::imap_login("a", "u", "p"),
            Self::Pop3 => backend::pop3_login("u", "p"),
            Self::Smtp => backend::smtp_hello(SERVER_NAME),
        }
    }
}

/// The binary of this package.
pub(crate) fn gatepost() -> Program {
    Program::gatepost(env!("CARGO_BIN_EXE_gatepost"))
}

/// Starts it with this content of its `mail` block.
#[track_caller]
pub(crate) fn proxy(mail: &str) -> Proxy {
    Proxy::start(&gatepost(), &format!("server_name {SERVER_NAME}; xclient off;\n{mail}"))
}

/// A client that has been greeted.
#[track_caller]
pub(crate) fn greeted(address: SocketAddr, protocol: Protocol) -> Client {
    let mut client = Client::connect(address);
    client.expect(protocol.greeting());
    client
}

/// A client that has been greeted and is logged in as u/p.
#[track_caller]
pub(crate) fn logged_in(address: SocketAddr, protocol: Protocol) -> Client {
    let mut client = greeted(address, protocol);
    client.exchange(protocol.login(), [protocol.asked(), protocol.logged_in()].concat());
    client
}

/// A proxy for one protocol, its auth server and its backend.
pub(crate) struct Stage {
    pub(crate) protocol: Protocol,
    /// First, so that it ends before its peers do.
    pub(crate) proxy: Proxy,
    pub(crate) auth: AuthServer,
    pub(crate) backend: Backend,
}

impl Stage {
    /// Starts all three; `settings` are directives of the `server` block.
    #[track_caller]
    pub(crate) fn new(protocol: Protocol, settings: &str, auth: AuthServer, backend: Backend) -> Self {
        Self::listening(protocol, "", settings, auth, backend)
    }

    /// The same; `listen` has these parameters.
    #[track_caller]
    pub(crate) fn listening(
        protocol: Protocol,
        parameters: &str,
        settings: &str,
        auth: AuthServer,
        backend: Backend,
    ) -> Self {
        let mail = format!(
            "auth_http {}/auth; server {{ listen @proxy {parameters}; protocol {}; {settings} }}",
            auth.address(),
            protocol.name()
        );
        Self { protocol, proxy: proxy(&mail), auth, backend }
    }

    /// Everybody may log in and is sent to a backend that plays `script`.
    #[track_caller]
    pub(crate) fn allowing(protocol: Protocol, settings: &str, script: Script) -> Self {
        Self::allowing_with(protocol, settings, script, &[])
    }

    /// The same; the auth server's answer has these further lines.
    #[track_caller]
    pub(crate) fn allowing_with(protocol: Protocol, settings: &str, script: Script, lines: &[&str]) -> Self {
        let backend = Backend::start(script);
        let auth = AuthServer::always(allow_with(backend.address(), lines));
        Self::new(protocol, settings, auth, backend)
    }

    /// The auth server answers as told; there is a backend at which nobody should arrive.
    #[track_caller]
    pub(crate) fn answering(protocol: Protocol, settings: &str, auth: AuthServer) -> Self {
        Self::new(protocol, settings, auth, Backend::start(Script::new().close()))
    }

    /// Where clients connect.
    pub(crate) fn address(&self) -> SocketAddr {
        self.proxy.at("proxy")
    }

    /// How many descriptors the proxy needs for itself, which it does not have before it has served a client.
    #[track_caller]
    pub(crate) fn descriptors(&self) -> usize {
        let client = Client::connect(self.address());
        self.proxy.wait_for_log("client connected");
        let all = self.proxy.process().descriptors();
        drop(client);
        all - 1
    }

    /// A client that has been greeted.
    #[track_caller]
    pub(crate) fn client(&self) -> Client {
        greeted(self.address(), self.protocol)
    }

    /// A client that has been greeted and is logged in as u/p.
    #[track_caller]
    pub(crate) fn logged_in(&self) -> Client {
        logged_in(self.address(), self.protocol)
    }
}
