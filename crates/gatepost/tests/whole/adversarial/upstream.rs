//! What an upstream answers.

use rig::{Backend, Gate, Script};

use super::*;
use crate::stage::SERVER_NAME;

/// An IMAP upstream that has been told the password.
fn told() -> Script {
    Script::new()
        .say("* OK ready\r\n")
        .answer("a LOGIN {1}\r\n", "+ go\r\n")
        .answer("u {1}\r\n", "+ go\r\n")
        .expect("p\r\n")
}

/// What the client hears, with `proxy_pass_error_message` off and on.
#[track_caller]
fn heard(script: &Script, expected: [&str; 2]) {
    for (setting, expected) in ["off", "on"].into_iter().zip(expected) {
        let settings = format!("proxy_pass_error_message {setting};");
        let stage = Stage::allowing(Protocol::Imap, &settings, script.clone().close());
        let mut client = stage.client();
        client.send("a LOGIN u p\r\n");
        assert_eq!(rig::show(&client.rest()), rig::show(expected.as_bytes()), "{setting}");
    }
}

const ERROR: &str = "* BAD internal server error\r\n";

#[test]
fn untagged_lines_before_the_tagged_one_are_passed_on_with_it() {
    // B4: any number of them; B7: what comes behind it, too.
    for lines in [
        "* CAPABILITY IMAP4rev1\r\n* 1 EXISTS\r\na OK done\r\n",
        "a OK done\r\n* 3 EXISTS\r\n",
        "a OK done\r\n* 3 EXI",
        "* 1 EXISTS\r\n* 2 RECENT\r\n* FLAGS ()\r\na OK done\r\n* BYE\r\n",
    ] {
        heard(&told().say(lines), [lines, lines]);
    }
}

#[test]
fn other_lines_are_a_refusal() {
    for line in [
        "zz OK done\r\n",
        "a NO [AUTHENTICATIONFAILED] bad\r\n",
        "* BYE\r\n",
        "* PREAUTH hi\r\n",
        "+ more\r\n",
    ] {
        heard(&told().say(line), [ERROR, line]);
    }
    for greeting in ["* BYE no\r\n", "* PREAUTH hi\r\n", "* NO\r\n", "220 hi\r\n", "\r\n", "+\r\n"] {
        heard(&Script::new().say(greeting), [ERROR, greeting]);
    }
}

#[test]
fn a_greeting_without_its_end_is_waited_for_until_the_time_is_up() {
    // B8, B16
    let cases = [
        (Protocol::Imap, "* OK ready\n"),
        (Protocol::Imap, "* OK ready\r"),
        (Protocol::Imap, "+"),
        (Protocol::Pop3, "+OK ready\n"),
        (Protocol::Smtp, "220-one\r\n"),
        (Protocol::Smtp, "220 one\n"),
    ];
    for (protocol, greeting) in cases {
        let script = Script::new().say(greeting).silence();
        let stage = Stage::allowing(protocol, "timeout 300ms; proxy_timeout 1h;", script);
        let mut client = stage.client();
        client.send(protocol.login());
        let expected = [protocol.asked(), protocol.internal_error()].concat();
        assert_eq!(rig::show(&client.rest()), rig::show(expected.as_bytes()), "{greeting:?}");
        stage.proxy.wait_for_log("upstream timed out (110: Connection timed out) while ");
    }
}

#[test]
fn replies_that_each_come_late_have_one_time_together() {
    // B19
    let gates: Vec<_> = (0..3).map(|_| Gate::shut()).collect();
    let script = Script::new()
        .say("* OK ready\r\n")
        .expect("a LOGIN {1}\r\n")
        .wait(&gates[0])
        .say("+ go\r\n")
        .expect("u {1}\r\n")
        .silence();
    let stage = Stage::allowing(Protocol::Imap, "timeout 500ms; proxy_timeout 1h;", script);
    let mut client = stage.client();
    client.send("a LOGIN u p\r\n");
    stage.backend.expect_received(0, "a LOGIN {1}\r\n");
    gates[0].open();
    client.expect(ERROR).expect_end();
    stage.proxy.wait_for_log("upstream timed out");
}

#[test]
fn xclient_may_be_answered_by_220_or_250_and_the_greeting_behind_it_by_250() {
    // B17
    for (reply, hello, expected) in [
        ("220 ok\r\n", "250 hello\r\n", "235 2.0.0 OK\r\n"),
        ("250 ok\r\n", "250-x\r\n250 hello\r\n", "235 2.0.0 OK\r\n"),
        ("220 ok\r\n", "220 hello\r\n", "451 4.3.2 Internal server error\r\n"),
        ("251 ok\r\n", "", "451 4.3.2 Internal server error\r\n"),
    ] {
        let mut script = Script::new()
            .say("220 smtp ready\r\n")
            .answer(format!("EHLO {SERVER_NAME}\r\n"), "250-backend\r\n250 XCLIENT NAME ADDR LOGIN\r\n")
            .answer("XCLIENT ADDR=127.0.0.1 LOGIN=u NAME=[UNAVAILABLE]\r\n", reply);
        if !hello.is_empty() {
            script = script.answer("EHLO c\r\n", hello);
        }
        let backend = Backend::start(script);
        let auth = AuthServer::always(rig::auth_server::allow(backend.address()));
        let stage = Stage::new(Protocol::Smtp, "xclient on;", auth, backend);
        let mut client = stage.client();
        client.exchange(Protocol::Smtp.login(), [Protocol::Smtp.asked(), expected].concat());
    }
}
