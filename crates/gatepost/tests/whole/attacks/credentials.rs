//! Who somebody is: nothing of one attempt, one client or one session is left for the next.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rig::auth_server::{allow, answer, refuse_for};
use rig::{AuthServer, Backend, Client, Proxy, Script};

use crate::sessions::users_file::cram_md5;
use crate::stage::{Protocol, Stage, proxy};

const DIGEST: &str = "0123456789abcdef0123456789abcdef";

/// What the auth server was asked: method, attempt, user, password.
fn asked(stage: &Stage, number: usize) -> [String; 4] {
    let request = stage.auth.request(number);
    ["Auth-Method", "Auth-Login-Attempt", "Auth-User", "Auth-Pass"]
        .map(|name| request.header(name).unwrap_or_default())
}

// CVE-2026-27651: the password of a digest was a null pointer at the second attempt.
#[test]
fn a_digest_can_be_refused_and_tried_again_and_needs_a_password_each_time() {
    for (protocol, settings, login, rest) in [
        (
            Protocol::Pop3,
            "pop3_auth plain apop;",
            format!("APOP u {DIGEST}\r\n"),
            "-ERR internal server error\r\n",
        ),
        (
            Protocol::Pop3,
            "pop3_auth plain cram-md5;",
            format!("AUTH CRAM-MD5\r\n{}\r\n", STANDARD.encode(format!("u {DIGEST}"))),
            "-ERR internal server error\r\n",
        ),
        (
            Protocol::Imap,
            "imap_auth plain cram-md5;",
            format!("a AUTHENTICATE CRAM-MD5\r\n{}\r\n", STANDARD.encode(format!("u {DIGEST}"))),
            "* BAD internal server error\r\n",
        ),
    ] {
        // At the end it is allowed, without the password that only the auth server could know.
        let backend = Backend::start(Script::new().close());
        let again = || refuse_for(1, "no");
        let auth = AuthServer::queue([again(), again(), allow(backend.address())]);
        let stage = Stage::new(protocol, settings, auth, backend);
        let mut client = Client::connect(stage.address());
        client.line();
        for _ in 0..2 {
            client.send(&login).until(protocol.refused());
        }
        client.send(&login).until(rest);
        client.expect_end();
        for number in 0..3 {
            let [method, attempt, user, password] = asked(&stage, number);
            assert!(["apop", "cram-md5"].contains(&&*method));
            assert_eq!((attempt, user, password), ((number + 1).to_string(), "u".into(), DIGEST.into()));
        }
        assert_eq!(stage.backend.connections(), 0);
        stage.proxy.wait_for_log("did not send password");
    }
}

// CVE-2025-53859, and what became of it: `Auth-Method: none` with the password of the attempt before; S27.
#[test]
fn mail_without_a_login_says_nothing_of_the_login_that_failed_before() {
    let backend = Backend::start(Script::new().close());
    let auth = AuthServer::start(|request| match request.header("Auth-Method").as_deref() {
        Some("none") => answer(&["Auth-Status: not here"]),
        _ => refuse_for(1, "no"),
    });
    let stage = Stage::new(Protocol::Smtp, "smtp_auth plain none;", auth, backend);
    let mut client = stage.client();
    client.exchange("AUTH PLAIN AHUAbXktc2VjcmV0\r\n", "535 5.7.0 no\r\n");
    client.exchange("MAIL FROM:<a@x>\r\n", "250 2.0.0 OK\r\n");
    client.send("RCPT TO:<b@x>\r\n");
    assert_eq!(client.rest(), b"535 5.7.0 not here\r\n");
    assert_eq!(asked(&stage, 0), ["plain", "1", "u", "my-secret"]);
    assert_eq!(asked(&stage, 1), ["none", "2", "", ""]);
    let request = stage.auth.request(1).text();
    assert!(!request.contains("my-secret"), "{request}");
}

// CVE-2025-59028 of Dovecot: bad base64 of one client ended the logins of others.
#[test]
fn bad_base64_of_one_client_is_nothing_to_another() {
    for protocol in Protocol::ALL {
        let (begin, prompt, invalid) = match protocol {
            Protocol::Imap => ("a AUTHENTICATE PLAIN\r\n", "+ \r\n", "a BAD invalid command\r\n"),
            Protocol::Pop3 => ("AUTH PLAIN\r\n", "+ \r\n", "-ERR invalid command\r\n"),
            Protocol::Smtp => ("AUTH PLAIN\r\n", "334 \r\n", "500 5.5.1 Invalid command\r\n"),
        };
        let settings = if protocol == Protocol::Imap { "imap_auth plain;" } else { "" };
        let stage = Stage::allowing(protocol, settings, protocol.backend().echo());
        let mut honest = stage.client();
        if protocol == Protocol::Smtp {
            honest.exchange("EHLO c\r\n", protocol.asked());
        }
        honest.exchange(begin, prompt).send("AHUA");
        for bad in ["!!!!\r\n", "AHUAcA\0=\r\n", "====\r\n", "A\r\n", "\u{ff}\r\n"] {
            stage.client().exchange(begin, prompt).exchange(bad, invalid);
        }
        honest.exchange("cA==\r\n", protocol.logged_in()).exchange("x\r\n", "x\r\n");
        assert_eq!(stage.auth.requests().len(), 1);
    }
}

/// A proxy that knows `u` with the password `p w` by itself.
struct Alone {
    proxy: Proxy,
    _directory: tempfile::TempDir,
}

impl Alone {
    fn new(protocol: Protocol, settings: &str) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let file = directory.path().join("users");
        std::fs::write(&file, "u:{PLAIN}p w:::::: host=127.0.0.1 port=1\n")
            .expect("the directory is writable");
        let name = protocol.name();
        let server = format!("server {{ listen @proxy; protocol {name}; {settings} }}");
        Self { proxy: proxy(&format!("auth_user_file {}; {server}", file.display())), _directory: directory }
    }

    fn client(&self) -> Client {
        let mut client = Client::connect(self.proxy.at("proxy"));
        client.line();
        client
    }
}

// CVE-2026-27855 of Dovecot, a one-time password used twice: what was overheard once is of no use.
#[test]
fn an_answer_to_a_challenge_is_good_for_its_own_session_only() {
    let alone = Alone::new(Protocol::Imap, "imap_auth plain cram-md5;");
    let challenged = || {
        let mut client = alone.client();
        client.send("a AUTHENTICATE CRAM-MD5\r\n");
        let challenge = client.line()[2..].to_vec();
        (client, cram_md5(&challenge))
    };
    let (mut honest, overheard) = challenged();
    let (mut thief, own) = challenged();
    assert_ne!(overheard, own);
    thief.exchange(format!("{overheard}\r\n"), "a NO Authentication failed.\r\n").expect_end();
    // The right one is right: nobody listens at port 1.
    honest.exchange(format!("{overheard}\r\n"), "* BAD internal server error\r\n").expect_end();
}

// CVE-2019-3814 of Dovecot: a certificate that names nobody vouched for any name.
#[test]
fn a_users_file_lets_nobody_in_by_external() {
    for (protocol, settings, login, refusal) in [
        (
            Protocol::Imap,
            "imap_auth external;",
            "a AUTHENTICATE EXTERNAL dQ==\r\n",
            "a NO Authentication failed.\r\n",
        ),
        (Protocol::Pop3, "pop3_auth external;", "AUTH EXTERNAL dQ==\r\n", "-ERR Authentication failed.\r\n"),
        (
            Protocol::Smtp,
            "smtp_auth external;",
            "AUTH EXTERNAL dQ==\r\n",
            "535 5.7.8 Authentication failed.\r\n",
        ),
    ] {
        Alone::new(protocol, settings).client().exchange(login, refusal).expect_end();
    }
}

// fb930b222 of freenginx: EXTERNAL could be used though it was not configured, by an initial response.
#[test]
fn a_mechanism_that_is_not_configured_is_none_in_any_form() {
    let mechanisms = ["CRAM-MD5", "EXTERNAL", "XOAUTH2", "OAUTHBEARER", "external"];
    for (protocol, command, invalid) in [
        (Protocol::Imap, "a AUTHENTICATE", "a BAD invalid command\r\n"),
        (Protocol::Pop3, "AUTH", "-ERR invalid command\r\n"),
        (Protocol::Smtp, "AUTH", "500 5.5.1 Invalid command\r\n"),
    ] {
        let auth = AuthServer::always(Script::new().close());
        let settings = format!("{}_auth plain; max_errors 100;", protocol.name());
        let stage = Stage::answering(protocol, &settings, auth);
        let mut client = stage.client();
        for mechanism in mechanisms {
            for initial in ["", " =", " dQ==", " dXNlcj11AWF1dGg9QmVhcmVyIHQBAQ=="] {
                client.exchange(format!("{command} {mechanism}{initial}\r\n"), invalid);
            }
        }
        assert_eq!(stage.auth.requests(), []);
    }
}

// 761a7d948 of freenginx: the tag of one command was in the reply to another.
#[test]
fn a_reply_has_the_tag_of_its_own_command_or_none() {
    let auth = AuthServer::always(refuse_for(1, "no"));
    let stage = Stage::answering(Protocol::Imap, "max_errors 100;", auth);
    let mut client = stage.client();
    client.exchange("tag1 NOOP\r\n\r\n", "tag1 OK completed\r\n* BAD invalid command\r\n");
    client.exchange("tag2 LOGIN u p\r\n+x\r\n", "tag2 NO no\r\n* BAD invalid command\r\n");
    client.exchange("tag3 NONSENSE\r\n*\r\n", "tag3 BAD invalid command\r\n* BAD invalid command\r\n");
}
