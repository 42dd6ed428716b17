//! Memory: what a client may name, nest or begin is bounded, and nothing is kept of those who left.

use rig::auth_server::refuse;
use rig::{AuthServer, Client, eventually};

use crate::stage::{Protocol, Stage};
use crate::tls::Secured;

/// What the heap may grow by because its pages are counted as a whole.
const GROWTH: u64 = 2 << 20;

/// Runs `attack` again and again, after a first time that makes what is made once: memory and descriptors stay.
#[track_caller]
fn stays_flat(stage: &Stage, times: usize, attack: impl Fn(&Stage)) {
    let descriptors = stage.descriptors();
    let process = stage.proxy.process();
    (0..times / 4).for_each(|_| attack(stage));
    let memory = process.memory();
    (0..times).for_each(|_| attack(stage));
    let growth = process.memory().saturating_sub(memory);
    assert!(growth <= GROWTH, "{growth} bytes more than the {memory} before");
    eventually("all descriptors are given back", || process.descriptors() <= descriptors);
}

// CVE-2026-27857 of Dovecot: parentheses without end before login.
#[test]
fn parentheses_without_end_are_cut_where_lines_are() {
    let auth = AuthServer::always(refuse("no"));
    let stage = Stage::answering(Protocol::Imap, "imap_capabilities IMAP4rev1 ID;", auth);
    let commands = ["a ID ", "a LOGIN ", "a NOOP ", ""];
    stays_flat(&stage, 40, |stage| {
        for command in commands {
            let mut client = stage.client();
            let taken = client.send(command).flood(&[b'('; 16_384], 1 << 30);
            assert!(taken < 64 << 20, "{taken} bytes were taken");
        }
    });
    stage.client().exchange(format!("a ID ({})\r\n", "(".repeat(1000)), "* ID NIL\r\na OK completed\r\n");
}

// CVE-2017-15132 of Dovecot: an exchange that is given up leaked.
#[test]
fn exchanges_that_are_given_up_leave_nothing_behind() {
    for (protocol, settings, begin) in [
        (Protocol::Imap, "imap_auth plain login cram-md5;", "a AUTHENTICATE LOGIN\r\ndXNlcg==\r\n"),
        (Protocol::Pop3, "pop3_auth plain cram-md5;", "AUTH LOGIN\r\ndXNlcg==\r\n"),
        (Protocol::Smtp, "smtp_auth plain login cram-md5;", "AUTH LOGIN\r\ndXNlcg==\r\n"),
    ] {
        let stage = Stage::answering(protocol, settings, AuthServer::always(refuse("no")));
        stays_flat(&stage, 200, |stage| {
            let mut client = Client::connect(stage.address());
            client.line();
            client.send(begin).until("UGFzc3dvcmQ6\r\n");
            client.send("cGFzc3dvcmQ");
            client.reset();
        });
        assert_eq!(stage.auth.requests(), []);
    }
}

// CVE-2017-15130 of Dovecot: names that clients ask for in TLS were kept, each of them.
#[test]
fn names_that_nobody_has_are_not_remembered() {
    let program = r#"
import random
context = trusting()
context.check_hostname = False
for n in range(int(MORE[0])):
    name = "%x.%x.example" % (n, random.getrandbits(64))
    Wire(TLS).secure(context, name=name).expect(GREETING)
"#;
    let secured = Secured::new(Protocol::Imap, "");
    let process = secured.stage.proxy.process();
    let handshakes = |count: &str| secured.talk(program, &[count]).succeeded();
    handshakes("100");
    let memory = process.memory();
    handshakes("400");
    let growth = process.memory().saturating_sub(memory);
    assert!(growth <= GROWTH, "{growth} bytes more than the {memory} before");
}

// CVE-2019-11494 and -11499 of Dovecot: leaving in the middle of an exchange inside TLS.
#[test]
fn leaving_in_the_middle_of_an_exchange_inside_tls_hurts_nobody() {
    let program = r#"
import socket, struct
BEGIN, PROMPT = (text.encode() for text in MORE)
def leave(wire, how):
    if how == "reset":
        wire.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        wire.socket.close()
    elif how == "close": wire.socket.close()
    elif how == "notify":
        wire.socket.settimeout(1)
        try: wire.socket.unwrap()
        except OSError: pass
    else:
        # Rubbish below TLS.
        raw = socket.socket(fileno=wire.socket.detach())
        raw.sendall(b"\x17\x03\x03\x00\x20" + b"\xa5" * 32)
        raw.close()
for make in starttls, implicit:
    for how in "reset", "close", "notify", "rubbish":
        leave(make(), how)
        leave(make().say(BEGIN, PROMPT), how)
        leave(make().say(BEGIN, PROMPT).send(b"AHUA"), how)
assert implicit().say(NOOP, NOOP_OK)
"#;
    for (protocol, begin, prompt) in [
        (Protocol::Imap, "a AUTHENTICATE PLAIN\r\n", "+ \r\n"),
        (Protocol::Pop3, "AUTH PLAIN\r\n", "+ \r\n"),
        (Protocol::Smtp, "AUTH PLAIN\r\n", "334 \r\n"),
    ] {
        let secured = Secured::new(protocol, "imap_auth plain; pop3_auth plain; smtp_auth plain;");
        let before = secured.stage.descriptors();
        secured.talk(program, &[begin, prompt]).succeeded();
        let process = secured.stage.proxy.process();
        eventually("all descriptors are given back", || process.descriptors() <= before);
        assert_eq!(secured.stage.auth.requests(), []);
    }
}
