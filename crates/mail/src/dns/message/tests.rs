//! Packets, put together by hand, and what they mean.

use rig::dns::{A, AAAA, CNAME, PTR, wire_name};

use super::*;

const ID: u16 = 0x1234;

fn name(text: &str) -> Name {
    Name::from_labels(text.split('.').map(str::as_bytes)).unwrap()
}

fn question(kind: Kind) -> Question {
    Question { name: name("a.example"), kind }
}

fn addr(text: &str) -> Datum {
    Datum::Addr(text.parse().unwrap())
}

/// An answer over all parts of which a test decides.
struct Packet {
    id: u16,
    flags: u16,
    questions: Vec<(&'static str, u16)>,
    answers: Vec<Vec<u8>>,
    authorities: Vec<Vec<u8>>,
}

impl Packet {
    fn to(kind: u16) -> Self {
        let questions = vec![("a.example", kind)];
        Self { id: ID, flags: 0x8180, questions, answers: Vec::new(), authorities: Vec::new() }
    }

    fn flags(self, flags: u16) -> Self {
        Self { flags, ..self }
    }

    fn record(mut self, owner: &str, kind: u16, ttl: u32, data: &[u8]) -> Self {
        self.answers.push(record(owner, kind, ttl, data));
        self
    }

    fn soa(mut self, ttl: u32, minimum: u32) -> Self {
        let numbers = [1, 2, 3, 4, minimum].map(u32::to_be_bytes).concat();
        self.authorities.push(record("example", 6, ttl, &[&[0, 0], &numbers[..]].concat()));
        self
    }

    fn bytes(&self) -> Vec<u8> {
        let count = |length: usize| u16::try_from(length).unwrap();
        let counts =
            [count(self.questions.len()), count(self.answers.len()), count(self.authorities.len()), 0];
        let mut bytes = [self.id, self.flags].map(u16::to_be_bytes).concat();
        bytes.extend(counts.map(u16::to_be_bytes).concat());
        for (name, kind) in &self.questions {
            bytes.extend([&wire_name(name.as_bytes())[..], &kind.to_be_bytes(), &[0, 1]].concat());
        }
        bytes.extend(self.answers.concat());
        bytes.extend(self.authorities.concat());
        bytes
    }

    fn read(&self, kind: Kind) -> Reading {
        question(kind).read(ID, &self.bytes())
    }
}

fn record(owner: &str, kind: u16, ttl: u32, data: &[u8]) -> Vec<u8> {
    let length = u16::try_from(data.len()).unwrap();
    let facts = [&kind.to_be_bytes()[..], &[0, 1], &ttl.to_be_bytes(), &length.to_be_bytes()].concat();
    [&wire_name(owner.as_bytes()), &facts, data].concat()
}

fn found(data: Vec<Datum>, ttl: u32) -> Reading {
    Reading::Answer(Answer::Found { data, ttl })
}

fn nothing(ttl: Option<u32>) -> Reading {
    Reading::Answer(Answer::Nothing { ttl })
}

#[test]
fn a_question_asks_for_one_name_and_for_recursion() {
    let packet = question(Kind::Aaaa).packet(ID);
    let expected =
        [&[0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0], &wire_name(b"a.example")[..], &[0, 28, 0, 1]].concat();
    assert_eq!(packet, expected);
}

#[test]
fn records_of_the_name_answer_for_the_shortest_of_their_times() {
    let packet =
        Packet::to(A).record("a.example", A, 60, &[192, 0, 2, 1]).record("A.Example", A, 50, &[192, 0, 2, 2]);
    assert_eq!(packet.read(Kind::A), found(vec![addr("192.0.2.1"), addr("192.0.2.2")], 50));
    let host = wire_name(b"Mail.example");
    let packet = Packet::to(PTR).record("a.example", PTR, 7, &host);
    assert_eq!(packet.read(Kind::Ptr), found(vec![Datum::Host(name("Mail.example"))], 7));
}

#[test]
fn an_answer_to_anything_else_is_not_ours() {
    let good = || Packet::to(A).record("a.example", A, 60, &[192, 0, 2, 1]);
    assert!(matches!(good().read(Kind::A), Reading::Answer(_)));
    for (packet, why) in [
        (Packet { id: ID + 1, ..good() }, "another id"),
        (good().flags(0x0180), "a question"),
        (good().flags(0x9180), "another operation"),
        (Packet { questions: vec![("b.example", A)], ..good() }, "another name"),
        (Packet { questions: vec![("a.example", AAAA)], ..good() }, "another type"),
        (Packet { questions: vec![("a.example", A), ("a.example", A)], ..good() }, "two questions"),
        (Packet { questions: vec![], ..good() }, "no question"),
        (Packet { questions: vec![], ..good() }.flags(0x8183), "no question, and no such name"),
    ] {
        assert_eq!(packet.read(Kind::A), Reading::Foreign, "{why}");
    }
}

#[test]
fn only_records_on_the_way_from_the_name_count() {
    let alias = wire_name(b"b.example");
    let packet = Packet::to(A)
        .record("victim.example", A, 1, &[203, 0, 113, 1])
        .record("c.example", A, 40, &[192, 0, 2, 3])
        .record("b.example", CNAME, 30, &wire_name(b"c.example"))
        .record("a.example", CNAME, 60, &alias)
        .record("a.example", A, 1, &[203, 0, 113, 2])
        .record("c.example", AAAA, 1, &[0; 16]);
    assert_eq!(packet.read(Kind::A), found(vec![addr("192.0.2.3")], 30), "in any order");
}

#[test]
fn an_alias_of_which_nothing_is_said_is_to_be_asked_for() {
    let packet = Packet::to(A).record("a.example", CNAME, 9, &wire_name(b"b.example"));
    let alias = Answer::Alias { name: name("b.example"), steps: 1, ttl: 9 };
    assert_eq!(packet.read(Kind::A), Reading::Answer(alias));
    let known_empty = Packet::to(A).record("a.example", CNAME, 9, &wire_name(b"b.example")).soa(60, 20);
    assert_eq!(known_empty.read(Kind::A), nothing(Some(20)));
}

#[test]
fn aliases_in_a_ring_come_to_an_end() {
    let ring = Packet::to(A).record("a.example", CNAME, 9, &wire_name(b"b.example")).record(
        "b.example",
        CNAME,
        9,
        &wire_name(b"a.example"),
    );
    assert!(matches!(ring.read(Kind::A), Reading::Answer(Answer::Alias { steps: 2, .. })));
    let itself = Packet::to(A).record("a.example", CNAME, 9, &wire_name(b"a.example"));
    assert!(matches!(itself.read(Kind::A), Reading::Answer(Answer::Alias { steps: 1, .. })));
}

#[test]
fn nothing_counts_as_long_as_the_zone_says() {
    assert_eq!(Packet::to(A).read(Kind::A), nothing(None));
    assert_eq!(Packet::to(A).soa(60, 20).read(Kind::A), nothing(Some(20)));
    assert_eq!(Packet::to(A).flags(0x8183).soa(10, 20).read(Kind::A), nothing(Some(10)));
    let beyond = Packet::to(A).flags(0x8183).record("a.example", A, 60, &[192, 0, 2, 1]);
    assert_eq!(beyond.read(Kind::A), nothing(None), "a name that does not exist has no address");
}

#[test]
fn errors_have_the_numbers_and_words_of_the_originals() {
    for (code, text) in [
        (1, "1: Format error"),
        (2, "2: Server failure"),
        (4, "4: Unimplemented"),
        (5, "5: Operation refused"),
        (9, "9: Unknown error"),
    ] {
        for packet in [Packet::to(A), Packet { questions: vec![], ..Packet::to(A) }] {
            let Reading::Failed(failure) = packet.flags(0x8180 | code).read(Kind::A) else {
                panic!("{code}")
            };
            assert_eq!(format!("{}: {failure}", failure.code()), text);
        }
    }
    assert_eq!(Failure::NotFound.code(), 3);
    assert_eq!(format!("{}: {}", Failure::TimedOut.code(), Failure::TimedOut), "110: Operation timed out");
}

#[test]
fn a_truncated_answer_is_known_as_one_wherever_it_was_cut() {
    let packet = Packet::to(A).flags(0x8380).record("a.example", A, 60, &[192, 0, 2, 1]);
    assert_eq!(packet.read(Kind::A), Reading::Truncated);
    let bytes = packet.bytes();
    assert_eq!(question(Kind::A).read(ID, &bytes[..bytes.len() - 5]), Reading::Truncated);
}

#[test]
fn records_that_nobody_can_read_are_a_failure_of_the_server() {
    let short = Packet::to(A).record("a.example", A, 60, &[192, 0]);
    assert_eq!(short.read(Kind::A), Reading::Failed(Failure::ServerFailure));
    let mut looping = Packet::to(A).bytes();
    looping[7] = 1;
    let at = u8::try_from(looping.len()).unwrap();
    looping.extend([0xc0, at, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4, 1, 2, 3, 4]);
    assert_eq!(question(Kind::A).read(ID, &looping), Reading::Failed(Failure::ServerFailure));
}

#[test]
fn no_bytes_panic() {
    let packet = Packet::to(A)
        .record("a.example", CNAME, 9, &wire_name(b"b.example"))
        .record("b.example", A, 60, &[192, 0, 2, 1])
        .soa(60, 20)
        .bytes();
    let question = question(Kind::A);
    for cut in 0..packet.len() {
        question.read(ID, &packet[..cut]);
    }
    for at in 0..packet.len() {
        for value in [0, 1, 0x3f, 0x40, 0x7f, 0x80, 0xbf, 0xc0, 0xff, packet[at] ^ 1] {
            let mut changed = packet.clone();
            changed[at] = value;
            question.read(ID, &changed);
        }
    }
}
