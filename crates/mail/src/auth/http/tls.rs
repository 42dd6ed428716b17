//! TLS towards auth servers: who they are is checked against the system's roots.

use std::io;
use std::sync::Arc;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, Error, InvalidMessage, RootCertStore};

use super::SetupError;
use crate::files::Files;
use crate::link::{HandshakeError, Link};

/// How to secure connections to one auth server.
pub(super) struct Tls {
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
}

impl Tls {
    /// TLS 1.2 and up, towards `host` as a URL has it, IPv6 addresses in brackets.
    pub(super) fn new(host: &str, config: &Arc<ClientConfig>) -> Result<Self, SetupError> {
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let name = ServerName::try_from(bare.to_owned()).map_err(|_| SetupError::Name(host.to_owned()))?;
        Ok(Self { config: Arc::clone(config), name })
    }

    /// The handshake; it fails unless the server proves its name.
    pub(super) async fn secure(&self, link: &mut Link) -> io::Result<()> {
        let facts = link.connect_tls(Arc::clone(&self.config), self.name.clone()).await;
        facts.map(drop).map_err(plain_words)
    }
}

/// In rustls's words: the originals speak no TLS with auth servers, so none of OpenSSL's are expected.
fn plain_words(error: HandshakeError) -> io::Error {
    let error = match error {
        HandshakeError::Io(error) => return error,
        HandshakeError::Closed => {
            return io::Error::new(io::ErrorKind::UnexpectedEof, "tls handshake eof");
        }
        HandshakeError::Tls(error) => error,
        HandshakeError::Alert(alert) => Error::AlertReceived(alert),
        HandshakeError::NoAlpn => Error::NoApplicationProtocol,
        HandshakeError::NotTls(_) => InvalidMessage::InvalidContentType.into(),
    };
    io::Error::new(io::ErrorKind::InvalidData, error)
}

/// A client that believes in `roots`.
pub(super) fn config(roots: Arc<RootCertStore>) -> Result<Arc<ClientConfig>, SetupError> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// The system's trusted roots, of which there must be some.
pub(super) fn system_roots(files: &Files) -> Result<Arc<RootCertStore>, SetupError> {
    Some(files.system_roots()).filter(|roots| !roots.is_empty()).ok_or(SetupError::NoRoots)
}
