//! SASL payloads of every mechanism: only enabled mechanisms end well, and only with credentials that make sense.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use proto::sasl::{Exchange, Mechanisms, Turn, acknowledges, decode, encode, plain_response};
use proto::{Credentials, Mechanism, Method, Secret};

const NAMES: [(&str, Mechanism); 6] = [
    ("PLAIN", Mechanism::Plain),
    ("login", Mechanism::Login),
    ("CRAM-MD5", Mechanism::CramMd5),
    ("External", Mechanism::External),
    ("XOAUTH2", Mechanism::Xoauth2),
    ("OAUTHBEARER", Mechanism::Oauthbearer),
];

/// Plays an exchange with these lines; the first is the initial response if `initial`.
fn play(name: &str, enabled: Mechanisms, initial: bool, lines: &[&[u8]]) -> Option<Credentials> {
    let mut lines = lines.iter().copied();
    let first = if initial { lines.next() } else { None };
    let mut turn =
        Exchange::start(name.as_bytes(), first, enabled, || Bytes::from_static(b"<1.2@mx.example>"));
    for line in lines {
        match turn {
            Turn::Prompt { exchange, prompt } => {
                assert!(decode(&prompt).is_ok(), "a prompt is base64");
                turn = exchange.respond(line);
            }
            Turn::Credentials(_) | Turn::Invalid(_) => break,
        }
    }
    if let Turn::Credentials(credentials) = turn { Some(credentials) } else { None }
}

fn check(mechanism: Mechanism, credentials: &Credentials) {
    let password = credentials.password.expose();
    match mechanism {
        Mechanism::CramMd5 => {
            assert_eq!(credentials.method, Method::CramMd5);
            assert_eq!(password.len(), 32);
        }
        Mechanism::External => {
            assert_eq!(credentials.method, Method::External);
            assert!(password.is_empty());
        }
        Mechanism::Plain => assert!(!credentials.user.contains(&0)),
        Mechanism::Oauthbearer => {
            assert!(!password.is_empty() && !credentials.user.is_empty(), "a token of nothing");
        }
        // Both may be empty: the authority decides.
        Mechanism::Login | Mechanism::Xoauth2 | Mechanism::Apop | Mechanism::None => {}
    }
}

fuzz_target!(|bytes: &[u8]| {
    let Some((&choice, rest)) = bytes.split_first() else { return };
    let (name, mechanism) = NAMES[usize::from(choice) % NAMES.len()];
    let lines: Vec<_> = rest.split(|&byte| byte == b'\n').collect();
    // As they are, which is hardly ever base64; and encoded, which always is.
    let encoded: Vec<_> = lines.iter().map(|line| encode(line)).collect();
    let encoded: Vec<_> = encoded.iter().map(|line| &line[..]).collect();
    let initial = choice & 0x80 != 0;
    let all = Mechanisms::NONE.with(mechanism);
    for lines in [&lines, &encoded] {
        if let Some(credentials) = play(name, all, initial, lines) {
            check(mechanism, &credentials);
        }
        let disabled = play(name, Mechanisms::NONE, initial, lines);
        assert!(disabled.is_none() || matches!(mechanism, Mechanism::Plain | Mechanism::Login));
    }
    assert_eq!(decode(&encode(rest)).map(|bytes| bytes.to_vec()), Ok(rest.to_vec()));
    let _ = (acknowledges(Method::Xoauth2, rest), acknowledges(Method::Oauthbearer, rest));
    let (user, password) = rest.split_at(rest.len() / 2);
    if !user.contains(&0) {
        let response = plain_response(user, &Secret::from(password));
        let again = play("PLAIN", Mechanisms::NONE, true, &[response.expose()]).expect("our own words");
        assert_eq!((&again.user[..], again.password.expose()), (user, password));
    }
});
