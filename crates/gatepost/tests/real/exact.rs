//! Nothing is normalised: what one side sends is what the other side gets, be it mail or not.

use std::net::SocketAddr;

use rig::{AuthServer, Backend, Client, Program, Proxy, Script, auth_server, backend};

use crate::message;
use crate::stage::{Authority, Stage};

/// Line ends of all kinds, the ends of messages that some servers believe in, every byte, long lines and no last line end.
fn junk() -> Vec<u8> {
    let mut bytes =
        b"bare\nLF, bare\rCR, \r.\r, \n.\n, \n.\r\n, \r\n.\n, \r\n.\r, \r\r\n.\r\r\n, .\r\n..\r\n".to_vec();
    bytes.extend(0..=255);
    bytes.extend(b"long ".repeat(40_000));
    bytes.extend_from_slice(b"\r\n\0\0 a LOGOUT\nQUIT\r\nnot ended");
    bytes
}

fn proxy(auth: &AuthServer) -> Proxy {
    let configuration = format!(
        "auth_http {}; server_name gate; xclient off;
        server {{ listen @imap; protocol imap; }}
        server {{ listen @pop3; protocol pop3; }}
        server {{ listen @smtp; protocol smtp; }}",
        auth.address()
    );
    Proxy::start(&Program::gatepost(env!("CARGO_BIN_EXE_gatepost")), &configuration)
}

/// Logs in by `login`, then sends junk there and back again.
#[track_caller]
fn passes_junk(protocol: &str, upstream: Script, login: &[(&str, &str)]) {
    let backend = Backend::start(upstream.echo());
    let auth = AuthServer::always(auth_server::allow(backend.address()));
    let proxy = proxy(&auth);
    let mut client = Client::connect(proxy.at(protocol));
    for (line, reply) in login {
        client.exchange(line, reply);
    }
    let junk = junk();
    client.send(&junk);
    assert!(client.take(junk.len()) == junk, "other bytes came back");
    client.half_close().expect_end();
    assert!(backend.finished(0).ends_with(&junk), "other bytes arrived");
}

#[test]
fn bytes_of_any_kind_pass_unchanged_in_every_protocol() {
    passes_junk(
        "imap",
        backend::imap_login("a", "u", "p"),
        &[("", "* OK IMAP4 ready\r\n"), ("a LOGIN u p\r\n", "a OK logged in\r\n")],
    );
    let upstream = backend::pop3_login("u", "p");
    let login = [("AUTH PLAIN AHUAcA==\r\n", "+OK logged in\r\n")];
    passes_junk("pop3", upstream, &[&[("", "+OK POP3 ready\r\n")], &login[..]].concat());
    passes_junk(
        "smtp",
        Script::new().say("220 smtp ready\r\n").answer("EHLO gate\r\n", "250 hello\r\n"),
        &[
            ("", "220 gate ESMTP ready\r\n"),
            ("EHLO c\r\n", "250-gate\r\n250 AUTH PLAIN LOGIN\r\n"),
            ("AUTH PLAIN AHUAcA==\r\n", "235 2.0.0 OK\r\n"),
        ],
    );
}

/// Ends of messages in which only some servers believe.
const FALSE_ENDS: [&str; 7] =
    ["\n.\n", "\r\n.\n", "\n.\r\n", "\r.\r", "\r\n.\r", "\r\n\0.\r\n", "\r\r\n.\r\r\n"];

/// What Postfix makes of a conversation: the codes of its replies, and the bodies that it delivers.
type Outcome = (Vec<String>, Vec<String>);

/// Sends a message that pretends to end early, and a second one hidden behind that end, to everybody's inbox.
fn smuggle(client: &mut Client, false_end: &str) -> String {
    client.expect_prefix("220 ");
    client.exchange("HELO c.example.test\r\n", "250 ").line();
    client.exchange("MAIL FROM:<mallory@example.test>\r\n", "250 ").line();
    client.exchange("RCPT TO:<bob@example.test>\r\n", "250 2.1.5 Ok\r\n");
    client.exchange("DATA\r\n", "354 ").line();
    client.send(format!(
        "Subject: first\r\n\r\nfirst {false_end}\
         MAIL FROM:<ann@example.test>\r\nRCPT TO:<bob@example.test>\r\nDATA\r\n\
         Subject: second\r\n\r\nsecond \u{e4}\r\n.\r\nQUIT\r\n"
    ));
    String::from_utf8(client.rest()).expect("replies are text")
}

fn smuggle_all(stage: &Stage, at: SocketAddr) -> Outcome {
    let sessions = FALSE_ENDS.map(|false_end| smuggle(&mut Client::connect(at), false_end));
    let replies = sessions.concat();
    stage.postfix.wait_for_removed(replies.matches(" queued as ").count());
    let mut bodies: Vec<_> = stage.inbox("bob").iter().map(|message| body(message)).collect();
    bodies.sort();
    (replies.lines().map(|line| line[..3].to_owned()).collect(), bodies)
}

fn body(message: &[u8]) -> String {
    let head = message.windows(2).position(|pair| pair == b"\n\n").expect("an empty line ends the head");
    message[head..].escape_ascii().to_string()
}

#[test]
fn postfix_believes_in_the_same_ends_of_messages_with_and_without_the_proxy() {
    let direct = Stage::start(Authority::Server);
    let expected = smuggle_all(&direct, direct.postfix.smtp());
    let through = Stage::start(Authority::Server);
    assert_eq!(smuggle_all(&through, through.at("mx")), expected);
    assert!(expected.1.len() >= FALSE_ENDS.len(), "{expected:?}");
}

#[test]
fn awkward_messages_pass_unchanged_in_both_directions() {
    let stage = Stage::start(Authority::Server);
    let file = stage.write("awkward", message::AWKWARD);
    let inbox = format!("{}/INBOX", stage.url("imap"));
    stage.curl(&["-T", &file.to_string_lossy(), &inbox]).succeeded();
    let fetched = stage.curl(&[&format!("{inbox};MAILINDEX=1")]).succeeded();
    assert_eq!(fetched.stdout.escape_ascii().to_string(), message::AWKWARD.escape_ascii().to_string());
    let fetched = stage.curl(&[&format!("{}/1", stage.url("pop3"))]).succeeded();
    assert_eq!(fetched.stdout.escape_ascii().to_string(), message::AWKWARD.escape_ascii().to_string());

    let envelope = ["--mail-from", "ann@example.test", "--mail-rcpt", "bob@example.test", "-T"];
    stage.curl(&[&envelope[..], &[&file.to_string_lossy(), &stage.url("smtp")]].concat()).succeeded();
    stage.postfix.wait_for_log("status=sent");
    let delivered = &stage.inbox("bob")[0];
    let sent = message::on_disk(message::AWKWARD);
    assert!(delivered.ends_with(&sent), "{}", delivered.escape_ascii());
}
