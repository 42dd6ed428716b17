//! TLS with clients and with upstreams.

use proto::Secret;

use super::*;
use crate::settings::TlsSettings;
use crate::tls::{CacheMode, ClientSettings, Mistake, ServerSettings, VerifyClient, Version, WantedBy};

/// TLS with the clients of a server with `directives` in it, on a TLS port.
fn server_tls(directives: &str) -> ServerSettings {
    let text = format!("auth_http h; server {{ listen 127.0.0.1:993 ssl; {directives} }}");
    settings(&text).servers[0].tls.clone().expect("a server with TLS").settings
}

/// TLS with the upstreams of a server with `directives` in it.
fn upstream_tls(directives: &str) -> ClientSettings {
    let text = format!("auth_http h; server {{ listen 127.0.0.1:143; {directives} }}");
    settings(&text).servers[0].upstream_tls.clone()
}

/// What `text` says of certificates and protocols for each server.
fn pairs(text: &str) -> Vec<String> {
    let show = |server: &Arc<Server>| {
        let TlsSettings { settings, .. } = server.tls.as_ref().expect("a server with TLS");
        let certificates = settings.certificates.iter().map(|c| format!("{} for {:?}", c.source, c.names));
        let keys = settings.keys.iter().map(ToString::to_string);
        format!("{} {:?}", certificates.chain(keys).collect::<Vec<_>>().join(" "), settings.protocols)
    };
    settings(text).servers.iter().map(show).collect()
}

fn paths(names: [&str; 4]) -> [Option<PathBuf>; 4] {
    names.map(|name| Some(PathBuf::from(name)))
}

fn shown(phrases: Option<&Vec<Secret>>) -> Option<Vec<&[u8]>> {
    phrases.map(|phrases| phrases.iter().map(Secret::expose).collect())
}

#[test]
fn tls_is_there_where_it_is_wanted() {
    let mail = settings(
        "auth_http h;
         server { listen 127.0.0.1:143; ssl_certificate a; ssl_protocols TLSv1.3; }
         server { listen 127.0.0.2:143; starttls off; }
         server { listen 127.0.0.3:143;
                  starttls on; }
         server { listen 127.0.0.4:143;
                  listen 127.0.0.4:993 ssl;
                  listen 127.0.0.5:993 ssl;
                  listen 127.0.0.6:143;
                  starttls only; }",
    );
    let wanted = |server: &Arc<Server>| {
        let TlsSettings { settings, at } = server.tls.as_ref()?;
        let Position::File { line, .. } = at else { panic!("{at}") };
        Some((settings.wanted_by, *line))
    };
    let wanted: Vec<_> = mail.servers.iter().map(wanted).collect();
    assert_eq!(wanted, [None, None, Some((WantedBy::Starttls, 5)), Some((WantedBy::Listen, 8))]);
    let starttls: Vec<_> = mail.servers.iter().map(|server| front(server).1.starttls).collect();
    assert_eq!(starttls, [Starttls::Off, Starttls::Off, Starttls::On, Starttls::Only]);
}

#[test]
fn an_inherited_starttls_is_cited_where_it_stands() {
    let mail = settings("auth_http h;\nstarttls ONLY;\nserver { listen 127.0.0.1:25; }");
    let tls = mail.servers[0].tls.as_ref().unwrap();
    assert!(tls.at.to_string().ends_with("/x:2"), "{}", tls.at);
    assert_eq!(tls.settings.protocol, Protocol::Smtp);
}

#[test]
fn only_what_is_missing_is_cited_with_its_place() {
    let mail = settings("auth_http h;\nserver { listen 127.0.0.1:143;\n listen 127.0.0.1:993 ssl; }");
    let tls = mail.servers[0].tls.as_ref().unwrap();
    let missing = tls.fault(Mistake::NoCertificate(tls.settings.wanted_by)).to_string();
    let place =
        missing.strip_prefix("no \"ssl_certificate\" is defined for the \"listen ... ssl\" directive in ");
    assert!(place.is_some_and(|place| place.ends_with("/x:3")), "{missing}");
    let other = "no ssl_client_certificate or ssl_trusted_certificate for ssl_verify_client";
    assert_eq!(tls.fault(Mistake::NoAuthorities).to_string(), other);
}

#[test]
fn what_is_not_said_of_tls_is_as_in_the_originals() {
    let tls = server_tls("");
    assert_eq!((tls.protocol, tls.certificates.len(), tls.keys.len()), (Protocol::Imap, 0, 0));
    assert_eq!((tls.ciphers.as_str(), tls.ecdh_curve.as_str()), ("HIGH:!aNULL:!MD5", "auto"));
    assert_eq!(tls.protocols, [Version::Tls12, Version::Tls13]);
    assert!(!tls.certificate_compression && !tls.prefer_server_ciphers && tls.session_tickets);
    assert_eq!(tls.session_cache, [CacheMode::None]);
    assert_eq!((tls.session_timeout, tls.session_ticket_keys.len()), (Duration::from_mins(5), 0));
    assert_eq!((tls.verify_client, tls.verify_depth), (VerifyClient::Off, 1));
    let files = [tls.dhparam, tls.client_certificate, tls.trusted_certificate, tls.crl];
    assert_eq!(files, [const { None }; 4]);
    assert!(tls.passphrases.is_none() && tls.conf_commands.is_empty());
}

#[test]
fn what_is_said_of_tls_is_so() {
    let tls = server_tls(
        "ssl_password_file phrases; ssl_protocols TLSv1.2; ssl_protocols tlsv1.1; ssl_ciphers ECDHE+AESGCM;
         ssl_prefer_server_ciphers on; ssl_ecdh_curve X25519:P-256; ssl_certificate_compression on;
         ssl_session_cache builtin:9; ssl_session_cache builtin:7 shared:Z:64k; ssl_session_tickets off;
         ssl_session_ticket_key new; ssl_session_ticket_key /old; ssl_session_timeout 1d;
         ssl_verify_client optional_no_ca; ssl_verify_depth 3; ssl_dhparam dh.pem; ssl_crl crl.pem;
         ssl_client_certificate ca.pem; ssl_trusted_certificate /trusted.pem;
         ssl_conf_command Ciphersuites TLS_AES_128_GCM_SHA256; ssl_conf_command certificate c.pem;
         ssl_conf_command ClientCAFile /ca.pem;",
    );
    assert_eq!(shown(tls.passphrases.as_ref()), Some(vec![&b"one"[..], b" two "]));
    assert_eq!(tls.protocols, [Version::Tls12, Version::Tls11]);
    assert_eq!((tls.ciphers.as_str(), tls.ecdh_curve.as_str()), ("ECDHE+AESGCM", "X25519:P-256"));
    assert!(tls.prefer_server_ciphers && tls.certificate_compression && !tls.session_tickets);
    let shared = CacheMode::Shared { zone: "Z".to_owned(), size: 65536 };
    assert_eq!(tls.session_cache, [CacheMode::Builtin(7), shared]);
    assert_eq!(tls.session_ticket_keys, [PathBuf::from("/etc/gatepost/new"), PathBuf::from("/old")]);
    assert_eq!(tls.session_timeout, Duration::from_hours(24));
    assert_eq!((tls.verify_client, tls.verify_depth), (VerifyClient::OptionalNoCa, 3));
    assert_eq!(
        [tls.dhparam, tls.crl, tls.client_certificate, tls.trusted_certificate],
        paths(["/etc/gatepost/dh.pem", "/etc/gatepost/crl.pem", "/etc/gatepost/ca.pem", "/trusted.pem"])
    );
    let commands: Vec<_> = tls.conf_commands.iter().map(|c| format!("{} {}", c.name, c.value)).collect();
    assert_eq!(
        commands,
        ["Ciphersuites TLS_AES_128_GCM_SHA256", "certificate /etc/gatepost/c.pem", "ClientCAFile /ca.pem",]
    );
}

#[test]
fn certificates_and_keys_are_inherited_apart_and_replaced_as_lists() {
    assert_eq!(
        pairs(
            "auth_http h; starttls on;
             server { listen 127.0.0.1:143; ssl_certificate own for=mx.example.org,*.example.net; }
             server { listen 127.0.0.2:143; ssl_certificate_key store:x; ssl_protocols TLSv1.2; }
             server { listen 127.0.0.3:143; ssl_certificate data:PEM; ssl_certificate_key engine:e:k; }
             ssl_certificate a.pem; ssl_certificate /b.pem; ssl_certificate_key a.key; ssl_certificate_key $b;
             ssl_protocols TLSv1.3;"
        ),
        [
            "/etc/gatepost/own for [\"mx.example.org\", \"*.example.net\"] /etc/gatepost/a.key \
             /etc/gatepost/$b [Tls13]",
            "/etc/gatepost/a.pem for [] /b.pem for [] store:x [Tls12]",
            "data:... for [] engine:e:k [Tls13]",
        ]
    );
}

#[test]
fn a_password_file_without_phrases_is_one_empty_phrase() {
    assert_eq!(shown(server_tls("ssl_password_file empty;").passphrases.as_ref()), Some(vec![&b""[..]]));
}

#[test]
fn a_zone_has_one_size_in_all_of_the_configuration() {
    let conflict =
        "the size 2097152 of shared memory zone \"Z\" conflicts with already declared size 1048576";
    for (text, line) in [
        ("ssl_session_cache shared:Z:1m;\nserver { ssl_session_cache shared:Z:2m; }", 2),
        ("server { listen 143; ssl_session_cache shared:Z:1m; }\nssl_session_cache shared:Z:2m;", 2),
        ("ssl_session_cache shared:Z:1m;\nssl_session_cache none;\nssl_session_cache shared:Z:2m;", 3),
        (
            "server { listen 143; ssl_session_cache shared:Z:1m; }\nserver { ssl_session_cache shared:Z:2m; }",
            2,
        ),
    ] {
        assert_eq!(fault(text), format!("{conflict} in x:{line}"), "{text}");
    }
    let agreed = "auth_http h; ssl_session_cache shared:Z:1m; server { listen 143; ssl_session_cache shared:Z:1024k; }";
    assert_eq!(fault(agreed), "");
}

#[test]
fn tls_is_refused_in_the_words_of_the_originals_even_where_nobody_uses_it() {
    for (directive, expected) in [
        ("starttls maybe", "invalid value \"maybe\""),
        ("starttls on; starttls on", "\"starttls\" directive is duplicate"),
        ("ssl_certificate a b", "invalid parameter \"b\""),
        ("ssl_certificate a for=", "invalid parameter \"for=\""),
        ("ssl_certificate a for=b,,c", "invalid name \"\" in \"ssl_certificate\" directive"),
        ("ssl_certificate a 'for=a b'", "invalid name \"a b\" in \"ssl_certificate\" directive"),
        ("ssl_certificate a for=*", "invalid name \"*\" in \"ssl_certificate\" directive"),
        ("ssl_certificate a for=b c", "invalid number of arguments in \"ssl_certificate\" directive"),
        ("ssl_password_file none", "open() \"/etc/gatepost/none\" failed (2: No such file or directory)"),
        ("ssl_password_file long", "too long line in \"/etc/gatepost/long\""),
        ("ssl_password_file empty; ssl_password_file empty", "\"ssl_password_file\" directive is duplicate"),
        ("ssl_protocols TLSv1.4", "invalid value \"TLSv1.4\""),
        ("ssl_ciphers a; ssl_ciphers b", "\"ssl_ciphers\" directive is duplicate"),
        ("ssl_session_cache shared", "invalid session cache \"shared\""),
        ("ssl_session_cache OFF", "invalid session cache \"OFF\""),
        ("ssl_session_cache builtin:x", "invalid session cache \"builtin:x\""),
        ("ssl_session_cache shared::1m", "invalid session cache \"shared::1m\""),
        ("ssl_session_cache none shared:Z:1g", "invalid session cache \"shared:Z:1g\""),
        ("ssl_session_cache shared:Z:31k", "session cache \"shared:Z:31k\" is too small"),
        ("ssl_session_cache a b c", "invalid number of arguments in \"ssl_session_cache\" directive"),
        ("ssl_session_timeout 5ms", "\"ssl_session_timeout\" directive invalid value"),
        ("ssl_verify_client maybe", "invalid value \"maybe\""),
        ("ssl_verify_depth -1", "\"ssl_verify_depth\" directive invalid number"),
        ("ssl_conf_command a", "invalid number of arguments in \"ssl_conf_command\" directive"),
        ("ssl_stapling on", "\"ssl_stapling\" directive is not allowed here"),
        ("ssl_early_data on", "\"ssl_early_data\" directive is not allowed here"),
        ("ssl_ntls on", "unknown directive \"ssl_ntls\""),
        ("proxy_ssl_alpn x", "\"proxy_ssl_alpn\" directive is not allowed here"),
        ("proxy_ssl_verify yes", {
            "invalid value \"yes\" in \"proxy_ssl_verify\" directive, it must be \"on\" or \"off\""
        }),
        ("proxy_ssl_verify_depth x", "\"proxy_ssl_verify_depth\" directive invalid number"),
        ("proxy_ssl_name 'a b'", "invalid name \"a b\" in \"proxy_ssl_name\" directive"),
        ("proxy_ssl_name ''", "invalid name \"\" in \"proxy_ssl_name\" directive"),
        ("proxy_ssl_name a; proxy_ssl_name b", "\"proxy_ssl_name\" directive is duplicate"),
        (
            "proxy_ssl_certificate a; proxy_ssl_certificate b",
            "\"proxy_ssl_certificate\" directive is duplicate",
        ),
        (
            "proxy_ssl_password_file none",
            "open() \"/etc/gatepost/none\" failed (2: No such file or directory)",
        ),
    ] {
        assert_eq!(fault_in_server(&format!("{directive};")), format!("{expected} in x:1"), "{directive}");
    }
}

#[test]
fn a_protocol_that_is_named_twice_is_warned_of() {
    let warnings = read(&format!("ssl_protocols TLSv1.2 tlsv1.2; {SERVER}")).1;
    assert_eq!(warnings, ["duplicate value \"tlsv1.2\" in x:1"]);
}

#[test]
fn upstreams_are_verified_unless_it_is_said_otherwise() {
    let tls = upstream_tls("");
    assert!(tls.verify && tls.session_reuse && !tls.server_name);
    assert_eq!((tls.verify_depth, tls.ciphers.as_str(), tls.name), (1, "DEFAULT", None));
    assert_eq!(tls.protocols, [Version::Tls12, Version::Tls13]);
    assert_eq!((tls.trusted_certificate, tls.crl), (None, None));
    assert!(tls.certificate.is_none() && tls.key.is_none() && tls.passphrases.is_none());
}

#[test]
fn what_is_said_of_tls_with_upstreams_is_so() {
    let tls = upstream_tls(
        "proxy_ssl_verify off; proxy_ssl_verify_depth 0; proxy_ssl_trusted_certificate ca.pem;
         proxy_ssl_crl /crl.pem; proxy_ssl_name be.example; proxy_ssl_server_name on;
         proxy_ssl_protocols TLSv1.3; proxy_ssl_ciphers HIGH; proxy_ssl_certificate c.pem;
         proxy_ssl_certificate_key data:KEY; proxy_ssl_password_file phrases; proxy_ssl_session_reuse off;",
    );
    assert!(!tls.verify && !tls.session_reuse && tls.server_name);
    assert_eq!((tls.verify_depth, tls.ciphers.as_str()), (0, "HIGH"));
    assert_eq!(tls.name.as_deref(), Some("be.example"));
    assert_eq!(tls.protocols, [Version::Tls13]);
    assert_eq!(tls.trusted_certificate, Some("/etc/gatepost/ca.pem".into()));
    assert_eq!(tls.crl, Some("/crl.pem".into()));
    assert_eq!(tls.certificate.unwrap().to_string(), "/etc/gatepost/c.pem");
    assert_eq!(tls.key.unwrap().to_string(), "data:...");
    assert_eq!(shown(tls.passphrases.as_ref()), Some(vec![&b"one"[..], b" two "]));
}

#[test]
fn an_empty_name_undoes_what_is_inherited() {
    let mail = settings(
        "auth_http h; proxy_ssl_certificate a; proxy_ssl_certificate_key a; proxy_ssl_trusted_certificate a;
         proxy_ssl_crl a;
         server { listen 127.0.0.1:143; }
         server { listen 127.0.0.2:143; proxy_ssl_certificate ''; proxy_ssl_certificate_key '';
                  proxy_ssl_trusted_certificate ''; proxy_ssl_crl ''; }",
    );
    let has = |server: &Arc<Server>| {
        let tls = &server.upstream_tls;
        [tls.certificate.is_some(), tls.key.is_some(), tls.trusted_certificate.is_some(), tls.crl.is_some()]
    };
    assert_eq!([has(&mail.servers[0]), has(&mail.servers[1])], [[true; 4], [false; 4]]);
}
