//! Transcripts of what clients say and get; those by table are rows of what was recorded from the originals.

mod arrival;
mod forwarding;
mod limits;
mod sasl_exchange;

use super::*;
use crate::transcript::{self, SALT, Transcript, again, login, plain, refusal};
use crate::{Limits, Mechanism, Starttls};

const ALL: [Mechanism; 6] = [
    Mechanism::Plain,
    Mechanism::Login,
    Mechanism::CramMd5,
    Mechanism::External,
    Mechanism::Xoauth2,
    Mechanism::Oauthbearer,
];

const INVALID: &str = "a BAD invalid command\r\n";
const UNTAGGED: &str = "* BAD invalid command\r\n";

fn settings() -> Settings {
    let capabilities = ["IMAP4", "IMAP4rev1", "UIDPLUS"].map(Bytes::from).to_vec();
    Settings { capabilities, ..transcript::settings(&ALL) }
}

/// A session behind its greeting, with other settings.
fn session_with(change: impl FnOnce(&mut Settings)) -> Transcript<Front> {
    let mut settings = settings();
    change(&mut settings);
    let limit = settings.limits.line;
    let settings = Arc::new(settings);
    Transcript::of(move || Front::new(settings.clone(), false, SALT))
        .holds_less_than(limit)
        .receives("* OK IMAP4 ready\r\n")
}

fn session() -> Transcript<Front> {
    session_with(|_| {})
}

fn secured_session_with(change: impl FnOnce(&mut Settings)) -> Transcript<Front> {
    let mut settings = settings();
    change(&mut settings);
    let settings = Arc::new(settings);
    Transcript::of(move || Front::new(settings.clone(), true, SALT)).receives("* OK IMAP4 ready\r\n")
}

fn refused(text: &'static str, retry: bool) -> LoginAnswer {
    LoginAnswer::Refused(refusal(text, retry))
}

fn base64(decoded: impl AsRef<[u8]>) -> String {
    String::from_utf8(sasl::encode(decoded.as_ref()).to_vec()).unwrap()
}

#[test]
fn lines_are_answered_as_the_originals_answer_them() {
    for (sent, reply) in [
        (&b"\r\n"[..], UNTAGGED),
        (b"\n", UNTAGGED),
        (b"a\r\n", UNTAGGED),
        (b"a \r\n", INVALID),
        (b"a+b NOOP\r\n", UNTAGGED),
        (b"* NOOP\r\n", UNTAGGED),
        (b"a#1 NOOP\r\n", UNTAGGED),
        (b"a\0b NOOP\r\n", UNTAGGED),
        (b"a.b-c_d NOOP\n", "a.b-c_d OK completed\r\n"),
        (b"a nOoP\r\n", "a OK completed\r\n"),
        (b"a          NOOP   \r\n", "a OK completed\r\n"),
        (b"a\tNOOP\r\n", UNTAGGED),
        (b"a NOOP\t\r\n", INVALID),
        (b"a NO\0OP\r\n", INVALID),
        (b"a \xd0\x90 x\r\n", INVALID),
        (b"a NOOP\rb NOOP\r\n", INVALID),
        (b"a NOOP\r\r\n", INVALID),
        (b"\x16\x03\x01\x02\0\r\n", UNTAGGED),
        (b"a NOOP 1 2 3\r\n", "a OK completed\r\n"),
        (b"a NOOP 1 2 3 4\r\n", INVALID),
        (b"a LOGIN\r\n", INVALID),
        (b"a LOGIN u\r\n", INVALID),
        (b"a LOGIN u p x\r\n", INVALID),
        (b"a LOGIN u p x y\r\n", INVALID),
        (b"a LOGIN \"\" p\r\n", INVALID),
        (b"a LOGIN \"u\\\r\n", INVALID),
        (b"a LOGIN \"u\rx\" p\r\n", INVALID),
        (b"a LOGIN {1}\r\nuxx p\r\n", "+ OK\r\na BAD invalid command\r\n"),
        (b"a LOGIN {0}\r\n p\r\n", "+ OK\r\na BAD invalid command\r\n"),
        (b"a LOGIN {}\r\n p\r\n", "+ OK\r\na BAD invalid command\r\n"),
        (b"a LOGIN {1x}\r\n", INVALID),
        (b"a LOGIN {-1}\r\n", INVALID),
        (b"a LOGIN {1} \r\n", INVALID),
        (b"a LOGIN {1+1}\r\n", INVALID),
        (b"a LOGIN {99999999999999999999999}\r\n", INVALID),
        (b"a LOGIN u {2}\r\npqr\r\n", "+ OK\r\na BAD invalid command\r\n"),
        (b"a LOGIN u p {3+}\r\nabc\r\nb NOOP\r\n", "a BAD invalid command\r\nb OK completed\r\n"),
        (b"a FOO {3}\r\nb NOOP\r\n", "a BAD invalid command\r\nb OK completed\r\n"),
        (b"a NOOP {3}\r\nabc\r\n", "+ OK\r\na OK completed\r\n"),
        (b"a NOOP {3+}\r\nabc\r\nb NOOP\r\n", "a OK completed\r\nb OK completed\r\n"),
        (b"a LOGIN ~{1}\r\n", INVALID),
        (b"a ID NIL\r\n", INVALID),
        (b"a ENABLE X\r\n", INVALID),
        (b"a SELECT INBOX\r\n", INVALID),
        (b"a UID NOOP\r\n", INVALID),
        (b"a STARTTLS\r\n", INVALID),
        (b"a AUTHENTICATE\r\n", INVALID),
        (b"a AUTHENTICATE GSSAPI\r\n", INVALID),
        (b"a AUTHENTICATE APOP\r\n", INVALID),
        (b"a AUTHENTICATE PLAIN x y\r\n", INVALID),
        (b"a AUTHENTICATE CRAM-MD5 eA==\r\n", INVALID),
        (
            b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
            "GET BAD invalid command\r\n* BAD invalid command\r\n* BAD invalid command\r\n",
        ),
    ] {
        session().trades(sent, reply).check();
    }
}

/// The originals take an empty tag, keep quotes open over line ends, and swallow a byte behind `{0}`.
#[test]
fn known_faults_of_the_originals_are_not_repeated() {
    session().trades("   \r\n", UNTAGGED).trades(" NOOP\r\n", UNTAGGED).check();
    session().trades("a LOGIN \"u\r\n", INVALID).sends("b LOGIN x y\r\n").asks(plain("x", "y")).check();
    session()
        .trades("a LOGIN \"u p\r\n", INVALID)
        .trades("b NOOP\r\n", "b OK completed\r\n")
        .sends("c LOGIN \"x\" \"y\"\r\n")
        .asks(plain("x", "y"))
        .check();
    session().trades("a LOGIN u {0}\r\n", "+ OK\r\n").sends("\r\n").asks(plain("u", "")).check();
    session().sends("a LOGIN u {0+}\r\n\r\n").asks(plain("u", "")).check();
    session()
        .trades("a AUTHENTICATE LOGIN\r\n", "+ VXNlcm5hbWU6\r\n")
        .trades("%%\r\n", INVALID)
        .notes(Violation::InvalidBase64(Mechanism::Login))
        .check();
}

#[test]
fn a_tag_of_32_characters_is_used_and_one_of_33_is_not() {
    let tag = "A".repeat(32);
    session().trades(format!("{tag} NOOP\r\n"), format!("{tag} OK completed\r\n")).check();
    session().trades(format!("{tag}A NOOP\r\n"), UNTAGGED).check();
}

#[test]
fn login_takes_atoms_strings_and_literals_of_any_bytes() {
    for (sent, user, password) in [
        (&b"a LOGIN u p\r\n"[..], &b"u"[..], &b"p"[..]),
        (b"a LOGIN u \"\"\r\n", b"u", b""),
        (b"a LOGIN \"u\"\"p\"\r\n", b"u", b"p"),
        (b"a LOGIN \"u\\\"x\\\\y\\z\" \"p w\"\r\n", b"u\"x\\yz", b"p w"),
        (b"a LOGIN NIL NIL\r\n", b"NIL", b"NIL"),
        (b"a LOGIN u* p%\r\n", b"u*", b"p%"),
        (b"a LOGIN us\0er pa\0ss\r\n", b"us\0er", b"pa\0ss"),
        (b"a LOGIN us\xff\xfe p\x7f\x80\r\n", b"us\xff\xfe", b"p\x7f\x80"),
        (b"a LOGIN {1+}\r\nu {1+}\r\np\r\n", b"u", b"p"),
    ] {
        session().sends(sent).asks(login(Method::Plain, user, password)).check();
    }
}

#[test]
fn each_literal_that_waits_is_prompted_for_once() {
    session()
        .trades("a LOGIN {1}\r\n", "+ OK\r\n")
        .trades("u {1}\r\n", "+ OK\r\n")
        .sends("p\r\n")
        .asks(plain("u", "p"))
        .check();
    session().trades("a LOGIN {1}\r\r\r\n", "+ OK\r\n").sends("u p\r\n").asks(plain("u", "p")).check();
    session().trades("a LOGIN u {4}\n", "+ OK\r\n").sends("p\r\nq\n").asks(plain("u", "p\r\nq")).check();
    session()
        .sends("a LOGIN {1}\r\nu {1}\r\np\r\n")
        .receives("+ OK\r\n+ OK\r\n")
        .asks(plain("u", "p"))
        .check();
}

#[test]
fn what_follows_a_login_is_left_for_the_upstream() {
    session()
        .sends("a LOGIN u p\r\nb SELECT INBOX\r\n")
        .asks(plain("u", "p"))
        .leaves("b SELECT INBOX\r\n")
        .check();
}

#[test]
fn the_tag_of_a_login_is_known_while_it_is_asked_about() {
    session()
        .trades("x1 AUTHENTICATE PLAIN\r\n", "+ \r\n")
        .inspects(|front| assert_eq!(front.tag(), None))
        .sends(base64("\0u\0p") + "\r\n")
        .asks(plain("u", "p"))
        .inspects(|front| assert_eq!(front.tag().unwrap().as_ref(), b"x1"))
        .answers(refused("no", true))
        .receives("x1 NO no\r\n")
        .inspects(|front| assert_eq!(front.tag(), None))
        .check();
}

#[test]
fn the_log_learns_who_the_client_is_as_early_as_it_is_said() {
    session()
        .inspects(|front| assert!(front.greeted_only()))
        .trades("a AUTHENTICATE LOGIN\r\n", "+ VXNlcm5hbWU6\r\n")
        .inspects(|front| assert!(!front.greeted_only()))
        .inspects(|front| assert_eq!(front.login_name(), None))
        .trades("dQ==\r\n", "+ UGFzc3dvcmQ6\r\n")
        .inspects(|front| assert_eq!(front.login_name(), Some(&b"u"[..])))
        .sends("cA==\r\n")
        .asks(plain("u", "p"))
        .inspects(|front| assert_eq!(front.login_name(), Some(&b"u"[..])))
        .check();
}

#[test]
fn capability_lists_what_can_be_done_now() {
    const ALL: &str = "AUTH=PLAIN AUTH=LOGIN AUTH=CRAM-MD5 AUTH=EXTERNAL AUTH=XOAUTH2 AUTH=OAUTHBEARER";
    let list = |tail: &str| format!("* CAPABILITY IMAP4 IMAP4rev1 UIDPLUS {tail}\r\na OK completed\r\n");
    session().trades("a CAPABILITY\r\n", list(ALL)).check();
    session_with(|s| s.starttls = Starttls::On)
        .trades("a CAPABILITY\r\n", list(&format!("{ALL} STARTTLS")))
        .check();
    session_with(|s| s.starttls = Starttls::Only)
        .trades("a CAPABILITY\r\n", list("STARTTLS LOGINDISABLED"))
        .check();
    secured_session_with(|s| s.starttls = Starttls::Only).trades("a CAPABILITY\r\n", list(ALL)).check();
    session_with(|s| {
        s.capabilities.clear();
        s.mechanisms = [Mechanism::Plain].into_iter().collect();
    })
    .trades("a CAPABILITY\r\n", "* CAPABILITY AUTH=PLAIN\r\na OK completed\r\n")
    .check();
}

#[test]
fn id_is_answered_where_it_is_a_capability() {
    session_with(|s| s.capabilities.push("id".into()))
        .trades("a ID NIL\r\n", "* ID NIL\r\na OK completed\r\n")
        .trades("b id (\"name\" {3}\r\n", "+ OK\r\n")
        .trades("x\"y \"version\" \"1)\")\r\n", "* ID NIL\r\nb OK completed\r\n")
        .check();
}

#[test]
fn logout_ends_the_session_and_drops_the_rest() {
    session().trades("a LOGOUT\r\nb NOOP\r\n", "* BYE\r\na OK completed\r\n").closes().check();
}

#[test]
fn starttls_is_taken_once_and_where_it_is_offered() {
    for starttls in [Starttls::On, Starttls::Only] {
        session_with(|s| s.starttls = starttls)
            .trades("a STARTTLS\r\n", "a OK completed\r\n")
            .upgrades()
            .trades("b STARTTLS\r\n", "b BAD invalid command\r\n")
            .sends("c LOGIN u p\r\n")
            .asks(plain("u", "p"))
            .check();
    }
    secured_session_with(|s| s.starttls = Starttls::On).trades("a STARTTLS\r\n", INVALID).check();
}

#[test]
fn what_is_sent_behind_starttls_in_clear_is_never_answered() {
    session_with(|s| s.starttls = Starttls::On)
        .trades("a STARTTLS\r\nb NOOP\r\nc LOGIN {9}\r\n", "a OK completed\r\n")
        .upgrades()
        .trades("d NOOP\r\n", "d OK completed\r\n")
        .check_uncut();
}

#[test]
fn nobody_logs_in_before_a_required_starttls() {
    for command in ["LOGIN u p", "AUTHENTICATE PLAIN", "AUTHENTICATE PLAIN AHUAcA==", "AUTHENTICATE LOGIN"] {
        session_with(|s| s.starttls = Starttls::Only).trades(format!("a {command}\r\n"), INVALID).check();
    }
}

#[test]
fn a_refused_client_may_try_again_if_the_authority_says_so() {
    session()
        .sends("a LOGIN bad x\r\nb LOGIN u p\r\nc SELECT x\r\n")
        .asks(plain("bad", "x"))
        .answers(refused("no", true))
        .receives("a NO no\r\n")
        .asks(again(2, plain("u", "p")))
        .leaves("c SELECT x\r\n")
        .check_uncut();
    session()
        .sends("a LOGIN bad x\r\n")
        .asks(plain("bad", "x"))
        .answers(refused("no", true))
        .receives("a NO no\r\n")
        .trades("+x\r\n", UNTAGGED)
        .trades("b LOGOUT\r\n", "* BYE\r\nb OK completed\r\n")
        .closes()
        .check();
}

#[test]
fn a_refusal_without_another_try_ends_the_session() {
    session()
        .sends("a LOGIN bad x\r\n")
        .asks(plain("bad", "x"))
        .answers(refused("", false))
        .receives("a NO \r\n")
        .closes()
        .check();
}

#[test]
fn a_failure_is_told_without_its_cause_and_an_upstreams_words_as_they_are() {
    let asked = || session().sends("a LOGIN u p\r\n").asks(plain("u", "p"));
    asked().answers(LoginAnswer::Failed).receives("* BAD internal server error\r\n").closes().check();
    asked()
        .answers(LoginAnswer::Passed("* CAPABILITY x\r\na NO failed\r\n".into()))
        .receives("* CAPABILITY x\r\na NO failed\r\n")
        .closes()
        .check();
}

#[test]
fn a_good_login_on_one_connection_too_many_may_come_again_later() {
    session()
        .sends("a LOGIN u p\r\nb NOOP\r\n")
        .asks(plain("u", "p"))
        .answers(LoginAnswer::Limited)
        .receives("a NO [UNAVAILABLE] Too many connections\r\n")
        .closes()
        .check();
}

#[test]
fn a_line_is_answered_when_it_ends_and_not_before() {
    session().sends(b"\x16\x03\x01\x02\0").sends("a FOO \"").check();
    session().sends("a NOOP\r").trades("\n", "a OK completed\r\n").check();
}
