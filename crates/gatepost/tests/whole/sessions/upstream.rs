//! The upstream: where it is, how it fails, what it is told.

use rig::auth_server::answer;
use rig::{AuthServer, Backend, Script, backend, port};

use crate::stage::{Protocol, SERVER_NAME, Stage};

/// The scripts of an upstream that lets nobody in, one for each step: it plays that far, then `ends`.
fn steps(protocol: Protocol, ends: fn(Script) -> Script) -> Vec<Script> {
    let dialogue: &[(&str, &str)] = match protocol {
        Protocol::Imap => &[("a LOGIN {1}\r\n", "+ go\r\n"), ("u {1}\r\n", "+ go\r\n"), ("p\r\n", "")],
        Protocol::Pop3 => &[("USER u\r\n", "+OK\r\n"), ("PASS p\r\n", "")],
        Protocol::Smtp => &[
            ("EHLO proxy.example\r\n", "250 ok\r\n"),
            ("XCLIENT ADDR=127.0.0.1 NAME=[UNAVAILABLE]\r\n", "220 ok\r\n"),
            ("EHLO c\r\n", "250 ok\r\n"),
            ("AUTH PLAIN AHUAcA==\r\n", ""),
        ],
    };
    let greeting = match protocol {
        Protocol::Imap => "* OK ready\r\n",
        Protocol::Pop3 => "+OK ready\r\n",
        Protocol::Smtp => "220 ready\r\n",
    };
    let mut script = Script::new();
    let mut scripts = vec![ends(script.clone())];
    script = script.say(greeting);
    for (said, reply) in dialogue {
        scripts.push(ends(script.clone().expect(said)));
        script = script.answer(said, reply);
    }
    scripts
}

/// The client of each of these upstreams hears of an internal error, and the log tells why.
#[track_caller]
fn fails(protocol: Protocol, scripts: Vec<Script>, reason: &str) {
    let count = scripts.len();
    let backend = Backend::start_each(scripts);
    let auth = AuthServer::always(rig::auth_server::allow(backend.address()));
    let stage = Stage::new(protocol, "xclient on; proxy_smtp_auth on;", auth, backend);
    for step in 0..count {
        let mut client = stage.client();
        client.send(protocol.login());
        let expected = [protocol.asked(), protocol.internal_error()].concat();
        assert_eq!(rig::show(&client.rest()), rig::show(expected.as_bytes()), "step {step}");
    }
    let log = stage.proxy.whole_log();
    assert_eq!(log.matches(reason).count(), count, "{log}");
}

#[test]
fn an_upstream_may_close_at_any_step() {
    for protocol in Protocol::ALL {
        fails(protocol, steps(protocol, Script::close), "[error] ");
        fails(protocol, steps(protocol, Script::close), "upstream prematurely closed connection");
    }
}

#[test]
fn an_upstream_may_reset_at_any_step() {
    for protocol in Protocol::ALL {
        // A reset at once may be seen by connect() already.
        fails(protocol, steps(protocol, Script::reset), "failed (104: Connection reset by peer) while ");
    }
}

#[test]
fn an_upstream_may_say_nonsense_at_any_step() {
    for protocol in Protocol::ALL {
        let nonsense = |script: Script| script.say("\x00\u{ff}what?\r\n");
        fails(protocol, steps(protocol, nonsense), "upstream sent invalid response: \"\\x00");
    }
}

#[test]
fn an_upstream_that_is_not_there_is_an_internal_error() {
    for protocol in Protocol::ALL {
        let nowhere = port::free();
        let auth = AuthServer::always(rig::auth_server::allow(nowhere));
        let stage = Stage::answering(protocol, "", auth);
        let mut client = stage.client();
        client.send(protocol.login());
        let expected = [protocol.asked(), protocol.internal_error()].concat();
        assert_eq!(rig::show(&client.rest()), rig::show(expected.as_bytes()));
        stage.proxy.wait_for_log(&format!(
            "[error] {0}connect() to {nowhere} failed (111: Connection refused) while connecting to upstream",
            prefix(&stage.proxy.wait_for_log("connect() to")),
        ));
    }
}

/// `PID#TID: *1 ` as it is in this log, whose only session is the first.
fn prefix(log: &str) -> String {
    let line = log.lines().find(|line| line.contains("connect() to")).unwrap_or_default();
    let from = line.find("] ").map_or(0, |at| at + 2);
    let to = line.find("connect()").unwrap_or(from);
    line[from..to].to_owned()
}

#[test]
fn the_words_of_an_upstream_are_passed_on_if_so_configured() {
    let refusals = [
        (backend::imap_login("a", "u", "x"), "a NO no\r\n"),
        (Script::new(), "-ERR no\r\n"),
        (Script::new(), "554-no\r\n554 really\r\n"),
    ];
    for (protocol, (_, words)) in Protocol::ALL.into_iter().zip(refusals) {
        let script = Script::new().say(words);
        let stage = Stage::allowing(protocol, "proxy_pass_error_message on;", script);
        let mut client = stage.client();
        client.send(protocol.login());
        let expected = [protocol.asked(), words].concat();
        assert_eq!(rig::show(&client.rest()), rig::show(expected.as_bytes()));
        let log = stage.proxy.wait_for_log("upstream sent invalid response");
        assert!(log.lines().last().is_some_and(|line| line.contains("[info]")), "{log}");
    }
}

#[test]
fn a_host_name_has_several_addresses_and_one_of_them_answers() {
    // Where localhost is ::1 too, nobody is there.
    let backend = Backend::start(Protocol::Imap.backend().echo());
    let port = format!("Auth-Port: {}", backend.address().port());
    let auth = AuthServer::always(answer(&["Auth-Status: OK", "Auth-Server: localhost", &port]));
    let stage = Stage::new(Protocol::Imap, "", auth, backend);
    stage.logged_in().exchange("x\r\n", "x\r\n");
    let log = stage.proxy.wait_for_log("client logged in");
    assert!(log.contains(&format!("upstream: \"{}\"", stage.backend.address())), "{log}");
}

#[test]
fn a_host_name_that_does_not_exist_is_an_internal_error() {
    let lines = ["Auth-Status: OK", "Auth-Server: nowhere.invalid", "Auth-Port: 143"];
    let stage = Stage::answering(Protocol::Imap, "", AuthServer::always(answer(&lines)));
    let mut client = stage.client();
    client.send("a LOGIN u p\r\n");
    assert_eq!(client.rest(), b"* BAD internal server error\r\n");
    stage.proxy.wait_for_log("upstream \"nowhere.invalid\" could not be resolved");
}

#[test]
fn xclient_tells_a_trusting_upstream_who_is_there() {
    let script = backend::smtp_hello(SERVER_NAME)
        .answer("XCLIENT ADDR=127.0.0.1 LOGIN=u NAME=[UNAVAILABLE]\r\n", "220 trusted\r\n")
        .answer("EHLO c\r\n", "250 hello\r\n")
        .echo();
    let stage = Stage::allowing(Protocol::Smtp, "xclient on;", script);
    stage.logged_in().exchange("MAIL FROM:<a>\r\n", "MAIL FROM:<a>\r\n");
}

#[test]
fn proxy_smtp_auth_logs_in_at_the_upstream() {
    let script =
        backend::smtp_hello(SERVER_NAME).answer("AUTH PLAIN AHUAcA==\r\n", "235 2.7.0 welcome\r\n").echo();
    let stage = Stage::allowing(Protocol::Smtp, "proxy_smtp_auth on;", script);
    stage.logged_in().exchange("MAIL FROM:<a>\r\n", "MAIL FROM:<a>\r\n");
}

#[test]
fn mail_without_a_login_reaches_the_upstream_with_its_envelope() {
    let script = backend::smtp_hello(SERVER_NAME)
        .answer("MAIL FROM:<a>\r\n", "250 sender\r\n")
        .answer("RCPT TO:<b>\r\n", "250 recipient\r\n")
        .echo();
    let stage = Stage::allowing(Protocol::Smtp, "smtp_auth none;", script);
    let mut client = stage.client();
    client.exchange("EHLO c\r\n", "250 proxy.example\r\n").exchange("MAIL FROM:<a>\r\n", "250 2.0.0 OK\r\n");
    client.exchange("RCPT TO:<b>\r\nDATA\r\n", "250 recipient\r\nDATA\r\n");
}
