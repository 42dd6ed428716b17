//! The SMTP front: each command in each state, each mechanism, transactions; and our front against our back.
//!
//! What it shares with POP3 (limits, counters, refusals) is tested in `line_front`.

use std::sync::Arc;

use bytes::Bytes;

use super::{Back, Facts, Front, Settings};
use crate::forwarded::Fields;
use crate::transcript::{SALT, Transcript, again, login, meet, plain, refusal, settings};
use crate::{
    Envelope, Forwarded, Identity, Limits, Login, LoginAnswer, Mechanism, Method, Outcome, Refusal, Secret,
    Starttls, Violation, Want,
};

const GREETING: &str = "220 mx.example ESMTP ready\r\n";
const INVALID: &str = "500 5.5.1 Invalid command\r\n";
const OK: &str = "250 2.0.0 OK\r\n";
const BAD_ARGUMENT: &str = "501 5.5.4 Invalid argument\r\n";
const BAD_SEQUENCE: &str = "503 5.5.1 Bad sequence of commands\r\n";
const UNAUTHENTICATED: &str = "530 5.7.1 Authentication required\r\n";
const EHLO: &str = "250-mx.example\r\n250 AUTH PLAIN LOGIN\r\n";
const DEFAULT: [Mechanism; 2] = [Mechanism::Plain, Mechanism::Login];
const OPEN: [Mechanism; 3] = [Mechanism::Plain, Mechanism::Login, Mechanism::None];

fn smtp(mechanisms: &[Mechanism], starttls: Starttls) -> Settings {
    Settings { starttls, ..settings(mechanisms) }
}

fn front(settings: Settings, secured: bool) -> Transcript<Front> {
    let settings = Arc::new(settings);
    Transcript::of(move || Front::new(Arc::clone(&settings), secured, SALT)).receives(GREETING)
}

/// A client of a server with the default mechanisms, behind the greeting.
fn client() -> Transcript<Front> {
    front(smtp(&DEFAULT, Starttls::Off), false)
}

/// A client of a server that also takes transactions without login, behind the greeting.
fn open() -> Transcript<Front> {
    front(smtp(&OPEN, Starttls::Off), false)
}

fn transaction(mail: impl AsRef<[u8]>, rcpt: impl AsRef<[u8]>) -> Login {
    let (mail, rcpt) = (Bytes::copy_from_slice(mail.as_ref()), Bytes::copy_from_slice(rcpt.as_ref()));
    Login { envelope: Some(Envelope { mail, rcpt }), ..login(Method::None, "", "") }
}

fn helo(name: &'static str, login: Login) -> Login {
    Login { helo: Bytes::from_static(name.as_bytes()), ..login }
}

#[test]
fn ehlo_lists_name_capabilities_mechanisms_and_starttls() {
    let capable = |starttls| Settings {
        capabilities: vec![Bytes::from_static(b"SIZE 10"), Bytes::from_static(b"DSN")],
        ..smtp(&DEFAULT, starttls)
    };
    let none = |starttls| smtp(&[Mechanism::None], starttls);
    for (settings, secured, reply) in [
        (
            capable(Starttls::Off),
            false,
            "250-mx.example\r\n250-SIZE 10\r\n250-DSN\r\n250 AUTH PLAIN LOGIN\r\n",
        ),
        (
            capable(Starttls::Only),
            true,
            "250-mx.example\r\n250-SIZE 10\r\n250-DSN\r\n250 AUTH PLAIN LOGIN\r\n",
        ),
        (
            capable(Starttls::On),
            false,
            "250-mx.example\r\n250-SIZE 10\r\n250-DSN\r\n250-AUTH PLAIN LOGIN\r\n250 STARTTLS\r\n",
        ),
        (capable(Starttls::Only), false, "250-mx.example\r\n250-SIZE 10\r\n250-DSN\r\n250 STARTTLS\r\n"),
        (none(Starttls::Off), false, "250 mx.example\r\n"),
        (none(Starttls::On), false, "250-mx.example\r\n250 STARTTLS\r\n"),
        (none(Starttls::Only), true, "250 mx.example\r\n"),
    ] {
        front(settings, secured).trades("eHlO x\r\n", reply).check();
    }
}

#[test]
fn helo_and_ehlo_take_exactly_one_argument_of_any_kind() {
    for line in ["EHLO", "HELO ", "EHLO a b", "HELO a b"] {
        client().trades(format!("{line}\r\nNOOP\r\n"), format!("{BAD_ARGUMENT}{OK}")).check();
    }
    client()
        .trades("HELO \u{ff}\0\x01\r\n", "250 mx.example\r\n")
        .inspects(|front| assert!(front.helo() == "\u{ff}\0\x01" && !front.esmtp()))
        .trades(format!("EHLO {}\r\n", "x".repeat(500)), EHLO)
        .trades("HELO [192.0.2.1]\r\n", "250 mx.example\r\n")
        .inspects(|front| assert!(front.helo() == "[192.0.2.1]" && front.esmtp()))
        .check();
}

#[test]
fn simple_commands_are_answered_whatever_follows_them() {
    client()
        .trades("NOOP\n", OK)
        .trades(format!("NOOP{} \r\n", " x".repeat(11)), OK)
        .trades("RSET x\r\n", OK)
        .trades("QUIT now\r\nNOOP\r\n", "221 2.0.0 Bye\r\n")
        .closes()
        .leaves("NOOP\r\n")
        .check();
}

#[test]
fn what_makes_no_sense_is_invalid_and_does_not_count() {
    let limits = Limits { line: 4096, errors: 1, commands: 1000 };
    for line in [
        "VRFY u",
        "EXPN u",
        "HELP",
        "STARTTLS",
        "AUTH NTLM",
        "AUTH PLAIN a b",
        "AUTH LOGIN dQ== cA==",
        "AUTH CRAM-MD5",
        "AUTH CRAM-MD5 eA==",
        "AUTH EXTERNAL dQ==",
        "AUTH NONE",
        "AUTH APOP",
    ] {
        front(Settings { limits, ..smtp(&DEFAULT, Starttls::Off) }, false)
            .trades(format!("{line}\r\nNOOP\r\n"), format!("{INVALID}{OK}"))
            .check();
    }
}

#[test]
fn what_breaks_the_grammar_is_invalid_and_counts() {
    let limits = Limits { line: 4096, errors: 2, commands: 1000 };
    for line in [
        "\r\n",
        "\n",
        " NOOP\r\n",
        "NO\0P\r\n",
        "EHLO\tx\r\n",
        "NOOP\rX\r\n",
        "DATA\r\n",
        "BDAT 1\r\n",
        "XCLIENT ADDR=1.2.3.4\r\n",
        "AUTH=LOGIN\r\n",
        "MAIL 1 2 3 4 5 6 7 8 9 10 11 12\r\n",
    ] {
        front(Settings { limits, ..smtp(&OPEN, Starttls::Off) }, false)
            .trades(line, INVALID)
            .trades(line, INVALID)
            .notes(Violation::TooManyErrors)
            .closes()
            .check();
    }
}

#[test]
fn http_is_answered_line_by_line() {
    client().trades("POST / HTTP/1.1\r\nHost: x\r\n\r\n", INVALID.repeat(3)).check();
}

#[test]
fn auth_needs_neither_helo_nor_a_setting() {
    front(smtp(&[Mechanism::None], Starttls::Off), false)
        .sends("AUTH PLAIN AHUAcA==\r\n")
        .asks(plain("u", "p"))
        .check();
    client()
        .trades("EHLO a\r\n", EHLO)
        .trades("auth plain\r\n", "334 \r\n")
        .sends("AHUAcA==\r\nMAIL FROM:<x>\r\n")
        .asks(helo("a", plain("u", "p")))
        .inspects(|front| assert_eq!(front.login_name(), Some(&b"u"[..])))
        .leaves("MAIL FROM:<x>\r\n")
        .check();
}

#[test]
fn each_prompt_is_the_mechanisms_own() {
    let all = [Mechanism::CramMd5, Mechanism::External, Mechanism::Xoauth2, Mechanism::Oauthbearer];
    for (name, prompt) in [
        ("PLAIN", ""),
        ("LOGIN", "VXNlcm5hbWU6"),
        ("CRAM-MD5", "PDEuMkBteC5leGFtcGxlPg=="),
        ("EXTERNAL", "VXNlcm5hbWU6"),
        ("XOAUTH2", ""),
        ("OAUTHBEARER", ""),
    ] {
        front(smtp(&all, Starttls::Off), false)
            .trades(format!("AUTH {name}\r\n"), format!("334 {prompt}\r\n"))
            .check();
    }
}

#[test]
fn auth_login_asks_twice_or_once() {
    client()
        .trades("AUTH LOGIN\r\n", "334 VXNlcm5hbWU6\r\n")
        .trades("dQ==\r\n", "334 UGFzc3dvcmQ6\r\n")
        .sends("cA==\r\n")
        .asks(plain("u", "p"))
        .check();
    client()
        .trades("AUTH LOGIN dQ==\r\n", "334 UGFzc3dvcmQ6\r\n")
        .sends("cA==\r\n")
        .asks(plain("u", "p"))
        .check();
}

#[test]
fn a_failed_exchange_is_invalid_and_leads_back_to_the_start() {
    for (sent, replies, violation) in [
        ("AUTH PLAIN\r\n*\r\n", "334 \r\n", Violation::InvalidBase64(Mechanism::Plain)),
        ("AUTH PLAIN\r\nRSET\r\n", "334 \r\n", Violation::InvalidLogin(Mechanism::Plain)),
        ("AUTH PLAIN =\r\n", "", Violation::InvalidLogin(Mechanism::Plain)),
        ("AUTH LOGIN @@\r\n", "", Violation::InvalidBase64(Mechanism::Login)),
        (
            "AUTH LOGIN\r\nQUIT\r\n*\r\n",
            "334 VXNlcm5hbWU6\r\n334 UGFzc3dvcmQ6\r\n",
            Violation::InvalidBase64(Mechanism::Login),
        ),
    ] {
        client().trades(sent, format!("{replies}{INVALID}")).notes(violation).trades("NOOP\r\n", OK).check();
    }
    client().trades("AUTH\r\nNOOP\r\n", format!("{BAD_ARGUMENT}{OK}")).check();
}

#[test]
fn responses_of_twelve_arguments_are_malformed() {
    let response = |count| format!("AHUAcA=={}\r\n", " x".repeat(count));
    client().trades("AUTH PLAIN\r\n", "334 \r\n").sends(response(10)).asks(plain("u", "p")).check();
    client()
        .trades("AUTH PLAIN\r\n", "334 \r\n")
        .trades(response(11), INVALID)
        .trades("NOOP\r\n", OK)
        .check();
}

#[test]
fn a_refusal_has_the_default_code_or_its_own() {
    client()
        .sends("AUTH PLAIN AHUAcA==\r\nQUIT\r\n")
        .asks(plain("u", "p"))
        .answers(LoginAnswer::Refused(refusal("no", true)))
        .receives("535 5.7.0 no\r\n221 2.0.0 Bye\r\n")
        .closes()
        .check();
    let code = Some(Bytes::from_static(b"454 4.7.0"));
    client()
        .sends("AUTH PLAIN AHUAcA==\r\n")
        .asks(plain("u", "p"))
        .answers(LoginAnswer::Refused(Refusal { code, ..refusal("later", false) }))
        .receives("454 4.7.0 later\r\n")
        .closes()
        .check();
}

#[test]
fn a_failure_and_the_upstreams_words_end_the_session() {
    for (answer, reply) in [
        (LoginAnswer::Failed, "451 4.3.2 Internal server error\r\n"),
        (LoginAnswer::Passed(Bytes::from_static(b"535-a\r\n535 b\r\n")), "535-a\r\n535 b\r\n"),
        (LoginAnswer::Limited, "454 4.7.0 Too many connections\r\n"),
    ] {
        client()
            .sends("AUTH PLAIN AHUAcA==\r\nNOOP\r\n")
            .asks(plain("u", "p"))
            .answers(answer)
            .receives(reply)
            .closes()
            .leaves("NOOP\r\n")
            .check();
    }
}

#[test]
fn an_error_challenge_goes_before_the_refusal() {
    let challenge = Some(Bytes::from_static(b"e30="));
    front(smtp(&[Mechanism::Oauthbearer], Starttls::Off), false)
        .sends("AUTH OAUTHBEARER bixhPXUsAWF1dGg9QmVhcmVyIHQBAQ==\r\n")
        .asks(login(Method::Oauthbearer, "u", "t"))
        .answers(LoginAnswer::Refused(Refusal { challenge, ..refusal("no", true) }))
        .receives("334 e30=\r\n")
        .trades("AQ==\r\nNOOP\r\n", format!("535 5.7.0 no\r\n{OK}"))
        .check();
}

#[test]
fn mail_without_login_is_refused_and_only_its_own_line_is_noted() {
    let noted = |line: &'static str| Violation::Unauthenticated(Bytes::from_static(line.as_bytes()));
    client()
        .trades("MAIL FROM:<a@x>  SIZE=1 \r\nRCPT TO:<b@x>\r\nQUIT\r\n", UNAUTHENTICATED)
        .notes(noted("MAIL FROM:<a@x>  SIZE=1"))
        .receives(format!("{BAD_SEQUENCE}221 2.0.0 Bye\r\n"))
        .closes()
        .check();
    client().trades("MAIL\r\n", UNAUTHENTICATED).notes(noted("MAIL")).trades("NOOP\r\n", OK).check();
}

#[test]
fn a_transaction_is_asked_about_with_its_raw_lines() {
    for (mail, rcpt) in [
        ("MAIL FROM:<a@x>   SIZE=10", "RCPT TO:<b@x> NOTIFY=NEVER"),
        ("mail from:<a>", "rcpt to:<b>"),
        ("MAIL foo bar", "RCPT baz"),
        ("MAIL FROM: <a@x>", "RCPT TO: <b@x>"),
        ("MAIL FROM:<>", "RCPT TO:<b@x>"),
        ("MAIL FROM:<a\0@x>", "RCPT TO:<b\u{ff}@x>"),
        ("MAIL 1 2 3 4 5 6 7 8 9 10 11", "RCPT 1 2 3 4 5 6 7 8 9 10 11"),
    ] {
        open()
            .trades(format!("{mail}  \r\n"), OK)
            .sends(format!("{rcpt} \r\nDATA\r\n"))
            .asks(transaction(mail, rcpt))
            .inspects(|front| assert_eq!(front.login_name(), None))
            .leaves("DATA\r\n")
            .check();
    }
    open()
        .trades("EHLO x\r\nMAIL FROM:<a>\r\n", format!("{EHLO}{OK}"))
        .sends("RCPT TO:<b>\r\n")
        .asks(helo("x", transaction("MAIL FROM:<a>", "RCPT TO:<b>")))
        .check();
}

#[test]
fn a_transaction_has_one_sender_and_both_have_arguments() {
    open()
        .trades("RCPT TO:<b>\r\nRCPT\r\n", BAD_SEQUENCE.repeat(2))
        .trades("MAIL\r\nMAIL  \r\n", BAD_ARGUMENT.repeat(2))
        .trades("MAIL FROM:\r\nMAIL FROM:<c>\r\nMAIL\r\n", format!("{OK}{BAD_SEQUENCE}{BAD_SEQUENCE}"))
        .trades("RCPT\r\n", BAD_ARGUMENT)
        .sends("RCPT TO:<b>\r\n")
        .asks(transaction("MAIL FROM:", "RCPT TO:<b>"))
        .check();
}

#[test]
fn rset_and_helo_end_a_transaction() {
    for (line, reply) in [("RSET", OK), ("EHLO z", EHLO), ("HELO z", "250 mx.example\r\n")] {
        open()
            .trades(format!("MAIL FROM:<a>\r\n{line}\r\n"), format!("{OK}{reply}"))
            .trades("RCPT TO:<b>\r\n", BAD_SEQUENCE)
            .check();
    }
    open()
        .trades("MAIL FROM:<a>\r\nNOOP\r\nHELO\r\nFOO\r\n", format!("{OK}{OK}{BAD_ARGUMENT}{INVALID}"))
        .sends("RCPT TO:<b>\r\n")
        .asks(transaction("MAIL FROM:<a>", "RCPT TO:<b>"))
        .check();
}

#[test]
fn a_refused_recipient_leaves_the_sender() {
    open()
        .trades("MAIL FROM:<a>\r\n", OK)
        .sends("RCPT TO:<b>\r\nRCPT TO:<c>\r\nDATA\r\n")
        .asks(transaction("MAIL FROM:<a>", "RCPT TO:<b>"))
        .answers(LoginAnswer::Refused(Refusal {
            code: Some(Bytes::from_static(b"550 5.1.1")),
            ..refusal("no such user", true)
        }))
        .receives("550 5.1.1 no such user\r\n")
        .asks(again(2, transaction("MAIL FROM:<a>", "RCPT TO:<c>")))
        .leaves("DATA\r\n")
        .check();
}

#[test]
fn a_login_and_a_transaction_know_nothing_of_each_other() {
    open()
        .trades("MAIL FROM:<a>\r\n", OK)
        .sends("AUTH PLAIN AHUAcA==\r\n")
        .asks(plain("u", "p"))
        .answers(LoginAnswer::Refused(refusal("no", true)))
        .receives("535 5.7.0 no\r\n")
        .sends("RCPT TO:<b>\r\n")
        .asks(again(2, transaction("MAIL FROM:<a>", "RCPT TO:<b>")))
        .answers(LoginAnswer::Refused(refusal("no", true)))
        .receives("535 5.7.0 no\r\n")
        .trades("RSET\r\nMAIL FROM:<c>\r\n", OK.repeat(2))
        .inspects(|front| assert_eq!(front.login_name(), None))
        .check();
}

#[test]
fn starttls_forgets_helo_and_sender_and_drops_what_came_in_clear() {
    front(smtp(&OPEN, Starttls::On), false)
        .trades(
            "EHLO c\r\nMAIL FROM:<a>\r\nSTARTTLS x y\r\nEHLO injected\r\n",
            format!("250-mx.example\r\n250-AUTH PLAIN LOGIN\r\n250 STARTTLS\r\n{OK}220 2.0.0 Start TLS\r\n"),
        )
        .upgrades()
        .inspects(|front| assert!(front.helo().is_empty() && front.esmtp()))
        .trades("RCPT TO:<b>\r\nSTARTTLS\r\n", format!("{BAD_SEQUENCE}{INVALID}"))
        .trades("EHLO d\r\n", EHLO)
        .sends("AUTH PLAIN AHUAcA==\r\n")
        .asks(helo("d", plain("u", "p")))
        .check();
}

#[test]
fn where_tls_comes_first_auth_is_refused_and_transactions_are_not() {
    for line in ["AUTH", "AUTH PLAIN", "AUTH PLAIN AHUAcA==", "AUTH x y z"] {
        front(smtp(&OPEN, Starttls::Only), false)
            .trades(format!("{line}\r\nNOOP\r\n"), format!("{INVALID}{OK}"))
            .check();
    }
    front(smtp(&OPEN, Starttls::Only), false).trades("MAIL FROM:<a>\r\n", OK).check();
    front(smtp(&DEFAULT, Starttls::Only), false)
        .trades("MAIL FROM:<a>\r\n", UNAUTHENTICATED)
        .notes(Violation::Unauthenticated(Bytes::from_static(b"MAIL FROM:<a>")))
        .check();
}

#[test]
fn a_line_that_cannot_fit_ends_the_session_and_shows_its_verb_only() {
    let limits = Limits { line: 64, errors: 5, commands: 1000 };
    let too_long =
        |start: &'static str| Violation::TooLong { seen: 64, start: Bytes::from_static(start.as_bytes()) };
    for (line, shown) in [
        (format!("MAIL FROM:<{}@x>\r\n", "a".repeat(57)), "MAIL"),
        (format!("AUTH PLAIN {}\r\n", "A".repeat(64)), "AUTH"),
        ("Z".repeat(70), ""),
    ] {
        front(Settings { limits, ..smtp(&OPEN, Starttls::Off) }, false)
            .holds_less_than(64)
            .trades(line, INVALID)
            .notes(too_long(shown))
            .closes()
            .check();
    }
    front(Settings { limits, ..smtp(&OPEN, Starttls::Off) }, false)
        .trades(format!("{}\r\n", "Z".repeat(62)), INVALID)
        .trades("NOOP\r\n", OK)
        .check();
}

#[test]
fn a_transaction_on_one_connection_too_many_ends_with_the_service_not_being_available() {
    front(smtp(&OPEN, Starttls::Off), false)
        .trades("MAIL FROM:<a@x>\r\n", OK)
        .sends("RCPT TO:<b@xyz>\r\n")
        .asks(transaction("MAIL FROM:<a@x>", "RCPT TO:<b@xyz>"))
        .answers(LoginAnswer::Limited)
        .receives("421 4.7.0 Too many connections\r\n")
        .closes()
        .check();
}

#[test]
fn pipelined_recipients_have_no_limit_together() {
    let limits = Limits { line: 64, errors: 5, commands: 1000 };
    let script = front(Settings { limits, ..smtp(&OPEN, Starttls::Off) }, false)
        .trades("MAIL FROM:<a@x>\r\n", OK)
        .sends(format!("{}DATA\r\n", "RCPT TO:<b@xyz>\r\n".repeat(6)));
    (1..=5)
        .fold(script, |script, attempt| {
            script
                .asks(again(attempt, transaction("MAIL FROM:<a@x>", "RCPT TO:<b@xyz>")))
                .answers(LoginAnswer::Refused(refusal("no", true)))
                .receives("535 5.7.0 no\r\n")
        })
        .asks(again(6, transaction("MAIL FROM:<a@x>", "RCPT TO:<b@xyz>")))
        .leaves("DATA\r\n")
        .check();
}

fn back_of(user: &'static [u8], password: &[u8], envelope: Option<Envelope>) -> Back {
    let facts = Facts {
        server_name: "proxy.example".to_owned(),
        client: None,
        server: None,
        session: None,
        ttl: None,
        fields: Fields::default(),
        host: "[UNAVAILABLE]".to_owned(),
        helo: Bytes::new(),
        esmtp: true,
        identity: Identity { user: Bytes::from_static(user), password: Some(Secret::from(password)) },
        envelope,
        xclient: false,
        auth: true,
    };
    Back::new(facts, 4096)
}

fn upstream() -> Front {
    Front::new(Arc::new(smtp(&OPEN, Starttls::Off)), false, SALT)
}

#[test]
fn what_our_back_says_our_front_understands() {
    for (user, password) in [(&b"u"[..], &b"p"[..]), (b"u \r\n", b"\0\r\n\xff"), (b"", b"")] {
        let asked = helo("proxy.example", login(Method::Plain, user, password));
        let wants = meet(&mut back_of(user, password, None), &mut upstream());
        assert_eq!(wants, (Want::Input, Want::Answer(asked)));
    }
    let envelope = Envelope {
        mail: Bytes::from_static(b"MAIL FROM:<a>  X=1"),
        rcpt: Bytes::from_static(b"rcpt TO:<b>"),
    };
    let asked = helo("proxy.example", transaction(&envelope.mail, &envelope.rcpt));
    let wants = meet(&mut back_of(b"", b"", Some(envelope)), &mut upstream());
    assert_eq!(wants, (Want::Input, Want::Answer(asked)));
}

#[test]
fn our_front_takes_no_xclient_from_our_back() {
    let mut back = Back::new(
        Facts {
            server_name: "proxy.example".to_owned(),
            client: None,
            server: None,
            session: None,
            ttl: None,
            fields: Fields::default(),
            host: "h".to_owned(),
            helo: Bytes::new(),
            esmtp: false,
            identity: Identity { user: Bytes::from_static(b"u"), password: None },
            envelope: None,
            xclient: true,
            auth: false,
        },
        4096,
    );
    let refused = Outcome::Refused { reply: Bytes::from_static(INVALID.as_bytes()), shown_from: 0 };
    assert_eq!(meet(&mut back, &mut upstream()), (Want::Answer(refused), Want::Input));
}

/// A trusted proxy, behind the greeting.
fn proxy(starttls: Starttls) -> Transcript<Front> {
    let settings = Arc::new(smtp(&OPEN, starttls));
    Transcript::of(move || Front::new(Arc::clone(&settings), false, SALT).trusting()).receives(GREETING)
}

fn forwarded() -> Forwarded {
    Forwarded {
        client: "[2001:db8::1]:4711".parse().ok().into(),
        server: "192.0.2.9:25".parse().ok().into(),
        ttl: Some(3),
        session: Some(Bytes::from_static(b"a+b")),
        name: Some("mail.example".to_owned()),
        fields: Fields::default(),
    }
}

#[test]
fn a_trusted_proxy_says_who_the_client_is_and_the_session_begins_anew() {
    proxy(Starttls::Off)
        .trades(
            "EHLO proxy\r\n",
            "250-mx.example\r\n250-AUTH PLAIN LOGIN\r\n250 XCLIENT ADDR PORT NAME DESTADDR DESTPORT SESSION TTL FORWARD\r\n",
        )
        .trades("XCLIENT ADDR=IPV6:2001:db8::1 LOGIN=u NAME=mail.example PORT=4711\r\n", GREETING)
        .trades("xclient SESSION=a+2Bb TTL=3 PROTO=ESMTP HELO=c DESTADDR=192.0.2.9 DESTPORT=25\r\n", GREETING)
        .inspects(|front| assert_eq!(front.forwarded(), &forwarded()))
        .inspects(|front| assert!(front.helo().is_empty()))
        .trades("HELO c\r\n", "250 mx.example\r\n")
        .sends("AUTH PLAIN AHUAcA==\r\n")
        .asks(helo("c", plain("u", "p")))
        .check();
}

#[test]
fn what_our_back_says_of_its_client_our_front_believes_if_it_trusts_us() {
    let mut said = forwarded();
    // printf 'realm=a\tcolor=b' | base64
    said.fields.read_forward(b"cmVhbG09YQljb2xvcj1i");
    let facts = Facts {
        server_name: "proxy.example".to_owned(),
        client: said.client.addr(),
        server: said.server.addr(),
        session: said.session.clone(),
        ttl: said.ttl,
        fields: said.fields.clone(),
        host: said.name.clone().unwrap(),
        helo: Bytes::from_static(b"c"),
        esmtp: true,
        identity: Identity { user: Bytes::from_static(b"u"), password: Some(Secret::from(&b"p"[..])) },
        envelope: None,
        xclient: true,
        auth: true,
    };
    let mut back = Back::new(facts, 4096);
    let mut front = Front::new(Arc::new(smtp(&OPEN, Starttls::Off)), false, SALT).trusting();
    assert_eq!(meet(&mut back, &mut front), (Want::Input, Want::Answer(helo("c", plain("u", "p")))));
    assert_eq!(front.forwarded(), &said);
    assert_eq!(back.snub(), None);
}

#[test]
fn what_a_proxy_says_wrongly_says_nothing() {
    for attributes in [
        "",
        " ADDR=[UNAVAILABLE] PORT=[UNAVAILABLE]",
        " ADDR=unix: NAME=",
        " ADDR=192.0.2.1+ NAME=a+4",
        " NAME=a+20b NAME=a+0D+0Ab NAME=+GG",
        " ADDR NAME TTL=+2D1",
    ] {
        proxy(Starttls::Off)
            .trades(format!("XCLIENT{attributes}\r\n"), GREETING)
            .inspects(|front| assert_eq!(front.forwarded(), &Forwarded::default()))
            .check();
    }
}

#[test]
fn nobody_speaks_for_others_in_a_transaction_or_without_trust() {
    proxy(Starttls::Off)
        .trades("MAIL FROM:<a>\r\n", OK)
        .trades("XCLIENT ADDR=192.0.2.1\r\n", BAD_SEQUENCE)
        .inspects(|front| assert_eq!(front.forwarded(), &Forwarded::default()))
        .check();
    client()
        .trades("XCLIENT ADDR=192.0.2.1\r\n", INVALID)
        .inspects(|front| assert_eq!(front.forwarded(), &Forwarded::default()))
        .check();
}

#[test]
fn what_was_said_in_clear_of_others_is_forgotten_inside_tls() {
    proxy(Starttls::On)
        .trades("XCLIENT ADDR=192.0.2.1\r\n", GREETING)
        .trades("STARTTLS\r\n", "220 2.0.0 Start TLS\r\n")
        .upgrades()
        .inspects(|front| assert_eq!(front.forwarded(), &Forwarded::default()))
        .check();
}
