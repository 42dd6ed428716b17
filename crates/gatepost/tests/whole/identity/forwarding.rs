//! IMAP ID and POP3 XCLIENT: to upstreams, from proxies, and around in circles.

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};

use rig::auth_server::allow_with;
use rig::backend;

use super::*;
use crate::stage::{greeted, logged_in, proxy};

/// What tells upstreams who the client is.
const TELL: &str = "proxy_imap_id on; proxy_pop3_xclient on;";

const PROTOCOLS: [Protocol; 2] = [Protocol::Imap, Protocol::Pop3];

/// A command by which a proxy says who the client is, with this TTL and something for upstreams, and our answer.
fn introduction(protocol: Protocol, ttl: u32) -> (String, &'static str) {
    match protocol {
        Protocol::Imap => (
            format!(
                "i ID (\"x-originating-ip\" \"192.0.2.1\" \"x-originating-port\" \"4711\" \
                 \"x-connected-ip\" \"198.51.100.2\" \"x-connected-port\" \"143\" \
                 \"x-proxy-ttl\" \"{ttl}\" \"x-session-id\" \"the-session\" \
                 \"x-forward-realm\" \"a\")\r\n"
            ),
            "* ID NIL\r\ni OK completed\r\n",
        ),
        // printf realm=a | base64
        _ => (
            format!(
                "XCLIENT ADDR=192.0.2.1 PORT=4711 SESSION=the-session TTL={ttl} FORWARD=cmVhbG09YQ==\r\n"
            ),
            "+OK\r\n",
        ),
    }
}

/// A backend that answers an introduction so, and then lets u/p in.
fn introduced(protocol: Protocol, reply: &str) -> Script {
    let (greeting, login) = match protocol {
        Protocol::Imap => ("* OK imap ready\r\n", backend_login_of_imap()),
        _ => ("+OK pop3 ready\r\n", backend_login_of_pop3()),
    };
    Script::new().say(greeting).answer_line(reply).chain(login)
}

fn backend_login_of_imap() -> Script {
    Script::new()
        .answer("a LOGIN {1}\r\n", "+ go\r\n")
        .answer("u {1}\r\n", "+ go\r\n")
        .answer("p\r\n", "a OK logged in\r\n")
}

fn backend_login_of_pop3() -> Script {
    Script::new().answer("USER u\r\n", "+OK\r\n").answer("PASS p\r\n", "+OK logged in\r\n")
}

/// The first line that the backend has received.
fn first_line(stage: &Stage) -> String {
    let received = String::from_utf8_lossy(&stage.backend.finished(0)).into_owned();
    received.split_inclusive('\n').next().unwrap_or_default().to_owned()
}

#[test]
fn upstreams_are_told_who_the_client_is_before_it_logs_in() {
    for protocol in PROTOCOLS {
        let reply = if protocol == Protocol::Imap { "* ID NIL\r\nID OK done\r\n" } else { "+OK\r\n" };
        let stage = behind_balancer(protocol, &format!("{TRUST} {TELL}"), introduced(protocol, reply));
        let mut client = headed(&stage, V1);
        log_in(protocol, &mut client);
        drop(client);
        let line = first_line(&stage);
        let (begin, end) = match protocol {
            Protocol::Imap => (
                "ID ID (\"x-originating-ip\" \"192.0.2.1\" \"x-originating-port\" \"4711\" \
                 \"x-connected-ip\" \"198.51.100.2\" \"x-connected-port\" \"143\" \
                 \"x-proxy-ttl\" \"4\" \"x-session-id\" \"",
                "\")\r\n",
            ),
            _ => ("XCLIENT ADDR=192.0.2.1 PORT=4711 SESSION=", " TTL=4\r\n"),
        };
        let session = line.strip_prefix(begin).and_then(|rest| rest.strip_suffix(end));
        let session = session.unwrap_or_else(|| panic!("{line}"));
        assert!(session.len() == 16 && session.bytes().all(|byte| byte.is_ascii_hexdigit()), "{line}");
    }
}

#[test]
fn an_upstream_that_will_not_hear_it_is_logged_in_to_and_the_log_tells() {
    for (protocol, reply, hint) in [
        (Protocol::Imap, "ID BAD what?\r\n", "[warn]"),
        (Protocol::Imap, "ID NO not you\r\n", "proxy_imap_id off"),
        (Protocol::Pop3, "-ERR what?\r\n", "[warn]"),
        (Protocol::Pop3, "+OK You are not from trusted IP - ignoring\r\n", "proxy_pop3_xclient off"),
    ] {
        let stage = Stage::allowing(protocol, TELL, introduced(protocol, reply));
        drop(stage.logged_in());
        let log = stage.proxy.wait_for_log("is not told who the client is");
        assert!(log.contains(hint), "{log}");
        assert_eq!(log.matches("is not told who the client is").count(), 1, "{log}");
    }
}

#[test]
fn an_upstream_that_refuses_an_xclient_it_did_not_announce_is_hinted_at() {
    let script = Script::new()
        .say("220 smtp ready\r\n")
        .answer("EHLO proxy.example\r\n", "250 backend\r\n")
        .answer_line("550 5.7.0 Error: insufficient authorization\r\n");
    let stage = Stage::allowing(Protocol::Smtp, "xclient on;", script);
    let mut client = stage.client();
    client.send(Protocol::Smtp.login());
    client.expect([Protocol::Smtp.asked(), Protocol::Smtp.internal_error()].concat());
    let log = stage.proxy.wait_for_log("upstream sent invalid response: \"550");
    assert!(log.contains("upstream refused XCLIENT, which it did not announce"), "{log}");
}

#[test]
fn a_trusted_proxy_says_who_the_client_is() {
    for protocol in PROTOCOLS {
        let reply = if protocol == Protocol::Imap { "ID OK\r\n" } else { "+OK\r\n" };
        let stage = Stage::allowing(protocol, &format!("{TRUST} {TELL}"), introduced(protocol, reply));
        let mut client = stage.client();
        let (said, answer) = introduction(protocol, 3);
        client.exchange(&said, answer);
        client.exchange(protocol.login(), [protocol.asked(), protocol.logged_in()].concat());
        drop(client);
        assert_eq!(value(&stage.auth.request(0), "Client-IP"), "192.0.2.1");
        let log = stage.proxy.wait_for_log("client logged in");
        assert!(log.contains("client logged in, client: \"192.0.2.1:4711\""), "{log}");
        let line = first_line(&stage);
        let expected = introduction(protocol, 2).0.replacen("i ID", "ID ID", 1);
        assert_eq!(line, expected);
    }
}

#[test]
fn what_a_proxy_says_is_in_the_header_to_the_upstream() {
    let script = Script::new().expect_line().chain(backend::imap_login("a", "u", "p"));
    let stage = Stage::allowing(Protocol::Imap, &format!("{TRUST} proxy_protocol on;"), script);
    let mut client = stage.client();
    let (said, answer) = introduction(Protocol::Imap, 3);
    client.exchange(&said, answer).exchange("a LOGIN u p\r\n", "a OK logged in\r\n");
    drop(client);
    let at = stage.address();
    assert_eq!(first_line(&stage), format!("PROXY TCP4 192.0.2.1 {} 4711 {}\r\n", at.ip(), at.port()));
}

#[test]
fn nobody_else_speaks_for_others() {
    for protocol in PROTOCOLS {
        let stage = Stage::allowing(protocol, "set_real_ip_from 127.0.0.2;", protocol.backend());
        let mut client = stage.client();
        let refused =
            if protocol == Protocol::Imap { "i BAD invalid command\r\n" } else { "-ERR invalid command\r\n" };
        client.exchange(introduction(protocol, 1).0, refused);
        client.exchange(protocol.login(), [protocol.asked(), protocol.logged_in()].concat());
        assert_eq!(value(&stage.auth.request(0), "Client-IP"), "127.0.0.1");
    }
    let settings = "imap_capabilities IMAP4rev1 ID;";
    let stage = Stage::allowing(Protocol::Imap, settings, Protocol::Imap.backend());
    let mut client = stage.client();
    let (said, answer) = introduction(Protocol::Imap, 0);
    client.exchange(&said, answer).exchange("a LOGIN u p\r\n", "a OK logged in\r\n");
    assert_eq!(value(&stage.auth.request(0), "Client-IP"), "127.0.0.1");
}

#[test]
fn clients_behind_a_trusted_balancer_cannot_be_somebody_else() {
    for protocol in PROTOCOLS {
        for (header, ip) in [
            ("PROXY TCP4 203.0.113.9 198.51.100.2 4712 143\r\n", "203.0.113.9"),
            ("PROXY UNKNOWN\r\n", "127.0.0.1"),
        ] {
            let stage = behind_balancer(protocol, TRUST, protocol.backend());
            let mut client = headed(&stage, header);
            let (said, answer) = introduction(protocol, 3);
            client.expect(protocol.greeting()).exchange(&said, answer);
            client.exchange(protocol.login(), [protocol.asked(), protocol.logged_in()].concat());
            assert_eq!(value(&stage.auth.request(0), "Client-IP"), ip);
        }
    }
}

#[test]
fn clients_behind_a_trusted_balancer_have_nothing_to_say_to_upstreams() {
    for protocol in PROTOCOLS {
        let reply = if protocol == Protocol::Imap { "ID OK\r\n" } else { "+OK\r\n" };
        let stage = behind_balancer(protocol, &format!("{TRUST} {TELL}"), introduced(protocol, reply));
        let mut client = headed(&stage, V1);
        let (said, answer) = introduction(protocol, 3);
        client.expect(protocol.greeting()).exchange(&said, answer);
        client.exchange(protocol.login(), [protocol.asked(), protocol.logged_in()].concat());
        drop(client);
        let line = first_line(&stage);
        assert!(line.contains("the-session") && !line.to_ascii_lowercase().contains("forward"), "{line}");
    }
}

#[test]
fn a_client_that_has_passed_too_many_proxies_is_refused() {
    for protocol in PROTOCOLS {
        for ttl in [0, 1] {
            let stage = Stage::allowing(protocol, TRUST, Script::new().close());
            let mut client = stage.client();
            let (said, answer) = introduction(protocol, ttl);
            client.exchange(&said, answer).send(protocol.login());
            let expected = [protocol.asked(), protocol.internal_error()].concat();
            assert_eq!(rig::show(&client.rest()), rig::show(expected.as_bytes()));
            let log = stage.proxy.wait_for_log("client has passed too many proxies");
            assert!(log.contains("[error]"), "{log}");
            assert_eq!(stage.auth.requests(), []);
        }
    }
}

/// Puts another proxy with these directives, and a balancer, in front of `second`, and logs in through all of them.
/// `second` has to know the client. Returns what it has asked its auth server.
#[track_caller]
fn behind_another(second: &Stage, directives: &str) -> Request {
    let protocol = second.protocol;
    let auth = AuthServer::always(allow(second.address()));
    let mail = format!(
        "auth_http {}; server {{ listen @first proxy_protocol; protocol {}; {TRUST} {directives} }}",
        auth.address(),
        protocol.name()
    );
    let first = proxy(&mail);
    let mut client = Client::connect(first.at("first"));
    client.send(V1);
    log_in(protocol, &mut client);
    client.exchange("x\r\n", "x\r\n");
    let log = second.proxy.wait_for_log("client logged in");
    assert!(log.contains("client logged in, client: \"192.0.2.1:4711\""), "{log}");
    let request = second.auth.request(0);
    assert_eq!(value(&request, "Client-IP"), "192.0.2.1");
    request
}

#[test]
fn behind_two_proxies_the_second_knows_the_client() {
    for protocol in PROTOCOLS {
        let second = Stage::allowing(protocol, TRUST, protocol.backend().echo());
        behind_another(&second, TELL);
    }
}

#[test]
fn behind_two_proxies_the_second_knows_the_client_of_smtp_by_xclient() {
    let script = Script::new()
        .say("220 smtp ready\r\n")
        .answer("EHLO proxy.example\r\n", "250-backend\r\n250 XCLIENT NAME ADDR LOGIN PORT\r\n")
        .answer("XCLIENT ADDR=192.0.2.1 LOGIN=u NAME=[UNAVAILABLE] PORT=4711\r\n", "220 trusted\r\n")
        .answer("EHLO c\r\n", "250 hello\r\n")
        .echo();
    let second = Stage::allowing(Protocol::Smtp, &format!("{TRUST} xclient on;"), script);
    let request = behind_another(&second, "xclient on; proxy_smtp_auth on;");
    assert_eq!(value(&request, "Client-Host"), "[UNAVAILABLE]");
}

#[test]
fn proxies_may_say_it_in_their_headers_too() {
    for protocol in Protocol::ALL {
        let second = behind_balancer(protocol, TRUST, protocol.backend().echo());
        behind_another(&second, "proxy_protocol on; proxy_smtp_auth on;");
    }
}

/// An auth server that sends the clients of each of two servers to the other.
fn each_to_the_other(places: &Arc<OnceLock<[SocketAddr; 2]>>) -> AuthServer {
    let places = Arc::clone(places);
    AuthServer::start(move |request| {
        let [one, other] = *places.get().expect("the proxy has started");
        allow(if request.line().contains("/one") { other } else { one })
    })
}

#[test]
fn two_proxies_that_send_a_client_to_each_other_give_it_up() {
    // A command counts the hops with PROXY headers too; a header of version 2 counts them without a command.
    for (protocol, parameter, tell) in [
        (Protocol::Smtp, "", "xclient on; proxy_smtp_auth on;"),
        (Protocol::Imap, "", TELL),
        (Protocol::Pop3, "", TELL),
        (Protocol::Imap, "proxy_protocol", "proxy_protocol on; proxy_imap_id on;"),
        (Protocol::Pop3, "proxy_protocol", "proxy_protocol on; proxy_pop3_xclient on;"),
        (Protocol::Imap, "proxy_protocol", "proxy_protocol v2; proxy_imap_id on;"),
        (Protocol::Imap, "proxy_protocol", "proxy_protocol v2;"),
        (Protocol::Pop3, "proxy_protocol", "proxy_protocol v2;"),
        (Protocol::Smtp, "proxy_protocol", "proxy_protocol v2; proxy_smtp_auth on;"),
    ] {
        let places = Arc::default();
        let auth = each_to_the_other(&places);
        let server = |name: &str| {
            format!(
                "server {{ listen @{name} {parameter}; protocol {}; auth_http {}/{name}; {TRUST} {tell} }}",
                protocol.name(),
                auth.address()
            )
        };
        let proxy = proxy(&format!("{}\n{}", server("one"), server("other")));
        places.set([proxy.at("one"), proxy.at("other")]).expect("nobody else sets it");
        let mut client = if parameter.is_empty() {
            greeted(proxy.at("one"), protocol)
        } else {
            let mut client = Client::connect(proxy.at("one"));
            client.send(V1).expect(protocol.greeting());
            client
        };
        client.send(protocol.login());
        let heard = client.rest();
        assert!(heard.ends_with(protocol.internal_error().as_bytes()), "{}", rig::show(&heard));
        // The hops of 5, 4, 3 and 2 are asked about; the fifth has none left.
        assert_eq!(auth.requests().len(), 4, "{protocol:?} {tell}");
        let log = proxy.wait_for_log("client has passed too many proxies");
        assert_eq!(log.matches("client has passed too many proxies").count(), 1, "{log}");
    }
}

#[test]
fn nobody_is_sent_back_to_where_the_client_has_connected_to() {
    for protocol in Protocol::ALL {
        let place = Arc::new(OnceLock::new());
        let target = Arc::clone(&place);
        let auth = AuthServer::start(move |_| allow(*target.get().expect("the proxy has started")));
        let settings = format!("auth_http {}; protocol {};", auth.address(), protocol.name());
        let proxy = proxy(&format!("server {{ listen @proxy; {settings} }}"));
        place.set(proxy.at("proxy")).expect("nobody else sets it");
        let mut client = greeted(proxy.at("proxy"), protocol);
        client.send(protocol.login());
        let expected = [protocol.asked(), protocol.internal_error()].concat();
        assert_eq!(rig::show(&client.rest()), rig::show(expected.as_bytes()));
        let loops = format!("upstream {} is this server, which would be a loop", proxy.at("proxy"));
        assert!(proxy.wait_for_log(&loops).contains("[error]"));
        assert_eq!(auth.requests().len(), 1);
    }
}

#[test]
fn somebody_who_comes_back_under_another_name_is_no_loop() {
    let place = Arc::new(OnceLock::<SocketAddr>::new());
    let backend = Backend::start(backend::pop3_login("u2", "p"));
    let (target, end) = (Arc::clone(&place), backend.address());
    let auth = AuthServer::start(move |request| match request.header("Auth-User").as_deref() {
        Some("u") => allow_with(*target.get().expect("the proxy has started"), &["Auth-User: u2"]),
        _ => allow(end),
    });
    let proxy = proxy(&format!("auth_http {}; server {{ listen @proxy; protocol pop3; }}", auth.address()));
    place.set(proxy.at("proxy")).expect("nobody else sets it");
    drop(logged_in(proxy.at("proxy"), Protocol::Pop3));
}

#[test]
fn a_client_on_a_unix_socket_has_no_address_to_tell() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("pop3");
    let backend = Backend::start(introduced(Protocol::Pop3, "+OK\r\n"));
    let auth = AuthServer::always(allow(backend.address()));
    let mail = format!(
        "auth_http {}; server {{ listen unix:{}; listen @proxy; protocol pop3; {TELL} }}",
        auth.address(),
        path.display()
    );
    let proxy = proxy(&mail);
    let mut client = Client::connect_unix(&path);
    log_in(Protocol::Pop3, &mut client);
    drop(client);
    let received = String::from_utf8(backend.finished(0)).expect("text");
    assert!(received.starts_with("XCLIENT SESSION="), "{received}");
    drop(logged_in(proxy.at("proxy"), Protocol::Pop3));
    let received = String::from_utf8(backend.finished(1)).expect("text");
    assert!(received.starts_with("XCLIENT ADDR=127.0.0.1 PORT="), "{received}");
}
