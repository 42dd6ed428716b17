//! The TLS handshake of a link, in both roles, and what is known after it.
//!
//! It starts on a clean socket: what came in clear before it, and whether any may have come, is the callers' affair
//! (RFC 3207, section 4.2). Time limits are theirs too.

use std::future::poll_fn;
use std::io;
use std::sync::Arc;

use rustls::client::UnbufferedClientConnection;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::server::{Acceptor, UnbufferedServerConnection};
use rustls::{CipherSuite, ClientConfig, Error, HandshakeKind, ProtocolVersion, ServerConfig};

use super::Link;
use super::fault::{HandshakeError, NotTls};
use super::role::{End, Role};
use super::socket::Socket;
use super::tls::Tls;

/// What both sides have agreed on, and said of themselves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// TLS 1.2 or 1.3.
    pub version: ProtocolVersion,
    /// The cipher suite.
    pub suite: CipherSuite,
    /// The name that a client asked for (SNI), in small letters.
    pub server_name: Option<String>,
    /// The application protocol (ALPN), if any was offered and agreed on.
    pub alpn: Option<Vec<u8>>,
    /// The peer's certificate and those that it sent with it, leaf first, DER. Those of the first handshake in a
    /// resumed session.
    pub certificates: Vec<CertificateDer<'static>>,
    /// Whether an earlier session was taken up.
    pub resumed: bool,
}

impl Link {
    /// Makes the handshake with a client.
    ///
    /// From here on nothing goes out in clear: after an error, or if the future is dropped, writing fails. After an
    /// error the link is good for a [`farewell`](Link::farewell) that lets the alert arrive.
    pub async fn accept_tls(&mut self, config: Arc<ServerConfig>) -> Result<Facts, HandshakeError> {
        let role = UnbufferedServerConnection::new(config).map(Role::Server);
        Box::pin(self.shake_hands(role, Hello::expected())).await
    }

    /// Makes the handshake with an upstream that has to prove that it is `name`, if `config` cares.
    ///
    /// As for [`accept_tls`](Self::accept_tls), nothing goes out in clear from here on.
    pub async fn connect_tls(
        &mut self,
        config: Arc<ClientConfig>,
        name: ServerName<'static>,
    ) -> Result<Facts, HandshakeError> {
        let role = UnbufferedClientConnection::new(config, name).map(Role::Client);
        Box::pin(self.shake_hands(role, Hello::default())).await
    }

    /// To be boxed: it takes 5 kB, which would be in the future of every login, and moved with it several times.
    async fn shake_hands(
        &mut self,
        role: Result<Role, Error>,
        mut hello: Hello,
    ) -> Result<Facts, HandshakeError> {
        let role = match role {
            Ok(role) if self.tls.is_none() => role,
            refused => {
                // A link that should have TLS and has not must not be written to.
                let _ = self.socket.shutdown();
                let inside = Error::General("TLS inside TLS".into());
                return Err(refused.err().unwrap_or(inside).into());
            }
        };
        let tls = self.tls.insert(Box::new(Tls::new(role)));
        complete(&self.socket, tls, &mut hello).await?;
        Ok(facts(tls.role(), hello.server_name))
    }
}

/// Talks until both sides are content and all has been sent.
async fn complete(socket: &Socket, tls: &mut Tls, hello: &mut Hello) -> Result<(), HandshakeError> {
    tls.begin();
    loop {
        poll_fn(|cx| tls.poll_flush(socket, cx)).await.map_err(HandshakeError::Io)?;
        if !tls.role().state().is_handshaking() {
            return Ok(());
        }
        socket.readable().await.map_err(HandshakeError::Io)?;
        match tls.receive(socket, &mut [], |bytes| hello.hear(bytes)) {
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
            Err(e) => return Err(HandshakeError::Io(e)),
            Ok(_) => judge(socket, tls, hello)?,
        }
    }
}

/// Whether a handshake can go on after what was just read.
fn judge(socket: &Socket, tls: &mut Tls, hello: &Hello) -> Result<(), HandshakeError> {
    match tls.end() {
        Some(End::Failed(error)) => {
            let error = HandshakeError::from(error.clone());
            if let Some(language) = NotTls::judge(&hello.start) {
                // An alert would be noise to it (as the originals).
                tls.hush();
                return Err(HandshakeError::NotTls(language));
            }
            // One attempt: the peer is told why if it listens at all.
            let _ = tls.flush(socket);
            Err(error)
        }
        Some(_) if tls.role().state().is_handshaking() => Err(HandshakeError::Closed),
        // It has said its last word right behind the handshake; that is for the reader to hear.
        Some(_) | None => Ok(()),
    }
}

fn facts(role: &Role, server_name: Option<String>) -> Facts {
    let state = role.state();
    let suite = state.negotiated_cipher_suite().expect("a handshake that is complete has a cipher suite");
    Facts {
        version: state.protocol_version().expect("a handshake that is complete has a version"),
        suite: suite.suite(),
        server_name,
        alpn: state.alpn_protocol().map(<[u8]>::to_vec),
        certificates: state.peer_certificates().map(<[_]>::to_vec).unwrap_or_default(),
        resumed: state.handshake_kind() == Some(HandshakeKind::Resumed),
    }
}

/// What is overheard of the first message: rustls's unbuffered connections do not tell the SNI name, but its acceptor
/// does, from the same bytes and with the same parser.
#[derive(Default)]
struct Hello {
    acceptor: Option<Acceptor>,
    server_name: Option<String>,
    /// The first bytes of the connection.
    start: Vec<u8>,
}

/// Bytes by which a language is known.
const START: usize = 8;

impl Hello {
    fn expected() -> Self {
        Self { acceptor: Some(Acceptor::default()), ..Self::default() }
    }

    fn hear(&mut self, mut bytes: &[u8]) {
        let missing = START - self.start.len();
        self.start.extend_from_slice(&bytes[..bytes.len().min(missing)]);
        while !bytes.is_empty()
            && let Some(acceptor) = &mut self.acceptor
        {
            // What is wrong with the message is the connection's to say.
            let heard = acceptor.read_tls(&mut bytes).ok().filter(|&n| n > 0);
            match heard.and_then(|_| acceptor.accept().ok()) {
                Some(None) => {}
                Some(Some(accepted)) => {
                    self.server_name = accepted.client_hello().server_name().map(str::to_owned);
                    self.acceptor = None;
                }
                None => self.acceptor = None,
            }
        }
    }
}
