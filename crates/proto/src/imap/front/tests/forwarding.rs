//! ID from a proxy that may speak for its clients, and from everybody else.

use super::*;
use crate::forwarded::{Fields, Forwarded, Place};
use crate::imap::Back;
use crate::transcript::meet;
use crate::{Identity, Want};

const ANSWER: &str = "* ID NIL\r\na OK completed\r\n";

fn proxy_with(change: impl FnOnce(&mut Settings)) -> Transcript<Front> {
    let mut settings = settings();
    change(&mut settings);
    let settings = Arc::new(settings);
    Transcript::of(move || Front::new(settings.clone(), false, SALT).trusting())
        .receives("* OK IMAP4 ready\r\n")
}

fn proxy() -> Transcript<Front> {
    proxy_with(|_| {})
}

fn client_at(addr: &str) -> Forwarded {
    Forwarded { client: addr.parse().ok().into(), ..Forwarded::default() }
}

#[test]
fn a_trusted_proxy_says_who_the_client_is() {
    let expected = Forwarded {
        client: "192.0.2.1:4711".parse().ok().into(),
        server: "[2001:db8::2]:143".parse().ok().into(),
        ttl: Some(3),
        session: Some(Bytes::from_static(b"a/b+c=")),
        name: None,
        fields: Fields::default(),
    };
    proxy()
        .sends("a ID (\"x-originating-ip\" \"192.0.2.1\" \"X-Originating-Port\" {4}\r\n")
        .receives("+ OK\r\n")
        .sends("4711 \"name\" NIL \"x-connected-ip\" \"2001:db8::2\" \"x-connected-port\" {3+}\r\n143 ")
        .trades("\"x-proxy-ttl\" \"3\" \"x-session-id\" \"a/b+c=\" \"vendor\" NIL)\r\n", ANSWER)
        .inspects(move |front| assert_eq!(front.forwarded(), &expected))
        .sends("b LOGIN u p\r\n")
        .asks(plain("u", "p"))
        .check();
}

#[test]
fn fields_that_are_nil_or_nonsense_say_nothing() {
    for fields in [
        "NIL",
        "nil",
        "()",
        "(\"x-originating-ip\" NIL)",
        "(\"x-originating-ip\" \"\")",
        "(\"x-originating-ip\" \"localhost\" \"x-originating-port\" \"x\" \"x-proxy-ttl\" \"-1\")",
        "(NIL \"x-originating-ip\" \"192.0.2.1\")",
        "(\"x-originating-ip\")",
        "x-originating-ip 192.0.2.1",
    ] {
        proxy()
            .trades(format!("a ID {fields}\r\n"), ANSWER)
            .inspects(|front| assert_eq!(front.forwarded(), &Forwarded::default()))
            .check();
    }
}

#[test]
fn fields_for_upstreams_are_kept_as_they_are() {
    proxy()
        .trades("a ID (\"x-forward-realm\" \"a \\\"b\\\"\" \"X-FORWARD-color\" NIL)\r\n", ANSWER)
        .inspects(|front| {
            let fields: Vec<_> =
                front.forwarded().fields.id().map(|(name, value)| (name, value.to_owned())).collect();
            assert_eq!(fields, [("x-forward-realm".to_owned(), "a \"b\"".to_owned())]);
        })
        .check();
}

#[test]
fn nobody_else_speaks_for_others() {
    let id = "a ID (\"x-originating-ip\" \"192.0.2.1\" \"x-proxy-ttl\" \"1\" \"x-forward-a\" \"b\")\r\n";
    let nothing = |front: &Front| assert_eq!(front.forwarded(), &Forwarded::default());
    session_with(|s| s.capabilities.push("ID".into())).trades(id, ANSWER).inspects(nothing).check();
    session().trades(id, INVALID).inspects(nothing).check();
}

#[test]
fn what_is_said_last_counts() {
    proxy()
        .trades("a ID (\"x-originating-ip\" \"192.0.2.1\" \"x-originating-port\" \"1\")\r\n", ANSWER)
        .trades("a ID (\"name\" \"mutt\")\r\n", ANSWER)
        .trades("a ID (\"x-originating-port\" \"2\")\r\n", ANSWER)
        .inspects(|front| assert_eq!(front.forwarded(), &client_at("192.0.2.1:2")))
        .check();
}

#[test]
fn what_was_said_in_clear_is_forgotten_inside_tls() {
    proxy_with(|s| s.starttls = Starttls::Only)
        .trades("a ID (\"x-originating-ip\" \"192.0.2.1\")\r\n", ANSWER)
        .trades("a STARTTLS\r\n", "a OK completed\r\n")
        .upgrades()
        .inspects(|front| assert_eq!(front.forwarded(), &Forwarded::default()))
        .trades("a ID (\"x-originating-ip\" \"192.0.2.2\")\r\n", ANSWER)
        .inspects(|front| assert_eq!(front.forwarded().client.ip, "192.0.2.2".parse().ok()))
        .check();
}

#[test]
fn what_our_back_says_our_front_believes() {
    let mut fields = Fields::default();
    // printf 'quote="\\"\tplain=a b' | base64
    fields.read_forward(b"cXVvdGU9IlwiCXBsYWluPWEgYg==");
    let said = Forwarded {
        fields,
        server: Place { ip: None, port: Some(993) },
        ttl: Some(4),
        session: Some(Bytes::from_static(b"0123456789abcdef")),
        ..client_at("[2001:db8::1]:4711")
    };
    let tag = command::command(b"x NOOP\r\n", false).tag.unwrap();
    let identity = Identity { user: Bytes::from_static(b"u"), password: Some(Secret::from(&b"p"[..])) };
    let mut back = Back::new(tag, identity, 4096).introducing(&said);
    let mut front = Front::new(Arc::new(settings()), false, SALT).trusting();
    assert_eq!(meet(&mut back, &mut front), (Want::Input, Want::Answer(plain("u", "p"))));
    assert_eq!(front.forwarded(), &said);
    assert_eq!(back.snub(), None);
}
