//! Dovecot and Postfix learn who the client is: by ID, XCLIENT and PROXY headers, through one proxy and through two.

use std::net::SocketAddr;

use rig::real::{Dovecot, Postfix};
use rig::{AuthServer, Client, Program, Proxy, auth_server, eventually};

use crate::stage::USERS;

/// What a balancer in front of the proxy says of the client.
const HEADER: &str = "PROXY TCP4 192.0.2.1 198.51.100.2 4711 143\r\n";

/// The same of a client with an IPv6 address.
const HEADER_V6: &str = "PROXY TCP6 2001:db8::1 2001:db8::2 4711 143\r\n";

/// Upstreams that believe proxies, and one or two proxies in front of them.
struct Row {
    dovecot: Dovecot,
    postfix: Postfix,
    proxy: Proxy,
    _auth: AuthServer,
}

impl Row {
    /// `servers` are those of the proxy: a name, its protocol, its directives, and where clients go from there.
    #[track_caller]
    fn start(servers: &[(&'static str, &str, &str, Next)]) -> Self {
        let dovecot = Dovecot::setup(&USERS).behind_proxies().start();
        let postfix = Postfix::setup(&dovecot).behind_proxies().start();
        let places = servers.iter().filter_map(|(name, _, _, next)| match next {
            Next::Dovecot(place) => Some((*name, place(&dovecot))),
            Next::Postfix(place) => Some((*name, place(&postfix))),
            Next::Proxy(_) => None,
        });
        let inner: Vec<(&str, SocketAddr)> = places.collect();
        let outer = std::sync::Arc::new(std::sync::OnceLock::<Vec<(&str, SocketAddr)>>::new());
        let auth = AuthServer::start({
            let outer = std::sync::Arc::clone(&outer);
            move |request| {
                let line = request.line();
                let known = inner.iter().chain(outer.get().into_iter().flatten());
                let path = |name: &str| format!("/{name} ");
                let found = known.into_iter().find(|(name, _)| line.contains(&path(name)));
                auth_server::allow(found.expect("every server has its path").1)
            }
        });
        let server = |(name, protocol, directives, _): &(&str, &str, &str, Next)| {
            let listens = if directives.contains("inner") { "" } else { "proxy_protocol" };
            let directives = directives.replace("inner", "");
            format!(
                "server {{ listen @{name} {listens}; protocol {protocol}; auth_http {}/{name}; {directives} }}",
                auth.address()
            )
        };
        let servers_text: Vec<String> = servers.iter().map(server).collect();
        let mail = format!(
            "server_name proxy.example.test; set_real_ip_from 127.0.0.0/8; xclient off;\n{}",
            servers_text.join("\n")
        );
        let proxy = Proxy::start(&Program::gatepost(env!("CARGO_BIN_EXE_gatepost")), &mail);
        let chained = servers.iter().filter_map(|(name, _, _, next)| match next {
            Next::Proxy(inner) => Some((*name, proxy.at(inner))),
            _ => None,
        });
        outer.set(chained.collect()).expect("nobody else sets it");
        Self { dovecot, postfix, proxy, _auth: auth }
    }

    /// A client of this server, behind a balancer.
    #[track_caller]
    fn client(&self, name: &str, header: &str) -> Client {
        let mut client = Client::connect(self.proxy.at(name));
        client.send(header);
        client
    }

    /// Logs in over IMAP.
    #[track_caller]
    fn imap(&self, name: &str, header: &str) {
        let mut client = self.client(name, header);
        client.expect_prefix("* OK");
        client.send("a LOGIN ann \"secret one\"\r\n").until("a OK");
        client.send("b LOGOUT\r\n").until("b OK");
    }

    /// Logs in over POP3.
    #[track_caller]
    fn pop3(&self, name: &str, header: &str) {
        let mut client = self.client(name, header);
        client.expect_prefix("+OK");
        client.exchange("USER ann\r\n", "+OK\r\n").send("PASS secret one\r\n");
        client.expect_prefix("+OK");
        client.send("QUIT\r\n");
        client.expect_prefix("+OK");
    }

    /// Logs in over SMTP and sends bob a message.
    #[track_caller]
    fn smtp(&self, name: &str, header: &str) {
        let mut client = self.client(name, header);
        client.expect_prefix("220");
        client.send("EHLO laptop.example.test\r\n").until("250 ");
        client.line();
        client.send("AUTH PLAIN AGFubgBzZWNyZXQgb25l\r\n");
        client.expect_prefix("235");
        for line in
            ["MAIL FROM:<ann@example.test>", "RCPT TO:<bob@example.test>", "DATA", "Subject: x\r\n\r\nx\r\n."]
        {
            client.send(format!("{line}\r\n"));
            let expected = if line == "DATA" { "354" } else { "250" };
            client.expect_prefix(expected);
        }
    }

    /// Waits until Dovecot has logged a login with all of these.
    #[track_caller]
    fn dovecot_knows(&self, facts: &[&str]) {
        let is_there =
            |line: &str| line.contains("Login: user=<ann>") && facts.iter().all(|it| line.contains(it));
        eventually(&format!("{facts:?} in {}", self.dovecot.log()), || {
            self.dovecot.log().lines().any(is_there)
        });
    }
}

/// Where a server's clients go.
enum Next {
    Dovecot(fn(&Dovecot) -> SocketAddr),
    Postfix(fn(&Postfix) -> SocketAddr),
    Proxy(&'static str),
}

#[test]
fn dovecot_knows_the_client_of_imap_by_id_or_by_a_header() {
    let row = Row::start(&[
        ("id", "imap", "proxy_imap_id on;", Next::Dovecot(Dovecot::imap)),
        ("v1", "imap", "proxy_protocol v1;", Next::Dovecot(Dovecot::headed_imap)),
        ("v2", "imap", "proxy_protocol v2; proxy_imap_id on;", Next::Dovecot(Dovecot::headed_imap)),
    ]);
    for (number, name) in ["id", "v1", "v2"].into_iter().enumerate() {
        row.imap(name, HEADER);
        eventually("Dovecot logs the login", || row.dovecot.log().matches("rip=192.0.2.1,").count() > number);
    }
    row.dovecot_knows(&["imap-login", "rip=192.0.2.1,", "lip=198.51.100.2,"]);
    row.imap("id", HEADER_V6);
    row.dovecot_knows(&["imap-login", "rip=2001:db8::1,", "lip=2001:db8::2,"]);
    row.imap("v1", HEADER_V6);
    row.dovecot_knows(&["imap-login", "rip=2001:db8::1,", "lip=::ffff:127."]);
}

#[test]
fn dovecot_knows_the_client_of_pop3_by_xclient_or_by_a_header() {
    let row = Row::start(&[
        ("xclient", "pop3", "proxy_pop3_xclient on;", Next::Dovecot(Dovecot::pop3)),
        ("v1", "pop3", "proxy_protocol v1;", Next::Dovecot(Dovecot::headed_pop3)),
        ("v2", "pop3", "proxy_protocol v2;", Next::Dovecot(Dovecot::headed_pop3)),
    ]);
    for (number, name) in ["xclient", "v1", "v2"].into_iter().enumerate() {
        row.pop3(name, HEADER);
        eventually("Dovecot logs the login", || row.dovecot.log().matches("rip=192.0.2.1,").count() > number);
    }
    row.pop3("xclient", HEADER_V6);
    row.dovecot_knows(&["pop3-login", "rip=2001:db8::1,"]);
}

#[test]
fn dovecot_knows_the_client_behind_two_proxies() {
    let row = Row::start(&[
        ("imap", "imap", "proxy_imap_id on;", Next::Proxy("imap_inner")),
        ("imap_inner", "imap", "inner proxy_imap_id on;", Next::Dovecot(Dovecot::imap)),
        ("pop3", "pop3", "proxy_pop3_xclient on;", Next::Proxy("pop3_inner")),
        ("pop3_inner", "pop3", "inner proxy_pop3_xclient on;", Next::Dovecot(Dovecot::pop3)),
    ]);
    row.imap("imap", HEADER);
    row.dovecot_knows(&["imap-login", "rip=192.0.2.1,", "lip=198.51.100.2,"]);
    row.pop3("pop3", HEADER_V6);
    row.dovecot_knows(&["pop3-login", "rip=2001:db8::1,"]);
}

#[test]
fn a_dovecot_that_does_not_trust_the_proxy_lets_the_client_in_and_a_line_tells() {
    let dovecot = Dovecot::start(&USERS);
    let [imap, pop3] = [dovecot.imap(), dovecot.pop3()];
    let auth = AuthServer::start(move |request| {
        auth_server::allow(if request.line().contains("imap") { imap } else { pop3 })
    });
    let mail = format!(
        "proxy_imap_id on; proxy_pop3_xclient on;
         server {{ listen @imap; protocol imap; auth_http {0}/imap; }}
         server {{ listen @pop3; protocol pop3; auth_http {0}/pop3; }}",
        auth.address()
    );
    let proxy = Proxy::start(&Program::gatepost(env!("CARGO_BIN_EXE_gatepost")), &mail);
    let mut client = Client::connect(proxy.at("imap"));
    client.expect_prefix("* OK");
    client.send("a LOGIN ann \"secret one\"\r\n").until("a OK");
    let mut client = Client::connect(proxy.at("pop3"));
    client.expect_prefix("+OK");
    client.exchange("USER ann\r\n", "+OK\r\n").send("PASS secret one\r\n");
    client.expect_prefix("+OK");
    proxy.wait_for_log("upstream refused XCLIENT and is not told who the client is");
    eventually("both logins are logged", || dovecot.log().matches("rip=127.0.0.1,").count() == 2);
}

#[test]
fn postfix_knows_the_client_by_xclient_or_by_a_header() {
    let row = Row::start(&[
        ("xclient", "smtp", "xclient on;", Next::Postfix(Postfix::smtp)),
        ("v1", "smtp", "proxy_protocol v1; proxy_smtp_auth on;", Next::Postfix(Postfix::headed_smtp)),
        ("v2", "smtp", "proxy_protocol v2; proxy_smtp_auth on;", Next::Postfix(Postfix::headed_smtp)),
    ]);
    for (number, name) in ["xclient", "v1", "v2"].into_iter().enumerate() {
        row.smtp(name, HEADER);
        let log = row.postfix.wait_for_removed(number + 1);
        let known = log.matches("client=unknown[192.0.2.1]:4711").count();
        assert_eq!(known, number + 1, "{log}");
    }
    let log = row.postfix.log();
    assert!(log.contains("client=unknown[192.0.2.1]:4711, sasl_method=XCLIENT, sasl_username=ann"), "{log}");
    assert_eq!(log.matches("sasl_method=PLAIN, sasl_username=ann").count(), 2, "{log}");
}
