//! Links against other implementations of TLS: rustls as others drive it, and OpenSSL.

use std::io;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use bytes::BytesMut;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, IsCa, KeyPair};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, RootCertStore, ServerConfig, SupportedProtocolVersion};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::time::{sleep, timeout};
use tokio_rustls::{TlsAcceptor, TlsConnector, TlsStream};

use super::*;
use crate::scratch;

mod broken;
mod facts;
mod openssl;
mod posted;
mod records;
mod relayed;
mod talk;

const NAME: &str = "mail.example";

/// A certificate authority, and whom it has vouched for.
struct Pki {
    ca: CertifiedIssuer<'static, KeyPair>,
    server: Identity,
    client: Identity,
}

struct Identity {
    certificate: rcgen::Certificate,
    key: KeyPair,
}

impl Identity {
    fn new(name: &str, ca: &CertifiedIssuer<'static, KeyPair>) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.distinguished_name = distinguished(name);
        Self { certificate: params.signed_by(&key, ca).unwrap(), key }
    }

    fn chain(&self) -> Vec<CertificateDer<'static>> {
        vec![self.certificate.der().clone()]
    }

    fn key(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(self.key.serialize_der()))
    }
}

fn distinguished(name: &str) -> DistinguishedName {
    let mut distinguished = DistinguishedName::new();
    distinguished.push(DnType::CommonName, name);
    distinguished
}

fn authority(name: &str) -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name = distinguished(name);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

static PKI: LazyLock<Pki> = LazyLock::new(|| {
    let ca = authority("the authority");
    let (server, client) = (Identity::new(NAME, &ca), Identity::new("client.example", &ca));
    Pki { ca, server, client }
});

type Version = &'static SupportedProtocolVersion;

fn roots() -> Arc<RootCertStore> {
    believing(&PKI.ca)
}

fn believing(ca: &CertifiedIssuer<'static, KeyPair>) -> Arc<RootCertStore> {
    let mut roots = RootCertStore::empty();
    roots.add(ca.der().clone()).unwrap();
    Arc::new(roots)
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

fn server_config(version: Version) -> ServerConfig {
    ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[version])
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(PKI.server.chain(), PKI.server.key())
        .unwrap()
}

fn client_config(version: Version) -> ClientConfig {
    client_believing(roots(), version)
}

fn client_believing(roots: Arc<RootCertStore>, version: Version) -> ClientConfig {
    ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[version])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth()
}

fn name() -> ServerName<'static> {
    ServerName::try_from(NAME).unwrap()
}

/// Which side is ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ours {
    Server,
    Client,
}

/// Everything that a link can be.
const ALL: [(Ours, Version); 4] =
    [(Ours::Server, &TLS12), (Ours::Server, &TLS13), (Ours::Client, &TLS12), (Ours::Client, &TLS13)];

/// The other side, as others drive rustls.
type Peer = TlsStream<UnixStream>;

/// A link and its peer after the handshake.
async fn secured(ours: Ours, version: Version, wire: (UnixStream, UnixStream)) -> (Link, Peer, Facts) {
    secured_with(ours, server_config(version), client_config(version), wire).await
}

async fn secured_with(
    ours: Ours,
    server: impl Into<Arc<ServerConfig>>,
    client: impl Into<Arc<ClientConfig>>,
    wire: (UnixStream, UnixStream),
) -> (Link, Peer, Facts) {
    let (server, client) = (server.into(), client.into());
    let mut link = Link::from(wire.0);
    let (facts, peer) = match ours {
        Ours::Server => {
            let peer = TlsConnector::from(client).connect(name(), wire.1);
            let (facts, peer) = tokio::join!(link.accept_tls(server), peer);
            (facts, peer.map(TlsStream::Client))
        }
        Ours::Client => {
            let peer = TlsAcceptor::from(server).accept(wire.1);
            let (facts, peer) = tokio::join!(link.connect_tls(client, name()), peer);
            (facts, peer.map(TlsStream::Server))
        }
    };
    (link, peer.unwrap(), facts.unwrap())
}

/// A wire that passes one byte at a time.
fn dripping() -> (UnixStream, UnixStream) {
    let (near, near_end) = UnixStream::pair().unwrap();
    let (far, far_end) = UnixStream::pair().unwrap();
    let (near_read, near_write) = near_end.into_split();
    let (far_read, far_write) = far_end.into_split();
    tokio::spawn(drip(near_read, far_write));
    tokio::spawn(drip(far_read, near_write));
    (near, far)
}

async fn drip(mut from: impl AsyncReadExt + Unpin, mut to: impl AsyncWriteExt + Unpin) {
    while let Ok(byte) = from.read_u8().await {
        if to.write_u8(byte).await.is_err() {
            return;
        }
        // So that the reader has seen it before the next one comes.
        yield_now().await;
    }
    let _ = to.shutdown().await;
}

/// What there is to read next.
async fn next(link: &mut Link) -> io::Result<BytesMut> {
    let mut bytes = BytesMut::new();
    scratch::read(link, &mut bytes, scratch::SIZE).await?;
    Ok(bytes)
}

/// Exactly `length` bytes.
async fn exactly(link: &mut Link, length: usize) -> BytesMut {
    let mut bytes = BytesMut::new();
    while bytes.len() < length {
        let left = length - bytes.len();
        assert_ne!(scratch::read(link, &mut bytes, left).await.unwrap(), 0, "{} of {length}", bytes.len());
    }
    bytes
}

/// All there is until the end, and the end.
async fn all(link: &mut Link) -> (BytesMut, io::Result<()>) {
    let mut bytes = BytesMut::new();
    loop {
        match scratch::read(link, &mut bytes, scratch::SIZE).await {
            Ok(0) => return (bytes, Ok(())),
            Ok(_) => {}
            Err(e) => return (bytes, Err(e)),
        }
    }
}

async fn read(peer: &mut Peer, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    peer.read_exact(&mut bytes).await.unwrap();
    bytes
}

/// Whether nothing happens to `future`, however long one waits. The clock must be paused; a busy loop would hang here.
async fn waits<T>(future: impl Future<Output = T>) -> bool {
    timeout(Duration::from_hours(1), future).await.is_err()
}

/// Numbers that look random and are the same each time (xorshift).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % limit as u64).unwrap()
    }

    fn bytes(&mut self, length: usize) -> Vec<u8> {
        (0..length.div_ceil(8)).flat_map(|_| self.next().to_le_bytes()).take(length).collect()
    }
}
