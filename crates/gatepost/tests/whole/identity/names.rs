//! DNS: names of SMTP clients, and the host names of auth servers and upstreams.

use rig::auth_server::answer;
use rig::dns::{A, AAAA, PTR, Play, Reply};
use rig::{DnsServer, eventually};

use super::*;

const ARPA: &str = "1.2.0.192.in-addr.arpa";

/// What becomes of a client at 192.0.2.1, whose server is asked by `dns`.
struct Told {
    /// What the auth server hears.
    host: String,
    /// What the backend hears.
    xclient: String,
    log: String,
}

/// Logs in a client; `name` is what the backend hears.
#[track_caller]
fn told(dns: &DnsServer, name: &str) -> Told {
    let xclient = format!("XCLIENT ADDR=192.0.2.1 LOGIN=u NAME={name}\r\n");
    let script = Script::new()
        .say("220 smtp ready\r\n")
        .answer("EHLO proxy.example\r\n", "250-backend\r\n250 XCLIENT NAME ADDR LOGIN\r\n")
        .answer(&xclient, "220 trusted\r\n")
        .answer("EHLO c\r\n", "250 hello\r\n");
    let settings = format!("{TRUST} xclient on; resolver {};", dns.addr());
    let stage = behind_balancer(Protocol::Smtp, &settings, script);
    log_in(Protocol::Smtp, &mut headed(&stage, V1));
    let host = value(&stage.auth.request(0), "Client-Host");
    let received = String::from_utf8_lossy(&stage.backend.finished(0)).into_owned();
    let xclient = received.lines().find(|line| line.starts_with("XCLIENT")).unwrap_or_default().to_owned();
    // The log is written in order, and this line comes after those about the name.
    let log = stage.proxy.wait_for_log("client logged in");
    Told { host, xclient, log }
}

#[test]
fn a_confirmed_name_goes_to_the_auth_server_and_to_the_upstream() {
    let dns = DnsServer::start();
    dns.says(ARPA, PTR, Reply::ptr(ARPA, 60, "mail-1.example"));
    dns.says("mail-1.example", A, Reply::addr("mail-1.example", 60, "192.0.2.1"));
    dns.says("mail-1.example", AAAA, Reply::empty());
    let told = told(&dns, "mail-1.example");
    assert_eq!(told.host, "mail-1.example");
    assert!(told.xclient.ends_with(" NAME=mail-1.example"), "{}", told.xclient);
    assert!(!told.log.contains("could not be resolved"), "{}", told.log);
}

#[test]
fn without_a_name_the_reason_decides_what_it_is_called() {
    for (reply, host, logged) in [
        (Reply::error(3), "[UNAVAILABLE]", None),
        (Reply::empty(), "[UNAVAILABLE]", None),
        (
            Reply::error(2),
            "[TEMPUNAVAIL]",
            Some("192.0.2.1 could not be resolved (2: Server failure) while in resolving client address"),
        ),
        (
            Reply::error(5),
            "[TEMPUNAVAIL]",
            Some("192.0.2.1 could not be resolved (5: Operation refused) while in resolving client address"),
        ),
    ] {
        let dns = DnsServer::start();
        dns.says(ARPA, PTR, reply);
        let told = told(&dns, host);
        assert_eq!(told.host, host);
        let lines: Vec<_> = told.log.lines().filter(|line| line.contains("could not be resolved")).collect();
        assert_eq!(lines.len(), usize::from(logged.is_some()), "{}", told.log);
        let context = "client: \"192.0.2.1:4711\"";
        assert!(
            logged.is_none_or(|text| lines[0].contains(text) && lines[0].contains(context)),
            "{}",
            told.log
        );
    }
}

#[test]
fn a_name_that_does_not_lead_back_is_not_believed() {
    for (reply, host, logged) in [
        (Reply::addr("liar.example", 60, "192.0.2.9"), "[UNAVAILABLE]", None),
        (Reply::error(3), "[UNAVAILABLE]", None),
        (
            Reply::error(2),
            "[TEMPUNAVAIL]",
            Some(
                "\"liar.example\" could not be resolved (2: Server failure) while in resolving client hostname",
            ),
        ),
    ] {
        let dns = DnsServer::start();
        dns.says(ARPA, PTR, Reply::ptr(ARPA, 60, "liar.example"));
        dns.says("liar.example", A, reply.clone());
        dns.says("liar.example", AAAA, reply);
        let told = told(&dns, host);
        assert_eq!(told.host, host);
        assert_eq!(told.log.contains("could not be resolved"), logged.is_some(), "{}", told.log);
        assert!(logged.is_none_or(|text| told.log.contains(text)), "{}", told.log);
    }
}

#[test]
fn a_poisoned_name_reaches_nobody() {
    for (poison, shown) in [
        ("evil\r\nAuth-Status: OK", "evil\\x0D\\x0AAuth-Status: OK"),
        ("a LOGIN=root", "a LOGIN=root"),
        ("under_score.example", "under_score.example"),
        ("nul\0.example", "nul\\x00.example"),
        ("<script>", "<script>"),
    ] {
        let dns = DnsServer::start();
        dns.says(ARPA, PTR, Reply::ptr(ARPA, 60, poison));
        let told = told(&dns, "[TEMPUNAVAIL]");
        assert_eq!(told.host, "[TEMPUNAVAIL]");
        let line =
            format!("[error] {}192.0.2.1 resolved to invalid host name \"{shown}\"", prefix(&told.log));
        assert!(told.log.contains(&line), "{line}\n{}", told.log);
    }
}

// CVE-2016-0747 and its kin: aliases without end.
#[test]
fn aliases_in_a_circle_come_to_an_end_and_name_nobody() {
    for (first, second) in [("ring.example", "ring.example"), ("ring.example", "back.example")] {
        let dns = DnsServer::start();
        let circle = || Reply::cname(first, 60, second).and_cname(second, 60, first);
        dns.says(ARPA, PTR, Reply::ptr(ARPA, 60, first));
        for name in [first, second] {
            dns.says(name, A, circle());
            dns.says(name, AAAA, circle());
        }
        let told = told(&dns, "[UNAVAILABLE]");
        assert_eq!(told.host, "[UNAVAILABLE]");
        assert!(dns.asked().len() < 40, "{} questions", dns.asked().len());
    }
}

/// `PID#TID: *1 ` as it is in the line about the name.
fn prefix(log: &str) -> String {
    let line = log.lines().find(|line| line.contains("invalid host name")).unwrap_or_default();
    let from = line.find("] ").map_or(0, |at| at + 2);
    let to = line.find("192.0.2.1 resolved").unwrap_or(from);
    line[from..to].to_owned()
}

#[test]
fn clients_of_other_protocols_are_not_looked_up() {
    let dns = DnsServer::start();
    for protocol in [Protocol::Imap, Protocol::Pop3] {
        let settings = format!("{TRUST} resolver {};", dns.addr());
        let stage = behind_balancer(protocol, &settings, protocol.backend());
        log_in(protocol, &mut headed(&stage, V1));
        assert_eq!(stage.auth.request(0).header("Client-Host"), None);
    }
    assert_eq!(dns.asked(), []);
}

#[test]
fn the_resolver_finds_auth_servers_and_upstreams_too() {
    let dns = DnsServer::start();
    let backend = Backend::start(Protocol::Imap.backend());
    let port = format!("Auth-Port: {}", backend.address().port());
    let auth = AuthServer::always(answer(&["Auth-Status: OK", "Auth-Server: upstream.example", &port]));
    for (name, ip) in [("auth.example", auth.address().ip()), ("upstream.example", backend.address().ip())] {
        dns.says(name, A, Reply::addr(name, 60, &ip.to_string()));
        dns.says(name, AAAA, Reply::empty());
    }
    let mail = format!(
        "resolver {}; auth_http auth.example:{}/auth; server {{ listen @proxy; protocol imap; }}",
        dns.addr(),
        auth.address().port()
    );
    let proxy = crate::stage::proxy(&mail);
    drop(crate::stage::logged_in(proxy.at("proxy"), Protocol::Imap));
    assert_eq!(value(&auth.request(0), "Client-IP"), "127.0.0.1");
    assert_eq!(dns.count("auth.example", A), 1);
    assert_eq!(dns.count("upstream.example", A), 1);
}

// S54.
#[test]
fn who_talks_while_its_name_is_looked_up_is_greeted_first_and_then_answered() {
    let dns = DnsServer::start();
    dns.on(ARPA, PTR, [Play::Hold(Reply::error(3))]);
    let settings = format!("{TRUST} resolver {};", dns.addr());
    let stage = behind_balancer(Protocol::Smtp, &settings, Script::new().close());
    let mut client = headed(&stage, V1);
    client.send("EHLO a\r\nNOOP\r\n");
    eventually("the name is asked for", || dns.count(ARPA, PTR) == 1);
    client.expect_nothing_unread();
    dns.release()();
    let replies =
        "220 proxy.example ESMTP ready\r\n250-proxy.example\r\n250 AUTH PLAIN LOGIN\r\n250 2.0.0 OK\r\n";
    client.expect(replies);
}
