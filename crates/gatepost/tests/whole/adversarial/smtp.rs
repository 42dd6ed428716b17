//! SMTP.

use rig::auth_server::{allow, answer, refuse_for};
use rig::{Backend, Script};

use super::*;
use crate::stage::SERVER_NAME;

const INVALID: &str = "500 5.5.1 Invalid command\r\n";
const NONE: &str = "max_errors 100; smtp_auth plain login xoauth2 none;";

#[test]
fn what_is_no_token_is_told_and_what_fails_has_the_code_of_the_auth_server() {
    hold(
        Protocol::Smtp,
        NONE,
        [
            row("S22", "AUTH XOAUTH2 eA==\r\n", INVALID),
            row("S24", "AUTH PLAIN AHUAcA==\r\n", "535 5.7.0 [plain|u|p]\r\n").closes(),
            row(
                "S26",
                "AUTH PLAIN AGFnYWluAHA=\r\nQUIT\r\n",
                "535 5.7.0 [plain|again|p]\r\n221 2.0.0 Bye\r\n",
            )
            .closes(),
            row("S43", "MAIL FROM:<a@x>\r\nRCPT TO:<b@x>\r\n", "250 2.0.0 OK\r\n535 5.7.0 [none||]\r\n")
                .closes(),
        ],
    );
    let auth =
        AuthServer::always(answer(&["Auth-Status: later", "Auth-Error-Code: 454 4.7.0", "Auth-Wait: 1"]));
    let stage = Stage::answering(Protocol::Smtp, "", auth);
    let mut client = stage.client();
    client
        .exchange("AUTH PLAIN AHUAcA==\r\n", "454 4.7.0 later\r\n")
        .exchange("NOOP\r\n", "250 2.0.0 OK\r\n"); // S25
}

#[test]
fn a_burst_before_authentication_is_answered_line_by_line() {
    let burst = "MAIL FROM:<a@x>\r\nRCPT TO:<b@x>\r\nQUIT\r\n";
    let replies =
        "530 5.7.1 Authentication required\r\n503 5.5.1 Bad sequence of commands\r\n221 2.0.0 Bye\r\n";
    hold(Protocol::Smtp, "max_errors 100;", [row("S47, S48", burst, replies).closes()]);
}

#[test]
fn a_long_line_is_answered_where_the_limit_is() {
    hold(
        Protocol::Smtp,
        "smtp_auth none; smtp_client_buffer 64; max_errors 100;",
        [
            row("S55", format!("MAIL FROM:<{}@x>\r\n", "a".repeat(57)), INVALID).closes(),
            row("S56", "Z".repeat(4200), INVALID).closes(),
            row("a burst that is longer", "NOOP\r\n".repeat(40), "250 2.0.0 OK\r\n".repeat(40)),
        ],
    );
}

/// What the upstream gets of this transaction, whole and cut: lines as they were, but for spaces at their ends.
#[track_caller]
fn relays(mail: &str, rcpt: &str, received: [&str; 2]) {
    let backend = Backend::start(
        Script::new()
            .say("220 smtp ready\r\n")
            .answer(format!("HELO {SERVER_NAME}\r\n"), "250 hello\r\n")
            .answer(format!("{}\r\n", received[0]), "250 sender\r\n")
            .answer(format!("{}\r\n", received[1]), "250 recipient\r\n")
            .echo(),
    );
    let auth = AuthServer::always(allow(backend.address()));
    let stage = Stage::new(Protocol::Smtp, NONE, auth, backend);
    for cuts in [None, Some(Cuts::new())] {
        let mut client = stage.client();
        let sent = format!("{mail}\r\n{rcpt}\r\nDATA\r\n");
        match cuts {
            Some(mut cuts) => client.send_scattered(&sent, &mut cuts),
            None => client.send(&sent),
        };
        client.expect("250 2.0.0 OK\r\n250 recipient\r\nDATA\r\n");
    }
}

// S28, S33, S34, S35, S38.
#[test]
fn an_envelope_goes_to_the_upstream_as_it_was_said() {
    for (mail, rcpt) in [
        ("MAIL FROM:<a@x>   SIZE=10", "RCPT TO:<b@x> NOTIFY=NEVER"),
        ("MAIL foo bar", "RCPT baz"),
        ("mail from:<a>", "rcpt to:<b>"),
        ("MAIL FROM: <a@x>", "RCPT TO: <b@x>"),
        ("MAIL FROM:<a\0@x>", "RCPT TO:<b\u{e9}@x>"),
    ] {
        relays(mail, rcpt, [mail, rcpt]);
        relays(&format!("{mail}  "), &format!("{rcpt} "), [mail, rcpt]);
    }
}

#[test]
fn a_transaction_is_forgotten_by_a_login() {
    // S41: the backend gets no MAIL.
    let backend = Backend::start(
        Script::new()
            .say("220 smtp ready\r\n")
            .answer(format!("HELO {SERVER_NAME}\r\n"), "250 hello\r\n")
            .echo(),
    );
    let auth = AuthServer::always(allow(backend.address()));
    let stage = Stage::new(Protocol::Smtp, NONE, auth, backend);
    let mut client = stage.client();
    client.exchange("MAIL FROM:<a@x>\r\n", "250 2.0.0 OK\r\n");
    client.exchange("AUTH PLAIN AHUAcA==\r\n", "235 2.0.0 OK\r\n").exchange("RSET\r\n", "RSET\r\n");
}

#[test]
fn recipients_that_are_refused_for_a_while_do_not_use_up_the_sender() {
    // S42, S58, S59: however many there are, and whatever the limit of a line.
    let backend = Backend::start(
        Script::new()
            .say("220 smtp ready\r\n")
            .answer(format!("HELO {SERVER_NAME}\r\n"), "250 hello\r\n")
            .answer("MAIL FROM:<a@x>\r\n", "250 sender\r\n")
            .answer("RCPT TO:<6@x>\r\n", "250 recipient\r\n")
            .answer("DATA\r\n", "354 go on\r\n"),
    );
    let good = allow(backend.address());
    let auth = AuthServer::start(move |request| match request.header("Auth-SMTP-To").as_deref() {
        Some(to) if to.contains('6') => good.clone(),
        _ => refuse_for(1, "no"),
    });
    let stage = Stage::new(Protocol::Smtp, "smtp_auth none; smtp_client_buffer 64;", auth, backend);
    let mut client = stage.client();
    let recipients = ["0", "1", "2", "6"].map(|name| format!("RCPT TO:<{name}@x>\r\n")).concat();
    client.send(format!("MAIL FROM:<a@x>\r\n{recipients}DATA\r\n"));
    let replies =
        ["250 2.0.0 OK\r\n", &"535 5.7.0 no\r\n".repeat(3), "250 recipient\r\n354 go on\r\n"].concat();
    client.expect(replies);
}
