//! Versions, suites, groups, ALPN, SNI.

use std::sync::atomic::{AtomicUsize, Ordering};

use rustls::CertificateCompressionAlgorithm;
use rustls::compress::{CertDecompressor, DecompressionFailed, ZLIB_DECOMPRESSOR};
use rustls::crypto::aws_lc_rs;
use rustls::crypto::aws_lc_rs::{cipher_suite as suite, kx_group};
use rustls::{CipherSuite, NamedGroup, ProtocolVersion, SupportedCipherSuite};

use super::*;
use crate::tls::protocols::Version;
use crate::tls::testing::{End, Ends, name};

/// What a handshake with a client of these versions comes to.
fn meet(scene: &Scene, versions: &[&'static SupportedProtocolVersion]) -> Result<Ends, End> {
    Ends::meet(&Arc::new(scene.client(versions)), &scene.build().config, name("mail.example"))
}

#[test]
fn versions_that_are_listed_are_spoken() {
    let mut scene = Scene::new();
    let cases = [
        (&[Version::Tls12][..], &VERSIONS[..], Some(ProtocolVersion::TLSv1_2)),
        (&[Version::Tls13], &VERSIONS[..], Some(ProtocolVersion::TLSv1_3)),
        (&[Version::Tls1, Version::Tls12, Version::Tls13], &VERSIONS[..], Some(ProtocolVersion::TLSv1_3)),
        (&[Version::Tls12], &VERSIONS[1..], None),
        (&[Version::Tls13], &VERSIONS[..1], None),
    ];
    for (listed, offered, expected) in cases {
        scene.settings.protocols = listed.to_vec();
        let spoken =
            meet(&scene, offered).ok().map(|ends| ends.server.protocol_version().expect("a version"));
        assert_eq!(spoken, expected, "{listed:?}");
    }
}

#[test]
fn alpn_is_enforced_when_it_is_offered() {
    let scene = Scene::new();
    let server = scene.build();
    for versions in VERSIONS {
        for (offered, expected) in [
            (&["imap"][..], Ok(Some(&b"imap"[..]))),
            (&["h2", "imap"], Ok(Some(b"imap"))),
            (&[], Ok(None)),
            (&["IMAP"], Err(())),
            (&["smtp", "http/1.1"], Err(())),
        ] {
            let mut client = scene.client(&[versions]);
            client.alpn_protocols = offered.iter().map(|name| name.as_bytes().to_vec()).collect();
            let ends = Ends::meet(&Arc::new(client), &server.config, name("mail.example"));
            match (ends, expected) {
                (Ok(ends), Ok(expected)) => assert_eq!(ends.server.alpn_protocol(), expected),
                (Err(End::Server(error)), Err(())) => assert_eq!(error, rustls::Error::NoApplicationProtocol),
                (ends, _) => panic!("{offered:?}: {:?}", ends.err()),
            }
        }
    }
}

/// A client with `suites` in its order of preference.
fn with_suites(scene: &Scene, suites: &[SupportedCipherSuite]) -> Arc<ClientConfig> {
    let mut provider = aws_lc_rs::default_provider();
    provider.cipher_suites = suites.to_vec();
    let can = |version: &&_| suites.iter().any(|suite| suite.version() == *version);
    let versions: Vec<_> = VERSIONS.into_iter().filter(can).collect();
    Arc::new(scene.client_of(provider, &versions).with_no_client_auth())
}

#[test]
fn suites_are_those_of_the_list_in_the_order_of_who_prefers() {
    let mut scene = Scene::new();
    let client = [
        suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
        suite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
        suite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
    ];
    let cases = [
        ("HIGH", false, Some(CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256)),
        ("HIGH", true, Some(CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384)),
        ("CHACHA20:AES256", false, Some(CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384)),
        ("CHACHA20:AES256", true, Some(CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256)),
        ("aRSA", false, None),
    ];
    for (ciphers, prefer, expected) in cases {
        scene.settings.ciphers = ciphers.into();
        scene.settings.prefer_server_ciphers = prefer;
        let ends = Ends::meet(&with_suites(&scene, &client), &scene.build().config, name("mail.example"));
        let chosen = ends.ok().map(|ends| ends.server.negotiated_cipher_suite().expect("a suite").suite());
        assert_eq!(chosen, expected, "{ciphers} {prefer}");
    }
}

#[test]
fn the_list_does_not_touch_tls_1_3_but_a_command_does() {
    let mut scene = Scene::new();
    scene.settings.ciphers = "AES256".into();
    let client =
        with_suites(&scene, &[suite::TLS13_AES_128_GCM_SHA256, suite::TLS13_CHACHA20_POLY1305_SHA256]);
    let chosen = |scene: &Scene| {
        let ends = Ends::meet(&client, &scene.build().config, name("mail.example")).expect("a handshake");
        ends.server.negotiated_cipher_suite().expect("a suite").suite()
    };
    assert_eq!(chosen(&scene), CipherSuite::TLS13_AES_128_GCM_SHA256);
    let command =
        |name: &str, value: &str| crate::tls::ConfCommand { name: name.into(), value: value.into() };
    scene.settings.conf_commands = vec![command("Ciphersuites", "TLS_CHACHA20_POLY1305_SHA256")];
    assert_eq!(chosen(&scene), CipherSuite::TLS13_CHACHA20_POLY1305_SHA256);
}

#[test]
fn groups_are_those_of_the_list() {
    let mut scene = Scene::new();
    let mut provider = aws_lc_rs::default_provider();
    provider.kx_groups = vec![kx_group::X25519MLKEM768, kx_group::X25519, kx_group::SECP384R1];
    let client = Arc::new(scene.client_of(provider, &VERSIONS).with_no_client_auth());
    for (curves, expected) in [
        ("auto", Some(NamedGroup::X25519MLKEM768)),
        ("X25519:secp384r1", Some(NamedGroup::X25519)),
        ("prime256v1:secp384r1", Some(NamedGroup::secp384r1)),
        ("prime256v1", None),
    ] {
        scene.settings.ecdh_curve = curves.into();
        let ends = Ends::meet(&client, &scene.build().config, name("mail.example"));
        let group =
            ends.ok().map(|ends| ends.server.negotiated_key_exchange_group().expect("a group").name());
        assert_eq!(group, expected, "{curves}");
    }
}

#[test]
fn the_certificate_is_that_of_the_name() {
    let mut scene = Scene::new();
    let other = scene.ca.leaf("*.other.example");
    scene.add(&other);
    let server = scene.build();
    for (asked, matches) in
        [("mail.example", true), ("imap.other.example", true), ("a.b.other.example", false)]
    {
        for versions in VERSIONS {
            let client = Arc::new(scene.client(&[versions]));
            let ends = Ends::meet(&client, &server.config, name(asked));
            assert_eq!(ends.is_ok(), matches, "{asked}");
            if let Ok(ends) = ends {
                assert_eq!(ends.server.server_name(), Some(asked));
            }
        }
    }
}

#[test]
fn the_type_of_certificate_is_one_that_the_client_can_verify() {
    let mut scene = Scene::bare();
    let (ec, rsa) = (scene.ca.leaf("mail.example"), scene.ca.rsa_leaf("mail.example"));
    scene.add(&ec);
    scene.add(&rsa);
    let server = scene.build();
    let cases = [
        (suite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, &rsa),
        (suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, &ec),
    ];
    for (suite, leaf) in cases {
        let ends = Ends::meet(&with_suites(&scene, &[suite]), &server.config, name("mail.example")).ok();
        let ends = ends.expect("a handshake");
        assert_eq!(ends.client.peer_certificates(), Some(&[leaf.der.clone()][..]));
    }
}

/// Unpacks certificates, and counts how many.
#[derive(Debug)]
struct Counting(AtomicUsize);

impl CertDecompressor for Counting {
    fn decompress(&self, input: &[u8], output: &mut [u8]) -> Result<(), DecompressionFailed> {
        self.0.fetch_add(1, Ordering::Relaxed);
        ZLIB_DECOMPRESSOR.decompress(input, output)
    }

    fn algorithm(&self) -> CertificateCompressionAlgorithm {
        ZLIB_DECOMPRESSOR.algorithm()
    }
}

#[test]
fn certificates_are_compressed_when_asked() {
    static UNPACKED: Counting = Counting(AtomicUsize::new(0));
    let mut scene = Scene::new();
    for (on, expected) in [(false, 0), (true, 1)] {
        scene.settings.certificate_compression = on;
        let server = scene.build();
        assert!(server.config.cert_decompressors.is_empty());
        let mut client = scene.client(&VERSIONS);
        client.cert_decompressors = vec![&UNPACKED];
        assert!(Ends::meet(&Arc::new(client), &server.config, name("mail.example")).is_ok());
        assert_eq!(UNPACKED.0.load(Ordering::Relaxed), expected);
    }
}

#[test]
fn there_is_no_early_data() {
    let scene = Scene::new();
    let server = scene.build();
    let mut client = scene.client(&VERSIONS);
    client.enable_early_data = true;
    let client = Arc::new(client);
    for _ in 0..2 {
        let mut ends = Ends::meet(&client, &server.config, name("mail.example")).expect("a handshake");
        assert!(ends.client.early_data().is_none() && !ends.client.is_early_data_accepted());
        assert!(ends.server.early_data().is_none());
    }
}
