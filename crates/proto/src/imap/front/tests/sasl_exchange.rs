//! Transcripts of AUTHENTICATE: each mechanism, with and without initial response, well and badly done.

use super::*;

/// Base64 of `<1.2@mx.example>`.
const CHALLENGE: &str = "PDEuMkBteC5leGFtcGxlPg==";
const DIGEST: &str = "0123456789abcdef0123456789abcdef";

#[test]
fn starttls_during_a_sasl_exchange_is_just_a_response() {
    session_with(|s| s.starttls = Starttls::On)
        .trades("a AUTHENTICATE LOGIN\r\n", "+ VXNlcm5hbWU6\r\n")
        .trades("a STARTTLS\r\n", INVALID)
        .notes(Violation::InvalidBase64(Mechanism::Login))
        .check();
}

#[test]
fn plain_is_taken_with_and_without_initial_response() {
    for (response, user, password) in [
        ("AHUAcA==".to_owned(), "u", "p"),
        ("AHUAcA".to_owned(), "u", "p"),
        ("AHUAcA==!!!".to_owned(), "u", "p"),
        (base64("\0\0pw"), "", "pw"),
        (base64("\0u\0"), "u", ""),
        (base64("z\0u\0p\0q"), "u", "p\0q"),
    ] {
        session().sends(format!("a AUTHENTICATE PLAIN {response}\r\n")).asks(plain(user, password)).check();
        session()
            .trades("a authenticate plain\r\n", "+ \r\n")
            .sends(format!("{response}\r\n"))
            .asks(plain(user, password))
            .check();
    }
}

#[test]
fn mechanism_and_initial_response_may_be_strings_or_literals() {
    session().sends("a AUTHENTICATE \"PLAIN\" \"AHUAcA==\"\r\n").asks(plain("u", "p")).check();
    session()
        .trades("a AUTHENTICATE PLAIN {8}\r\n", "+ OK\r\n")
        .sends("AHUAcA==\r\n")
        .asks(plain("u", "p"))
        .check();
}

#[test]
fn of_a_response_line_the_first_argument_counts_and_a_fourth_is_too_much() {
    let prompted = || session().trades("a AUTHENTICATE PLAIN\r\n", "+ \r\n");
    prompted().sends("AHUAcA== x {1+}\r\ny\r\n").asks(plain("u", "p")).check();
    prompted().trades("AHUAcA== x y z\r\n", INVALID).trades("b NOOP\r\n", "b OK completed\r\n").check();
    prompted().trades("AHUAcA==\rX\r\n", INVALID).trades("b NOOP\r\n", "b OK completed\r\n").check();
}

#[test]
fn unusable_responses_are_answered_with_the_tag_and_logged() {
    let base64_fault = Violation::InvalidBase64(Mechanism::Plain);
    let login_fault = Violation::InvalidLogin(Mechanism::Plain);
    let password_fault = Violation::InvalidPassword(Mechanism::Plain);
    for (response, violation) in [
        ("*", &base64_fault),
        ("!!!", &base64_fault),
        ("AAAAA", &base64_fault),
        ("AHVz_-A=", &base64_fault),
        ("\"AHUAcHc=\"", &base64_fault),
        ("", &login_fault),
        (" AHUAcA==", &login_fault),
        (&base64("abc"), &login_fault),
        (&base64("abc\0"), &login_fault),
        (&base64("\0abc"), &password_fault),
    ] {
        session()
            .trades("a AUTHENTICATE PLAIN\r\n", "+ \r\n")
            .trades(format!("{response}\r\n"), INVALID)
            .notes(violation.clone())
            .trades("b NOOP\r\n", "b OK completed\r\n")
            .check();
    }
    session().trades("a AUTHENTICATE PLAIN =\r\n", INVALID).notes(login_fault).check();
}

#[test]
fn login_asks_for_user_and_password() {
    session()
        .trades("a AUTHENTICATE LOGIN\r\n", "+ VXNlcm5hbWU6\r\n")
        .trades("dQ==\r\n", "+ UGFzc3dvcmQ6\r\n")
        .sends("cA==\r\n")
        .asks(plain("u", "p"))
        .check();
    session()
        .trades("a AUTHENTICATE LOGIN dQ==\r\n", "+ UGFzc3dvcmQ6\r\n")
        .trades("*\r\n", INVALID)
        .notes(Violation::InvalidBase64(Mechanism::Login))
        .check();
    session()
        .trades("a AUTHENTICATE LOGIN\r\n\r\n", "+ VXNlcm5hbWU6\r\n+ UGFzc3dvcmQ6\r\n")
        .sends("\r\n")
        .asks(plain("", ""))
        .check();
}

#[test]
fn cram_md5_keeps_its_challenge_for_the_session() {
    let prompt = format!("+ {CHALLENGE}\r\n");
    let response = base64(format!("u {DIGEST}")) + "\r\n";
    session()
        .trades("a AUTHENTICATE CRAM-MD5\r\n", &prompt)
        .trades("*\r\n", INVALID)
        .notes(Violation::InvalidBase64(Mechanism::CramMd5))
        .trades("b AUTHENTICATE CRAM-MD5\r\n", &prompt)
        .sends(response)
        .asks(login(Method::CramMd5, b"u", DIGEST.as_bytes()))
        .check();
    for wrong in [format!("u x {DIGEST}"), format!("u {}", &DIGEST[1..]), "u".to_owned()] {
        session()
            .trades("a AUTHENTICATE CRAM-MD5\r\n", &prompt)
            .trades(base64(wrong) + "\r\n", INVALID)
            .notes(Violation::InvalidHash)
            .check();
    }
}

#[test]
fn external_takes_a_user_and_no_password() {
    session()
        .trades("a AUTHENTICATE EXTERNAL\r\n", "+ VXNlcm5hbWU6\r\n")
        .sends("dQ==\r\n")
        .asks(login(Method::External, b"u", b""))
        .check();
    session().sends("a AUTHENTICATE EXTERNAL =\r\n").asks(login(Method::External, b"", b"")).check();
}

#[test]
fn tokens_are_taken_with_and_without_initial_response() {
    let xoauth2 = base64("user=u\x01auth=Bearer T\x01\x01");
    let bearer = base64("n,a=u,\x01auth=Bearer T\x01\x01");
    for (name, method, response) in
        [("XOAUTH2", Method::Xoauth2, &xoauth2), ("OAUTHBEARER", Method::Oauthbearer, &bearer)]
    {
        let login = login(method, b"u", b"T");
        session().sends(format!("a AUTHENTICATE {name} {response}\r\n")).asks(login.clone()).check();
        session()
            .trades(format!("a AUTHENTICATE {name}\r\n"), "+ \r\n")
            .sends(format!("{response}\r\n"))
            .asks(login)
            .check();
    }
}

#[test]
fn disabled_mechanisms_are_refused_in_both_forms() {
    for name in ["CRAM-MD5", "EXTERNAL", "XOAUTH2", "OAUTHBEARER"] {
        for tail in ["", " dQ=="] {
            session_with(|s| s.mechanisms = sasl::Mechanisms::NONE)
                .trades(format!("a AUTHENTICATE {name}{tail}\r\n"), INVALID)
                .check();
        }
    }
}

/// A session that has got the error challenge `e30=` after a token of this mechanism.
fn challenged(name: &str, retry: bool) -> Transcript<Front> {
    let (method, response) = match name {
        "XOAUTH2" => (Method::Xoauth2, base64("user=u\x01auth=Bearer T\x01\x01")),
        _ => (Method::Oauthbearer, base64("n,a=u,\x01auth=Bearer T\x01\x01")),
    };
    let challenge = Some("e30=".into());
    session()
        .sends(format!("a AUTHENTICATE {name} {response}\r\n"))
        .asks(login(method, b"u", b"T"))
        .answers(LoginAnswer::Refused(Refusal { challenge, ..refusal("no", retry) }))
        .receives("+ e30=\r\n")
}

#[test]
fn an_acknowledged_error_challenge_is_followed_by_the_refusal() {
    for (name, acknowledgement) in [("OAUTHBEARER", "AQ==\r\n"), ("XOAUTH2", "\r\n"), ("XOAUTH2", " \r\n")] {
        challenged(name, true)
            .trades(acknowledgement, "a NO no\r\n")
            .trades("b NOOP\r\n", "b OK completed\r\n")
            .check();
        challenged(name, false).trades(acknowledgement, "a NO no\r\n").closes().check();
    }
}

#[test]
fn any_other_answer_to_an_error_challenge_is_invalid() {
    for (name, line) in
        [("OAUTHBEARER", "*"), ("OAUTHBEARER", ""), ("XOAUTH2", "AQ=="), ("XOAUTH2", "a b c d")]
    {
        let line = format!("{line}\r\n");
        challenged(name, true).trades(&line, INVALID).trades("b NOOP\r\n", "b OK completed\r\n").check();
        challenged(name, false).trades(&line, INVALID).closes().check();
    }
}

#[test]
fn an_error_challenge_is_not_for_passwords() {
    let challenge = Some("e30=".into());
    session()
        .sends("a LOGIN u p\r\n")
        .asks(plain("u", "p"))
        .answers(LoginAnswer::Refused(Refusal { challenge, ..refusal("no", true) }))
        .receives("a NO no\r\n")
        .check();
}
