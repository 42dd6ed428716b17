//! An auth server that answers anything, with and without HTTP: its words stay one line of bounded length.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use proto::auth_http::{Answer, Decision, LONGEST_TEXT, LONGEST_WAIT, parse_bare};
use proto::{Credentials, Login, Method, Protocol, Secret};

fn login(method: Method) -> Login {
    Login {
        credentials: Credentials {
            method,
            user: Bytes::from_static(b"u"),
            password: Secret::from(&b"p"[..]),
        },
        challenge: method.is_digest().then(|| Bytes::from_static(b"<1.2@mx.example>")),
        attempt: 1,
        helo: Bytes::new(),
        envelope: None,
    }
}

fn is_one_line(text: &[u8]) -> bool {
    text.len() <= LONGEST_TEXT && !text.iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0))
}

/// Header lines as an HTTP library hands them over, which lets more through than a line.
fn headers(bytes: &[u8]) -> Vec<(&[u8], &[u8])> {
    let split = |line: &[u8]| line.iter().position(|&byte| byte == b':').map(|colon| colon + 1);
    bytes
        .split(|&byte| byte == 0x1e)
        .filter_map(|line| split(line).map(|colon| (&line[..colon - 1], &line[colon..])))
        .collect()
}

fn check(headers: &[(&[u8], &[u8])], choice: u8) {
    let methods = [Method::Plain, Method::CramMd5, Method::External, Method::Xoauth2, Method::None];
    let protocols = [Protocol::Imap, Protocol::Pop3, Protocol::Smtp];
    let method = methods[usize::from(choice) % methods.len()];
    let protocol = protocols[usize::from(choice >> 4) % protocols.len()];
    let decision = Answer::new(200, headers.iter().copied()).decide(&login(method), protocol);
    let said_no = headers.iter().any(|(name, value)| {
        name.eq_ignore_ascii_case(b"auth-status") && !matches!(value.trim_ascii(), b"OK" | b"WAIT")
    });
    match decision {
        Decision::Granted { .. } => assert!(!said_no, "a refusal became a grant"),
        Decision::Denied { refusal, wait } => {
            let texts = [Some(&refusal.text), refusal.code.as_ref(), refusal.challenge.as_ref()];
            assert!(texts.into_iter().flatten().all(|text| is_one_line(text)));
            assert!(wait <= LONGEST_WAIT);
            assert_eq!(refusal.retry, !wait.is_zero());
        }
        Decision::Wait(wait) => assert!(wait.wait <= LONGEST_WAIT),
        Decision::Unusable(_) => {}
    }
}

fuzz_target!(|bytes: &[u8]| {
    let Some((&choice, rest)) = bytes.split_first() else { return };
    check(&headers(rest), choice);
    if let Ok(headers) = parse_bare(rest) {
        check(&headers, choice);
        // Whatever comes behind the empty line is not looked at.
        assert_eq!(parse_bare(&[rest, b"Auth-Status: no\r\n\r\n"].concat()), Ok(headers));
    }
});
