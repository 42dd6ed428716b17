//! The log lines of complete sessions, to the byte behind time and process.

use std::os::unix::fs::symlink;
use std::path::PathBuf;

use rig::auth_server::{allow, refuse};
use rig::{AuthServer, Backend, Program, Proxy};
use tempfile::TempDir;

use crate::stage::{Protocol, Stage, greeted, logged_in};

/// The lines of the first session: level and text.
fn told(log: &str) -> Vec<String> {
    let session = |line: &str| {
        let (head, text) = line.split_once(": *1 ")?;
        let level = head.split(' ').nth(2)?;
        Some(format!("{level} {text}"))
    };
    log.lines().filter_map(session).collect()
}

/// Something and what has to live as long as it.
struct Named {
    program: Program,
    _directory: TempDir,
}

/// The program called by another name.
fn called(name: &str) -> Named {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let link: PathBuf = directory.path().join(name);
    symlink(env!("CARGO_BIN_EXE_gatepost"), &link).expect("the directory is writable");
    Named { program: Program::gatepost(link), _directory: directory }
}

/// A whole session with the program of this name, whose log is told with `CLIENT` and such for addresses.
#[track_caller]
fn session(name: &str) -> Vec<String> {
    let backend = Backend::start(Protocol::Imap.backend().echo());
    let auth = AuthServer::always(allow(backend.address()));
    let named = called(name);
    let mail = format!("auth_http {}; server {{ listen @proxy; protocol imap; }}", auth.address());
    let proxy = Proxy::start(&named.program, &mail);
    let mut client = logged_in(proxy.at("proxy"), Protocol::Imap);
    client.half_close().expect_end();
    let log = proxy.wait_for_log("proxied session done");
    let log = log
        .replace(&proxy.at("proxy").to_string(), "SERVER")
        .replace(&backend.address().to_string(), "UPSTREAM");
    told(&log).into_iter().map(|line| without_port(&line)).collect()
}

/// The client's port is the system's choice.
fn without_port(line: &str) -> String {
    let Some(at) = line.find("127.0.0.1:").or_else(|| client_address(line)) else { return line.to_owned() };
    let rest = &line[at..];
    let colon = rest.find(':').map_or(rest.len(), |colon| colon + 1);
    let digits = rest[colon..].find(|c: char| !c.is_ascii_digit()).map_or(rest.len(), |end| colon + end);
    format!("{}CLIENT{}", &line[..at], &rest[digits..])
}

/// Where a client's address of the rig's own network begins, if it has a port.
fn client_address(line: &str) -> Option<usize> {
    let at = line.find("127.")?;
    let end = line[at..].find(|c: char| !c.is_ascii_digit() && c != '.')?;
    line[at + end..].starts_with(':').then_some(at)
}

#[test]
fn a_session_is_told_in_angies_words() {
    let context = "client: \"CLIENT\", server: \"SERVER\"";
    for name in ["gatepost", "angie"] {
        assert_eq!(
            session(name),
            [
                format!("[info] client connected while initializing session, {context}"),
                format!("[info] client logged in, {context}, login: \"u\", upstream: \"UPSTREAM\""),
                format!("[info] proxied session done, {context}, login: \"u\", upstream: \"UPSTREAM\""),
            ]
        );
    }
}

#[test]
fn called_nginx_it_is_told_in_nginxs_words() {
    let context = "client: 127.0.0.1, server: SERVER, login: \"u\", upstream: UPSTREAM";
    assert_eq!(
        session("nginx"),
        [
            "[info] client CLIENT connected to SERVER".to_owned(),
            format!("[info] client logged in, {context}"),
            format!("[info] proxied session done, {context}"),
        ]
    );
}

#[test]
fn bytes_of_clients_and_servers_cannot_forge_lines() {
    let auth = AuthServer::always(refuse("\u{1b}[31m\"no\""));
    let stage = Stage::answering(Protocol::Imap, "", auth);
    let mut client = stage.client();
    let user = b"u\r\n2026/01/01 [emerg] \"\\\x00\xff forged\x7f";
    client.send([format!("a LOGIN {{{}+}}\r\n", user.len()).as_bytes(), user, b" p\r\n"].concat());
    client.rest();
    let log = stage.proxy.wait_for_log("client login failed");
    let lines = told(&log);
    assert!(lines[1].contains("failed: \"\\x1B[31m\\x22no\\x22\""), "{log}");
    assert!(lines[1].contains("login: \"u\\x0D\\x0A2026/01/01 [emerg] \\x22\\x5C\\x00\\xFF"), "{log}");
    assert_eq!(lines.len(), 2, "{log}");
}

#[test]
fn passwords_are_in_no_log() {
    let auth = AuthServer::always(refuse("no"));
    let stage = Stage::answering(Protocol::Pop3, "pop3_client_buffer 128;", auth);
    let mut client = stage.client();
    client.send("USER u\r\nPASS hunter2\r\n").rest();
    let mut client = stage.client();
    client.send(format!("USER u\r\nPASS hunter2{}\r\n", "x".repeat(200))).rest();
    let log = stage.proxy.wait_for_log("client sent too long command");
    assert!(!log.contains("hunter2"), "{log}");
}

#[test]
fn a_session_that_simply_ends_is_told_only_at_its_beginning() {
    let stage = Stage::answering(Protocol::Imap, "", AuthServer::always(refuse("no")));
    let mut client = greeted(stage.address(), Protocol::Imap);
    client.exchange("a LOGOUT\r\n", "* BYE\r\na OK completed\r\n").expect_end();
    assert!(stage.proxy.stop().success());
    assert_eq!(told(&stage.proxy.log()).len(), 1, "{}", stage.proxy.log());
}

#[test]
fn a_server_may_have_a_log_of_its_own() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let own = directory.path().join("imap.log");
    let settings = format!("error_log {} info;", own.display());
    let stage = Stage::allowing(Protocol::Imap, &settings, Protocol::Imap.backend());
    drop(stage.logged_in());
    rig::eventually("the session's end is told", || {
        std::fs::read_to_string(&own).unwrap_or_default().contains("proxied session done")
    });
    let log = stage.proxy.whole_log();
    assert!(!log.contains("client"), "{log}");
}
