//! TLS with clients and with upstreams, as other people's programs meet it: openssl, curl and Python.
//!
//! What Python's clients say and expect is spelled out in every test, like what the rig's do. The library below them is
//! OpenSSL, so a wrong idea of TLS cannot hide at both ends.

mod certificates;
mod configuration;
mod handshake;
mod idle;
mod negotiation;
mod resumption;
mod starttls;
mod upstreams;

use std::path::PathBuf;
use std::process::Command;

use rig::pki::{Identity, Key, Root};
use rig::tool::{self, Ran};
use rig::{AuthServer, Backend, Script, auth_server};

use crate::stage::{Protocol, Stage};

/// The name in the proxy's certificate.
const NAME: &str = "mail.example.test";

impl Protocol {
    /// The command that begins TLS, and the reply that allows it.
    fn starttls(self) -> (&'static str, &'static str) {
        match self {
            Self::Imap => ("t STARTTLS\r\n", "t OK completed\r\n"),
            Self::Pop3 => ("STLS\r\n", "+OK\r\n"),
            Self::Smtp => ("STARTTLS\r\n", "220 2.0.0 Start TLS\r\n"),
        }
    }

    /// The reply to [`Protocol::starttls`] where TLS cannot begin.
    fn no_starttls(self) -> &'static str {
        match self {
            Self::Imap => "t BAD invalid command\r\n",
            Self::Pop3 => "-ERR invalid command\r\n",
            Self::Smtp => "500 5.5.1 Invalid command\r\n",
        }
    }
}

/// A proxy that speaks TLS, with its auth server and its backend.
pub(crate) struct Secured {
    pub(crate) stage: Stage,
    /// The file with whom clients believe.
    root: PathBuf,
    /// Its owner, if nobody else is.
    _own: Option<Root>,
}

impl Secured {
    /// Everybody may log in and is sent to a backend that then says nothing more. There is STARTTLS at
    /// [`Stage::address`] and TLS from the first byte at `@tls`; `settings` are further directives of the server.
    #[track_caller]
    pub(crate) fn new(protocol: Protocol, settings: &str) -> Self {
        Self::playing(protocol, settings, protocol.backend())
    }

    /// The same with a backend that answers one line and hangs up.
    #[track_caller]
    fn answering(protocol: Protocol, settings: &str) -> Self {
        Self::playing(protocol, settings, protocol.backend().answer_line("bye\r\n").close())
    }

    /// The same with what the backend does.
    #[track_caller]
    fn playing(protocol: Protocol, settings: &str, script: Script) -> Self {
        let root = Root::new(Key::Ec, "Test root");
        let identity = root.server(Key::Ec, &[NAME]);
        let secured = Self::with(&root, protocol, &format!("{} {settings}", pair(&identity)), script);
        Self { _own: Some(root), ..secured }
    }

    /// The same with certificates in `settings`, by this root. They are read when the proxy starts and not again.
    #[track_caller]
    fn with(root: &Root, protocol: Protocol, settings: &str, script: Script) -> Self {
        let starttls = if settings.contains("starttls") { "" } else { "starttls on;" };
        let settings = format!("listen @tls ssl; {starttls} {settings}");
        let backend = Backend::start(script);
        let auth = AuthServer::always(auth_server::allow(backend.address()));
        Self { stage: Stage::new(protocol, &settings, auth, backend), root: root.certificate(), _own: None }
    }

    /// Runs a Python program with the names of [`PREAMBLE`]; `more` are its arguments.
    #[track_caller]
    pub(crate) fn talk(&self, program: &str, more: &[&str]) -> Ran {
        let words = self.words();
        let words: Vec<_> = words.iter().map(String::as_str).collect();
        tool::python(&format!("{PREAMBLE}{program}"), &[&words, more].concat())
    }

    /// The first arguments of a program with [`PREAMBLE`].
    fn words(&self) -> Vec<String> {
        let protocol = self.stage.protocol;
        let (starttls, go) = protocol.starttls();
        let (noop, noop_ok) = protocol.noop();
        let said = [
            protocol.greeting(),
            starttls,
            go,
            protocol.no_starttls(),
            noop,
            noop_ok,
            protocol.login(),
            protocol.asked(),
            protocol.logged_in(),
        ];
        let places = [self.place(Place::Clear), self.place(Place::Tls), self.root.display().to_string()];
        places.into_iter().chain(said.map(str::to_owned)).collect()
    }

    /// Runs `openssl s_client`, which believes in the root and wants the proxy's name, with this input.
    #[track_caller]
    fn s_client(&self, place: Place, arguments: &[&str], input: &str) -> Ran {
        let mut openssl = Command::new("openssl");
        openssl.args(["s_client", "-ign_eof", "-verify_return_error", "-verify_hostname", NAME, "-CAfile"]);
        openssl.arg(&self.root);
        match place {
            Place::Clear => openssl.args(["-starttls", self.stage.protocol.name(), "-connect"]),
            Place::Tls => openssl.arg("-connect"),
        };
        openssl.arg(self.place(place)).args(arguments);
        tool::run(&mut openssl, input.as_bytes())
    }

    fn place(&self, place: Place) -> String {
        match place {
            Place::Clear => self.stage.address().to_string(),
            Place::Tls => self.stage.proxy.at("tls").to_string(),
        }
    }
}

/// Where clients connect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// In clear, with STARTTLS.
    Clear,
    /// Under TLS from the first byte.
    Tls,
}

/// The directives with a certificate and its key.
fn pair(identity: &Identity) -> String {
    format!(
        "ssl_certificate {}; ssl_certificate_key {};",
        identity.certificate().display(),
        identity.key().display()
    )
}

/// A client that says and expects bytes, in clear and under TLS, and what the three protocols say.
const PREAMBLE: &str = r#"
import base64, socket, ssl, sys
def place(text):
    host, port = text.rsplit(":", 1)
    return host, int(port)
CLEAR, TLS = map(place, sys.argv[1:3])
ROOT = sys.argv[3]
GREETING, STARTTLS, GO, NO_STARTTLS, NOOP, NOOP_OK, LOGIN, ASKED, LOGGED_IN = (
    text.encode() for text in sys.argv[4:13])
MORE = sys.argv[13:]
NAME = "mail.example.test"

def trusting():
    return ssl.create_default_context(cafile=ROOT)

class Wire:
    def __init__(self, at=None):
        self.socket = socket.create_connection(at or CLEAR, timeout=10)
    def send(self, text):
        self.socket.sendall(text)
        return self
    def expect(self, text):
        got = b""
        while len(got) < len(text):
            piece = self.socket.recv(len(text) - len(got))
            assert piece, ("expected", text, "got", got)
            got += piece
        assert got == text, ("expected", text, "got", got)
        return self
    def line(self):
        line = b""
        while not line.endswith(b"\n"): line += self.socket.recv(1) or b"\n"
        return line
    def say(self, text, reply):
        return self.send(text).expect(reply)
    def secure(self, context=None, name=NAME, **more):
        self.socket = (context or trusting()).wrap_socket(self.socket, server_hostname=name, **more)
        return self
    def ends(self):
        rest = self.socket.recv(100)
        assert rest == b"", rest

def starttls(context=None, **more):
    return Wire().expect(GREETING).say(STARTTLS, GO).secure(context, **more)
def implicit(context=None, **more):
    return Wire(TLS).secure(context, **more).expect(GREETING)
def both(context=None):
    yield starttls(context)
    yield implicit(context)
"#;
