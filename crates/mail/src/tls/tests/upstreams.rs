//! TLS with upstreams: who is believed.

use proto::Protocol;
use rcgen::{BasicConstraints, IsCa, SanType};
use rustls::HandshakeKind;
use rustls::pki_types::ServerName;

use super::*;
use crate::tls::testing::{End, Ends, client, name, new_key, params, self_signed};
use crate::tls::{ClientSettings, ClientTls, VerifyClient, VerifyError, Version};

/// Upstreams for tests, and whom we trust.
struct Upstreams {
    scene: Scene,
    settings: ClientSettings,
}

impl Upstreams {
    /// One upstream, mail.example, whose authority is trusted.
    fn new() -> Self {
        let mut scene = Scene::new();
        let trusted = scene.files.add("trusted.pem", scene.ca.pem());
        let settings = ClientSettings { trusted_certificate: Some(trusted), ..ClientSettings::default() };
        Self { scene, settings }
    }

    /// The upstream has this certificate instead.
    fn serve(&mut self, leaf: &Leaf) {
        (self.scene.settings.certificates, self.scene.settings.keys) = Default::default();
        self.scene.add(leaf);
    }

    fn build(&self) -> ClientTls {
        self.scene
            .files
            .with(|environment| ClientTls::build(&self.settings, environment))
            .expect("a client")
            .made
    }

    fn meet(&self, verify: Option<bool>, name: ServerName<'static>) -> Result<Ends, End> {
        Ends::meet(self.build().config(verify), &self.scene.build().config, name)
    }

    /// Why an upstream called `host` is not believed.
    fn refusal(&self, host: &str) -> Option<VerifyError> {
        match self.meet(None, name(host)) {
            Ok(_) => None,
            Err(End::Client(error)) => Some(ClientTls::verify_error(&error).expect("a reason")),
            Err(end) => panic!("{end:?}"),
        }
    }
}

#[test]
fn upstreams_must_be_vouched_for_and_have_the_name() {
    let mut upstreams = Upstreams::new();
    for version in Version::DEFAULT {
        upstreams.settings.protocols = vec![version];
        assert_eq!(upstreams.refusal("mail.example"), None);
        assert_eq!(upstreams.refusal("other.example"), Some(VerifyError::HostName));
        assert_eq!(upstreams.refusal("127.0.0.1"), Some(VerifyError::Address));
    }
    let mut old = params("mail.example");
    old.not_after = rcgen::date_time_ymd(2029, 1, 1);
    let cases = [
        (Ca::new("stranger").leaf("mail.example"), VerifyError::NoChain),
        (Ca::new("ca").leaf("mail.example"), VerifyError::NoChain),
        (self_signed(&params("mail.example")), VerifyError::SelfSigned),
        (upstreams.scene.ca.sign(&old, new_key()), VerifyError::Expired),
        (upstreams.scene.ca.sign(&client("mail.example"), new_key()), VerifyError::Purpose),
        (upstreams.scene.ca.leaf("mail"), VerifyError::HostName),
    ];
    for (leaf, error) in cases {
        upstreams.serve(&leaf);
        assert_eq!(upstreams.refusal("mail.example"), Some(error));
        assert!(
            upstreams.meet(Some(false), name("mail.example")).is_ok(),
            "{error}: a session may say otherwise"
        );
    }
}

#[test]
fn verification_can_be_off_but_for_a_session_that_asks_for_it() {
    let mut upstreams = Upstreams::new();
    upstreams.settings.verify = false;
    upstreams.serve(&self_signed(&params("mail.example")));
    assert_eq!(upstreams.refusal("other.example"), None);
    assert!(upstreams.meet(Some(true), name("mail.example")).is_err());
}

#[test]
fn a_self_signed_certificate_can_be_trusted_as_it_is() {
    let mut upstreams = Upstreams::new();
    let mut params = params("mail.example");
    // As `openssl req -x509` makes them.
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let leaf = self_signed(&params);
    upstreams.serve(&leaf);
    upstreams.settings.trusted_certificate = Some(upstreams.scene.files.add("trusted.pem", leaf.pem()));
    assert_eq!(upstreams.refusal("mail.example"), None);
    assert_eq!(upstreams.refusal("other.example"), Some(VerifyError::HostName));
}

#[test]
fn addresses_are_names_too() {
    let mut upstreams = Upstreams::new();
    let mut params = params("mail.example");
    params.subject_alt_names = ["192.0.2.1", "2001:db8::1"]
        .map(|address| SanType::IpAddress(address.parse().expect("an address")))
        .into();
    let leaf = upstreams.scene.ca.sign(&params, new_key());
    upstreams.serve(&leaf);
    assert_eq!(upstreams.refusal("192.0.2.1"), None);
    assert_eq!(upstreams.refusal("2001:db8::1"), None);
    assert_eq!(upstreams.refusal("192.0.2.2"), Some(VerifyError::Address));
    assert_eq!(upstreams.refusal("mail.example"), Some(VerifyError::HostName));
}

#[test]
fn the_name_is_that_of_the_session_or_the_setting_or_the_upstream() {
    let mut upstreams = Upstreams::new();
    let tls = upstreams.build();
    assert_eq!(tls.name(None, "mail.example").ok(), Some(name("mail.example")));
    assert_eq!(tls.name(None, "[2001:db8::1]").ok(), Some(name("2001:db8::1")));
    assert!(tls.name(None, "not a name").is_err());
    upstreams.settings.name = Some("set.example".into());
    let tls = upstreams.build();
    assert_eq!(tls.name(None, "mail.example").ok(), Some(name("set.example")));
    assert_eq!(tls.name(Some("given.example"), "mail.example").ok(), Some(name("given.example")));
}

#[test]
fn the_name_goes_out_in_clear_only_when_asked() {
    let mut upstreams = Upstreams::new();
    for (server_name, expected) in [(false, None), (true, Some("mail.example"))] {
        upstreams.settings.server_name = server_name;
        let ends = upstreams.meet(None, name("mail.example")).expect("a handshake");
        assert_eq!(ends.server.server_name(), expected);
    }
}

#[test]
fn revoked_upstreams_are_not_believed() {
    let mut upstreams = Upstreams::new();
    let mut params = params("mail.example");
    params.serial_number = Some(rcgen::SerialNumber::from_slice(&[5]));
    let leaf = upstreams.scene.ca.sign(&params, new_key());
    upstreams.serve(&leaf);
    for (revoked, expected) in [(6, None), (5, Some(VerifyError::Revoked))] {
        let list = upstreams.scene.ca.list(&[revoked], (2029, 2031));
        let list = crate::tls::names::pem(&list).replace("CERTIFICATE", "X509 CRL");
        upstreams.settings.crl = Some(upstreams.scene.files.add("crl.pem", list));
        assert_eq!(upstreams.refusal("mail.example"), expected);
    }
}

#[test]
fn the_depth_is_limited() {
    let mut upstreams = Upstreams::new();
    let middle = upstreams.scene.ca.below("middle");
    let mut leaf = middle.leaf("mail.example");
    let key = leaf.key_pem();
    let chain = format!("{}{}", leaf.pem(), middle.pem());
    leaf.der = middle.der();
    let certificate = Source::File(upstreams.scene.files.add("chain.crt", chain));
    upstreams.scene.settings.certificates = vec![CertificateSetting::new(certificate)];
    upstreams.scene.settings.keys = vec![Source::File(upstreams.scene.files.add("chain.key", key))];
    assert_eq!(upstreams.refusal("mail.example"), None);
    upstreams.settings.verify_depth = 0;
    assert_eq!(upstreams.refusal("mail.example"), Some(VerifyError::NoLocalIssuer));
}

#[test]
fn the_system_s_roots_are_trusted_when_nothing_else_is() {
    let mut upstreams = Upstreams::new();
    upstreams.settings.trusted_certificate = None;
    let build = |upstreams: &Upstreams| {
        upstreams.scene.files.with(|environment| ClientTls::build(&upstreams.settings, environment)).err()
    };
    assert_eq!(
        build(&upstreams).map(|mistake| mistake.to_string()).as_deref(),
        Some(
            "no proxy_ssl_trusted_certificate for proxy_ssl_verify, and the system has no trusted certificates"
        )
    );
    upstreams.scene.files.roots = vec![Ca::new("some").der(), upstreams.scene.ca.der()];
    assert_eq!(upstreams.refusal("mail.example"), None);
    upstreams.scene.files.roots.pop();
    assert_eq!(upstreams.refusal("mail.example"), Some(VerifyError::NoChain));
}

#[test]
fn we_have_a_certificate_for_upstreams_that_ask() {
    let mut upstreams = Upstreams::new();
    let authority = Ca::new("for proxies");
    upstreams.scene.settings.verify_client = VerifyClient::On;
    let path = upstreams.scene.files.add("proxies.pem", authority.pem());
    upstreams.scene.settings.client_certificate = Some(path);
    let ours = authority.sign(&client("proxy"), new_key());
    upstreams.settings.certificate = Some(Source::File(upstreams.scene.files.add("our.crt", ours.pem())));
    let build = upstreams.scene.files.with(|environment| ClientTls::build(&upstreams.settings, environment));
    assert_eq!(
        build.err().map(|mistake| mistake.to_string()).as_deref(),
        Some("no \"proxy_ssl_certificate_key\" is defined for certificate \"/files/our.crt\"")
    );
    upstreams.settings.key = Some(Source::File(upstreams.scene.files.add("our.key", ours.key_pem())));
    for version in Version::DEFAULT {
        upstreams.settings.protocols = vec![version];
        let ends = upstreams.meet(None, name("mail.example")).expect("a handshake");
        assert_eq!(ends.server.peer_certificates(), Some(&[ours.der.clone()][..]));
        let judged = upstreams.scene.build().judge(ends.server.peer_certificates()).expect("asked for");
        assert_eq!(judged.rejection(), None);
    }
}

#[test]
fn sessions_with_upstreams_are_resumed_when_allowed() {
    let mut upstreams = Upstreams::new();
    for reuse in [true, false] {
        upstreams.settings.session_reuse = reuse;
        let (client, server) = (upstreams.build(), upstreams.scene.build());
        let kind = |verify| {
            let ends = Ends::meet(client.config(verify), &server.config, name("mail.example"));
            ends.expect("a handshake").client.handshake_kind()
        };
        assert_eq!(kind(Some(false)), Some(HandshakeKind::Full));
        assert_eq!(kind(Some(true)), Some(HandshakeKind::Full), "never what was not verified");
        let again = if reuse { HandshakeKind::Resumed } else { HandshakeKind::Full };
        assert_eq!(kind(Some(true)), Some(again));
    }
}

#[test]
fn suites_and_versions_are_those_of_the_settings() {
    let mut upstreams = Upstreams::new();
    upstreams.settings.protocols = vec![Version::Tls11, Version::Tls12];
    upstreams.settings.ciphers = "CHACHA20".into();
    let ends = upstreams.meet(None, name("mail.example")).expect("a handshake");
    let suite = ends.server.negotiated_cipher_suite().expect("a suite").suite();
    assert_eq!(crate::tls::cipher_name(suite), "ECDHE-ECDSA-CHACHA20-POLY1305");
    let built = upstreams.scene.files.with(|environment| ClientTls::build(&upstreams.settings, environment));
    let remarks: Vec<_> = built.expect("a client").remarks.iter().map(ToString::to_string).collect();
    assert_eq!(remarks, ["\"proxy_ssl_protocols\": TLSv1.1 cannot be had and will not be spoken"]);
}

#[test]
fn protocols_of_mail_are_not_offered_to_upstreams() {
    let mut upstreams = Upstreams::new();
    upstreams.scene.settings.protocol = Protocol::Smtp;
    let ends = upstreams.meet(None, name("mail.example")).expect("a handshake");
    assert_eq!(ends.server.alpn_protocol(), None);
}
