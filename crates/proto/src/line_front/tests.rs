//! Limits, counters, refusals, error challenges and leftovers, with POP3 as the speech.

use std::sync::Arc;

use bytes::Bytes;

use crate::pop3::Front;
use crate::sasl::encode;
use crate::transcript::{SALT, Transcript, again, login, plain, refusal, settings};
use crate::{Limits, LoginAnswer, Mechanism, Method, Refusal, Settings, Starttls, Violation};

const INVALID: &str = "-ERR invalid command\r\n";

fn front(settings: Settings) -> Transcript<Front> {
    let settings = Arc::new(settings);
    Transcript::of(move || Front::new(Arc::clone(&settings), false, SALT))
}

/// A client of a server with PLAIN only, behind the greeting.
fn client() -> Transcript<Front> {
    front(settings(&[Mechanism::Plain])).receives("+OK POP3 ready\r\n")
}

/// A client of a server with every mechanism that leads to a token or a digest, behind the greeting.
fn client_of_all() -> Transcript<Front> {
    front(settings(&[Mechanism::Apop, Mechanism::Xoauth2, Mechanism::Oauthbearer]))
        .receives("+OK POP3 ready <1.2@mx.example>\r\n")
}

fn limited(limits: Limits) -> Transcript<Front> {
    front(Settings { limits, ..settings(&[Mechanism::Plain]) }).receives("+OK POP3 ready\r\n")
}

#[test]
fn a_line_is_not_judged_before_its_end() {
    client()
        .sends("\x16\x03\x01\x02\0\x01\0\r")
        .inspects(|front| assert!(!front.greeted_only()))
        .sends("\n")
        .receives(INVALID)
        .check();
}

#[test]
fn a_malformed_response_counts_as_an_error_and_ends_the_exchange() {
    for response in ["AHUAcA== x y z", "AHUAcA==\rX", "AHUAcA==\r"] {
        limited(Limits { line: 4096, errors: 2, commands: 9 })
            .trades("AUTH PLAIN\r\n", "+ \r\n")
            .trades(format!("{response}\r\n"), INVALID)
            .trades("NOOP\r\n", "+OK\r\n")
            .trades("FOO\r\n", INVALID)
            .notes(Violation::TooManyErrors)
            .closes()
            .check();
    }
}

#[test]
fn a_refusal_without_retry_ends_the_session() {
    client()
        .trades("USER bad\r\n", "+OK\r\n")
        .sends("PASS x\r\nQUIT\r\n")
        .asks(plain("bad", "x"))
        .answers(LoginAnswer::Refused(refusal("no such \u{fc}ser", false)))
        .receives("-ERR no such \u{fc}ser\r\n")
        .closes()
        .leaves("QUIT\r\n")
        .check();
}

#[test]
fn a_refusal_with_retry_leads_back_to_the_start() {
    client_of_all()
        .sends("APOP bad x\r\nPASS y\r\nUSER u\r\nPASS p\r\nSTAT\r\n")
        .asks(login(Method::Apop, "bad", "x"))
        .answers(LoginAnswer::Refused(refusal("no", true)))
        .receives(format!("-ERR no\r\n{INVALID}+OK\r\n"))
        .asks(again(2, plain("u", "p")))
        .leaves("STAT\r\n")
        .check();
}

#[test]
fn any_number_of_refusals_leaves_the_line_limit_alone() {
    let limits = Limits { line: 32, errors: 5, commands: 1000 };
    (1..=5)
        .fold(limited(limits), |script, attempt| {
            script
                .sends("AUTH PLAIN AHVzZXIAcGFzcw==\r\n")
                .asks(again(attempt, plain("user", "pass")))
                .answers(LoginAnswer::Refused(refusal("no", true)))
                .receives("-ERR no\r\n")
        })
        .check();
}

#[test]
fn a_failure_and_the_upstreams_words_end_the_session() {
    for (answer, reply) in [
        (LoginAnswer::Failed, "-ERR internal server error\r\n"),
        (LoginAnswer::Passed(Bytes::from_static(b"-ERR a\r\n-ERR b\r\n")), "-ERR a\r\n-ERR b\r\n"),
        (LoginAnswer::Limited, "-ERR [SYS/TEMP] Too many connections\r\n"),
    ] {
        client()
            .trades("USER u\r\n", "+OK\r\n")
            .sends("PASS p\r\nNOOP\r\n")
            .asks(plain("u", "p"))
            .answers(answer)
            .receives(reply)
            .closes()
            .check();
    }
}

fn challenged(method: Method, message: &[u8], retry: bool) -> Transcript<Front> {
    let name = if method == Method::Xoauth2 { "XOAUTH2" } else { "OAUTHBEARER" };
    let response = String::from_utf8(encode(message).to_vec()).expect("base64");
    let challenge = Some(Bytes::from_static(b"e30="));
    client_of_all()
        .sends(format!("AUTH {name} {response}\r\n"))
        .asks(login(method, "u", "t"))
        .answers(LoginAnswer::Refused(Refusal { challenge, ..refusal("no", retry) }))
        .receives("+ e30=\r\n")
}

#[test]
fn an_acknowledged_error_challenge_is_followed_by_the_refusal() {
    let xoauth2 = b"user=u\x01auth=Bearer t\x01\x01";
    for acknowledgement in ["\r\n", " \r\n", "\n"] {
        challenged(Method::Xoauth2, xoauth2, true)
            .trades(acknowledgement, "-ERR no\r\n")
            .trades("NOOP\r\n", "+OK\r\n")
            .check();
    }
    challenged(Method::Oauthbearer, b"n,a=u,\x01auth=Bearer t\x01\x01", false)
        .trades("AQ==\r\n", "-ERR no\r\n")
        .closes()
        .check();
}

#[test]
fn an_error_challenge_that_is_not_acknowledged_is_invalid() {
    for line in ["*", "NOOP", "a b c d", "\r"] {
        let xoauth2 = b"user=u\x01auth=Bearer t\x01\x01";
        challenged(Method::Xoauth2, xoauth2, true)
            .trades(format!("{line}\r\nNOOP\r\n"), format!("{INVALID}+OK\r\n"))
            .check();
        challenged(Method::Xoauth2, xoauth2, false).trades(format!("{line}\r\n"), INVALID).closes().check();
    }
}

#[test]
fn an_error_challenge_means_nothing_to_other_mechanisms() {
    let challenge = Some(Bytes::from_static(b"e30="));
    client()
        .sends("AUTH PLAIN AHUAcA==\r\n")
        .asks(plain("u", "p"))
        .answers(LoginAnswer::Refused(Refusal { challenge, ..refusal("no", true) }))
        .receives("-ERR no\r\n")
        .check();
}

#[test]
fn counters_survive_tls_and_refusals() {
    let limits = Limits { line: 4096, errors: 3, commands: 1000 };
    front(Settings { limits, starttls: Starttls::On, ..settings(&[Mechanism::Plain]) })
        .receives("+OK POP3 ready\r\n")
        .trades("FOO\r\nSTLS\r\n", format!("{INVALID}+OK\r\n"))
        .upgrades()
        .trades("FOO\r\n", INVALID)
        .sends("AUTH PLAIN AHUAcA==\r\n")
        .asks(plain("u", "p"))
        .answers(LoginAnswer::Refused(refusal("no", true)))
        .receives("-ERR no\r\n")
        .trades("FOO\r\n", INVALID)
        .notes(Violation::TooManyErrors)
        .closes()
        .check();
}

#[test]
fn max_errors_ends_the_session_with_the_last_error() {
    for (errors, allowed) in [(0, 0), (1, 0), (5, 4)] {
        let script = limited(Limits { line: 128, errors, commands: 1000 });
        (0..allowed)
            .fold(script, |script, _| script.trades("FOO\r\n", INVALID))
            .trades("FOO\r\nNOOP\r\n", INVALID)
            .notes(Violation::TooManyErrors)
            .closes()
            .check();
    }
}

#[test]
fn max_commands_ends_the_session_with_the_first_command_too_many() {
    for commands in [0, 1, 5] {
        let script = limited(Limits { line: 128, errors: 5, commands });
        (0..commands)
            .fold(script, |script, _| script.trades("NOOP\r\n", "+OK\r\n"))
            .trades("QUIT\r\n", INVALID)
            .notes(Violation::TooManyCommands)
            .closes()
            .check();
    }
}

#[test]
fn responses_and_semantic_errors_are_commands_too() {
    limited(Limits { line: 128, errors: 5, commands: 2 })
        .trades("PASS x\r\nAUTH PLAIN\r\n", format!("{INVALID}+ \r\n"))
        .trades("AHUAcA==\r\n", INVALID)
        .notes(Violation::TooManyCommands)
        .closes()
        .check();
}

#[test]
fn a_line_may_fill_the_limit() {
    let name = "a".repeat(121);
    limited(Limits { line: 128, errors: 5, commands: 9 })
        .holds_less_than(128)
        .trades(format!("USER {name}\r\n"), "+OK\r\n")
        .sends("PASS p\r\n")
        .asks(plain(name, "p"))
        .check();
}

#[test]
fn a_line_that_cannot_fit_ends_the_session_and_shows_no_secret() {
    let start =
        |text: &'static str| Violation::TooLong { seen: 32, start: Bytes::from_static(text.as_bytes()) };
    let limits = Limits { line: 32, errors: 5, commands: 9 };
    for (line, shown) in [
        ("PASS hunter2hunter2hunter2hunter2", "PASS"),
        ("auth PLAIN AHVzZXIAaHVudGVyMmh1bnRlcjI=", "auth"),
        ("hunter2hunter2hunter2hunter2hunter2", ""),
        ("hunter2 hunter2 hunter2 hunter2 x", ""),
    ] {
        limited(limits)
            .holds_less_than(32)
            .trades(line, INVALID)
            .notes(start(shown))
            .closes()
            .sends("\r\nNOOP\r\n")
            .check();
    }
    limited(limits)
        .trades("AUTH LOGIN\r\n", "+ VXNlcm5hbWU6\r\n")
        .trades("USER response that is too long for it", INVALID)
        .notes(start(""))
        .closes()
        .check();
}

#[test]
fn pipelining_has_no_limit() {
    limited(Limits { line: 16, errors: 5, commands: 1000 })
        .holds_less_than(16)
        .trades("NOOP\r\n".repeat(100), "+OK\r\n".repeat(100))
        .check();
}

#[test]
fn what_follows_the_credentials_is_left_for_the_upstream() {
    for credentials in ["USER u\nPASS p\n", "USER u\r\nPASS p\r\n"] {
        client()
            .sends(format!("{credentials}STAT\nRETR 1\r\n"))
            .receives("+OK\r\n")
            .asks(plain("u", "p"))
            .leaves("STAT\nRETR 1\r\n")
            .check();
    }
    client()
        .trades("AUTH PLAIN\r\nAHUAcA==\r\nSTAT\r\n", "+ \r\n")
        .asks(plain("u", "p"))
        .leaves("STAT\r\n")
        .check();
}
