//! Passwords in the memory of the process: none is left there once its login is over, whatever has become of it.

use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rig::auth_server::{allow, refuse_for};
use rig::pki::{Key, Root};
use rig::{AuthServer, Backend, Client, Proxy, Script, backend, eventually, tool};

use crate::stage::{Protocol, SERVER_NAME, Stage, proxy};

const PASSWORD: &str = "correct-horse-battery-staple";

/// A response of SASL PLAIN.
fn plain() -> String {
    STANDARD.encode(format!("\0u\0{PASSWORD}"))
}

/// Every place of the password in the memory that the proxy has written to, in clear or in base64.
#[track_caller]
fn places(proxy: &Proxy) -> Vec<String> {
    // What is the same in all encodings, but for the ends.
    let texts = [PASSWORD, &plain()[8..32], &STANDARD.encode(PASSWORD)[..24]];
    let process = proxy.process().id();
    let maps = fs::read_to_string(format!("/proc/{process}/maps")).expect("the proxy runs");
    let memory = File::open(format!("/proc/{process}/mem")).expect("we may look into it");
    let mut found = Vec::new();
    for line in maps.lines().filter(|line| line.contains(" rw")) {
        let (range, rest) = line.split_once(' ').expect("a range and more");
        let (from, to) = range.split_once('-').expect("two addresses");
        let [from, to] = [from, to].map(|address| u64::from_str_radix(address, 16).expect("an address"));
        let mut bytes = vec![0; usize::try_from(to - from).expect("it fits into our memory, too")];
        // Some are not for reading.
        let read = memory.read_at(&mut bytes, from).unwrap_or_default();
        for text in texts {
            for at in memchr::memmem::find_iter(&bytes[..read], text.as_bytes()) {
                let around = &bytes[at.saturating_sub(24)..(at + text.len() + 24).min(read)];
                found.push(format!("{:x} {rest}: {}", from + at as u64, around.escape_ascii()));
            }
        }
    }
    found
}

#[track_caller]
fn is_forgotten(proxy: &Proxy, context: &str) {
    let found = places(proxy);
    assert!(found.is_empty(), "{context:?}\n{}", found.join("\n"));
}

/// How a client logs in, and how an upstream hears it.
fn logins(protocol: Protocol) -> Vec<(String, Script)> {
    let (plain, encoded) = (plain(), STANDARD.encode(PASSWORD));
    match protocol {
        Protocol::Imap => {
            let upstream = || backend::imap_login("a", "u", PASSWORD);
            let length = PASSWORD.len();
            let unprompted = Script::new()
                .say("* OK [CAPABILITY IMAP4rev1 LITERAL+] ready\r\n")
                .answer(format!("a LOGIN {{1+}}\r\nu {{{length}+}}\r\n{PASSWORD}\r\n"), "a OK logged in\r\n");
            vec![
                (format!("a LOGIN u {PASSWORD}\r\n"), upstream()),
                (format!("a LOGIN \"u\" \"{PASSWORD}\"\r\n"), unprompted),
                (format!("a LOGIN u {{{length}+}}\r\n{PASSWORD}\r\n"), upstream()),
                (format!("a AUTHENTICATE PLAIN {plain}\r\n"), upstream()),
            ]
        }
        Protocol::Pop3 => {
            let upstream = || backend::pop3_login("u", PASSWORD);
            vec![
                (format!("USER u\r\nPASS {PASSWORD}\r\n"), upstream()),
                (format!("AUTH LOGIN dQ==\r\n{encoded}\r\n"), upstream()),
            ]
        }
        Protocol::Smtp => {
            let upstream = || {
                backend::smtp_hello(SERVER_NAME)
                    .answer(format!("AUTH PLAIN {plain}\r\n"), "235 in\r\n")
                    .echo()
            };
            vec![(format!("EHLO c\r\nAUTH PLAIN\r\n{plain}\r\n"), upstream())]
        }
    }
}

#[test]
fn a_password_is_nowhere_in_memory_once_its_user_is_logged_in() {
    for protocol in Protocol::ALL {
        for (login, upstream) in logins(protocol) {
            let backend = Backend::start(upstream.echo());
            let auth = AuthServer::always(allow(backend.address()));
            let stage = Stage::new(protocol, "proxy_smtp_auth on;", auth, backend);
            let sessions = [Client::send, Client::send_bytewise].map(|send| {
                let mut client = stage.client();
                send(&mut client, login.as_bytes()).until(protocol.logged_in());
                client.exchange("x\r\n", "x\r\n");
                client
            });
            is_forgotten(&stage.proxy, &login);
            drop(sessions);
        }
    }
}

#[test]
fn a_password_that_comes_to_nothing_is_nowhere_in_memory_either() {
    let auth = AuthServer::always(refuse_for(1, "no"));
    let stage = Stage::answering(Protocol::Imap, "", auth);
    let own = stage.descriptors();
    // Refused and malformed; too long; behind a login that is under way; cut off.
    let login = format!("a LOGIN u {PASSWORD}\r\n");
    let mut refused = stage.client();
    refused.exchange(&login, "a NO no\r\n").exchange(format!("b {login}"), "b BAD invalid command\r\n");
    let mut long = stage.client();
    long.send(login.trim_end().repeat(200)).until("BAD invalid command\r\n");
    long.expect_end();
    let mut impatient = stage.client();
    impatient.send([&*login, &login].concat());
    stage.auth.request(2);
    drop(impatient);
    let mut half = stage.client();
    half.send_bytewise(login.trim_end());
    drop((refused, half));
    // One connection is kept for the auth server.
    eventually("all have gone", || stage.proxy.process().descriptors() <= own + stage.auth.connections());
    is_forgotten(&stage.proxy, &login);
}

/// A login in TLS, and a line behind it.
const IN_TLS: &str = r#"
import socket, ssl, sys
root, host, port, password = sys.argv[1:]
context = ssl.create_default_context(cafile=root)
wire = context.wrap_socket(socket.create_connection((host, int(port))), server_hostname="mail.example.test").makefile("rwb")
assert wire.readline() == b"* OK IMAP4 ready\r\n"
for said, heard in ("a LOGIN u " + password, b"a OK logged in\r\n"), ("x", b"x\r\n"):
    wire.write(said.encode() + b"\r\n"); wire.flush()
    assert wire.readline() == heard
"#;

#[test]
fn a_password_that_came_in_tls_is_nowhere_in_memory_either() {
    let root = Root::new(Key::Ec, "Test root");
    let identity = root.server(Key::Ec, &["mail.example.test"]);
    let backend = Backend::start(backend::imap_login("a", "u", PASSWORD).echo());
    let auth = AuthServer::always(allow(backend.address()));
    let proxy = proxy(&format!(
        "auth_http {}; server {{ listen @tls ssl; protocol imap; ssl_certificate {}; ssl_certificate_key {}; }}",
        auth.address(),
        identity.certificate().display(),
        identity.key().display()
    ));
    let at = proxy.at("tls");
    let root = root.certificate();
    let arguments = [&*root.to_string_lossy(), &at.ip().to_string(), &at.port().to_string(), PASSWORD];
    tool::python(IN_TLS, &arguments).succeeded();
    proxy.wait_for_log("proxied session done");
    is_forgotten(&proxy, "in TLS");
}
