//! Plays a front against a client that sends anything: nothing panics or grows, and how bytes arrive changes nothing.

use std::sync::Arc;

use bytes::Bytes;
use proto::{
    Dialogue, Front, Limits, Login, LoginAnswer, Mechanism, Method, Protocol, Refusal, Salt, Settings,
    Starttls,
};

use crate::cut::{Cut, Numbers};
use crate::input::Input;
use crate::trace::{Seen, Stage, Waits};

/// What came of a whole session.
#[derive(Debug, PartialEq)]
struct Play {
    seen: Vec<Seen<Login>>,
    /// What is left for the upstream once a login was granted.
    left: Option<Vec<u8>>,
    name: Option<Vec<u8>>,
}

/// Plays the input whole, byte by byte and cut somewhere, and compares.
pub fn play_front(protocol: Protocol, bytes: &[u8]) {
    let Some(input) = Input::of(bytes) else { return };
    let plays = Cut::all(input.cuts).map(|cut| (cut, play(protocol, &input, cut)));
    for (cut, play) in &plays[1..] {
        assert_eq!(plays[0].1, *play, "whole, and cut {cut:?}");
    }
    plays[0].1.seen.iter().for_each(check);
}

fn play(protocol: Protocol, input: &Input<'_>, cut: Cut) -> Play {
    let settings = settings(input);
    let limit = settings.limits.line.max(1);
    let salt = Salt { random: 1, time: 2 };
    let front = Front::new(protocol, Arc::new(settings), input.has(2), salt);
    let front = if input.has(3) { front.trusting() } else { front };
    let mut stage = Stage::new(front, limit);
    let mut answers = Numbers::new(input.answers);
    let left = converse(&mut stage, input, cut, &mut answers);
    let name = stage.dialogue.login_name().map(<[u8]>::to_vec);
    Play { seen: stage.seen, left, name }
}

/// Goes on until the session ends or nothing is left to be sent; what is left if a login is granted.
fn converse(stage: &mut Stage<Front>, input: &Input<'_>, cut: Cut, answers: &mut Numbers) -> Option<Vec<u8>> {
    let mut waits = stage.run();
    let segments = input.segments();
    'segments: for (number, segment) in segments.iter().enumerate() {
        let mut sent = 0;
        for piece in cut.pieces(segment, segment.len()) {
            stage.input.extend_from_slice(piece);
            sent += piece.len();
            if waits == Waits::Input {
                waits = stage.run();
            }
            loop {
                match waits {
                    Waits::Input => break,
                    Waits::Over => return None,
                    Waits::Tls => {
                        // The rest of the segment was sent in clear; the driver drops it.
                        stage.input.clear();
                        stage.dialogue.secured();
                        waits = stage.run();
                        continue 'segments;
                    }
                    Waits::Answer => match answer(answers.below(9)) {
                        Some(answer) => stage.dialogue.answer(answer),
                        None => {
                            let later = segments[number + 1..].concat();
                            return Some([&stage.input[..], &segment[sent..], &later].concat());
                        }
                    },
                }
                waits = stage.run();
            }
        }
    }
    None
}

/// One of many answers; `None` grants the login, which ends the dialogue.
fn answer(number: usize) -> Option<LoginAnswer> {
    let refused = |retry, challenge: Option<&'static str>, code: Option<&'static str>| {
        LoginAnswer::Refused(Refusal {
            text: Bytes::from_static(b"no"),
            code: code.map(Bytes::from),
            challenge: challenge.map(Bytes::from),
            retry,
        })
    };
    Some(match number {
        0 | 1 | 2 => refused(true, None, None),
        3 => refused(true, Some("eyJzdGF0dXMiOiI0MDAifQ=="), Some("454 4.7.0")),
        4 => refused(false, Some("e30="), None),
        5 => LoginAnswer::Failed,
        6 => LoginAnswer::Passed(Bytes::from_static(b"said the upstream\r\n")),
        7 => LoginAnswer::Limited,
        _ => return None,
    })
}

fn settings(input: &Input<'_>) -> Settings {
    let starttls = match input.settings & 3 {
        0 => Starttls::Off,
        1 | 3 => Starttls::On,
        _ => Starttls::Only,
    };
    let all = [
        Mechanism::Plain,
        Mechanism::Login,
        Mechanism::Apop,
        Mechanism::CramMd5,
        Mechanism::External,
        Mechanism::Xoauth2,
        Mechanism::Oauthbearer,
        Mechanism::None,
    ];
    let mechanisms = if input.has(4) { &all[..1] } else { &all[..] };
    let capabilities: &[&'static [u8]] = if input.has(5) { &[] } else { &[b"ID", b"SIZE 10"] };
    let [line, errors, commands] = [input.limits & 3, input.limits >> 2 & 3, input.limits >> 4 & 3];
    Settings {
        server_name: "mx.example".to_owned(),
        limits: Limits {
            line: [4096, 128, 64, 1][usize::from(line)],
            errors: [100, 5, 2, 0][usize::from(errors)],
            commands: [1000, 8, 2, 0][usize::from(commands)],
        },
        capabilities: capabilities.iter().copied().map(Bytes::from_static).collect(),
        mechanisms: mechanisms.iter().copied().collect(),
        starttls,
    }
}

/// What has to hold of whatever is seen.
fn check(seen: &Seen<Login>) {
    match seen {
        Seen::Output(bytes) => assert!(bytes.ends_with(b"\r\n"), "half a reply"),
        Seen::Question(login) => check_login(login),
        Seen::Note(_) | Seen::Tls | Seen::Close => {}
    }
}

fn check_login(login: &Login) {
    let method = login.credentials.method;
    assert_eq!(login.challenge.is_some(), method.is_digest());
    assert_eq!(login.envelope.is_some(), method == Method::None);
    assert!(login.attempt > 0);
    let password = login.credentials.password.expose();
    assert!(password.is_empty() || !matches!(method, Method::None | Method::External));
    // These go out again as parts of lines.
    let lines = login.envelope.iter().flat_map(|envelope| [&envelope.mail, &envelope.rcpt]);
    for line in lines.chain([&login.helo]) {
        assert!(!line.iter().any(|byte| matches!(byte, b'\r' | b'\n')), "a line in a line");
    }
}
