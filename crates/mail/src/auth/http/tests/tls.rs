//! `https://`: who is believed.

use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::RootCertStore;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::peer::{Peer, Play};
use super::*;

/// A certificate authority of the test's own.
struct Ca(CertifiedIssuer<'static, KeyPair>);

impl Ca {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        Self(CertifiedIssuer::self_signed(params, key).expect("a certificate"))
    }

    fn roots(&self) -> Arc<RootCertStore> {
        let mut roots = RootCertStore::empty();
        roots.add(self.0.der().clone()).expect("a root");
        Arc::new(roots)
    }

    /// A server that has proof of being `name`.
    fn acceptor(&self, name: &str) -> TlsAcceptor {
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new(vec![name.to_owned()]).expect("a name");
        let certificate = params.signed_by(&key, &self.0).expect("a certificate");
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .expect("a configuration");
        TlsAcceptor::from(Arc::new(config))
    }
}

fn authority(target: Target, host: &str, roots: Arc<RootCertStore>) -> HttpAuthority {
    let mut url = url(target);
    url.tls = true;
    url.host = host.to_owned();
    HttpAuthority::with_roots(&settings([url]), Arc::new(Names::default()), || Ok(roots))
        .expect("an authority")
}

#[tokio::test]
async fn a_server_that_proves_its_name_is_asked_and_its_connection_kept() {
    let ca = Ca::new();
    for (name, host) in [("auth.example", "auth.example"), ("127.0.0.1", "127.0.0.1"), ("::1", "[::1]")] {
        let peer = Peer::tls(ca.acceptor(name), [Play::answer(GRANT)]).await;
        let authority = authority(peer.target(), host, ca.roots());
        for _ in 0..2 {
            assert_eq!(short(&ask(&authority, &login()).await), "127.0.0.1:143 as u/p", "{name}");
            assert!(idles(&authority, 1).await, "{name}");
        }
        assert_eq!(peer.seen().opened, 1, "{name}");
        assert_eq!(peer.header(0, "Host").as_deref(), Some(host));
    }
}

#[tokio::test]
async fn an_answer_cut_short_is_the_same_with_and_without_a_farewell() {
    let ca = Ca::new();
    let start = b"HTTP/1.1 200 OK\r\nAuth-";
    for play in [Play::answer_and_close(start), Play::AnswerAndVanish(start.to_vec())] {
        let peer = Peer::tls(ca.acceptor("auth.example"), [play]).await;
        let verdict = ask(&authority(peer.target(), "auth.example", ca.roots()), &login()).await;
        assert!(matches!(verdict, Verdict::Failed(Failure::Closed { .. })), "{}", short(&verdict));
    }
}

#[tokio::test]
async fn nobody_else_hears_a_password() {
    let (ca, other) = (Ca::new(), Ca::new());
    let cases = [
        ("another name", ca.acceptor("other.example"), ca.roots()),
        ("an unknown authority", other.acceptor("auth.example"), ca.roots()),
    ];
    for (what, acceptor, roots) in cases {
        let peer = Peer::tls(acceptor, [Play::answer(GRANT)]).await;
        let verdict = ask(&authority(peer.target(), "auth.example", roots), &login()).await;
        assert!(matches!(verdict, Verdict::Failed(Failure::Tls { .. })), "{what}: {}", short(&verdict));
        assert_eq!(peer.seen().requests.len(), 0, "{what}");
    }
}

#[tokio::test]
async fn a_server_without_tls_hears_no_password() {
    const HANDSHAKE_RECORD: u8 = 22;
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a socket");
    let target = Target::Ip(listener.local_addr().expect("an address"));
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await?;
        let first = stream.read_u8().await?;
        stream.write_all(GRANT.as_bytes()).await?;
        io::Result::Ok(first)
    });
    let verdict = ask(&authority(target, "auth.example", Ca::new().roots()), &login()).await;
    assert!(matches!(verdict, Verdict::Failed(Failure::Tls { .. })), "{}", short(&verdict));
    assert_eq!(server.await.expect("no panic").expect("a byte"), HANDSHAKE_RECORD);
}
