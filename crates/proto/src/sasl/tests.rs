//! Each mechanism with each kind of response, good and bad.

use super::*;

const ALL: [Mechanism; 8] = [
    Mechanism::None,
    Mechanism::Oauthbearer,
    Mechanism::Xoauth2,
    Mechanism::External,
    Mechanism::CramMd5,
    Mechanism::Apop,
    Mechanism::Login,
    Mechanism::Plain,
];
const DIGEST: &str = "0123456789abcdef0123456789abcdef";

fn start(name: &str, initial: Option<&str>, enabled: Mechanisms) -> Turn {
    Exchange::start(name.as_bytes(), initial.map(str::as_bytes), enabled, || Bytes::from_static(b"<1.2@s>"))
}

/// Starts the mechanism with everything enabled and answers its prompt.
fn exchange(name: &str, decoded: &[u8]) -> Turn {
    match start(name, None, ALL.into_iter().collect()) {
        Turn::Prompt { exchange, .. } => exchange.respond(&encode(decoded)),
        turn => turn,
    }
}

fn expect_prompt(turn: Turn, expected: &str) -> Exchange {
    match turn {
        Turn::Prompt { exchange, prompt } => {
            assert_eq!(prompt, expected);
            exchange
        }
        turn => panic!("{turn:?}"),
    }
}

fn expect_credentials(turn: Turn, method: Method, user: &[u8], password: &[u8]) {
    match turn {
        Turn::Credentials(found) => assert_eq!(found, credentials(method, user, password)),
        turn => panic!("{turn:?}"),
    }
}

fn expect_violation(turn: &Turn, expected: Option<&Violation>) {
    assert!(matches!(turn, Turn::Invalid(found) if found.as_ref() == expected), "{turn:?}, not {expected:?}");
}

#[test]
fn mechanisms_are_listed_in_one_order() {
    let all: Mechanisms = ALL.into_iter().collect();
    let listed: Vec<_> = all.listed().collect();
    assert_eq!(listed, ["PLAIN", "LOGIN", "CRAM-MD5", "EXTERNAL", "XOAUTH2", "OAUTHBEARER"]);
    assert_eq!(Mechanisms::NONE.with(Mechanism::Apop).with(Mechanism::None).listed().count(), 0);
}

#[test]
fn plain_and_login_cannot_be_disabled_and_all_others_must_be_enabled() {
    for name in ["PLAIN", "LOGIN", "pLaIn", "login"] {
        assert!(matches!(start(name, None, Mechanisms::NONE), Turn::Prompt { .. }), "{name}");
    }
    for name in ["CRAM-MD5", "EXTERNAL", "XOAUTH2", "OAUTHBEARER"] {
        expect_violation(&start(name, None, Mechanisms::NONE), None);
        expect_violation(&start(name, Some("dQ=="), Mechanisms::NONE), None);
    }
}

#[test]
fn what_is_not_a_sasl_mechanism_is_refused() {
    for name in ["", "NTLM", "GSSAPI", "APOP", "NONE", "PLAIN ", "PLAI"] {
        expect_violation(&start(name, None, ALL.into_iter().collect()), None);
    }
}

#[test]
fn plain_takes_user_and_password_behind_the_first_nul() {
    for (decoded, user, password) in [
        (&b"\0u\0p"[..], &b"u"[..], &b"p"[..]),
        (b"authzid\0u\0p", b"u", b"p"),
        (b"\0\0pw", b"", b"pw"),
        (b"\0u\0", b"u", b""),
        (b"\0u\0p\0q", b"u", b"p\0q"),
        (b"\0u\r\nDELE 1\0p\r\nX", b"u\r\nDELE 1", b"p\r\nX"),
    ] {
        expect_credentials(exchange("PLAIN", decoded), Method::Plain, user, password);
    }
}

#[test]
fn plain_without_user_or_password_is_a_violation() {
    for decoded in [&b""[..], b"abc", b"abc\0"] {
        expect_violation(&exchange("PLAIN", decoded), Some(&Violation::InvalidLogin(Mechanism::Plain)));
    }
    let turn = exchange("PLAIN", b"\0abc");
    expect_violation(&turn, Some(&Violation::InvalidPassword(Mechanism::Plain)));
}

#[test]
fn an_initial_response_spares_the_prompt() {
    let turn = start("PLAIN", Some("AHUAcA=="), Mechanisms::NONE);
    expect_credentials(turn, Method::Plain, b"u", b"p");
    let turn = start("PLAIN", Some("="), Mechanisms::NONE);
    expect_violation(&turn, Some(&Violation::InvalidLogin(Mechanism::Plain)));
    let turn = start("EXTERNAL", Some("="), Mechanisms::NONE.with(Mechanism::External));
    expect_credentials(turn, Method::External, b"", b"");
}

#[test]
fn login_asks_for_user_and_password() {
    let user = expect_prompt(start("LOGIN", None, Mechanisms::NONE), "VXNlcm5hbWU6");
    assert_eq!(user.user(), None);
    let password = expect_prompt(user.respond(b"dQ=="), "UGFzc3dvcmQ6");
    assert_eq!(password.user(), Some(&Bytes::from_static(b"u")));
    expect_credentials(password.respond(b"cA=="), Method::Plain, b"u", b"p");
}

#[test]
fn login_takes_the_user_as_initial_response_and_both_may_be_empty() {
    let password = expect_prompt(start("LOGIN", Some("="), Mechanisms::NONE), "UGFzc3dvcmQ6");
    expect_credentials(password.respond(b""), Method::Plain, b"", b"");
}

#[test]
fn cram_md5_sends_the_challenge_and_takes_no_initial_response() {
    let enabled = Mechanisms::NONE.with(Mechanism::CramMd5);
    let exchange = expect_prompt(start("CRAM-MD5", None, enabled), "PDEuMkBzPg==");
    let response = encode(format!("u {DIGEST}").as_bytes());
    expect_credentials(exchange.respond(&response), Method::CramMd5, b"u", DIGEST.as_bytes());
    expect_violation(&start("CRAM-MD5", Some(&"QUFB".repeat(20)), enabled), None);
}

#[test]
fn a_cram_md5_digest_has_32_bytes_of_any_kind_behind_the_first_space() {
    let any = "Z".repeat(32);
    let login = format!(" {any}");
    expect_credentials(exchange("CRAM-MD5", login.as_bytes()), Method::CramMd5, b"", any.as_bytes());
    for response in
        ["u", "", &format!("u {}", &DIGEST[1..]), &format!("u x {DIGEST}"), &format!("u {DIGEST}0")]
    {
        expect_violation(&exchange("CRAM-MD5", response.as_bytes()), Some(&Violation::InvalidHash));
    }
}

#[test]
fn external_takes_a_user_only() {
    let enabled = Mechanisms::NONE.with(Mechanism::External);
    let exchange = expect_prompt(start("EXTERNAL", None, enabled), "VXNlcm5hbWU6");
    expect_credentials(exchange.respond(b"dQ=="), Method::External, b"u", b"");
}

#[test]
fn xoauth2_takes_user_and_token() {
    for (decoded, user, token) in [
        (&b"user=u\x01auth=Bearer t\x01\x01"[..], &b"u"[..], &b"t"[..]),
        (b"USER=u\x01AUTH=bearer t\x01\x01", b"u", b"t"),
        (b"user=\x01auth=Bearer \x01\x01", b"", b""),
        (b"user=u\x01auth=Bearer t\x01x=y\x01\x01", b"u", b"t\x01x=y"),
    ] {
        expect_credentials(exchange("XOAUTH2", decoded), Method::Xoauth2, user, token);
    }
}

#[test]
fn xoauth2_without_user_or_token_is_a_violation() {
    for decoded in [&b""[..], b"x", b"use", b"\x01auth=Bearer t\x01\x01", b"xuser=u\x01auth=Bearer t\x01\x01"]
    {
        expect_violation(&exchange("XOAUTH2", decoded), Some(&Violation::InvalidLogin(Mechanism::Xoauth2)));
    }
    for decoded in [
        &b"user=u"[..],
        b"user=u\x01",
        b"user=u\x01auth=Basic t\x01\x01",
        b"user=u\x01auth=Bearer t",
        b"user=u\x01auth=Bearer t\x01",
        b"user=u\x01auth=Bearer \x01",
        b"user=u\x01host=h\x01auth=Bearer t\x01\x01",
    ] {
        expect_violation(&exchange("XOAUTH2", decoded), Some(&Violation::InvalidToken(Mechanism::Xoauth2)));
    }
}

#[test]
fn oauthbearer_takes_user_and_token() {
    for (decoded, user, token) in [
        (&b"n,a=u,\x01auth=Bearer t\x01\x01"[..], &b"u"[..], &b"t"[..]),
        (b"n,a=u@x,\x01host=h\x01port=143\x01auth=Bearer t\x01\x01", b"u@x", b"t"),
        (b",A=u,\x01AUTH=BEARER t\x01", b"u", b"t"),
        (b"p=tls,x=y,a=,a=u,a=v,\x01auth=Bearer \x01auth=Bearer t\x01\x01", b"u", b"t"),
        (b"y,a=a=2Cb=2cc=3Dd=3d,\x01auth=Bearer t\x01\x01", b"a,b,c=d=", b"t"),
    ] {
        expect_credentials(exchange("OAUTHBEARER", decoded), Method::Oauthbearer, user, token);
    }
}

#[test]
fn oauthbearer_without_user_or_token_is_a_violation() {
    for decoded in [
        &b""[..],
        b"n,,\x01auth=Bearer t\x01\x01",
        b"a=u,\x01auth=Bearer t\x01\x01",
        b"n,a=u\x01auth=Bearer t\x01\x01",
        b"n,a=,\x01auth=Bearer t\x01\x01",
        b"n\x01,a=u,\x01auth=Bearer t\x01\x01",
        b"n,a=u=2,\x01auth=Bearer t\x01\x01",
        b"n,a=u=,\x01auth=Bearer t\x01\x01",
        b"n,a=u=41,\x01auth=Bearer t\x01\x01",
    ] {
        expect_violation(
            &exchange("OAUTHBEARER", decoded),
            Some(&Violation::InvalidLogin(Mechanism::Oauthbearer)),
        );
    }
    for decoded in
        [&b"n,a=u,"[..], b"n,a=u,\x01", b"n,a=u,\x01auth=Bearer t", b"n,a=u,\x01auth=Bearer \x01\x01"]
    {
        expect_violation(
            &exchange("OAUTHBEARER", decoded),
            Some(&Violation::InvalidToken(Mechanism::Oauthbearer)),
        );
    }
}

#[test]
fn what_is_not_base64_is_named_with_its_mechanism() {
    let all: Mechanisms = ALL.into_iter().collect();
    for mechanism in Mechanisms::ORDER {
        let Turn::Prompt { exchange, .. } = start(mechanism.name(), None, all) else {
            panic!("{mechanism:?}")
        };
        expect_violation(&exchange.respond(b"*"), Some(&Violation::InvalidBase64(mechanism)));
    }
    expect_violation(&start("LOGIN", Some("@@"), all), Some(&Violation::InvalidBase64(Mechanism::Login)));
}

#[test]
fn an_error_challenge_is_acknowledged_in_the_mechanisms_own_way() {
    assert!(acknowledges(Method::Xoauth2, b""));
    for response in [&b"AQ=="[..], b"AQ=", b"AQ"] {
        assert!(acknowledges(Method::Oauthbearer, response));
        assert!(!acknowledges(Method::Xoauth2, response));
    }
    for response in [&b""[..], b"*", b"A", b"AQ==zzz", b"AQ===", b"aq=="] {
        assert!(!acknowledges(Method::Oauthbearer, response), "{response:?}");
    }
    assert!(!acknowledges(Method::Plain, b"") && !has_error_challenge(Method::Plain));
    assert!(has_error_challenge(Method::Xoauth2) && has_error_challenge(Method::Oauthbearer));
}

#[test]
fn no_exchange_shows_a_secret() {
    let Turn::Prompt { exchange, .. } = start("LOGIN", Some("dQ=="), Mechanisms::NONE) else { panic!() };
    let shown = format!("{:?}", exchange.respond(b"aHVudGVyMg=="));
    assert!(!shown.contains("hunter2") && !shown.contains("aHVudGVyMg"), "{shown}");
}
