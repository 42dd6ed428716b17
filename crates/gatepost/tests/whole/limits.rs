//! `limit_conn`: who is turned away, in which words, and that nobody stays counted.

use nix::sys::signal::Signal;
use rig::auth_server::{allow_with, refuse};
use rig::{AuthServer, Backend, Client, eventually};

use crate::stage::{Protocol, Stage, greeted, proxy};

/// A stage that everybody may log in at, with `zones` in `mail` and `settings` in the server.
#[track_caller]
fn limited(protocol: Protocol, zones: &str, listen: &str, settings: &str, lines: &[&str]) -> Stage {
    let backend = Backend::start(protocol.backend().echo());
    let auth = AuthServer::always(allow_with(backend.address(), lines));
    let mail = format!(
        "{zones} auth_http {}/auth; server {{ listen @proxy {listen}; protocol {}; {settings} }}",
        auth.address(),
        protocol.name()
    );
    Stage { protocol, proxy: proxy(&mail), auth, backend }
}

/// What a client hears that is turned away before it has said anything.
fn turned_away(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Imap => "* BYE [UNAVAILABLE] Too many connections\r\n",
        Protocol::Pop3 => "-ERR [SYS/TEMP] Too many connections\r\n",
        Protocol::Smtp => "421 4.7.0 Too many connections\r\n",
    }
}

/// What it hears instead of being logged in.
fn not_now(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Imap => "a NO [UNAVAILABLE] Too many connections\r\n",
        Protocol::Pop3 => "-ERR [SYS/TEMP] Too many connections\r\n",
        Protocol::Smtp => "454 4.7.0 Too many connections\r\n",
    }
}

/// The log says `text` at `level`.
#[track_caller]
fn told(stage: &Stage, level: &str, text: &str) {
    let log = stage.proxy.wait_for_log(text);
    let line = log.lines().find(|line| line.contains(text)).unwrap_or_default();
    assert!(line.contains(level), "{line}");
}

const ADDR: &str = "limit_conn_zone $remote_addr zone=addr:32k;";
const USER: &str = "limit_conn_zone $remote_user zone=user:32k;";

#[test]
fn an_address_with_as_many_connections_as_it_may_have_is_turned_away_at_the_door() {
    for protocol in Protocol::ALL {
        let stage = limited(protocol, ADDR, "", "limit_conn addr 2;", &[]);
        let logged_in = stage.logged_in();
        let greeted_only = stage.client();
        assert_eq!(Client::connect(stage.address()).rest(), turned_away(protocol).as_bytes());
        told(&stage, "[error]", "limiting connections by zone \"addr\"");
        drop(greeted_only);
        eventually("there is room again", || {
            Client::connect(stage.address()).until("\r\n") == protocol.greeting().as_bytes()
        });
        drop(logged_in);
        eventually("both are free", || {
            let clients = [(); 2].map(|()| Client::connect(stage.address()));
            clients.into_iter().all(|mut client| client.until("\r\n") == protocol.greeting().as_bytes())
        });
    }
}

#[test]
fn a_user_with_as_many_sessions_as_it_may_have_is_told_so_instead_of_being_logged_in() {
    for protocol in Protocol::ALL {
        let stage = limited(protocol, USER, "", "limit_conn user 1;", &[]);
        let mut first = stage.logged_in();
        let mut second = stage.client();
        second.send(protocol.login());
        let expected = [protocol.asked(), not_now(protocol)].concat();
        assert_eq!(rig::show(&second.rest()), rig::show(expected.as_bytes()));
        assert_eq!(stage.backend.connections(), 1, "no upstream was asked");
        stage.proxy.wait_for_log("limiting connections by zone \"user\"");
        first.exchange("still here\r\n", "still here\r\n").half_close().expect_end();
        eventually("the next may log in", || {
            let mut client = stage.client();
            client.send(protocol.login());
            client.take(protocol.asked().len());
            client.until("\r\n") == protocol.logged_in().as_bytes()
        });
    }
}

#[test]
fn a_header_of_the_auth_server_may_be_what_is_counted_by() {
    let zones = "limit_conn_zone $auth_http_x_domain zone=domain:32k;";
    let stage = limited(Protocol::Imap, zones, "", "limit_conn domain 1;", &["X-Domain: example.org"]);
    let _first = stage.logged_in();
    let mut second = stage.client();
    second.send("a LOGIN v p\r\n");
    assert_eq!(second.rest(), not_now(Protocol::Imap).as_bytes());
    // Without the header, nobody is counted.
    let stage = limited(Protocol::Imap, zones, "", "limit_conn domain 1;", &[]);
    let _both = [stage.logged_in(), stage.logged_in()];
}

#[test]
fn in_a_dry_run_everybody_is_let_in_and_the_log_says_who_would_not_be() {
    let settings = "limit_conn addr 1; limit_conn_dry_run on; limit_conn_log_level notice;";
    let stage = limited(Protocol::Imap, ADDR, "", settings, &[]);
    let _both = [stage.logged_in(), stage.logged_in()];
    told(&stage, "[notice]", "limiting connections, dry run, by zone \"addr\"");
}

#[test]
fn behind_a_balancer_it_is_the_clients_address_that_counts() {
    let settings = "limit_conn addr 1; set_real_ip_from 127.0.0.1;";
    let stage = limited(Protocol::Pop3, ADDR, "proxy_protocol", settings, &[]);
    let from = |address: &str| {
        let mut client = Client::connect(stage.address());
        client.send(format!("PROXY TCP4 {address} 192.0.2.99 4711 110\r\n"));
        client
    };
    let mut first = from("192.0.2.1");
    first.expect(Protocol::Pop3.greeting());
    from("192.0.2.2").expect(Protocol::Pop3.greeting());
    assert_eq!(from("192.0.2.1").rest(), turned_away(Protocol::Pop3).as_bytes());
}

#[test]
fn a_proxy_that_speaks_for_its_clients_is_counted_as_each_of_them() {
    let settings = "limit_conn addr 1; set_real_ip_from 127.0.0.1;";
    let stage = limited(Protocol::Imap, ADDR, "", settings, &[]);
    let from = |address: &str| {
        let mut client = stage.client();
        let id = format!("i ID (\"x-originating-ip\" \"{address}\" \"x-originating-port\" \"4711\")\r\n");
        client.exchange(id, "* ID NIL\r\ni OK completed\r\n").send("a LOGIN u p\r\n");
        client
    };
    let mut held = ["192.0.2.1", "192.0.2.2"].map(from);
    for client in &mut held {
        client.expect("a OK logged in\r\n");
    }
    assert_eq!(from("192.0.2.1").rest(), not_now(Protocol::Imap).as_bytes());
}

#[test]
fn a_refused_login_is_not_counted() {
    let backend = Backend::start(Protocol::Imap.backend().echo());
    let auth = AuthServer::queue([refuse("no"), allow_with(backend.address(), &[])]);
    let mail = format!(
        "{USER} limit_conn user 1; auth_http {}/auth; server {{ listen @proxy; protocol imap; }}",
        auth.address()
    );
    let proxy = proxy(&mail);
    let mut refused = greeted(proxy.at("proxy"), Protocol::Imap);
    refused.send("a LOGIN u p\r\n");
    assert_eq!(refused.rest(), b"a NO no\r\n");
    crate::stage::logged_in(proxy.at("proxy"), Protocol::Imap);
}

#[test]
fn a_reload_forgets_nobody() {
    let stage = limited(Protocol::Imap, ADDR, "", "limit_conn addr 1;", &[]);
    let held = stage.logged_in();
    stage.proxy.process().signal(Signal::SIGHUP);
    stage.proxy.wait_for_log("reconfigured");
    assert_eq!(Client::connect(stage.address()).rest(), turned_away(Protocol::Imap).as_bytes());
    drop(held);
    eventually("a session of the configuration before is given back", || {
        Client::connect(stage.address()).until("\r\n") == Protocol::Imap.greeting().as_bytes()
    });
}

#[test]
fn capa_announces_response_codes_where_they_may_come() {
    let stage = limited(Protocol::Pop3, ADDR, "", "limit_conn addr 9;", &[]);
    let capabilities =
        "+OK Capability list follows\r\nTOP\r\nUSER\r\nUIDL\r\nRESP-CODES\r\nSASL PLAIN LOGIN\r\n.\r\n";
    stage.client().exchange("CAPA\r\n", capabilities);
}

#[test]
fn mail_without_a_login_that_is_one_too_many_is_put_off_and_not_refused() {
    let zones = "limit_conn_zone $auth_http_x_domain zone=domain:32k;";
    let settings = "smtp_auth plain login none; limit_conn domain 1;";
    let stage = limited(Protocol::Smtp, zones, "", settings, &["X-Domain: example.org"]);
    let _first = stage.logged_in();
    let mut second = stage.client();
    second.exchange("HELO c\r\nMAIL FROM:<a@x>\r\n", "250 proxy.example\r\n250 2.0.0 OK\r\n");
    second.send("RCPT TO:<b@x>\r\n");
    assert_eq!(second.rest(), turned_away(Protocol::Smtp).as_bytes());
    assert_eq!(stage.backend.connections(), 1, "no upstream was asked");
}
