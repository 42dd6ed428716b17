//! The dialogue with the backend as the backend sees it, and what the client is told of its answers.

use gatepost_compat::{Protocol, Stage, both};
use rig::{AuthServer, Backend, Script, auth_server, backend};

/// A client that logs in over IMAP as u/p with tag a.
const IMAP: &str = "a LOGIN u p\r\n";
/// A client that logs in over POP3 as u/p, and the first answer.
const POP3: (&str, &str) = ("USER u\r\nPASS p\r\n", "+OK\r\n");

#[test]
fn imap_uses_the_clients_tag_and_literals() {
    both(|peer| {
        let script = backend::imap_login("A.1-x_", "us er", "p\"w\r\nx");
        let stage = Stage::allowing(peer, Protocol::Imap, "", script.echo(), &[]);
        let mut client = stage.client();
        client.exchange("A.1-x_ LOGIN \"us er\" {6}\r\n", "+ OK\r\n");
        client.exchange("p\"w\r\nx\r\n", "A.1-x_ OK logged in\r\n").exchange("1 NOOP\r\n", "1 NOOP\r\n");
    });
}

#[test]
fn a_sasl_login_becomes_a_plain_one_at_the_backend() {
    both(|peer| {
        let script = backend::imap_login("a", "u", "pw");
        let stage = Stage::allowing(peer, Protocol::Imap, "", script, &[]);
        stage.client().exchange("a AUTHENTICATE PLAIN AHUAcHc=\r\n", "a OK logged in\r\n");
        let script = backend::pop3_login("u", "pw");
        let stage = Stage::allowing(peer, Protocol::Pop3, "", script, &[]);
        stage.client().exchange("AUTH PLAIN AHUAcHc=\r\n", "+OK logged in\r\n");
    });
}

#[test]
fn a_password_with_nul_in_it_is_not_for_imap() {
    both(|peer| {
        // A literal has no NUL (RFC 3501, CHAR8), and a backend that stops at one would take a part for the whole: ours
        // refuses it like a failed login, the original sends it.
        let (script, reply) = peer.pick(
            (backend::imap_login("a", "u", "p\0q"), "a OK logged in\r\n"),
            (Script::new().say("* OK imap ready\r\n"), "a NO Invalid login or password\r\n"),
        );
        let stage = Stage::allowing(peer, Protocol::Imap, "", script, &[]);
        stage.client().exchange("a AUTHENTICATE PLAIN AHUAcABx\r\n", reply); // I68
    });
}

#[test]
fn what_is_pipelined_behind_the_login_goes_to_the_backend() {
    both(|peer| {
        let script = backend::imap_login("a", "u", "p").answer("b NOOP\r\nc", "b OK from behind\r\n");
        let stage = Stage::allowing(peer, Protocol::Imap, "", script, &[]);
        stage.client().exchange(format!("{IMAP}b NOOP\r\nc"), "a OK logged in\r\nb OK from behind\r\n");

        let script = backend::pop3_login("u", "p").answer("STAT\r\n", "+OK 0 0\r\n"); // P40
        let stage = Stage::allowing(peer, Protocol::Pop3, "", script, &[]);
        stage.client().exchange("USER u\nPASS p\nSTAT\r\n", "+OK\r\n+OK logged in\r\n+OK 0 0\r\n");
    });
}

#[test]
fn after_the_login_no_byte_is_changed() {
    both(|peer| {
        let every_byte: Vec<u8> = (0..=255).cycle().take(100_000).collect();
        let stage = Stage::allowing(peer, Protocol::Pop3, "", backend::pop3_login("u", "p").echo(), &[]);
        let mut client = stage.client();
        client.exchange(POP3.0, "+OK\r\n+OK logged in\r\n").exchange(&every_byte, &every_byte);
        drop(client);
        assert!(stage.backend.finished(0).ends_with(&every_byte));
    });
}

#[test]
fn the_backends_end_is_the_clients_end() {
    both(|peer| {
        let script = backend::imap_login("a", "u", "p").say("* BYE\r\n").close(); // B20
        let stage = Stage::allowing(peer, Protocol::Imap, "", script, &[]);
        stage.client().exchange(IMAP, "a OK logged in\r\n* BYE\r\n").expect_end();
        stage.proxy.wait_for_log("proxied session done");
    });
}

#[test]
fn a_client_that_half_closes_has_its_last_command_done() {
    both(|peer| {
        let logged_in = backend::imap_login("a", "u", "p").expect("b LOGOUT\r\n");
        // Q5: the originals end the session with the client's direction, so whether the answer arrives is a race.
        let script =
            if peer.is_original() { logged_in } else { logged_in.say("* BYE\r\nb OK done\r\n").close() };
        let stage = Stage::allowing(peer, Protocol::Imap, "", script, &[]);
        let mut client = stage.client();
        client.exchange(IMAP, "a OK logged in\r\n").send("b LOGOUT\r\n").half_close();
        let answer = client.rest();
        assert!(stage.backend.finished(0).ends_with(b"b LOGOUT\r\n"));
        if !peer.is_original() {
            assert_eq!(rig::show(&answer), rig::show(b"* BYE\r\nb OK done\r\n"));
        }
    });
}

/// A backend's last words at some step: what the client gets with `proxy_pass_error_message` off, and on.
fn failing(protocol: Protocol, login: &str, script: &Script, passed: &str) {
    both(|peer| {
        for (setting, expected) in [("off", protocol.internal_error()), ("on", passed)] {
            let settings = format!("proxy_pass_error_message {setting}; xclient off; proxy_smtp_auth on;");
            let stage = Stage::allowing(peer, protocol, &settings, script.clone(), &[]);
            let mut client = stage.client();
            client.send(login);
            let replies = client.rest();
            assert_eq!(rig::show(&replies), rig::show(expected.as_bytes()), "pass_error_message {setting}");
        }
    });
}

#[test]
fn failures_of_an_imap_backend() {
    let ready = || Script::new().say("* OK ready\r\n");
    let user = || ready().answer("a LOGIN {1}\r\n", "+ go\r\n");
    let password = || user().answer("u {1}\r\n", "+ go\r\n");
    let fails = |script: &Script, passed| failing(Protocol::Imap, IMAP, script, passed);
    // B1
    fails(&Script::new().say("* BYE no\r\n"), "* BYE no\r\n");
    fails(&Script::new().say("* PREAUTH hi\r\n"), "* PREAUTH hi\r\n");
    // B2
    fails(&ready().answer("a LOGIN {1}\r\n", "a BAD no literals\r\n"), "a BAD no literals\r\n");
    fails(&user().answer("u {1}\r\n", "a NO bad user\r\n"), "a NO bad user\r\n");
    let refused = "a NO [AUTHENTICATIONFAILED] bad\r\n";
    fails(&password().answer("p\r\n", refused), refused);
    // B5
    let refused = "* CAPABILITY x\r\na NO failed\r\n";
    fails(&password().answer("p\r\n", refused), refused);
    // B6
    fails(&password().answer("p\r\n", "zz OK done\r\n"), "zz OK done\r\n");
    // B10: an end is no answer, so there is nothing to pass.
    fails(&Script::new().close(), "* BAD internal server error\r\n");
    fails(&user().close(), "* BAD internal server error\r\n");
    fails(&password().expect("p\r\n").close(), "* BAD internal server error\r\n");
    // B9
    let long = format!("* OK {}", "x".repeat(8192));
    fails(&Script::new().say(long), "* BAD internal server error\r\n");
}

#[test]
fn failures_of_a_pop3_backend() {
    let error = "+OK\r\n-ERR internal server error\r\n";
    both(|peer| {
        for (script, passed) in [
            (Script::new().say("-ERR busy\r\n"), "+OK\r\n-ERR busy\r\n"), // B11
            (Script::new().say("+OK\r\n").answer("USER u\r\n", "-ERR who\r\n"), "+OK\r\n-ERR who\r\n"),
            (Script::new().say("+ok ready\r\n"), "+OK\r\n+ok ready\r\n"), // B12
            (Script::new().close(), error),
        ] {
            for (setting, expected) in [("off", error), ("on", passed)] {
                let settings = format!("proxy_pass_error_message {setting};");
                let stage = Stage::allowing(peer, Protocol::Pop3, &settings, script.clone(), &[]);
                let mut client = stage.client();
                client.send(POP3.0);
                assert_eq!(rig::show(&client.rest()), rig::show(expected.as_bytes()));
            }
        }
    });
}

#[test]
fn failures_of_an_smtp_backend() {
    let login = "AUTH PLAIN AHUAcHc=\r\n";
    let fails = |script: &Script, passed| failing(Protocol::Smtp, login, script, passed);
    let ready = || Script::new().say("220 ready\r\n");
    // B14
    fails(&Script::new().say("554 go away\r\n"), "554 go away\r\n");
    fails(&ready().answer("HELO proxy.example\r\n", "502 no\r\n"), "502 no\r\n");
    let refused = "535-a\r\n535 5.7.8 b\r\n";
    fails(&ready().answer_line("250 ok\r\n").answer("AUTH PLAIN AHUAcHc=\r\n", refused), refused);
    fails(&ready().answer_line("250 ok\r\n").answer_line("251 hm\r\n"), "251 hm\r\n");
    fails(&ready().close(), "451 4.3.2 Internal server error\r\n");
}

#[test]
fn a_capability_line_before_the_tagged_answer_is_passed_on() {
    both(|peer| {
        let last = "* CAPABILITY x\r\na OK done\r\n"; // B3
        let script = Script::new()
            .say("* OK ready\r\n")
            .answer("a LOGIN {1}\r\n", "+ go\r\n")
            .answer("u {1}\r\n", "+ go\r\n")
            .answer("p\r\n", last)
            .silence();
        let stage = Stage::allowing(peer, Protocol::Imap, "", script, &[]);
        // The tolerance came with nginx 1.27.3.
        let expected = peer.pick("* BAD internal server error\r\n", last);
        stage.client().exchange(IMAP, expected);
    });
}

#[test]
fn answers_are_taken_by_their_beginning() {
    both(|peer| {
        let script = Script::new().say("+OKxyz\r\n").answer_line("+OKabc\r\n").answer_line("+OK-ish\r\n"); // B13
        let stage = Stage::allowing(peer, Protocol::Pop3, "", script, &[]);
        stage.client().exchange(POP3.0, "+OK\r\n+OK-ish\r\n");

        let script = Script::new().say("220-one\r\n220 two\r\n").answer_line("250-a\r\n250 b\r\n"); // B15
        let stage = Stage::allowing(peer, Protocol::Smtp, "xclient off;", script, &[]);
        stage.client().exchange("AUTH PLAIN AHUA\r\n", "235 2.0.0 OK\r\n");
    });
}

#[test]
fn a_backend_that_is_not_there() {
    both(|peer| {
        for (protocol, login, before) in [
            (Protocol::Imap, IMAP, ""),
            (Protocol::Pop3, POP3.0, POP3.1),
            (Protocol::Smtp, "AUTH PLAIN AHUA\r\n", ""),
        ] {
            let auth = AuthServer::always(auth_server::allow(rig::port::free()));
            let stage = Stage::answering(peer, protocol, "", auth);
            let mut client = stage.client();
            client.exchange(login, before).expect(protocol.internal_error()).expect_end();
        }
    });
}

#[test]
fn a_backend_that_says_nothing() {
    both(|peer| {
        let stage = Stage::allowing(peer, Protocol::Imap, "timeout 1s;", Script::new().silence(), &[]);
        stage.client().exchange(IMAP, "* BAD internal server error\r\n").expect_end();
        stage.proxy.wait_for_log("upstream timed out");
    });
}

/// Plays an SMTP client, and compares what the backend received until the proxy had logged in.
fn relays(settings: &str, turns: &[(&str, &str)], script: &Script, received: &str) {
    both(|peer| {
        let stage = Stage::allowing(peer, Protocol::Smtp, settings, script.clone(), &[]);
        let mut client = stage.client();
        for (sent, reply) in turns {
            client.exchange(sent, reply);
        }
        drop(client);
        assert_eq!(rig::show(&stage.backend.finished(0)), rig::show(received.as_bytes()));
    });
}

/// Greets, then answers each line so.
fn lines(replies: &[&str]) -> Script {
    replies.iter().fold(Script::new().say("220 ready\r\n"), Script::answer_line)
}

const EHLO: (&str, &str) = ("EHLO c\r\n", "250-proxy.example\r\n250 AUTH PLAIN LOGIN\r\n");
const HELO: (&str, &str) = ("HELO c\r\n", "250 proxy.example\r\n");
const AUTH: (&str, &str) = ("AUTH PLAIN AHUAcHc=\r\n", "235 2.0.0 OK\r\n");

#[test]
fn smtp_with_xclient() {
    relays(
        "xclient on;",
        &[EHLO, AUTH],
        &lines(&["250 ok\r\n", "220 xc\r\n", "250 ok\r\n"]),
        "EHLO proxy.example\r\nXCLIENT ADDR=127.0.0.1 LOGIN=u NAME=[UNAVAILABLE]\r\nEHLO c\r\n",
    );
    relays(
        "",
        &[HELO, AUTH],
        &lines(&["250 ok\r\n", "250 xc\r\n", "250 ok\r\n"]),
        "EHLO proxy.example\r\nXCLIENT ADDR=127.0.0.1 LOGIN=u NAME=[UNAVAILABLE]\r\nHELO c\r\n",
    );
    relays(
        "xclient on;",
        &[AUTH],
        &lines(&["250 ok\r\n", "220 xc\r\n"]),
        "EHLO proxy.example\r\nXCLIENT ADDR=127.0.0.1 LOGIN=u NAME=[UNAVAILABLE]\r\n",
    );
}

#[test]
fn smtp_with_xclient_and_a_login_of_its_own() {
    relays(
        "xclient on; proxy_smtp_auth on;",
        &[EHLO, AUTH],
        &lines(&["250 ok\r\n", "220 xc\r\n", "250 ok\r\n", "235 welcome\r\n"]),
        "EHLO proxy.example\r\nXCLIENT ADDR=127.0.0.1 NAME=[UNAVAILABLE]\r\nEHLO c\r\nAUTH PLAIN AHUAcHc=\r\n",
    );
}

#[test]
fn smtp_without_xclient() {
    relays("xclient off;", &[EHLO, AUTH], &lines(&["250 ok\r\n"]), "EHLO proxy.example\r\n");
    relays("xclient off;", &[HELO, AUTH], &lines(&["250 ok\r\n"]), "HELO proxy.example\r\n");
    relays("xclient off;", &[AUTH], &lines(&["250 ok\r\n"]), "HELO proxy.example\r\n");
    relays(
        "xclient off; proxy_smtp_auth on;",
        &[EHLO, AUTH],
        &lines(&["250 ok\r\n", "235-foo\r\n235 bar\r\n"]), // B18
        "EHLO proxy.example\r\nAUTH PLAIN AHUAcHc=\r\n",
    );
}

#[test]
fn smtp_without_a_login() {
    let delivery = [
        ("HELO x\r\n", "250 proxy.example\r\n"),
        ("MAIL FROM:<a@x>   SIZE=10  \r\n", "250 2.0.0 OK\r\n"),
        ("RCPT TO:<b@x> NOTIFY=NEVER\r\n", "250 2.1.5 recipient ok\r\n"),
        ("DATA\r\n", "354 go\r\n"),
    ];
    let end = ["250 mail ok\r\n", "250 2.1.5 recipient ok\r\n", "354 go\r\n"];
    relays(
        "xclient off; smtp_auth none;",
        &delivery,
        &lines(&[&["250 ok\r\n"], end.as_slice()].concat()),
        "HELO proxy.example\r\nMAIL FROM:<a@x>   SIZE=10\r\nRCPT TO:<b@x> NOTIFY=NEVER\r\nDATA\r\n",
    );
    relays(
        "xclient on; smtp_auth none; proxy_smtp_auth on;",
        &delivery,
        &lines(&[&["250 ok\r\n", "220 xc\r\n", "250 ok\r\n"], end.as_slice()].concat()),
        "EHLO proxy.example\r\nXCLIENT ADDR=127.0.0.1 NAME=[UNAVAILABLE]\r\nHELO x\r\n\
         MAIL FROM:<a@x>   SIZE=10\r\nRCPT TO:<b@x> NOTIFY=NEVER\r\nDATA\r\n",
    );
}

#[test]
fn a_backend_that_refuses_a_recipient_keeps_the_session() {
    relays(
        "xclient off; smtp_auth none;", // S45
        &[
            ("MAIL FROM:<a@x>\r\n", "250 2.0.0 OK\r\n"),
            ("RCPT TO:<b@x>\r\n", "550 5.1.1 nobody\r\n"),
            ("RSET\r\n", "250 reset\r\n"),
        ],
        &lines(&["250 ok\r\n", "250 mail ok\r\n", "550 5.1.1 nobody\r\n", "250 reset\r\n"]),
        "HELO proxy.example\r\nMAIL FROM:<a@x>\r\nRCPT TO:<b@x>\r\nRSET\r\n",
    );
}

#[test]
fn a_backend_that_refuses_the_sender_ends_the_session() {
    both(|peer| {
        for (setting, expected) in
            [("off", "451 4.3.2 Internal server error\r\n"), ("on", "553 5.1.8 sender\r\n")]
        {
            let settings = format!("xclient off; smtp_auth none; proxy_pass_error_message {setting};"); // S44
            let script = lines(&["250 ok\r\n", "553 5.1.8 sender\r\n"]);
            let stage = Stage::allowing(peer, Protocol::Smtp, &settings, script, &[]);
            let mut client = stage.client();
            client.exchange("MAIL FROM:<a@x>\r\n", "250 2.0.0 OK\r\n");
            client.exchange("RCPT TO:<b@x>\r\n", expected).expect_end();
        }
    });
}

#[test]
fn a_login_name_cannot_add_attributes_to_xclient() {
    both(|peer| {
        let stage = Stage::allowing(
            peer,
            Protocol::Smtp,
            "",
            lines(&["250 ok\r\n", "220 xc\r\n"]),
            &["Auth-Pass: p"],
        );
        // u, 0xff, LF, =, + (S66)
        let login = crate::base64(b"\0u\xff\n=+\0p");
        stage.client().exchange(format!("AUTH PLAIN {login}\r\n"), "235 2.0.0 OK\r\n");
        // Before nginx 1.29.2 the name went out as it came, so a client could write any line to the backend.
        let sent: &[u8] =
            if peer.is_original() { b"LOGIN=u\xff\n=+ NAME=" } else { b"LOGIN=u+FF+0A+3D+2B NAME=" };
        let line = [b"EHLO proxy.example\r\nXCLIENT ADDR=127.0.0.1 ", sent, b"[UNAVAILABLE]\r\n"].concat();
        stage.backend.expect_received(0, line);
    });
}

#[test]
fn a_pop3_name_cannot_add_commands() {
    both(|peer| {
        let greeting = Script::new().say("+OK ready\r\n");
        let script = peer.pick(greeting.clone().answer_line("+OK\r\n").silence(), greeting);
        let stage = Stage::allowing(peer, Protocol::Pop3, "", script, &[]);
        let mut client = stage.client();
        client.send(format!("AUTH PLAIN {}\r\n", crate::base64(b"\0u\r\nDELE 1\0p"))); // P54
        if peer.is_original() {
            // Q25: the originals put the name into the line as it is.
            stage.backend.expect_received(0, "USER u\r\nDELE 1\r\n");
        } else {
            assert!(client.rest().starts_with(b"-ERR "));
            assert_eq!(rig::show(&stage.backend.finished(0)), "");
        }
    });
}

#[test]
fn sessions_do_not_share_a_backend_connection() {
    both(|peer| {
        let backend = Backend::start(backend::imap_login("a", "u", "p").echo());
        let auth = AuthServer::always(auth_server::allow(backend.address()));
        let stage = Stage::new(peer, Protocol::Imap, "", auth, backend);
        let mut clients: Vec<_> = (0..3).map(|_| stage.client()).collect();
        for client in &mut clients {
            client.exchange(IMAP, "a OK logged in\r\n");
        }
        for (number, client) in clients.iter_mut().enumerate() {
            client.exchange(format!("{number}\r\n"), format!("{number}\r\n"));
        }
        assert_eq!(stage.backend.connections(), 3);
    });
}
