//! What is negotiated: versions, cipher suites, and the certificate for the name that a client asks for.

use rig::pki::{Key, Root};

use super::{Place, Secured, pair};
use crate::stage::Protocol;

/// Whether openssl gets through with these options, and what it says then: `New, TLSv1.3, Cipher is ...`.
fn negotiated(secured: &Secured, options: &[&str]) -> Option<String> {
    let ran = secured.s_client(Place::Tls, options, "a LOGOUT\r\n");
    let text = ran.text();
    let line = text.lines().find(|line| line.starts_with("New, "));
    line.filter(|_| ran.status.success()).map(str::to_owned)
}

#[test]
fn only_versions_that_are_listed_are_spoken() {
    for (listed, tls12, tls13) in [
        ("TLSv1.2", true, false),
        ("TLSv1.3", false, true),
        ("TLSv1.2 TLSv1.3", true, true),
        ("TLSv1 TLSv1.2", true, false),
    ] {
        let secured = Secured::new(Protocol::Imap, &format!("ssl_protocols {listed};"));
        for (option, spoken, version) in [("-tls1_2", tls12, "TLSv1.2"), ("-tls1_3", tls13, "TLSv1.3")] {
            let line = negotiated(&secured, &[option]);
            assert_eq!(line.is_some(), spoken, "{listed} {option}");
            assert!(line.is_none_or(|line| line.contains(version)), "{listed} {option}");
        }
        let old = ["-tls1_1", "-cipher", "ALL:@SECLEVEL=0"];
        assert_eq!(negotiated(&secured, &old), None, "{listed}");
        let log = secured.stage.proxy.wait_for_log("SSL_do_handshake() failed");
        let failures: Vec<_> =
            log.lines().filter(|line| line.contains("SSL_do_handshake() failed")).collect();
        assert!(!failures.is_empty() && failures.iter().all(|line| line.contains("[info] ")), "{log}");
        assert!(failures.iter().all(|line| line.contains("unsupported protocol")), "{log}");
    }
}

#[test]
fn suites_are_those_of_the_list() {
    let settings = "ssl_protocols TLSv1.2; ssl_prefer_server_ciphers on;
        ssl_ciphers ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305;";
    let secured = Secured::new(Protocol::Imap, settings);
    let with = |list: &str| negotiated(&secured, &["-cipher", list]);
    let chosen = "New, TLSv1.2, Cipher is ECDHE-ECDSA-AES256-GCM-SHA384";
    assert_eq!(with("ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-ECDSA-AES256-GCM-SHA384").as_deref(), Some(chosen));
    let other = "New, TLSv1.2, Cipher is ECDHE-ECDSA-CHACHA20-POLY1305";
    assert_eq!(with("ECDHE-ECDSA-CHACHA20-POLY1305").as_deref(), Some(other));
    assert_eq!(with("ECDHE-ECDSA-AES128-GCM-SHA256"), None);
    let log = secured.stage.proxy.wait_for_log("no shared cipher");
    assert!(
        log.contains("(SSL: error:0A0000C1:SSL routines::no shared cipher) while SSL handshaking"),
        "{log}"
    );
}

#[test]
fn the_auth_server_hears_of_suites_in_openssl_s_names() {
    let settings = "ssl_protocols TLSv1.2; ssl_ciphers ECDHE+AESGCM;";
    let secured = Secured::new(Protocol::Pop3, settings);
    secured.talk("implicit().say(LOGIN, ASKED + LOGGED_IN); print()", &[]).succeeded();
    let request = secured.stage.auth.request(0);
    let told = ["Auth-SSL-Protocol", "Auth-SSL-Cipher"].map(|name| request.header(name).unwrap_or_default());
    assert_eq!(told, ["TLSv1.2", "ECDHE-ECDSA-AES256-GCM-SHA384"]);
}

#[test]
fn suites_and_groups_of_tls_1_3_are_set_by_commands() {
    let settings = "ssl_conf_command Ciphersuites TLS_CHACHA20_POLY1305_SHA256; ssl_ecdh_curve P-384;";
    let secured = Secured::new(Protocol::Imap, settings);
    let line = negotiated(&secured, &["-tls1_3"]);
    assert_eq!(line.as_deref(), Some("New, TLSv1.3, Cipher is TLS_CHACHA20_POLY1305_SHA256"));
    assert_eq!(negotiated(&secured, &["-tls1_3", "-ciphersuites", "TLS_AES_128_GCM_SHA256"]), None);
    assert!(negotiated(&secured, &["-tls1_3", "-groups", "P-384"]).is_some());
    assert_eq!(negotiated(&secured, &["-tls1_3", "-groups", "X25519"]), None);
}

#[test]
fn a_client_gets_the_type_of_certificate_that_it_can_verify() {
    let root = Root::new(Key::Rsa, "Test root");
    let (ec, rsa) = (root.server(Key::Ec, &[super::NAME]), root.server(Key::Rsa, &[super::NAME]));
    let secured = secured_by(&root, &format!("{} {} ssl_protocols TLSv1.2;", pair(&ec), pair(&rsa)));
    for (suite, named) in [
        ("ECDHE-ECDSA-AES128-GCM-SHA256", true),
        ("ECDHE-RSA-AES128-GCM-SHA256", true),
        ("AES128-SHA", false),
    ] {
        assert_eq!(negotiated(&secured, &["-cipher", suite]).is_some(), named, "{suite}");
    }
}

/// A proxy with certificates by this root.
#[track_caller]
fn secured_by(root: &Root, settings: &str) -> Secured {
    Secured::with(root, Protocol::Imap, settings, Protocol::Imap.backend())
}

#[test]
fn the_certificate_is_that_of_the_name_that_a_client_asks_for() {
    let root = Root::new(Key::Ec, "Test root");
    let [first, second, third] = [
        root.server(Key::Ec, &["first.example.test"]),
        root.server(Key::Ec, &["second.example.test", "*.second.example.test"]),
        root.server(Key::Ec, &["third.example.test"]),
    ];
    let settings = format!(
        "{} {} {}",
        pair(&first),
        pair(&second),
        pair(&third).replacen(';', " for=mx.example.net,*.third.example.test;", 1)
    );
    let secured = secured_by(&root, &settings);
    let program = r#"
context = trusting()
context.check_hostname = False
for make in starttls, implicit:
    for asked, shown in (pair.split("=") for pair in MORE):
        wire = make(context, name=asked or None)
        (((_, name),),) = wire.socket.getpeercert()["subject"]
        assert name == shown + ".example.test", (asked, name)
    wire.say(LOGIN, ASKED + LOGGED_IN)
"#;
    let cases = [
        "first.example.test=first",
        "second.example.test=second",
        "SECOND.example.test=second",
        "a.second.example.test=second",
        "a.b.second.example.test=first",
        // Its own names do not count where names are said.
        "third.example.test=first",
        "a.third.example.test=third",
        "unknown.example.test=first",
        "=first",
        "mx.example.net=third",
    ];
    secured.talk(program, &cases).succeeded();
    for request in secured.stage.auth.requests() {
        assert_eq!(request.header("Auth-SSL-Server-Name").as_deref(), Some("mx.example.net"));
    }
    assert_eq!(secured.stage.auth.requests().len(), 2);
}

#[test]
fn a_name_that_nobody_asked_for_is_not_told() {
    let root = Root::new(Key::Ec, "Test root");
    let identity = root.server(Key::Ec, &[super::NAME]);
    let secured = secured_by(&root, &pair(&identity));
    let program = "
context = trusting()
context.check_hostname = False
implicit(context, name=None).say(LOGIN, ASKED + LOGGED_IN)
";
    secured.talk(program, &[]).succeeded();
    assert_eq!(secured.stage.auth.request(0).header("Auth-SSL-Server-Name"), None);
}
