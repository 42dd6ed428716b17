//! The POP3 front: each command in each state, each mechanism; and our front against our back.
//!
//! What it shares with SMTP (limits, counters, refusals) is tested in `line_front`.

use std::sync::Arc;

use bytes::Bytes;

use super::{Back, Front, Settings};
use crate::forwarded::Fields;
use crate::sasl::encode;
use crate::transcript::{SALT, Transcript, login, meet, plain, settings};
use crate::{
    Forwarded, Identity, Limits, Mechanism, Method, Outcome, Secret, Snub, Starttls, Violation, Want,
};

const INVALID: &str = "-ERR invalid command\r\n";
const DIGEST: &str = "0123456789abcdef0123456789abcdef";
const SALTED: [Mechanism; 6] = [
    Mechanism::Plain,
    Mechanism::Apop,
    Mechanism::CramMd5,
    Mechanism::External,
    Mechanism::Xoauth2,
    Mechanism::Oauthbearer,
];

fn pop3(mechanisms: &[Mechanism], starttls: Starttls) -> Settings {
    let capabilities = ["TOP", "User", "UIDL"].map(|text| Bytes::from_static(text.as_bytes())).to_vec();
    Settings { capabilities, starttls, ..settings(mechanisms) }
}

fn front(settings: Settings, secured: bool) -> Transcript<Front> {
    let settings = Arc::new(settings);
    Transcript::of(move || Front::new(Arc::clone(&settings), secured, SALT))
}

/// A client of a server with PLAIN only, behind the greeting.
fn client() -> Transcript<Front> {
    front(pop3(&[Mechanism::Plain], Starttls::Off), false).receives("+OK POP3 ready\r\n")
}

/// A client of a server with every mechanism, behind the greeting.
fn client_of_all() -> Transcript<Front> {
    front(pop3(&SALTED, Starttls::Off), false).receives("+OK POP3 ready <1.2@mx.example>\r\n")
}

/// A client in clear of a server with every mechanism and `starttls only`, behind the greeting.
fn client_in_clear() -> Transcript<Front> {
    front(pop3(&SALTED, Starttls::Only), false).receives("+OK POP3 ready <1.2@mx.example>\r\n")
}

fn limited(limits: Limits) -> Transcript<Front> {
    let settings = Settings { limits, ..pop3(&[Mechanism::Plain], Starttls::Off) };
    front(settings, false).receives("+OK POP3 ready\r\n")
}

#[test]
fn the_greeting_holds_a_challenge_only_if_a_digest_may_be_made_over_it() {
    for mechanisms in [&[Mechanism::Apop][..], &[Mechanism::Plain, Mechanism::CramMd5]] {
        front(pop3(mechanisms, Starttls::Off), false).receives("+OK POP3 ready <1.2@mx.example>\r\n").check();
    }
    front(pop3(&[Mechanism::External], Starttls::Off), false).receives("+OK POP3 ready\r\n").check();
}

#[test]
fn capa_lists_capabilities_and_mechanisms() {
    client()
        .trades("CAPA\r\n", "+OK Capability list follows\r\nTOP\r\nUser\r\nUIDL\r\nSASL PLAIN LOGIN\r\n.\r\n")
        .check();
    client_of_all()
        .trades(
            "CAPA\r\n",
            "+OK Capability list follows\r\nTOP\r\nUser\r\nUIDL\r\n\
             SASL PLAIN LOGIN CRAM-MD5 EXTERNAL XOAUTH2 OAUTHBEARER\r\n.\r\n",
        )
        .check();
}

#[test]
fn capa_has_no_sasl_line_where_there_is_nothing_to_list() {
    front(pop3(&[Mechanism::Apop], Starttls::Off), false)
        .receives("+OK POP3 ready <1.2@mx.example>\r\n")
        .trades("CAPA\r\n", "+OK Capability list follows\r\nTOP\r\nUser\r\nUIDL\r\n.\r\n")
        .trades("AUTH\r\n", "+OK methods supported:\r\n.\r\n")
        .check();
}

#[test]
fn capa_offers_stls_until_tls_is_up() {
    let secured = "+OK Capability list follows\r\nTOP\r\nUser\r\nUIDL\r\nSASL PLAIN LOGIN\r\n.\r\n";
    front(pop3(&[Mechanism::Plain], Starttls::On), false)
        .receives("+OK POP3 ready\r\n")
        .trades(
            "CAPA\r\n",
            "+OK Capability list follows\r\nTOP\r\nUser\r\nUIDL\r\nSASL PLAIN LOGIN\r\nSTLS\r\n.\r\n",
        )
        .trades("USER u\r\nCAPA\r\nNOOP\r\nQUIT x\r\n", format!("+OK\r\n{secured}+OK\r\n+OK\r\n"))
        .closes()
        .check();
    front(pop3(&[Mechanism::Plain], Starttls::Only), true)
        .receives("+OK POP3 ready\r\n")
        .trades("CAPA\r\n", secured)
        .check();
}

#[test]
fn capa_hides_what_needs_tls_first() {
    client_in_clear()
        .trades("capa\r\n", "+OK Capability list follows\r\nTOP\r\nUIDL\r\nSTLS\r\n.\r\n")
        .check();
}

#[test]
fn commands_of_the_start_state_are_answered() {
    client()
        .trades("NOOP\r\n", "+OK\r\n")
        .trades("nOoP\n", "+OK\r\n")
        .trades("NOOP 1 2 3\r\n", "+OK\r\n")
        .trades("AUTH\r\n", "+OK methods supported:\r\nPLAIN\r\nLOGIN\r\n.\r\n")
        .trades("AUTH  \r\n", "+OK methods supported:\r\nPLAIN\r\nLOGIN\r\n.\r\n")
        .trades("QUIT\r\nNOOP\r\n", "+OK\r\n")
        .closes()
        .leaves("NOOP\r\n")
        .check();
}

#[test]
fn what_does_not_fit_the_start_state_is_invalid_and_does_not_count() {
    let limits = Limits { line: 4096, errors: 1, commands: 1000 };
    for line in [
        "PASS x",
        "PASS",
        "USER",
        "USER   ",
        "APOP u d",
        "APOP u",
        "APOP u x y",
        "STLS",
        "AUTH KERBEROS",
        "AUTH APOP",
        "AUTH PLAIN ir x",
        "AUTH LOGIN dQ== cA==",
        "AUTH CRAM-MD5",
        "AUTH CRAM-MD5 eA==",
        "AUTH EXTERNAL",
        "AUTH EXTERNAL dQ==",
        "AUTH XOAUTH2",
        "AUTH OAUTHBEARER eA==",
    ] {
        limited(limits).sends(format!("{line}\r\nNOOP\r\n")).receives(INVALID).receives("+OK\r\n").check();
    }
}

#[test]
fn what_breaks_the_grammar_is_invalid_and_counts() {
    let limits = Limits { line: 4096, errors: 1, commands: 1000 };
    for line in [
        &b"\r\n"[..],
        b"\n",
        b"\0\0\0\r\n",
        b" NOOP\r\n",
        b"NOOP\t\r\n",
        b"NO\0P\r\n",
        b"NOOP 1 2 3 4\r\n",
        b"NOOP\rX\r\n",
        b"NOOP\r\r\n",
        b"TOP\r\n",
        b"NOOPS\r\n",
        b"STAT\r\n",
        b"RETR 1\r\n",
        b"USER\tu\r\n",
        b"APOP u x y z\r\n",
        b"GET / HTTP/1.0\r\n",
    ] {
        limited(limits).sends(line).receives(INVALID).notes(Violation::TooManyErrors).closes().check();
    }
}

#[test]
fn user_and_pass_keep_their_spaces() {
    for (user, pass, expected) in [
        ("USER u", "PASS p", plain("u", "p")),
        ("USER   a b  c ", "PASS    p  q ", plain("a b  c ", "p  q ")),
        ("user u\tv", "pass \u{43f} p  ", plain("u\tv", "\u{43f} p  ")),
        ("USER a\u{ff}\0", "PASS p\0\u{fe}", plain("a\u{ff}\0", "p\0\u{fe}")),
    ] {
        client().trades(format!("{user}\r\n"), "+OK\r\n").sends(format!("{pass}\r\n")).asks(expected).check();
    }
}

#[test]
fn behind_user_only_noop_and_capa_keep_the_user() {
    let capabilities = "+OK Capability list follows\r\nTOP\r\nUser\r\nUIDL\r\nSASL PLAIN LOGIN\r\n.\r\n";
    client()
        .trades("USER a\r\nCAPA\r\nNOOP\r\n", format!("+OK\r\n{capabilities}+OK\r\n"))
        .sends("PASS x\r\n")
        .asks(plain("a", "x"))
        .check();
    for line in [
        "USER b",
        "APOP a b",
        "AUTH",
        "AUTH PLAIN",
        "STLS",
        "PASS",
        "PASS  ",
        "FOO",
        "",
        "NOOP\rX",
        "CAPA 1 2 3 4",
    ] {
        client()
            .trades("USER a\r\n", "+OK\r\n")
            .trades(format!("{line}\r\n"), INVALID)
            .trades("PASS x\r\n", INVALID)
            .trades("USER b\r\n", "+OK\r\n")
            .check();
    }
}

#[test]
fn the_log_knows_the_user_from_user_on() {
    client()
        .inspects(|front| assert!(front.login_name().is_none() && front.greeted_only()))
        .trades("USER a\r\n", "+OK\r\n")
        .inspects(|front| assert!(front.login_name() == Some(b"a") && !front.greeted_only()))
        .trades("FOO\r\nAUTH LOGIN\r\nYg==\r\n", format!("{INVALID}+ VXNlcm5hbWU6\r\n+ UGFzc3dvcmQ6\r\n"))
        .inspects(|front| assert_eq!(front.login_name(), Some(&b"b"[..])))
        .sends("cA==\r\n")
        .asks(plain("b", "p"))
        .check();
}

#[test]
fn apop_takes_any_digest_over_the_greeting() {
    for digest in [DIGEST, "x"] {
        client_of_all().sends(format!("apop u {digest}\r\n")).asks(login(Method::Apop, "u", digest)).check();
    }
}

#[test]
fn each_mechanism_leads_to_credentials() {
    let digest = encode(format!("u {DIGEST}").as_bytes());
    let xoauth2 = encode(b"user=u\x01auth=Bearer t\x01\x01");
    let bearer = encode(b"n,a=u,\x01auth=Bearer t\x01\x01");
    for (name, prompt, response, expected) in [
        ("PLAIN", "+ \r\n", &Bytes::from_static(b"AHUAcA=="), plain("u", "p")),
        ("CRAM-MD5", "+ PDEuMkBteC5leGFtcGxlPg==\r\n", &digest, login(Method::CramMd5, "u", DIGEST)),
        ("EXTERNAL", "+ VXNlcm5hbWU6\r\n", &Bytes::from_static(b"dQ=="), login(Method::External, "u", "")),
        ("XOAUTH2", "+ \r\n", &xoauth2, login(Method::Xoauth2, "u", "t")),
        ("oauthbearer", "+ \r\n", &bearer, login(Method::Oauthbearer, "u", "t")),
    ] {
        let response = std::str::from_utf8(response).expect("base64");
        client_of_all()
            .trades(format!("AUTH {name}\r\n"), prompt)
            .sends(format!("{response} ignored\r\n"))
            .asks(expected.clone())
            .check();
        if expected.credentials.method != Method::CramMd5 {
            client_of_all().sends(format!("AUTH {name} {response}\r\n")).asks(expected).check();
        }
    }
}

#[test]
fn auth_login_asks_twice_or_once() {
    client()
        .trades("auth login\r\n", "+ VXNlcm5hbWU6\r\n")
        .trades("QUIT\r\n", "+ UGFzc3dvcmQ6\r\n")
        .sends("QUIT\r\n")
        .asks(plain(b"\x41\x42\x13", b"\x41\x42\x13"))
        .check();
    client().trades("AUTH LOGIN dQ==\r\n", "+ UGFzc3dvcmQ6\r\n").sends("\r\n").asks(plain("u", "")).check();
}

#[test]
fn a_failed_exchange_is_invalid_and_leads_back_to_the_start() {
    for (auth, prompt, response, violation) in [
        ("AUTH PLAIN", "+ \r\n", "*", Violation::InvalidBase64(Mechanism::Plain)),
        ("AUTH PLAIN", "+ \r\n", "", Violation::InvalidLogin(Mechanism::Plain)),
        ("AUTH PLAIN", "+ \r\n", " AHUAcA==", Violation::InvalidLogin(Mechanism::Plain)),
        ("AUTH PLAIN", "+ \r\n", "QUIT", Violation::InvalidLogin(Mechanism::Plain)),
        ("AUTH PLAIN", "+ \r\n", "AHU=", Violation::InvalidPassword(Mechanism::Plain)),
        ("AUTH LOGIN", "+ VXNlcm5hbWU6\r\n", "*", Violation::InvalidBase64(Mechanism::Login)),
        ("AUTH CRAM-MD5", "+ PDEuMkBteC5leGFtcGxlPg==\r\n", "dQ==", Violation::InvalidHash),
        ("AUTH XOAUTH2", "+ \r\n", "eA==", Violation::InvalidLogin(Mechanism::Xoauth2)),
    ] {
        client_of_all()
            .trades(format!("{auth}\r\n"), prompt)
            .trades(format!("{response}\r\nNOOP\r\n"), INVALID)
            .notes(violation)
            .receives("+OK\r\n")
            .check();
    }
}

#[test]
fn stls_drops_what_came_in_clear_but_not_the_challenge() {
    client_in_clear()
        .trades("STLS x\r\nUSER injected\r\n", "+OK\r\n")
        .upgrades()
        .trades("STLS\r\n", INVALID)
        .trades("AUTH CRAM-MD5\r\n*\r\n", format!("+ PDEuMkBteC5leGFtcGxlPg==\r\n{INVALID}"))
        .notes(Violation::InvalidBase64(Mechanism::CramMd5))
        .sends("APOP u x\r\n")
        .asks(login(Method::Apop, "u", "x"))
        .check();
}

#[test]
fn nothing_authenticates_in_clear_where_tls_comes_first() {
    for line in ["USER u", "AUTH", "AUTH PLAIN AHUAcA==", "AUTH PLAIN", "APOP u x", "PASS x"] {
        client_in_clear().trades(format!("{line}\r\nNOOP\r\n"), format!("{INVALID}+OK\r\n")).check();
    }
}

#[test]
fn what_our_back_says_our_front_understands() {
    for (user, password) in [(&b"u"[..], &b"p"[..]), (b"a b  c ", b"p\tq "), (b"a\xff", b"{\"\\}\x7f\x01")] {
        let identity =
            Identity { user: Bytes::copy_from_slice(user), password: Some(Secret::from(password)) };
        let mut back = Back::new(identity, 4096);
        let mut front = Front::new(Arc::new(pop3(&[Mechanism::Plain], Starttls::Off)), false, SALT);
        assert_eq!(meet(&mut back, &mut front), (Want::Input, Want::Answer(plain(user, password))));
    }
}

/// A trusted proxy, behind the greeting.
fn proxy(starttls: Starttls) -> Transcript<Front> {
    let settings = Arc::new(pop3(&[Mechanism::Plain], starttls));
    Transcript::of(move || Front::new(Arc::clone(&settings), false, SALT).trusting())
        .receives("+OK POP3 ready\r\n")
}

fn forwarded() -> Forwarded {
    let mut fields = Fields::default();
    // printf 'a=b' | base64
    fields.read_forward(b"YT1i");
    Forwarded {
        fields,
        client: "192.0.2.1:4711".parse().ok().into(),
        ttl: Some(3),
        session: Some(Bytes::from_static(b"s")),
        ..Forwarded::default()
    }
}

#[test]
fn a_trusted_proxy_says_who_the_client_is() {
    proxy(Starttls::Off)
        .trades("xclient ADDR=192.0.2.1 PORT=4711  SESSION=s TTL=3 FORWARD=YT1i\r\n", "+OK\r\n")
        .inspects(|front| assert_eq!(front.forwarded(), &forwarded()))
        .trades("XCLIENT\r\n", "+OK\r\n")
        .trades("USER u\r\n", "+OK\r\n")
        .trades("XCLIENT ADDR=192.0.2.2\r\n", INVALID)
        .trades("USER u\r\n", "+OK\r\n")
        .sends("PASS p\r\n")
        .asks(plain("u", "p"))
        .inspects(|front| assert_eq!(front.forwarded(), &forwarded()))
        .check();
}

#[test]
fn nobody_else_speaks_for_others() {
    let limits = Limits { line: 4096, errors: 2, commands: 10 };
    limited(limits)
        .trades("XCLIENT ADDR=192.0.2.1\r\n", INVALID)
        .inspects(|front| assert_eq!(front.forwarded(), &Forwarded::default()))
        .trades("XCLIENT\r\n", INVALID)
        .notes(Violation::TooManyErrors)
        .closes()
        .check();
}

#[test]
fn what_was_said_in_clear_of_others_is_forgotten_inside_tls() {
    proxy(Starttls::Only)
        .trades("XCLIENT ADDR=192.0.2.1\r\n", "+OK\r\n")
        .trades("STLS\r\n", "+OK\r\n")
        .upgrades()
        .inspects(|front| assert_eq!(front.forwarded(), &Forwarded::default()))
        .trades("XCLIENT PORT=4711 TTL=3 SESSION=s FORWARD=YT1i ADDR=192.0.2.1\r\n", "+OK\r\n")
        .inspects(|front| assert_eq!(front.forwarded(), &forwarded()))
        .check();
}

#[test]
fn what_our_back_says_of_its_client_our_front_believes_if_it_trusts_us() {
    for (trusting, snub) in [(true, None), (false, Some(Snub::Pop3Xclient))] {
        let identity = Identity { user: Bytes::from_static(b"u"), password: Some(Secret::from(&b"p"[..])) };
        let mut back = Back::new(identity, 4096).introducing(&forwarded());
        let mut front = Front::new(Arc::new(pop3(&[Mechanism::Plain], Starttls::Off)), false, SALT);
        if trusting {
            front = front.trusting();
        }
        assert_eq!(meet(&mut back, &mut front), (Want::Input, Want::Answer(plain("u", "p"))));
        assert_eq!(front.forwarded() == &forwarded(), trusting);
        assert_eq!(back.snub(), snub);
    }
}

#[test]
fn our_front_refuses_our_back_where_tls_comes_first() {
    let identity = Identity { user: Bytes::from_static(b"u"), password: Some(Secret::from(&b"p"[..])) };
    let mut back = Back::new(identity, 4096);
    let mut front = Front::new(Arc::new(pop3(&[Mechanism::Plain], Starttls::Only)), false, SALT);
    let refused = Outcome::Refused { reply: Bytes::from_static(INVALID.as_bytes()), shown_from: 0 };
    assert_eq!(meet(&mut back, &mut front), (Want::Answer(refused), Want::Input));
}
