//! Upstreams that go away or dawdle, at every byte.

use std::time::Duration;

use rig::{Gate, Script};

use super::*;
use crate::stage::SERVER_NAME;

/// What we say and what an upstream answers, until a login is done.
fn dialogue(protocol: Protocol) -> Vec<(String, &'static str)> {
    let hello = format!("EHLO {SERVER_NAME}\r\n");
    let turns: &[(&str, &str)] = match protocol {
        Protocol::Imap => &[
            ("", "* OK ready\r\n"),
            ("a LOGIN {1}\r\n", "+ go\r\n"),
            ("u {1}\r\n", "+ go\r\n"),
            ("p\r\n", "a OK logged in\r\n"),
        ],
        Protocol::Pop3 => {
            &[("", "+OK ready\r\n"), ("USER u\r\n", "+OK\r\n"), ("PASS p\r\n", "+OK logged in\r\n")]
        }
        Protocol::Smtp => &[
            ("", "220-one\r\n220 ready\r\n"),
            (&hello, "250-x\r\n250 hello\r\n"),
            ("AUTH PLAIN AHUAcA==\r\n", "235 welcome\r\n"),
        ],
    };
    turns.iter().map(|(said, reply)| ((*said).to_owned(), *reply)).collect()
}

/// A stage whose first client is let in by the whole dialogue, and whose others meet these scripts.
#[track_caller]
fn playing(protocol: Protocol, scripts: impl IntoIterator<Item = Script>) -> Siege {
    let whole = dialogue(protocol)
        .into_iter()
        .fold(Script::new(), |script, (said, reply)| script.answer(said, reply));
    behind_first(protocol, whole.echo(), "proxy_smtp_auth on;", scripts)
}

/// For every byte of every reply, the upstream that says all before it and then `ends`.
fn cut_everywhere(protocol: Protocol, ends: fn(Script) -> Script) -> Vec<Script> {
    let mut before = Script::new();
    let mut scripts = Vec::new();
    for (said, reply) in dialogue(protocol) {
        before = before.expect(said);
        scripts.extend((0..reply.len()).map(|length| ends(before.clone().say(&reply[..length]))));
        before = before.say(reply);
    }
    scripts
}

#[test]
fn an_upstream_may_close_at_every_byte_of_every_reply() {
    for protocol in Protocol::ALL {
        let scripts = cut_everywhere(protocol, Script::close);
        let count = scripts.len();
        let mut siege = playing(protocol, scripts);
        (0..count).for_each(|number| fails(&siege, &format!("byte {number}")));
        let text = "upstream prematurely closed connection while ";
        rig::eventually("each is told", || siege.stage.proxy.log().matches(text).count() == count);
        siege.is_over();
    }
}

#[test]
fn an_upstream_may_reset_at_every_byte_of_every_reply() {
    for protocol in Protocol::ALL {
        let scripts = cut_everywhere(protocol, Script::reset);
        let count = scripts.len();
        let mut siege = playing(protocol, scripts);
        (0..count).for_each(|number| fails(&siege, &format!("byte {number}")));
        let text = "recv() failed (104: Connection reset by peer) while ";
        rig::eventually("each is told", || siege.stage.proxy.log().matches(text).count() == count);
        siege.is_over();
    }
}

#[test]
fn an_upstream_may_say_its_replies_byte_by_byte() {
    for protocol in Protocol::ALL {
        let slowly = |script: Script, (said, reply): (String, &str)| {
            script.expect(said).trickle(reply, Duration::from_micros(200))
        };
        let script = dialogue(protocol).into_iter().fold(Script::new(), slowly).echo();
        let mut siege = playing(protocol, [script]);
        let mut client = siege.attacker();
        client.exchange(protocol.login(), protocol.asked());
        client.expect(protocol.logged_in()).exchange("x\r\n", "x\r\n");
        drop(client);
        siege.is_over();
    }
}

#[test]
fn upstreams_that_say_nothing_hold_up_nobody_and_are_given_up_in_time() {
    for protocol in Protocol::ALL {
        let mut siege = behind(protocol, "timeout 500ms; proxy_timeout 1h;", [Script::new().silence()]);
        let mut waiting: Vec<_> = (0..30).map(|_| siege.attacker()).collect();
        for client in &mut waiting {
            client.send(protocol.login());
        }
        siege.neighbour.exchange("x\r\n", "x\r\n");
        let expected = [protocol.asked(), protocol.internal_error()].concat();
        for client in &mut waiting {
            assert_eq!(rig::show(&client.rest()), rig::show(expected.as_bytes()));
        }
        drop(waiting);
        let text = "upstream timed out (110: Connection timed out) while ";
        rig::eventually("each is told", || siege.stage.proxy.log().matches(text).count() == 30);
        siege.is_over();
    }
}

// B21.
#[test]
fn an_upstream_that_resets_a_session_ends_it_and_is_told() {
    for protocol in Protocol::ALL {
        let gate = Gate::shut();
        let mut siege =
            behind(protocol, "", [protocol.backend().answer("x\r\n", "y\r\n").wait(&gate).reset()]);
        let mut client = siege.attacker();
        client.exchange(protocol.login(), [protocol.asked(), protocol.logged_in()].concat());
        client.exchange("x\r\n", "y\r\n");
        gate.open();
        assert_eq!(client.rest(), b"");
        drop(client);
        siege.stage.proxy.wait_for_log("proxied session done");
        let log = siege.stage.proxy.log();
        let text = "recv() failed (104: Connection reset by peer) while proxying and reading from upstream";
        assert!(log.lines().any(|line| line.contains("[error] ") && line.contains(text)), "{log}");
        siege.is_over();
    }
}

#[test]
fn a_client_that_resets_its_session_frees_the_upstream() {
    for protocol in Protocol::ALL {
        let mut siege = behind(protocol, "", [protocol.backend().silence()]);
        let mut client = siege.attacker();
        client.exchange(protocol.login(), [protocol.asked(), protocol.logged_in()].concat());
        client.reset();
        siege.stage.backend.finished(1);
        siege.stage.proxy.wait_for_log("proxied session done");
        siege.is_over();
    }
}
