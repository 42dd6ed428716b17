//! `auth_user_file`, with every mechanism that a file of users can serve.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use md5::{Digest, Md5};
use rig::auth_server::{allow, refuse};
use rig::{AuthServer, Backend, Client, Proxy, Script, backend};
use tempfile::TempDir;

use crate::stage::{Protocol, SERVER_NAME, greeted, proxy};

const MECHANISMS: &str =
    "imap_auth plain login cram-md5; pop3_auth plain apop cram-md5; smtp_auth plain login cram-md5;";

/// A proxy with a users file and nothing else, and the backend of its only user `u`, whose password is `p w`.
struct Stage {
    protocol: Protocol,
    proxy: Proxy,
    _backend: Backend,
    _directory: TempDir,
}

impl Stage {
    #[track_caller]
    fn new(protocol: Protocol, password: &str) -> Self {
        let script = match protocol {
            Protocol::Imap => backend::imap_login("a", "u", "p w"),
            Protocol::Pop3 => backend::pop3_login("u", "p w"),
            // What the upstream is told proves that the password is known, even behind a digest.
            Protocol::Smtp => Script::new()
                .say("220 ready\r\n")
                .answer(format!("HELO {SERVER_NAME}\r\n"), "250 ok\r\n")
                .answer("AUTH PLAIN AHUAcCB3\r\n", "235 welcome\r\n"),
        };
        let backend = Backend::start(script.echo());
        let entry = format!("u:{password}:::::: host=127.0.0.1 port={}", backend.address().port());
        let (directory, file) = users(&entry);
        let proxy = proxy(&format!(
            "auth_user_file {file}; {MECHANISMS} proxy_smtp_auth on;
             server {{ listen @proxy; protocol {}; }}",
            protocol.name()
        ));
        Self { protocol, proxy, _backend: backend, _directory: directory }
    }

    /// A client that has been greeted, and the challenge in the greeting, if there is one.
    #[track_caller]
    fn client(&self) -> (Client, Vec<u8>) {
        let mut client = Client::connect(self.proxy.at("proxy"));
        let greeting = client.line();
        let challenge = greeting.iter().position(|byte| *byte == b'<').unwrap_or(greeting.len());
        (client, greeting[challenge..].trim_ascii_end().to_vec())
    }

    /// The session is one with the backend.
    #[track_caller]
    fn goes_on(&self, client: &mut Client) {
        client.expect(self.protocol.logged_in()).exchange("anything\r\n", "anything\r\n");
    }
}

/// A users file in a directory of its own.
fn users(lines: &str) -> (TempDir, String) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let file = directory.path().join("users");
    std::fs::write(&file, format!("{lines}\n")).expect("the directory is writable");
    let name = file.display().to_string();
    (directory, name)
}

fn base64(bytes: impl AsRef<[u8]>) -> String {
    STANDARD.encode(bytes)
}

fn hex(bytes: impl AsRef<[u8]>) -> String {
    let digit = |value: u8| char::from_digit(value.into(), 16).expect("four bits are one digit");
    bytes.as_ref().iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

/// The answer of `u` to a CRAM-MD5 challenge in base64 (RFC 2195).
pub(crate) fn cram_md5(challenge: &[u8]) -> String {
    let challenge = STANDARD.decode(challenge.trim_ascii_end()).expect("a challenge is base64");
    let mut mac = Hmac::<Md5>::new_from_slice(b"p w").expect("a key of any length will do");
    mac.update(&challenge);
    base64(format!("u {}", hex(mac.finalize().into_bytes())))
}

/// What the client says and hears between greeting and login.
type Turns<'a> = &'a [(&'a str, &'a str)];

#[track_caller]
fn logs_in(protocol: Protocol, turns: Turns<'_>) {
    let stage = Stage::new(protocol, "{PLAIN}p w");
    let (mut client, _) = stage.client();
    for (said, heard) in turns {
        client.exchange(said, heard);
    }
    stage.goes_on(&mut client);
}

#[test]
fn imap_logs_in_with_every_mechanism_in_clear() {
    logs_in(Protocol::Imap, &[("a LOGIN u \"p w\"\r\n", "")]);
    logs_in(Protocol::Imap, &[("a LOGIN {1}\r\n", "+ OK\r\n"), ("u {3+}\r\np w\r\n", "")]);
    logs_in(Protocol::Imap, &[("a AUTHENTICATE PLAIN\r\n", "+ \r\n"), ("AHUAcCB3\r\n", "")]);
    logs_in(Protocol::Imap, &[("a AUTHENTICATE PLAIN AHUAcCB3\r\n", "")]);
    let prompts = [
        ("a AUTHENTICATE LOGIN\r\n", "+ VXNlcm5hbWU6\r\n"),
        ("dQ==\r\n", "+ UGFzc3dvcmQ6\r\n"),
        ("cCB3\r\n", ""),
    ];
    logs_in(Protocol::Imap, &prompts);
}

#[test]
fn pop3_logs_in_with_every_mechanism_in_clear() {
    logs_in(Protocol::Pop3, &[("USER u\r\n", "+OK\r\n"), ("PASS p w\r\n", "")]);
    logs_in(Protocol::Pop3, &[("AUTH PLAIN\r\n", "+ \r\n"), ("AHUAcCB3\r\n", "")]);
    logs_in(Protocol::Pop3, &[("AUTH LOGIN dQ==\r\n", "+ UGFzc3dvcmQ6\r\n"), ("cCB3\r\n", "")]);
}

#[test]
fn smtp_logs_in_with_every_mechanism_in_clear() {
    logs_in(Protocol::Smtp, &[("AUTH PLAIN\r\n", "334 \r\n"), ("AHUAcCB3\r\n", "")]);
    let prompts =
        [("AUTH LOGIN\r\n", "334 VXNlcm5hbWU6\r\n"), ("dQ==\r\n", "334 UGFzc3dvcmQ6\r\n"), ("cCB3\r\n", "")];
    logs_in(Protocol::Smtp, &prompts);
}

#[test]
fn cram_md5_logs_in_over_all_protocols() {
    let commands = ["a AUTHENTICATE CRAM-MD5\r\n", "AUTH CRAM-MD5\r\n", "AUTH CRAM-MD5\r\n"];
    for (protocol, command) in Protocol::ALL.into_iter().zip(commands) {
        let stage = Stage::new(protocol, "{PLAIN}p w");
        let (mut client, _) = stage.client();
        let prompt = client.send(command).line();
        let challenge = prompt.strip_prefix(b"+ ").or(prompt.strip_prefix(b"334 ")).expect("a prompt");
        client.send(cram_md5(challenge) + "\r\n");
        stage.goes_on(&mut client);
    }
}

#[test]
fn apop_logs_in_with_the_challenge_of_the_greeting() {
    let stage = Stage::new(Protocol::Pop3, "{PLAIN}p w");
    let (mut client, challenge) = stage.client();
    let digest = Md5::new().chain_update(&challenge).chain_update("p w").finalize();
    client.send(format!("APOP u {}\r\n", hex(digest)));
    stage.goes_on(&mut client);

    let (mut client, _) = stage.client();
    client.send(format!("APOP u {}\r\n", hex(digest)));
    assert_eq!(client.rest(), b"-ERR Authentication failed.\r\n", "a digest is good for one greeting");
}

#[test]
fn slow_and_salted_hashes_are_verified() {
    // Made by `openssl passwd`.
    let hashes = [
        "$6$saltstring$FtMDja8RF4rR3nZFABZnDMdoKg1cIHKVbTir4rc2lUUytj/ANyx.jhOvOfA1PRKG71C6YzQxxbHnsnhSrsdHa1",
        "{SHA256-CRYPT}$5$saltstring$FbtmJVMsW1lsCgC1rrvbnplWw3g8eumY0YMkhJ1YGc/",
    ];
    for hash in hashes {
        let stage = Stage::new(Protocol::Imap, hash);
        let (mut client, _) = stage.client();
        client.send("a LOGIN u \"p w\"\r\n");
        stage.goes_on(&mut client);
        let (mut client, _) = stage.client();
        client.send("a LOGIN u \"p x\"\r\n");
        assert_eq!(client.rest(), b"a NO Authentication failed.\r\n", "{hash}");
    }
}

#[test]
fn a_wrong_password_and_an_unknown_user_hear_the_same() {
    let refusals = [
        ("a LOGIN u x\r\n", "a LOGIN x \"p w\"\r\n", "a NO Authentication failed.\r\n"),
        ("USER u\r\nPASS x\r\n", "USER x\r\nPASS p w\r\n", "+OK\r\n-ERR Authentication failed.\r\n"),
        ("AUTH PLAIN AHUAeA==\r\n", "AUTH PLAIN AHgAcCB3\r\n", "535 5.7.8 Authentication failed.\r\n"),
    ];
    for (protocol, (wrong, unknown, expected)) in Protocol::ALL.into_iter().zip(refusals) {
        let stage = Stage::new(protocol, "{PLAIN}p w");
        for login in [wrong, unknown] {
            let (mut client, _) = stage.client();
            client.send(login);
            assert_eq!(rig::show(&client.rest()), rig::show(expected.as_bytes()), "{login}");
        }
        let log = stage.proxy.wait_for_log("login: \"x\"");
        assert_eq!(log.matches("client login failed: \"Authentication failed.\"").count(), 2, "{log}");
        assert!(!log.contains("p w"), "{log}");
    }
}

#[test]
fn another_name_and_password_may_be_used_upstream() {
    let backend = Backend::start(backend::imap_login("a", "other@example.org", "geheim"));
    let (_directory, file) = users(&format!(
        "u:{{PLAIN}}p:::::: host=127.0.0.1 port={} destuser=other@example.org pass=geheim",
        backend.address().port()
    ));
    let proxy = proxy(&format!("auth_user_file {file}; server {{ listen @proxy; protocol imap; }}"));
    let mut client = greeted(proxy.at("proxy"), Protocol::Imap);
    client.exchange("a LOGIN u p\r\n", "a OK logged in\r\n");
    assert!(proxy.wait_for_log("client logged in").contains("login: \"other@example.org\""));
}

#[test]
fn the_file_is_asked_before_the_auth_server_and_only_strangers_go_on() {
    let (own, theirs) = (
        Backend::start(backend::imap_login("a", "own", "p")),
        Backend::start(backend::imap_login("a", "stranger", "q")),
    );
    let (to, no) = (theirs.address(), "not here");
    let auth = AuthServer::start(move |request| match request.header("Auth-User").as_deref() {
        Some("stranger") => allow(to),
        _ => refuse(no),
    });
    let (_directory, file) =
        users(&format!("own:{{PLAIN}}p:::::: host=127.0.0.1 port={}", own.address().port()));
    let proxy = proxy(&format!(
        "auth_user_file {file}; auth_http {}; server {{ listen @proxy; protocol imap; }}",
        auth.address()
    ));
    let says = |login: &str| {
        let mut client = greeted(proxy.at("proxy"), Protocol::Imap);
        client.send(login).line()
    };
    assert_eq!(says("a LOGIN own p\r\n"), b"a OK logged in\r\n");
    assert_eq!(says("a LOGIN own q\r\n"), b"a NO Authentication failed.\r\n");
    assert_eq!(auth.requests().len(), 0, "who is in the file is decided there");
    assert_eq!(says("a LOGIN stranger q\r\n"), b"a OK logged in\r\n");
    assert_eq!(says("a LOGIN nobody q\r\n"), b"a NO not here\r\n");
    assert_eq!(auth.requests().len(), 2);
}

#[test]
fn a_hash_under_way_does_not_hold_up_other_sessions() {
    // Half a minute of work, were it done; the client that asked for it leaves.
    let slow = "{PBKDF2}$1$c2FsdHNhbHQ$4000000$0000000000000000000000000000000000000000";
    let backend = Backend::start(backend::imap_login("a", "quick", "p").echo());
    let (_directory, file) = users(&format!(
        "slow:{slow}:::::: host=127.0.0.1\nquick:{{PLAIN}}p:::::: host=127.0.0.1 port={}",
        backend.address().port()
    ));
    let proxy = proxy(&format!("auth_user_file {file}; server {{ listen @proxy; protocol imap; }}"));
    let mut waiting = greeted(proxy.at("proxy"), Protocol::Imap);
    waiting.send("a LOGIN slow p\r\n");
    let mut client = greeted(proxy.at("proxy"), Protocol::Imap);
    client.exchange("a LOGIN quick p\r\n", "a OK logged in\r\n").exchange("x\r\n", "x\r\n");
    waiting.expect_nothing_unread();
}
