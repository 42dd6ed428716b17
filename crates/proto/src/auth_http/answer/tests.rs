//! Answers by table; the numbers are rows of the behaviour that was recorded from the originals.

use super::*;
use crate::auth_http::TlsMode;
use crate::transcript;

fn login(method: Method) -> Login {
    transcript::login(method, "u", "p")
}

/// An answer of lines like `Auth-Status: OK`.
fn answer(lines: &[&'static str]) -> Answer {
    let headers = lines.iter().map(|line| line.split_once(':').unwrap());
    Answer::new(200, headers.map(|(name, value)| (name.as_bytes(), value.as_bytes())))
}

fn decide(method: Method, protocol: Protocol, lines: &[&'static str]) -> Decision {
    answer(lines).decide(&login(method), protocol)
}

/// An answer to a plain IMAP login, with a good upstream behind `lines`.
fn decide_plain(lines: &[&'static str]) -> Decision {
    let upstream = ["Auth-Server: 192.0.2.1", "Auth-Port: 143"];
    decide(Method::Plain, Protocol::Imap, &[lines, &upstream[..]].concat())
}

fn granted(user: &'static str, password: Option<&str>) -> Decision {
    Decision::Granted {
        server: Server::Ip("192.0.2.1:143".parse().unwrap()),
        identity: Identity { user: user.into(), password: password.map(|p| p.as_bytes().into()) },
        tls: ServerTls::default(),
    }
}

fn denied(text: &'static str, wait: u64) -> Decision {
    let refusal = Refusal { text: text.into(), code: None, challenge: None, retry: wait > 0 };
    Decision::Denied { refusal, wait: Duration::from_secs(wait) }
}

#[test]
fn success_keeps_the_clients_own_user_and_password() {
    assert_eq!(decide_plain(&["Auth-Status: OK"]), granted("u", Some("p")));
}

#[test]
fn header_names_may_be_in_any_letter_case() {
    let lines = ["AUTH-STATUS:OK", "auth-server:192.0.2.1", "aUtH-pOrT:143"];
    assert_eq!(decide(Method::Plain, Protocol::Imap, &lines), granted("u", Some("p")));
}

#[test]
fn a_missing_status_grants_and_is_told() {
    assert!(answer(&[]).is_status_missing());
    assert!(!answer(&["Auth-Status: OK"]).is_status_missing());
    assert!(!answer(&["Auth-Status:"]).is_status_missing());
    assert_eq!(decide_plain(&[]), granted("u", Some("p")));
}

#[test]
fn success_may_say_how_to_speak_tls_with_the_upstream() {
    let tls = |lines: &[&'static str]| match decide_plain(lines) {
        Decision::Granted { tls, .. } => Ok(tls),
        Decision::Unusable(flaw) => Err(flaw.to_string()),
        other => panic!("{other:?}"),
    };
    let said = ["Auth-Server-SSL: off", "auth-server-ssl:starttls ", "Auth-Server-Name: be.example"];
    let expected = ServerTls { mode: Some(TlsMode::Starttls), name: Some("be.example".into()) };
    assert_eq!(tls(&said), Ok(expected));
    assert_eq!(tls(&["Auth-Server-SSL: maybe"]), Err("invalid server ssl".into()));
    assert_eq!(tls(&["Auth-Server-SSL:"]), Err("invalid server ssl".into()));
    assert_eq!(tls(&["Auth-Server-Name: a b"]), Err("invalid server name".into()));
    assert_eq!(decide_plain(&["Auth-Status: no", "Auth-Server-SSL: maybe"]), denied("no", 0));
}

#[test]
fn any_other_status_is_a_refusal_in_its_own_words() {
    for (status, text) in [
        ("Auth-Status: ok", "ok"),
        ("Auth-Status: wait", "wait"),
        ("Auth-Status: \tOK", "\tOK"),
        ("Auth-Status:   no  such %20 \"user\"  ", "no  such %20 \"user\""),
        ("Auth-Status: \u{ff}\u{e9}", "\u{ff}\u{e9}"),
    ] {
        assert_eq!(decide_plain(&[status]), denied(text, 0), "{status:?}");
    }
}

#[test]
fn an_empty_status_is_a_refusal_in_every_protocol() {
    for protocol in [Protocol::Imap, Protocol::Pop3, Protocol::Smtp] {
        let lines = ["Auth-Status:", "Auth-Server: ::1", "Auth-Port: 1"];
        assert_eq!(decide(Method::Plain, protocol, &lines), denied("", 0));
    }
}

#[test]
fn a_refusal_sticks_and_its_last_words_count() {
    assert_eq!(decide_plain(&["Auth-Status: no", "Auth-Status: OK"]), denied("no", 0));
    assert_eq!(decide_plain(&["Auth-Status: no", "Auth-Status: WAIT"]), denied("no", 0));
    assert_eq!(decide_plain(&["Auth-Status: no1", "Auth-Status: no2"]), denied("no2", 0));
    assert_eq!(decide_plain(&["Auth-Status: OK", "Auth-Status: no"]), denied("no", 0));
    assert_eq!(decide_plain(&["Auth-Status: WAIT", "Auth-Status: no"]), denied("no", 0));
}

#[test]
fn a_refusal_stays_one_line_of_bounded_length() {
    let long = "x".repeat(5000);
    let headers = [
        (&b"Auth-Status"[..], &b"no\r\n* OK\0 really"[..]),
        (b"Auth-Error-Code", long.as_bytes()),
        (b"Auth-Error-SASL", b"e30\n="),
    ];
    let Decision::Denied { refusal, .. } =
        Answer::new(200, headers).decide(&login(Method::Xoauth2), Protocol::Smtp)
    else {
        panic!("not a refusal")
    };
    assert_eq!(refusal.text, "no* OK really");
    assert_eq!(refusal.code.unwrap().len(), LONGEST_TEXT);
    assert_eq!(refusal.challenge.unwrap(), "e30=");
}

#[test]
fn waiting_is_digits_only_and_bounded() {
    for (value, seconds) in [
        ("5", 5),
        ("007", 7),
        ("0", 0),
        ("", 0),
        ("1x", 0),
        ("-1", 0),
        ("+1", 0),
        ("1 2", 0),
        ("86401", 86400),
        ("999999999999999999999999999999", 86400),
    ] {
        let headers = [(&b"Auth-Status"[..], &b"no"[..]), (b"Auth-Wait", value.as_bytes())];
        let decision = Answer::new(200, headers).decide(&login(Method::Plain), Protocol::Imap);
        assert_eq!(decision, denied("no", seconds), "{value:?}");
    }
}

#[test]
fn an_unreadable_wait_leaves_the_one_before() {
    assert_eq!(decide_plain(&["Auth-Status: no", "Auth-Wait: 3", "Auth-Wait: x"]), denied("no", 3));
}

#[test]
fn success_does_not_wait() {
    assert_eq!(decide_plain(&["Auth-Status: OK", "Auth-Wait: 5"]), granted("u", Some("p")));
}

#[test]
fn an_smtp_code_goes_with_the_refusal() {
    let code = |line| {
        let lines = ["Auth-Status: no", line];
        match decide(Method::Plain, Protocol::Smtp, &lines) {
            Decision::Denied { refusal, .. } => refusal.code,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(code("Auth-Error-Code: 454 4.7.0"), Some(Bytes::from_static(b"454 4.7.0")));
    assert_eq!(code("Auth-Error-Code:"), None);
}

#[test]
fn a_sasl_error_is_for_token_mechanisms_only() {
    let challenge = |method, value: &str| {
        let headers = [(&b"Auth-Status"[..], &b"no"[..]), (b"Auth-Error-SASL", value.as_bytes())];
        match Answer::new(200, headers).decide(&login(method), Protocol::Imap) {
            Decision::Denied { refusal, .. } => refusal.challenge,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(challenge(Method::Xoauth2, "e30=").unwrap(), "e30=");
    assert_eq!(challenge(Method::Oauthbearer, "e30=").unwrap(), "e30=");
    assert_eq!(challenge(Method::Plain, "e30="), None);
    assert_eq!(challenge(Method::Xoauth2, ""), None);
    assert_eq!(challenge(Method::Xoauth2, &"A".repeat(LONGEST_TEXT + 4)), None);
}

#[test]
fn wait_carries_what_the_next_question_must_say() {
    let lines =
        ["Auth-Status: WAIT", "Auth-Status: OK", "Auth-Wait: 1", "Auth-User: new user%20", "Auth-Pass:"];
    let Decision::Wait(wait) = decide(Method::Plain, Protocol::Imap, &lines) else { panic!("not a wait") };
    assert_eq!(wait.wait, Duration::from_secs(1));
    let mut login = login(Method::Plain);
    wait.apply(&mut login);
    assert_eq!(login.credentials.user, "new user%20");
    assert!(login.credentials.password.is_empty());
}

#[test]
fn wait_without_credentials_leaves_the_digest_for_the_next_question() {
    let Decision::Wait(wait) = decide(Method::CramMd5, Protocol::Imap, &["Auth-Status: WAIT"]) else {
        panic!("not a wait")
    };
    assert_eq!(wait.wait, Duration::ZERO);
    let mut asked = login(Method::CramMd5);
    wait.apply(&mut asked);
    assert_eq!(asked, login(Method::CramMd5));
}

#[test]
fn users_and_passwords_of_the_answer_win_even_if_empty() {
    let lines = ["Auth-User: new user%20", "Auth-Pass:  new pass "];
    assert_eq!(decide_plain(&lines), granted("new user%20", Some("new pass")));
    assert_eq!(decide_plain(&["Auth-User:", "Auth-Pass:"]), granted("", Some("")));
    assert_eq!(decide_plain(&["Auth-User: a", "Auth-User: b"]), granted("b", Some("p")));
}

#[test]
fn a_password_that_nobody_knows_matters_where_the_upstream_needs_one() {
    let upstream = ["Auth-Server: 192.0.2.1", "Auth-Port: 143"];
    for method in [Method::Apop, Method::CramMd5, Method::External] {
        let mut login = login(method);
        if method == Method::External {
            login.credentials.password = Secret::default();
        }
        for protocol in [Protocol::Imap, Protocol::Pop3] {
            let decision = answer(&upstream).decide(&login, protocol);
            assert_eq!(decision, Decision::Unusable(Unusable::NoPassword), "{method:?}");
        }
        assert_eq!(answer(&upstream).decide(&login, Protocol::Smtp), granted("u", None));
        let known = [&upstream[..], &["Auth-Pass: x"]].concat();
        assert_eq!(answer(&known).decide(&login, Protocol::Imap), granted("u", Some("x")));
    }
}

#[test]
fn tokens_and_empty_passwords_are_known_passwords() {
    let upstream = ["Auth-Server: 192.0.2.1", "Auth-Port: 143"];
    assert_eq!(decide(Method::Xoauth2, Protocol::Imap, &upstream), granted("u", Some("p")));
    let mut login = login(Method::Plain);
    login.credentials.password = Secret::default();
    assert_eq!(answer(&upstream).decide(&login, Protocol::Pop3), granted("u", Some("")));
}

#[test]
fn faults_are_found_in_the_order_of_the_originals() {
    let unusable = |lines: &[&'static str]| match decide(Method::CramMd5, Protocol::Imap, lines) {
        Decision::Unusable(fault) => fault,
        other => panic!("{other:?}"),
    };
    let missing = Unusable::NoServerOrPort { status: 200 };
    assert_eq!(unusable(&["Auth-Status: OK"]), missing);
    assert_eq!(unusable(&["Auth-Server: [bad]"]), missing);
    assert_eq!(unusable(&["Auth-Server: ::1", "Auth-Port:"]), missing);
    assert_eq!(unusable(&["Auth-Port: 143"]), missing);
    assert_eq!(unusable(&["Auth-Server: [bad]", "Auth-Port: x"]), Unusable::NoPassword);
    let address = Unusable::InvalidAddress("[bad]".into());
    assert_eq!(unusable(&["Auth-Server: [bad]", "Auth-Port: x", "Auth-Pass: p"]), address);
    let port = Unusable::InvalidPort("x".into());
    assert_eq!(unusable(&["Auth-Server: ::1", "Auth-Port: x", "Auth-Pass: p"]), port);
}

#[test]
fn a_unix_socket_needs_no_port() {
    let decision = decide(Method::Plain, Protocol::Imap, &["Auth-Server: unix:/run/x"]);
    assert!(matches!(decision, Decision::Granted { server: Server::Unix(_), .. }));
}

#[test]
fn an_error_page_is_told_by_its_status() {
    let decision = Answer::new(404, []).decide(&login(Method::Plain), Protocol::Imap);
    assert_eq!(decision, Decision::Unusable(Unusable::NoServerOrPort { status: 404 }));
}

#[test]
fn a_printed_answer_shows_no_password() {
    assert!(!format!("{:?}", answer(&["Auth-Pass: hunter2"])).contains("hunter2"));
}
