//! Clients to names.

use rig::dns::{PTR, Play};

use super::*;

const ARPA: &str = "1.2.0.192.in-addr.arpa";
const CLIENT: &str = "192.0.2.1";

fn client() -> IpAddr {
    CLIENT.parse().unwrap()
}

/// What there is to log, as the originals word it.
fn logged(name: &ClientName) -> String {
    let ClientName::Nameless(reason) = name else { return String::new() };
    match reason {
        Nameless::NoResolver | Nameless::UnixSocket | Nameless::Unconfirmed(_) => String::new(),
        Nameless::Unresolved(failure) => format!("A could not be resolved ({}: {failure})", failure.code()),
        Nameless::Invalid(name) => format!("A resolved to invalid host name \"{}\"", name.0.escape_ascii()),
        Nameless::NameUnresolved { name, failure } => {
            format!("\"{name}\" could not be resolved ({}: {failure})", failure.code())
        }
    }
}

/// Result and log line for a client whose PTR record is answered with `reply`.
async fn named(server: &DnsServer, reply: Reply) -> (String, String) {
    server.says(ARPA, PTR, reply);
    let name = patient(&[server]).client_name(client()).await;
    (name.as_str().to_owned(), logged(&name))
}

fn is(host: &str, logged: &str) -> (String, String) {
    (host.to_owned(), logged.to_owned())
}

#[tokio::test]
async fn a_name_that_leads_back_to_the_client_is_its_name() {
    let server = DnsServer::start();
    server.says(
        "mail-1.example",
        A,
        Reply::addr("Mail-1.Example", 60, "192.0.2.9").and_addr("mail-1.example", 60, CLIENT),
    );
    server.says("mail-1.example", AAAA, Reply::empty());
    assert_eq!(named(&server, Reply::ptr(ARPA, 60, "Mail-1.Example")).await, is("Mail-1.Example", ""));
}

#[tokio::test]
async fn ipv6_clients_have_names_of_nibbles_and_mapped_ones_are_ipv4_clients() {
    let server = DnsServer::start();
    let arpa = "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa";
    server.says(arpa, PTR, Reply::ptr(arpa, 60, "six.example"));
    has(&server, "six.example", 60, "2001:db8::1");
    server.says(ARPA, PTR, Reply::ptr(ARPA, 60, "four.example"));
    has(&server, "four.example", 60, CLIENT);
    let resolver = patient(&[&server]);
    for (addr, name) in [("2001:db8::1", "six.example"), ("::ffff:192.0.2.1", "four.example")] {
        assert_eq!(resolver.client_name(addr.parse().unwrap()).await.as_str(), name);
    }
}

#[tokio::test]
async fn without_a_ptr_record_a_client_has_no_name() {
    let server = DnsServer::start();
    for (reply, host, logged) in [
        (Reply::error(3), "[UNAVAILABLE]", "A could not be resolved (3: Host not found)"),
        (Reply::empty(), "[UNAVAILABLE]", "A could not be resolved (3: Host not found)"),
        (Reply::addr(ARPA, 60, CLIENT), "[UNAVAILABLE]", "A could not be resolved (3: Host not found)"),
        (Reply::error(1), "[TEMPUNAVAIL]", "A could not be resolved (1: Format error)"),
        (Reply::error(2), "[TEMPUNAVAIL]", "A could not be resolved (2: Server failure)"),
        (Reply::error(4), "[TEMPUNAVAIL]", "A could not be resolved (4: Unimplemented)"),
        (Reply::error(5), "[TEMPUNAVAIL]", "A could not be resolved (5: Operation refused)"),
        (Reply::error(8), "[TEMPUNAVAIL]", "A could not be resolved (8: Unknown error)"),
    ] {
        assert_eq!(named(&server, reply).await, is(host, logged));
    }
}

#[tokio::test(start_paused = true)]
async fn a_silent_server_leaves_the_client_without_a_name_for_now() {
    let server = DnsServer::start();
    server.on(ARPA, PTR, [Play::Silence]);
    let name = patient(&[&server]).client_name(client()).await;
    assert_eq!(name.as_str(), "[TEMPUNAVAIL]");
    assert_eq!(logged(&name), "A could not be resolved (110: Operation timed out)");
}

#[tokio::test]
async fn names_that_could_carry_something_else_go_nowhere() {
    let server = DnsServer::start();
    for (name, shown) in [
        (&b"my_host.example"[..], "my_host.example"),
        (b"", ""),
        (b"a b.example", "a b.example"),
        (b"a\r\nAuth-Status: OK.example", "a\\r\\nAuth-Status: OK.example"),
        (b"a LOGIN=root.example", "a LOGIN=root.example"),
        (b"a\0.example", "a\\x00.example"),
        (b"\xff\xfe.example", "\\xff\\xfe.example"),
        (b"a%0d%0a.example", "a%0d%0a.example"),
        (b"[127/0/0/1]", "[127/0/0/1]"),
    ] {
        let logged = format!("A resolved to invalid host name \"{shown}\"");
        assert_eq!(named(&server, Reply::ptr(ARPA, 60, name)).await, is("[TEMPUNAVAIL]", &logged));
    }
    let label_with_dot = Reply::empty().and(ARPA, PTR, 60, b"\x03a.b\x07example\0");
    assert_eq!(named(&server, label_with_dot).await.0, "[TEMPUNAVAIL]");
    assert!(server.asked().iter().all(|asked| asked.kind == PTR), "nothing is asked of such a name");
}

#[tokio::test]
async fn a_name_that_does_not_lead_back_is_no_name() {
    let server = DnsServer::start();
    let ptr = || Reply::ptr(ARPA, 60, "mail.example");
    has(&server, "mail.example", 60, "192.0.2.2");
    assert_eq!(named(&server, ptr()).await, is("[UNAVAILABLE]", ""));
    server.says("mail.example", A, Reply::error(3));
    let not_found = "\"mail.example\" could not be resolved (3: Host not found)";
    assert_eq!(named(&server, ptr()).await, is("[UNAVAILABLE]", not_found));
    let failed = "\"mail.example\" could not be resolved (2: Server failure)";
    server.says("mail.example", A, Reply::error(2));
    assert_eq!(named(&server, ptr()).await, is("[TEMPUNAVAIL]", failed));
    server.says("mail.example", AAAA, Reply::addr("mail.example", 60, "2001:db8::1"));
    assert_eq!(named(&server, ptr()).await, is("[TEMPUNAVAIL]", failed), "it might have led back");
}

#[tokio::test]
async fn a_family_that_is_off_confirms_nobody() {
    let server = DnsServer::start();
    server.says(ARPA, PTR, Reply::ptr(ARPA, 60, "mail.example"));
    server.says("mail.example", AAAA, Reply::addr("mail.example", 60, "2001:db8::1"));
    let resolver = resolver(Settings { ipv4: false, ..settings(&[&server]) }, NEVER);
    assert_eq!(resolver.client_name(client()).await.as_str(), "[UNAVAILABLE]");
}

#[tokio::test]
async fn the_first_ptr_record_counts_behind_any_aliases() {
    let server = DnsServer::start();
    has(&server, "first.example", 60, CLIENT);
    let target = |name: &str| rig::dns::wire_name(name.as_bytes());
    let classless = "1.0-63.2.0.192.in-addr.arpa";
    let in_one = Reply::cname(ARPA, 60, classless)
        .and("9.2.0.192.in-addr.arpa", PTR, 60, &target("other.example"))
        .and(classless, PTR, 60, &target("first.example"))
        .and(classless, PTR, 60, &target("second.example"));
    assert_eq!(named(&server, in_one).await, is("first.example", ""));
    server.says(classless, PTR, Reply::ptr(classless, 60, "first.example"));
    assert_eq!(named(&server, Reply::cname(ARPA, 60, classless)).await, is("first.example", ""));
}

#[tokio::test]
async fn what_is_known_of_a_client_is_not_asked_again() {
    let server = DnsServer::start();
    server.says(ARPA, PTR, Reply::ptr(ARPA, 60, "mail.example"));
    has(&server, "mail.example", 60, CLIENT);
    let zones = Zones::default();
    let settings = Settings { status_zone: Some("mail".into()), ..settings(&[&server]) };
    let resolver = Resolver::new(settings.clone(), &zones, &ConfFiles::default());
    for _ in 0..3 {
        assert_eq!(resolver.client_name(client()).await.as_str(), "mail.example");
    }
    assert_eq!(server.asked().len(), 3);
    let counted = zones.snapshot()["mail"];
    assert_eq!(counted.queries, status::resolver::Queries { name: 3, srv: 0, addr: 3 });
    assert_eq!(counted.sent, status::resolver::Sent { a: 1, aaaa: 1, srv: 0, ptr: 1 });
    assert_eq!(counted.responses, status::resolver::Responses { success: 2, ..Default::default() });

    let reloaded = Resolver::new(settings, &zones, &ConfFiles::default());
    server.says(ARPA, PTR, Reply::error(5));
    assert_eq!(reloaded.client_name(client()).await.as_str(), "[TEMPUNAVAIL]");
    let counted = zones.snapshot()["mail"];
    assert_eq!((counted.queries.addr, counted.sent.ptr), (4, 2), "counting goes on after a reload");
    assert_eq!((counted.responses.success, counted.responses.refused), (2, 1));
}

#[test]
fn what_dns_is_not_asked_about_has_a_word_too() {
    let word = |reason| ClientName::Nameless(reason).as_str().to_owned();
    assert_eq!(word(Nameless::NoResolver), "[UNAVAILABLE]");
    assert_eq!(word(Nameless::UnixSocket), "[TEMPUNAVAIL]");
}
