//! TLS towards auth servers: who they are is checked against the system's roots.

use std::io;
use std::sync::Arc;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio_rustls::TlsConnector;

use super::SetupError;
use super::connection::Stream;
use crate::files::Files;

/// How to secure connections to one auth server.
pub(super) struct Tls {
    connector: TlsConnector,
    name: ServerName<'static>,
}

impl Tls {
    /// TLS 1.2 and up, towards `host` as a URL has it, IPv6 addresses in brackets.
    pub(super) fn new(host: &str, config: &Arc<ClientConfig>) -> Result<Self, SetupError> {
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let name = ServerName::try_from(bare.to_owned()).map_err(|_| SetupError::Name(host.to_owned()))?;
        Ok(Self { connector: TlsConnector::from(Arc::clone(config)), name })
    }

    /// The handshake; it fails unless the server proves its name.
    pub(super) async fn secure(&self, stream: Box<dyn Stream>) -> io::Result<Box<dyn Stream>> {
        Ok(Box::new(self.connector.connect(self.name.clone(), stream).await?))
    }
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
