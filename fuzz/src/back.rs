//! Plays a back against an upstream that sends anything: nothing panics or grows, and how a reply arrives changes nothing.
//!
//! A back, other than a front, does look at what has come together: a second reply that is there too early is no answer
//! to what is said next. So an upstream sends one segment, then waits; and only what comes before the end of a
//! reply is cut.

use std::mem::discriminant;

use bytes::Bytes;
use proto::{Back, Dialogue, Envelope, Forwarded, Identity, Outcome, Protocol, Secret, imap, pop3, smtp};

use crate::cut::Cut;
use crate::input::Input;
use crate::trace::{Seen, Stage, Waits};

/// Plays the input whole, byte by byte and cut somewhere, and compares.
pub fn play_back(protocol: Protocol, bytes: &[u8]) {
    let Some(input) = Input::of(bytes) else { return };
    let [whole, bytewise, cut] = Cut::all(input.cuts).map(|cut| play(protocol, &input, cut, true));
    compare(&whole, &bytewise);
    compare(&whole, &cut);
    // Where replies are cut at their ends, too, they may mean something else; but nothing panics or grows.
    play(protocol, &input, Cut::Everywhere, false);
    play(protocol, &input, Cut::Somewhere(input.cuts), false);
}

fn play(protocol: Protocol, input: &Input<'_>, cut: Cut, replies_whole: bool) -> Vec<Seen<Outcome>> {
    let limit = [4096, 128, 64, 3][usize::from(input.limits & 3)];
    let mut stage = Stage::new(back(protocol, input, limit), limit);
    let mut waits = stage.run();
    for segment in input.segments() {
        let held = stage.input.len();
        let reply = [&stage.input[..], segment].concat();
        let end = if replies_whole { end_of_reply(protocol, &reply) } else { reply.len() };
        let cuttable = end.saturating_sub(held);
        for piece in cut.pieces(segment, cuttable) {
            stage.input.extend_from_slice(piece);
            waits = if waits == Waits::Input { stage.run() } else { waits };
            match waits {
                Waits::Input => {}
                Waits::Tls => {
                    assert!(stage.input.is_empty(), "bytes in clear are left when TLS begins");
                    stage.dialogue.secured();
                    waits = stage.run();
                    break;
                }
                Waits::Answer | Waits::Over => return stage.seen,
            }
        }
    }
    stage.seen
}

/// Where the reply ends that all of `input` is or begins with: before that, it may be cut.
fn end_of_reply(protocol: Protocol, input: &[u8]) -> usize {
    let mut start = 0;
    for end in (1..=input.len()).filter(|&end| input[..end].ends_with(b"\r\n")) {
        if !goes_on(protocol, &input[start..end]) {
            return end;
        }
        start = end;
    }
    input.len()
}

/// Whether more lines follow `line` in the same reply.
fn goes_on(protocol: Protocol, line: &[u8]) -> bool {
    match protocol {
        // The last LF counts, whatever is before it.
        Protocol::Smtp => {
            line.rsplit(|&byte| byte == b'\n').nth(1).and_then(|last| last.get(3)) == Some(&b'-')
        }
        Protocol::Imap => line.starts_with(b"* ") && !line[2..].to_ascii_uppercase().starts_with(b"OK"),
        Protocol::Pop3 => false,
    }
}

/// Outcomes are of one kind; what they quote may have been cut off by where it arrived.
fn compare(whole: &[Seen<Outcome>], cut: &[Seen<Outcome>]) {
    let same = |(a, b): (&Seen<Outcome>, &Seen<Outcome>)| match (a, b) {
        (Seen::Question(a), Seen::Question(b)) => {
            discriminant(a) == discriminant(b) && reply(a).starts_with(reply(b))
        }
        (a, b) => a == b,
    };
    assert!(whole.len() == cut.len() && whole.iter().zip(cut).all(same), "whole {whole:?}\ncut {cut:?}");
}

fn reply(outcome: &Outcome) -> &[u8] {
    match outcome {
        Outcome::LoggedIn { reply }
        | Outcome::Refused { reply, .. }
        | Outcome::NoTls { reply }
        | Outcome::TooLong { reply } => reply,
        Outcome::NoPassword | Outcome::Unsendable => b"",
    }
}

fn back(protocol: Protocol, input: &Input<'_>, limit: usize) -> Back {
    let back = match protocol {
        Protocol::Imap => {
            let back = imap::Back::new(tag(), identity(input), limit);
            Back::Imap(if input.has(1) { back.introducing(&client()) } else { back })
        }
        Protocol::Pop3 => {
            let back = pop3::Back::new(identity(input), limit);
            Back::Pop3(if input.has(1) { back.introducing(&client()) } else { back })
        }
        Protocol::Smtp => Back::Smtp(Box::new(smtp::Back::new(facts(input), limit))),
    };
    if input.has(0) { back.with_starttls() } else { back }
}

/// The tag of a client, which has to come from a front.
fn tag() -> imap::Tag {
    let settings = proto::Settings {
        server_name: String::new(),
        limits: proto::Limits { line: 64, errors: 1, commands: 1 },
        capabilities: Vec::new(),
        mechanisms: proto::sasl::Mechanisms::NONE,
        starttls: proto::Starttls::Off,
    };
    let mut front = imap::Front::new(settings.into(), false, proto::Salt { random: 0, time: 0 });
    let mut input = bytes::BytesMut::from(&b"a LOGIN u p\r\n"[..]);
    let _ = front.step(&mut input, &mut bytes::BytesMut::new());
    front.tag().expect("the front asks about a login").clone()
}

fn identity(input: &Input<'_>) -> Identity {
    let users: [&'static [u8]; 4] = [b"u", b"us er\xff", b"u\r\n", b"u\0v"];
    let passwords: [Option<&[u8]>; 4] = [Some(b"p"), Some(b" p\x7f "), Some(b"p\nq"), None];
    Identity {
        user: Bytes::from_static(users[usize::from(input.answers & 3)]),
        password: passwords[usize::from(input.answers >> 2 & 3)].map(Secret::from),
    }
}

fn client() -> Forwarded {
    Forwarded {
        client: "192.0.2.1:4711".parse().ok().into(),
        ttl: Some(4),
        session: Some(Bytes::from_static(b"s")),
        ..Forwarded::default()
    }
}

fn facts(input: &Input<'_>) -> smtp::Facts {
    let envelope =
        Envelope { mail: Bytes::from_static(b"MAIL FROM:<a@x>"), rcpt: Bytes::from_static(b"RCPT TO:<b@x>") };
    let unix = input.has(6);
    smtp::Facts {
        server_name: "mx.example".to_owned(),
        client: "192.0.2.1:4711".parse().ok().filter(|_| !unix),
        server: "[2001:db8::1]:25".parse().ok().filter(|_| !unix),
        session: Some(Bytes::from_static(b"s+1")),
        ttl: Some(4),
        fields: client().fields,
        host: "[UNAVAILABLE]".to_owned(),
        helo: if input.has(5) { Bytes::new() } else { Bytes::from_static(b"c") },
        esmtp: !input.has(4),
        identity: identity(input),
        envelope: input.has(3).then_some(envelope),
        xclient: !input.has(2),
        auth: input.has(1),
    }
}
