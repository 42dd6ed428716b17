//! Client certificates: what is asked, what is thought, what the auth server hears.

use std::sync::Mutex;

use proto::auth_http::Verify;
use rustls::SignatureScheme;
use rustls::client::ResolvesClientCert;
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::sign::CertifiedKey;

use super::*;
use crate::tls::testing::{End, Ends, client, name, new_key, openssl, params, self_signed};
use crate::tls::{ClientCertificate, Rejection, Verified, VerifyClient, VerifyError};

/// Has a certificate, and remembers whose certificates it was asked for.
#[derive(Debug)]
struct Has {
    certified: Arc<CertifiedKey>,
    hints: Mutex<Vec<Vec<u8>>>,
}

impl Has {
    /// `key` need not be the key of the first certificate.
    fn new(chain: Vec<rustls::pki_types::CertificateDer<'static>>, key: &rcgen::KeyPair) -> Arc<Self> {
        let key = PrivatePkcs8KeyDer::from(key.serialize_der()).into();
        let key = rustls::crypto::aws_lc_rs::sign::any_supported_type(&key).expect("a key");
        Arc::new(Self { certified: Arc::new(CertifiedKey::new(chain, key)), hints: Mutex::default() })
    }

    fn of(leaf: &Leaf) -> Arc<Self> {
        Self::new(vec![leaf.der.clone()], &leaf.key)
    }
}

impl ResolvesClientCert for Has {
    fn resolve(&self, hints: &[&[u8]], _schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        *self.hints.lock().expect("not poisoned") = hints.iter().map(|hint| hint.to_vec()).collect();
        Some(Arc::clone(&self.certified))
    }

    fn has_certs(&self) -> bool {
        true
    }
}

/// A server that trusts "client ca" for clients.
fn scene(mode: VerifyClient) -> (Scene, Ca) {
    let mut scene = Scene::new();
    let authority = Ca::new("client ca");
    scene.settings.verify_client = mode;
    scene.settings.client_certificate = Some(scene.files.add("clients.pem", authority.pem()));
    (scene, authority)
}

/// What the server thinks of a client with this certificate, or none.
fn judged(
    scene: &Scene,
    version: &'static SupportedProtocolVersion,
    has: Option<&Arc<Has>>,
) -> Result<Option<ClientCertificate>, End> {
    let builder = scene.client_builder(&[version]);
    let client = match has {
        Some(has) => builder.with_client_cert_resolver(Arc::clone(has) as _),
        None => builder.with_no_client_auth(),
    };
    let server = scene.build();
    let ends = Ends::meet(&Arc::new(client), &server.config, name("mail.example"))?;
    Ok(server.judge(ends.server.peer_certificates()))
}

#[test]
fn every_mode_has_its_answer_to_every_client() {
    use VerifyClient::{Off, On, Optional, OptionalNoCa};
    let bad = |error| Some(Rejection::Bad(error));
    for version in VERSIONS {
        for (mode, missing, stranger, expired) in [
            (On, Some(Rejection::Missing), bad(VerifyError::NoChain), bad(VerifyError::Expired)),
            (Optional, None, bad(VerifyError::NoChain), bad(VerifyError::Expired)),
            (OptionalNoCa, None, None, bad(VerifyError::Expired)),
        ] {
            let (scene, authority) = scene(mode);
            let good = authority.sign(&client("good"), new_key());
            let mut old = client("old");
            old.not_after = rcgen::date_time_ymd(2029, 1, 1);
            let old = authority.sign(&old, new_key());
            let strange = Ca::new("stranger").sign(&client("strange"), new_key());
            let rejection = |has: Option<&Leaf>| {
                let certificate = judged(&scene, version, has.map(Has::of).as_ref()).expect("a handshake");
                certificate.expect("asked for").rejection()
            };
            assert_eq!(rejection(None), missing, "{mode:?}");
            assert_eq!(rejection(Some(&good)), None, "{mode:?}");
            assert_eq!(rejection(Some(&strange)), stranger, "{mode:?}");
            assert_eq!(rejection(Some(&old)), expired, "{mode:?}");
        }
        let (scene, authority) = scene(Off);
        let good = authority.sign(&client("good"), new_key());
        assert_eq!(judged(&scene, version, Some(&Has::of(&good))), Ok(None));
    }
}

#[test]
fn optional_no_ca_puts_up_with_missing_trust_only() {
    let (mut scene, authority) = scene(VerifyClient::OptionalNoCa);
    scene.settings.client_certificate = None;
    let alone = self_signed(&client("alone"));
    let strange = authority.sign(&client("strange"), new_key());
    for (leaf, error) in [(&alone, VerifyError::SelfSigned), (&strange, VerifyError::NoChain)] {
        let certificate =
            judged(&scene, VERSIONS[1], Some(&Has::of(leaf))).expect("a handshake").expect("asked for");
        assert_eq!((certificate.result, certificate.rejection()), (Verified::Failed(error), None));
    }
    let list = crate::tls::names::pem(&authority.list(&[5], (2029, 2031))).replace("CERTIFICATE", "X509 CRL");
    scene.settings.crl = Some(scene.files.add("crl.pem", list));
    scene.settings.client_certificate = Some(scene.files.add("clients.pem", authority.pem()));
    let mut revoked = client("revoked");
    revoked.serial_number = Some(rcgen::SerialNumber::from_slice(&[5]));
    let revoked = authority.sign(&revoked, new_key());
    let certificate =
        judged(&scene, VERSIONS[1], Some(&Has::of(&revoked))).expect("a handshake").expect("asked for");
    assert_eq!(certificate.rejection(), Some(Rejection::Bad(VerifyError::Revoked)));
}

#[test]
fn rejections_are_logged_in_the_words_of_the_originals() {
    let bad = Rejection::Bad(VerifyError::SelfSigned);
    assert_eq!(bad.to_string(), "client SSL certificate verify error: (18:self-signed certificate)");
    assert_eq!(Rejection::Missing.to_string(), "client sent no required SSL certificate");
}

#[test]
fn only_authorities_of_ssl_client_certificate_are_named() {
    let (mut scene, authority) = scene(VerifyClient::Optional);
    let other = Ca::new("other");
    scene.settings.trusted_certificate = Some(scene.files.add("trusted.pem", other.pem()));
    let has = Has::of(&other.sign(&client("good"), new_key()));
    for version in VERSIONS {
        let certificate = judged(&scene, version, Some(&has)).expect("a handshake").expect("asked for");
        assert_eq!(certificate.result, Verified::Success);
        let subject = crate::tls::x509::parse(&authority.der()).map(|ca| ca.subject().as_raw().to_vec());
        assert_eq!(*has.hints.lock().expect("not poisoned"), [subject.expect("a subject")]);
    }
}

#[test]
fn a_certificate_without_its_key_ends_the_handshake() {
    for mode in [VerifyClient::On, VerifyClient::OptionalNoCa] {
        let (scene, authority) = scene(mode);
        let good = authority.sign(&client("good"), new_key());
        let thief = Has::new(vec![good.der], &new_key());
        for version in VERSIONS {
            let result = judged(&scene, version, Some(&thief));
            assert!(matches!(result, Err(End::Server(rustls::Error::InvalidCertificate(_)))), "{result:?}");
        }
    }
}

#[test]
fn certificates_of_the_first_version_get_through_the_handshake() {
    let (scene, authority) = scene(VerifyClient::On);
    let key = new_key();
    let key_pem = crate::tls::names::pem(&key.serialize_der()).replace("CERTIFICATE", "PRIVATE KEY");
    let old = openssl::version_1_by(key_pem.as_bytes(), Some((&authority.pem(), &authority.key_pem())));
    let old = openssl::run(&["x509", "-outform", "DER"], &old);
    let has = Has::new(vec![old.into()], &key);
    for version in VERSIONS {
        let certificate = judged(&scene, version, Some(&has)).expect("a handshake").expect("asked for");
        assert_eq!(certificate.result, Verified::Success);
    }
}

#[test]
fn rsa_keys_sign_in_both_versions() {
    let (scene, authority) = scene(VerifyClient::On);
    let has = Has::of(&authority.rsa_leaf("client.example"));
    for version in VERSIONS {
        let certificate = judged(&scene, version, Some(&has)).expect("a handshake").expect("asked for");
        assert_eq!(certificate.result, Verified::Success);
    }
}

#[test]
fn the_auth_server_hears_of_the_certificate() {
    let (scene, authority) = scene(VerifyClient::Optional);
    let mut params = params("good");
    params.distinguished_name.push(rcgen::DnType::OrganizationName, "Ex ample, Inc");
    params.serial_number = Some(rcgen::SerialNumber::from_slice(&[0xab, 0xcd]));
    let good = authority.sign(&params, new_key());
    let certificate =
        judged(&scene, VERSIONS[1], Some(&Has::of(&good))).expect("a handshake").expect("asked for");
    let verification = certificate.verification(true);
    let told = verification.certificate.expect("a certificate");
    assert_eq!(verification.result, Verify::Success);
    assert_eq!(
        (&*told.subject, &*told.issuer, &*told.serial),
        ("O=Ex ample\\, Inc,CN=good", "CN=client ca", "ABCD")
    );
    assert_eq!(told.pem, Some(good.pem()));
    assert_eq!(certificate.verification(false).certificate.expect("a certificate").pem, None);

    let none = judged(&scene, VERSIONS[1], None).expect("a handshake").expect("asked for").verification(true);
    assert_eq!((none.result, none.certificate), (Verify::None, None));
    let strange = Has::of(&Ca::new("stranger").sign(&client("strange"), new_key()));
    let failed = judged(&scene, VERSIONS[1], Some(&strange)).expect("a handshake").expect("asked for");
    let reason = "unable to verify the first certificate";
    assert_eq!(failed.verification(false).result, Verify::Failed(reason.into()));
}
