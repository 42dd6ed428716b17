//! Connections to a proxy, in clear and over TLS.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll};

use nix::sys::socket::{setsockopt, sockopt};
use rustls::client::Resumption;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpSocket, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::Aim;
use crate::certificates::NAME;

/// Clients come from this many addresses 127.0.0.N in turn, so that ports do not run out.
const SOURCES: u8 = 8;

/// A client's end of a connection.
pub(super) type Wire = crate::wire::Wire<Stream>;

/// A proxy to connect to.
#[derive(Clone)]
pub(super) struct Target {
    pub(super) aim: Aim,
    tls: Option<TlsConnector>,
    turn: Arc<AtomicU8>,
}

impl Target {
    pub(super) fn new(aim: Aim) -> io::Result<Self> {
        let tls = aim.certificate.as_deref().map(connector).transpose()?;
        Ok(Self { aim, tls, turn: Arc::default() })
    }

    pub(super) async fn connect(&self, address: SocketAddr) -> io::Result<Wire> {
        let stream = self.socket()?.connect(address).await?;
        let stream = match &self.tls {
            None => Stream::Plain(stream),
            Some(connector) => {
                let name = ServerName::try_from(NAME).map_err(io::Error::other)?;
                Stream::Tls(Box::new(connector.connect(name, stream).await?))
            }
        };
        Ok(Wire::new(stream))
    }

    fn socket(&self) -> io::Result<TcpSocket> {
        let socket = TcpSocket::new_v4()?;
        socket.set_nodelay(true)?;
        let source = Ipv4Addr::new(127, 0, 0, 1 + self.turn.fetch_add(1, Ordering::Relaxed) % SOURCES);
        // The port is chosen at connect, when the kernel knows the other end and may use one port for several.
        setsockopt(&socket, sockopt::IpBindAddressNoPort, &true)?;
        socket.bind((source, 0).into())?;
        Ok(socket)
    }
}

/// Full handshakes of one kind (TLS 1.3, X25519, AES-256-GCM) whatever the proxy would choose, so that every peer does
/// the same work.
fn connector(certificate: &Path) -> io::Result<TlsConnector> {
    let mut provider = aws_lc_rs::default_provider();
    provider.kx_groups = vec![aws_lc_rs::kx_group::X25519];
    provider.cipher_suites = vec![aws_lc_rs::cipher_suite::TLS13_AES_256_GCM_SHA384];
    let mut roots = RootCertStore::empty();
    let certificate = CertificateDer::from_pem_file(certificate).map_err(io::Error::other)?;
    roots.add(certificate).map_err(io::Error::other)?;
    let mut config = ClientConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(io::Error::other)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.resumption = Resumption::disabled();
    Ok(TlsConnector::from(Arc::new(config)))
}

/// A connection in clear or over TLS.
#[derive(Debug)]
pub(super) enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Stream {
    /// The socket below.
    pub(super) fn socket(&self) -> &TcpStream {
        match self {
            Self::Plain(stream) => stream,
            Self::Tls(stream) => stream.get_ref().0,
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
            Self::Tls(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(context),
            Self::Tls(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}
