//! What is wrong with settings, in which words and in which order.

use super::*;
use crate::tls::protocols::Version;
use crate::tls::{ConfCommand, VerifyClient};

fn mistake(scene: &Scene) -> String {
    scene.try_build().expect_err("a mistake").to_string()
}

/// Makes something wrong.
type Change = fn(&mut Scene);

#[test]
fn mistakes_are_worded_as_in_the_originals() {
    let no_file = "(SSL: 2: No such file or directory)";
    let cases: [(Change, String); 13] = [
        (
            |scene| scene.settings.protocols = vec![Version::Tls11],
            "no usable protocol in \"ssl_protocols\": there are TLSv1.2 and TLSv1.3".into(),
        ),
        (
            |scene| scene.settings.ciphers = "RC4/".into(),
            "SSL_CTX_set_cipher_list(\"RC4/\") failed (SSL: invalid command)".into(),
        ),
        (
            |scene| scene.settings.verify_client = VerifyClient::On,
            "no ssl_client_certificate or ssl_trusted_certificate for ssl_verify_client".into(),
        ),
        (
            |scene| {
                scene.settings.verify_client = VerifyClient::On;
                scene.settings.client_certificate = Some("/files/none".into());
            },
            format!("cannot load certificate \"/files/none\": BIO_new_file() failed {no_file}"),
        ),
        (
            |scene| {
                scene.settings.verify_client = VerifyClient::OptionalNoCa;
                scene.settings.crl = Some("/files/none".into());
            },
            format!("cannot load CRL \"/files/none\": BIO_new_file() failed {no_file}"),
        ),
        (
            |scene| {
                scene.settings.verify_client = VerifyClient::OptionalNoCa;
                scene.settings.crl =
                    Some(scene.files.add("crl", "-----BEGIN X509 CRL-----\nAAEC\n-----END X509 CRL-----\n"));
            },
            "cannot load CRL \"/files/crl\": PEM_read_bio_X509_CRL() failed (SSL: malformed CRL)".into(),
        ),
        (
            |scene| scene.settings.dhparam = Some("/files/none".into()),
            format!("BIO_new_file(\"/files/none\") failed {no_file}"),
        ),
        (
            |scene| scene.settings.dhparam = Some(scene.files.add("dh", "")),
            "PEM_read_bio_DHparams(\"/files/dh\") failed (SSL: no DH parameters in PEM form)".into(),
        ),
        (
            |scene| scene.settings.ecdh_curve = "foo".into(),
            "SSL_CTX_set1_curves_list(\"foo\") failed (SSL: unknown group \"foo\", there are X25519MLKEM768, X25519, \
             P-256, P-384, SecP256r1MLKEM768, MLKEM768, MLKEM1024)"
                .into(),
        ),
        (
            |scene| scene.settings.session_ticket_keys = vec!["/files/none".into()],
            "open() \"/files/none\" failed (2: No such file or directory)".into(),
        ),
        (
            |scene| scene.settings.session_ticket_keys = vec![scene.files.add("t", "x")],
            "\"/files/t\" must be 48 or 80 bytes".into(),
        ),
        (
            |scene| scene.settings.conf_commands = vec![ConfCommand { name: "A".into(), value: "b".into() }],
            "SSL_CONF_cmd(\"A\", \"b\") failed (SSL: unsupported command, there are Ciphersuites, Groups, Curves, \
             MinProtocol, MaxProtocol, Options, Certificate, PrivateKey)"
                .into(),
        ),
        (
            |scene| scene.settings.certificates[0].names = vec!["a..b".into()],
            "invalid name \"a..b\" in \"ssl_certificate\" directive".into(),
        ),
    ];
    for (change, expected) in cases {
        let mut scene = Scene::new();
        change(&mut scene);
        assert_eq!(mistake(&scene), expected);
    }
}

#[test]
fn mistakes_are_found_in_the_order_of_the_originals() {
    let mut scene = Scene::bare();
    scene.settings.protocols = vec![];
    scene.settings.ciphers = "nonsense".into();
    scene.settings.verify_client = VerifyClient::On;
    scene.settings.dhparam = Some("/files/none".into());
    scene.settings.ecdh_curve = "nonsense".into();
    scene.settings.session_ticket_keys = vec!["/files/none".into()];
    scene.settings.conf_commands = vec![ConfCommand { name: "nonsense".into(), value: String::new() }];
    let mut starts = Vec::new();
    let mut start = |scene: &Scene| starts.push(mistake(scene).split([' ', '(']).next().map(str::to_owned));
    start(&scene);
    let leaf = scene.ca.leaf("mail.example");
    scene.add(&leaf);
    let key = std::mem::replace(&mut scene.settings.keys[0], Source::File("/files/none".into()));
    start(&scene);
    scene.settings.protocols = vec![Version::Tls12];
    start(&scene);
    scene.settings.ciphers = "HIGH".into();
    start(&scene);
    scene.settings.keys[0] = key;
    start(&scene);
    scene.settings.verify_client = VerifyClient::Off;
    start(&scene);
    scene.settings.dhparam = None;
    start(&scene);
    scene.settings.ecdh_curve = "auto".into();
    start(&scene);
    scene.settings.session_ticket_keys.clear();
    start(&scene);
    let starts: Vec<_> = starts.iter().flatten().map(String::as_str).collect();
    assert_eq!(
        starts,
        [
            "no",
            "no",
            "SSL_CTX_set_cipher_list",
            "cannot",
            "no",
            "BIO_new_file",
            "SSL_CTX_set1_curves_list",
            "open",
            "SSL_CONF_cmd"
        ]
    );
}

#[test]
fn files_for_verification_are_not_opened_without_need() {
    let mut scene = Scene::new();
    scene.settings.client_certificate = Some("/files/none".into());
    scene.settings.trusted_certificate = Some("/files/none".into());
    scene.settings.crl = Some("/files/none".into());
    assert!(scene.try_build().is_ok());
}

#[test]
fn dh_parameters_are_accepted() {
    let mut scene = Scene::new();
    let text = "-----BEGIN DH PARAMETERS-----\nMAYCAQUCAQI=\n-----END DH PARAMETERS-----\n";
    scene.settings.dhparam = Some(scene.files.add("dh", text));
    assert!(scene.try_build().is_ok());
}

#[test]
fn what_looks_wrong_is_remarked() {
    let mut scene = Scene::new();
    scene.settings.protocols = vec![Version::Tls1, Version::Tls13];
    scene.settings.ecdh_curve = "X25519:secp521r1".into();
    let built =
        scene.files.with(|environment| ServerTls::build(&scene.settings, environment)).expect("a server");
    let remarks: Vec<_> = built.remarks.iter().map(ToString::to_string).collect();
    assert_eq!(
        remarks,
        [
            "\"ssl_protocols\": TLSv1 cannot be had and will not be spoken",
            "\"ssl_ecdh_curve\": secp521r1 cannot be had and will not be used",
        ]
    );
}
