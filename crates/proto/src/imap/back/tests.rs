//! Transcripts of logins at upstreams, and our front against our back.

use super::super::{Front, command};
use super::*;
use crate::transcript::{SALT, Transcript, meet, settings};

const LIMIT: usize = 256;

fn tag(text: &str) -> Tag {
    command::command(format!("{text} NOOP\r\n").as_bytes(), false).tag.unwrap()
}

fn identity(user: &[u8], password: &[u8]) -> Identity {
    Identity { user: Bytes::copy_from_slice(user), password: Some(password.into()) }
}

fn session_as(user: &'static [u8], password: &'static [u8]) -> Transcript<Back> {
    Transcript::of(move || Back::new(tag("a"), identity(user, password), LIMIT)).holds_less_than(LIMIT)
}

fn session() -> Transcript<Back> {
    session_as(b"user", b"pa ss")
}

/// A session whose next line is the reply to LOGIN.
fn sent() -> Transcript<Back> {
    session()
        .trades("* OK imap ready\r\n", "a LOGIN {4}\r\n")
        .trades("+ go\r\n", "user {5}\r\n")
        .trades("+ go\r\n", "pa ss\r\n")
}

fn logged_in(reply: &'static str) -> Outcome {
    Outcome::LoggedIn { reply: reply.into() }
}

fn refused(reply: &'static str, shown: &str) -> Outcome {
    Outcome::Refused { reply: reply.into(), shown_from: reply.find(shown).unwrap() }
}

#[test]
fn user_and_password_go_as_literals() {
    sent().sends("a OK logged in\r\n").asks(logged_in("a OK logged in\r\n")).check();
    session_as(b"u\xff\"\\", b"{9+}\r\nb LOGOUT")
        .trades("* OK\r\n", "a LOGIN {4}\r\n")
        .trades("+\r\n", b"u\xff\"\\ {14}\r\n")
        .trades("+\r\n", "{9+}\r\nb LOGOUT\r\n")
        .check();
    session_as(b"", b"")
        .trades("* OK\r\n", "a LOGIN {0}\r\n")
        .trades("+ \r\n", " {0}\r\n")
        .trades("+ \r\n", "\r\n")
        .check();
}

#[test]
fn a_server_that_takes_literals_unprompted_gets_the_login_at_once() {
    session()
        .trades(
            "* OK [CAPABILITY IMAP4rev1 LITERAL+ AUTH=PLAIN] hi\r\n",
            "a LOGIN {4+}\r\nuser {5+}\r\npa ss\r\n",
        )
        .inspects(|back| assert_eq!(back.action(), Action::SendingLogin))
        .sends("a OK in\r\n")
        .asks(logged_in("a OK in\r\n"))
        .check();
    session_as(b"", b"}\r\nb X")
        .trades("* ok [capability literal-]\r\n", "a LOGIN {0+}\r\n {6+}\r\n}\r\nb X\r\n")
        .sends("a NO [AUTHENTICATIONFAILED] no\r\n")
        .asks(refused("a NO [AUTHENTICATIONFAILED] no\r\n", "NO"))
        .check();
}

#[test]
fn literals_wait_for_the_prompt_where_a_greeting_does_not_say_otherwise() {
    for greeting in [
        "* OK LITERAL+ ready\r\n",
        "* OK [CAPABILITY IMAP4rev1] LITERAL+ ready\r\n",
        "* OK [CAPABILITY IMAP4rev1 XLITERAL+] ready\r\n",
        "* OK [ALERT] [CAPABILITY LITERAL+] ready\r\n",
        "* OK [CAPABILITY",
    ] {
        let greeting = format!("{}\r\n", greeting.trim_end());
        session().trades(greeting, "a LOGIN {4}\r\n").check();
    }
}

#[test]
fn literal_minus_ends_at_4096_bytes() {
    const LONG: [u8; 4097] = [b'p'; 4097];
    session_as(b"user", &LONG)
        .trades("* OK [CAPABILITY IMAP4rev2 LITERAL-] hi\r\n", "a LOGIN {4}\r\n")
        .trades("+\r\n", "user {4097}\r\n")
        .check();
    session_as(b"user", &LONG[1..])
        .sends("* OK [CAPABILITY IMAP4rev2 LITERAL-] hi\r\n")
        .receives([b"a LOGIN {4+}\r\nuser {4096+}\r\n", &LONG[1..], b"\r\n"].concat())
        .check();
}

#[test]
fn what_was_announced_in_clear_is_forgotten_inside_tls() {
    securing()
        .trades("* OK [CAPABILITY LITERAL+ STARTTLS] ready\r\n", "TLS STARTTLS\r\n")
        .sends("TLS OK begin\r\n")
        .upgrades()
        .receives("a LOGIN {1}\r\n")
        .check();
}

#[test]
fn all_of_the_last_reply_goes_to_the_client() {
    sent()
        .sends("* CAPABILITY x\r\n* 3 EXISTS\r\na ok done\r\n")
        .asks(logged_in("* CAPABILITY x\r\n* 3 EXISTS\r\na ok done\r\n"))
        .check();
    sent().sends("a OK done\r\n* 3 EXI").asks(logged_in("a OK done\r\n* 3 EXI")).leaves("").check_uncut();
}

/// A session that is to begin TLS.
fn securing() -> Transcript<Back> {
    Transcript::of(|| Back::new(tag("a"), identity(b"u", b"p"), LIMIT).with_starttls()).holds_less_than(LIMIT)
}

#[test]
fn tls_is_begun_before_the_name_is_said() {
    securing()
        .trades("* OK ready\r\n", "TLS STARTTLS\r\n")
        .inspects(|back| assert_eq!(back.action(), Action::SendingStarttls))
        .sends("* CAPABILITY IMAP4rev1 AUTH=PLAIN\r\nTLS OK begin\r\n")
        .upgrades()
        .receives("a LOGIN {1}\r\n")
        .trades("+\r\n", "u {1}\r\n")
        .trades("+\r\n", "p\r\n")
        .sends("a OK in\r\n")
        .asks(logged_in("a OK in\r\n"))
        .check();
}

#[test]
fn without_tls_nothing_is_said_and_nothing_is_passed_on() {
    let no_tls = |reply: &'static str| Outcome::NoTls { reply: reply.into() };
    for greeting in ["* PREAUTH hi\r\n", "* BYE no\r\n", "TLS OK\r\n"] {
        securing().sends(greeting).asks(no_tls(greeting)).check();
    }
    for injected in ["* OK\r\nTLS OK\r\n", "* OK\r\na OK in\r\n"] {
        securing().sends(injected).asks(no_tls(injected)).check_uncut();
    }
    let asked = || securing().trades("* OK\r\n", "TLS STARTTLS\r\n");
    for reply in [
        "TLS NO\r\n",
        "TLS OKAY\r\n",
        "TLS BAD unknown\r\n",
        "a OK in\r\n",
        "* BYE\r\n",
        "* PREAUTH\r\n",
        "+\r\n",
    ] {
        asked().sends(reply).asks(no_tls(reply)).check();
    }
    for injected in ["TLS OK\r\na OK in\r\n", "TLS OK\r\n* CAPABILITY AUTH=PLAIN\r\n", "TLS OK\r\n+"] {
        asked().sends(injected).asks(no_tls(injected)).check_uncut();
    }
}

#[test]
fn untagged_lines_are_passed_over_wherever_they_come() {
    session()
        .sends("* ok hi\r\n* NO slow today\r\n")
        .receives("a LOGIN {4}\r\n")
        .trades("* OK still here\r\n+ go\r\n", "user {5}\r\n")
        .trades("* FLAGS ()\r\n+ go\r\n", "pa ss\r\n")
        .sends("a OK\r\n")
        .asks(logged_in("a OK\r\n"))
        .check();
}

#[test]
fn other_greetings_are_refused() {
    for greeting in
        ["* BYE no\r\n", "* PREAUTH hi\r\n", "* OKAY\r\n", "+OK POP3\r\n", "220 smtp\r\n", "\r\n", "*\r\n"]
    {
        session().sends(greeting).asks(refused(greeting, greeting)).check();
    }
}

#[test]
fn refusals_are_passed_on_whole_and_logged_from_where_they_matter() {
    let line = "a BAD no literals\r\n";
    session().trades("* OK\r\n", "a LOGIN {4}\r\n").sends(line).asks(refused(line, line)).check();
    for (reply, shown) in [
        ("a NO [AUTHENTICATIONFAILED] bad\r\n", "NO ["),
        ("* CAPABILITY x\r\na NO failed\r\n", "NO f"),
        ("zz OK done\r\n", "zz"),
        ("A OK done\r\n", "A "),
        ("aOK done\r\n", "aOK"),
        ("a OKAY\r\n", "OKAY"),
        ("a OK\rx\r\n", "OK\rx"),
        ("+ more\r\n", "+"),
        ("* x\r\n* BYE out\r\n", "* BYE"),
        ("* bad tag\r\n", "* bad"),
        ("* preauth\r\n", "* pre"),
    ] {
        sent().sends(reply).asks(refused(reply, shown)).check();
    }
}

#[test]
fn what_came_before_it_was_asked_for_is_no_answer() {
    session().sends("* OK\r\n+ go\r\n").asks(refused("* OK\r\n+ go\r\n", "+ go")).check_uncut();
    session().sends("* OK\r\n* x\r\na OK\r\n").asks(refused("* OK\r\n* x\r\na OK\r\n", "* x")).check_uncut();
    session()
        .trades("* OK\r\n", "a LOGIN {4}\r\n")
        .sends("+ go\r\n+ early\r\n")
        .asks(refused("+ go\r\n+ early\r\n", "+ early"))
        .inspects(|back| assert_eq!(back.action(), Action::ReadingResponse))
        .check_uncut();
}

#[test]
fn a_line_ends_in_crlf_only() {
    session().sends("* OK hi\n").trades("* NO\nbody\r\n", "a LOGIN {4}\r\n").check();
}

#[test]
fn replies_end_within_the_limit() {
    let fits = format!("* OK {}\r\n", "x".repeat(LIMIT - 7));
    let longer = format!("* OK {}\r\n", "x".repeat(LIMIT - 6));
    session().trades(&fits, "a LOGIN {4}\r\n").check();
    let seen = Bytes::copy_from_slice(&longer.as_bytes()[..LIMIT]);
    session().sends(&longer).asks(Outcome::TooLong { reply: seen }).check();
    let lines = "* x\r\n".repeat(LIMIT);
    let seen = Bytes::copy_from_slice(&lines.as_bytes()[..LIMIT]);
    sent().sends(&lines).asks(Outcome::TooLong { reply: seen }).check();
}

#[test]
fn credentials_that_cannot_be_said_are_not_said() {
    session_as(b"us\0er", b"p").sends("* OK\r\n").asks(Outcome::Unsendable).check();
    session_as(b"user", b"\0").sends("* OK\r\n").asks(Outcome::Unsendable).check();
    Transcript::of(|| Back::new(tag("a"), Identity { user: "u".into(), password: None }, LIMIT))
        .sends("* OK\r\n")
        .asks(Outcome::NoPassword)
        .check();
}

#[test]
fn the_log_can_say_what_is_being_done() {
    let doing = |action| move |back: &Back| assert_eq!(back.action(), action);
    session()
        .inspects(doing(Action::Connecting))
        .trades("* OK\r\n", "a LOGIN {4}\r\n")
        .inspects(doing(Action::SendingLogin))
        .trades("+ \r\n", "user {5}\r\n")
        .inspects(doing(Action::SendingUser))
        .trades("+ \r\n", "pa ss\r\n")
        .inspects(doing(Action::SendingPassword))
        .sends("* ")
        .inspects(doing(Action::ReadingResponse))
        .check();
}

#[test]
fn our_front_understands_our_back() {
    for (user, password) in [
        (&b"user"[..], &b"pa ss"[..]),
        (b"u\"\\{3}", b""),
        (b"u\xff\x80", b"a\r\nb LOGOUT\r\n"),
        (b"\r\n", b"{3+}\r\n"),
    ] {
        let mut front = Front::new(settings(&[]).into(), false, SALT);
        let mut back = Back::new(tag("x.1"), identity(user, password), LIMIT);
        let (Want::Input, Want::Answer(login)) = meet(&mut back, &mut front) else { panic!("no login") };
        assert_eq!(front.tag().map(AsRef::as_ref), Some(&b"x.1"[..]));
        assert_eq!(login.credentials.user, user);
        assert_eq!(login.credentials.password.expose(), password);
    }
}

const INTRODUCTION: &str = concat!(
    "ID ID (\"x-originating-ip\" \"2001:db8::1\" \"x-originating-port\" \"4711\" ",
    "\"x-connected-ip\" \"192.0.2.2\" \"x-connected-port\" \"143\" ",
    "\"x-proxy-ttl\" \"4\" \"x-session-id\" \"s\")\r\n",
);

fn introduced() -> Back {
    let client = Forwarded {
        client: "[2001:db8::1]:4711".parse().ok().into(),
        server: "192.0.2.2:143".parse().ok().into(),
        ttl: Some(4),
        session: Some(Bytes::from_static(b"s")),
        ..Forwarded::default()
    };
    Back::new(tag("a"), identity(b"u", b"p"), LIMIT).introducing(&client)
}

#[test]
fn who_the_client_is_comes_before_its_login_whether_the_upstream_likes_it_or_not() {
    for (reply, snub) in [
        ("* ID NIL\r\nID OK done\r\n", None),
        ("ID ok\r\n", None),
        ("* ID (\"name\" \"Dovecot\")\r\n* CAPABILITY IMAP4rev1\r\nID OK\r\n", None),
        ("ID NO not now\r\n", Some(Snub::ImapId)),
        ("* ID NIL\r\nID BAD what?\r\n", Some(Snub::ImapId)),
    ] {
        Transcript::of(introduced)
            .holds_less_than(LIMIT)
            .trades("* OK ready\r\n", INTRODUCTION)
            .inspects(|back| assert_eq!(back.action(), Action::SendingId))
            .trades(reply, "a LOGIN {1}\r\n")
            .inspects(move |back| assert_eq!(back.snub(), snub))
            .trades("+ go\r\n", "u {1}\r\n")
            .trades("+ go\r\n", "p\r\n")
            .sends("a OK in\r\n")
            .asks(logged_in("a OK in\r\n"))
            .check();
    }
}

#[test]
fn what_is_no_answer_to_id_ends_the_login() {
    for reply in ["* BYE\r\n", "a OK\r\n", "id OK\r\n", "ID PREAUTH\r\n", "IDLE OK\r\n", "+ go\r\n", "\r\n"] {
        Transcript::of(introduced)
            .trades("* OK ready\r\n", INTRODUCTION)
            .sends(reply)
            .asks(refused(reply, reply))
            .check();
    }
    let early = "ID OK\r\n+ go\r\n";
    Transcript::of(introduced)
        .trades("* OK ready\r\n", INTRODUCTION)
        .sends(early)
        .asks(refused(early, "+ go"))
        .check_uncut();
}

#[test]
fn who_the_client_is_is_said_inside_tls() {
    Transcript::of(|| introduced().with_starttls())
        .trades("* OK ready\r\n", "TLS STARTTLS\r\n")
        .sends("TLS OK begin\r\n")
        .upgrades()
        .receives(INTRODUCTION)
        .trades("ID OK\r\n", "a LOGIN {1}\r\n")
        .check();
}
