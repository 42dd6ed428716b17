//! What is known after a handshake, and handshakes of every kind.

use rustls::server::WebPkiClientVerifier;
use rustls::{CipherSuite, ProtocolVersion};

use super::*;

#[tokio::test]
async fn a_handshake_tells_name_protocol_and_suite() {
    for version in [&TLS12, &TLS13] {
        let (mut server, mut client) = (server_config(version), client_config(version));
        server.alpn_protocols = vec![b"imap".to_vec()];
        client.alpn_protocols = vec![b"managesieve".to_vec(), b"imap".to_vec()];
        let (_link, peer, facts) =
            secured_with(Ours::Server, server, client, UnixStream::pair().unwrap()).await;
        assert_eq!(facts.server_name.as_deref(), Some(NAME));
        assert_eq!(facts.alpn.as_deref(), Some(&b"imap"[..]));
        assert_eq!(Some(facts.suite), peer.get_ref().1.negotiated_cipher_suite().map(|suite| suite.suite()));
        assert_eq!(facts.certificates, []);
        assert!(!facts.resumed);
    }
}

#[tokio::test]
async fn the_name_is_heard_however_the_first_message_is_cut() {
    let mut client = client_config(&TLS13);
    client.max_fragment_size = Some(40);
    let (_link, _peer, facts) = secured_with(Ours::Server, server_config(&TLS13), client, dripping()).await;
    assert_eq!(facts.server_name.as_deref(), Some(NAME));
}

#[tokio::test]
async fn a_client_without_name_and_protocol_is_fine() {
    let mut client = client_config(&TLS13);
    client.enable_sni = false;
    let mut server = server_config(&TLS13);
    server.alpn_protocols = vec![b"imap".to_vec()];
    let (_link, _peer, facts) = secured_with(Ours::Server, server, client, UnixStream::pair().unwrap()).await;
    assert_eq!((facts.server_name, facts.alpn), (None, None));
    assert_eq!(facts.version, ProtocolVersion::TLSv1_3);
    assert_eq!(facts.suite, CipherSuite::TLS13_AES_256_GCM_SHA384);
}

/// Configurations of two sides that both show these chains and believe in each other.
fn mutual(
    version: Version,
    chain: impl Fn(&Identity) -> Vec<CertificateDer<'static>>,
) -> (ServerConfig, ClientConfig) {
    let verifier = WebPkiClientVerifier::builder_with_provider(roots(), provider());
    let server = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[version])
        .unwrap()
        .with_client_cert_verifier(verifier.build().unwrap())
        .with_single_cert(chain(&PKI.server), PKI.server.key())
        .unwrap();
    let client = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[version])
        .unwrap()
        .with_root_certificates(roots())
        .with_client_auth_cert(chain(&PKI.client), PKI.client.key())
        .unwrap();
    (server, client)
}

#[tokio::test]
async fn certificates_of_both_sides_are_told() {
    for (ours, version) in ALL {
        let (server, client) = mutual(version, Identity::chain);
        let (_link, _peer, facts) = secured_with(ours, server, client, UnixStream::pair().unwrap()).await;
        let shown = match ours {
            Ours::Server => PKI.client.chain(),
            Ours::Client => PKI.server.chain(),
        };
        assert_eq!(facts.certificates, shown);
    }
}

/// A chain that takes several records to send. Only its first certificate matters.
fn long(identity: &Identity) -> Vec<CertificateDer<'static>> {
    let mut chain = identity.chain();
    chain.resize(120, PKI.ca.der().clone());
    assert!(chain.iter().map(|certificate| certificate.len()).sum::<usize>() > 40_000);
    chain
}

#[tokio::test]
async fn certificates_of_many_records_go_both_ways() {
    for (ours, version) in ALL {
        let (server, client) = mutual(version, long);
        let (_link, _peer, facts) = secured_with(ours, server, client, UnixStream::pair().unwrap()).await;
        assert_eq!(facts.certificates.len(), 120, "{ours:?} {version:?}");
    }
}

#[tokio::test]
async fn a_session_that_was_taken_up_again_is_told_as_such() {
    for (ours, version) in ALL {
        let (server, client) = (Arc::new(server_config(version)), Arc::new(client_config(version)));
        let mut resumed = Vec::new();
        for _ in 0..2 {
            let (server, client) = (Arc::clone(&server), Arc::clone(&client));
            let (mut link, mut peer, facts) =
                secured_with(ours, server, client, UnixStream::pair().unwrap()).await;
            resumed.push(facts.resumed);
            // In TLS 1.3 tickets come behind the handshake: whoever is the client has to read on.
            link.write_all(b"x").await.unwrap();
            read(&mut peer, 1).await;
            peer.write_all(b"y").await.unwrap();
            next(&mut link).await.unwrap();
        }
        assert_eq!(resumed, [false, true], "{ours:?} {version:?}");
    }
}
