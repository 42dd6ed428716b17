//! Dovecot and Postfix learn who the client is: by ID, XCLIENT and PROXY headers, through one proxy and through two.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};

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

/// One server of the proxy: its name, its protocol, its directives, and where its clients go from there.
struct Server(&'static str, &'static str, &'static str, Next);

/// Where a server's clients go.
#[derive(Clone, Copy)]
enum Next {
    Dovecot(fn(&Dovecot) -> SocketAddr),
    Postfix(fn(&Postfix) -> SocketAddr),
    /// To another server of this name, which has no balancer in front of it.
    Inner(&'static str),
}

/// Where the clients of each server go, once it is known.
type Targets = Arc<OnceLock<HashMap<&'static str, SocketAddr>>>;

impl Row {
    #[track_caller]
    fn start(servers: &[Server]) -> Self {
        let dovecot = Dovecot::setup(&USERS).behind_proxies().start();
        let postfix = Postfix::setup(&dovecot).behind_proxies().start();
        let targets = Targets::default();
        let auth = each_to_its_own(&targets);
        let is_inner =
            |name: &str| servers.iter().any(|it| matches!(it.3, Next::Inner(inner) if inner == name));
        let server = |Server(name, protocol, directives, _): &Server| {
            let header = if is_inner(name) { "" } else { "proxy_protocol" };
            let auth = auth.address();
            format!(
                "server {{ listen @{name} {header}; protocol {protocol}; auth_http {auth}/{name}; {directives} }}"
            )
        };
        let written: Vec<String> = servers.iter().map(server).collect();
        let trust = "server_name proxy.example.test; set_real_ip_from 127.0.0.0/8; xclient off;";
        let program = Program::gatepost(env!("CARGO_BIN_EXE_gatepost"));
        let proxy = Proxy::start(&program, &format!("{trust}\n{}", written.join("\n")));
        let target = |next: Next| match next {
            Next::Dovecot(place) => place(&dovecot),
            Next::Postfix(place) => place(&postfix),
            Next::Inner(name) => proxy.at(name),
        };
        let known = servers.iter().map(|server| (server.0, target(server.3))).collect();
        targets.set(known).expect("nobody else sets it");
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

    /// Waits until Dovecot has this in its log.
    #[track_caller]
    fn dovecot_says(&self, text: &str) {
        eventually(&format!("{text} in {}", self.dovecot.log()), || self.dovecot.log().contains(text));
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

/// An auth server that lets everybody in. Every server asks it by a path of its own name.
fn each_to_its_own(targets: &Targets) -> AuthServer {
    let targets = Arc::clone(targets);
    AuthServer::start(move |request| {
        let line = request.line();
        let name = line.split(['/', ' ']).nth(2).unwrap_or_default();
        auth_server::allow(targets.get().expect("the proxy has started")[name])
    })
}

#[test]
fn dovecot_knows_the_client_of_imap_by_id_or_by_a_header() {
    let row = Row::start(&[
        Server("id", "imap", "proxy_imap_id on;", Next::Dovecot(Dovecot::imap)),
        Server("v1", "imap", "proxy_protocol v1;", Next::Dovecot(Dovecot::headed_imap)),
        Server("v2", "imap", "proxy_protocol v2; proxy_imap_id on;", Next::Dovecot(Dovecot::headed_imap)),
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
        Server("xclient", "pop3", "proxy_pop3_xclient on;", Next::Dovecot(Dovecot::pop3)),
        Server("v1", "pop3", "proxy_protocol v1;", Next::Dovecot(Dovecot::headed_pop3)),
        Server("v2", "pop3", "proxy_protocol v2;", Next::Dovecot(Dovecot::headed_pop3)),
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
        Server("imap", "imap", "proxy_imap_id on;", Next::Inner("imap_inner")),
        Server("imap_inner", "imap", "proxy_imap_id on;", Next::Dovecot(Dovecot::imap)),
        Server("pop3", "pop3", "proxy_pop3_xclient on;", Next::Inner("pop3_inner")),
        Server("pop3_inner", "pop3", "proxy_pop3_xclient on;", Next::Dovecot(Dovecot::pop3)),
    ]);
    row.imap("imap", HEADER);
    row.dovecot_knows(&["imap-login", "rip=192.0.2.1,", "lip=198.51.100.2,"]);
    row.pop3("pop3", HEADER_V6);
    row.dovecot_knows(&["pop3-login", "rip=2001:db8::1,"]);
}

#[test]
fn postfix_knows_the_client_behind_two_proxies() {
    let row = Row::start(&[
        Server("smtp", "smtp", "xclient on; proxy_smtp_auth on;", Next::Inner("smtp_inner")),
        Server("smtp_inner", "smtp", "xclient on;", Next::Postfix(Postfix::smtp)),
    ]);
    row.smtp("smtp", HEADER);
    let log = row.postfix.wait_for_removed(1);
    assert!(log.contains("client=unknown[192.0.2.1]:4711, sasl_method=XCLIENT, sasl_username=ann"), "{log}");
}

#[test]
fn dovecot_hears_what_a_proxy_before_us_has_for_it() {
    let row = Row::start(&[
        Server("imap", "imap", "", Next::Inner("imap_inner")),
        Server("imap_inner", "imap", "proxy_imap_id on;", Next::Dovecot(Dovecot::imap)),
        Server("pop3", "pop3", "", Next::Inner("pop3_inner")),
        Server("pop3_inner", "pop3", "proxy_pop3_xclient on;", Next::Dovecot(Dovecot::pop3)),
    ]);
    let mut client = Client::connect(row.proxy.at("imap_inner"));
    client.expect_prefix("* OK");
    client
        .send("i ID (\"x-originating-ip\" \"192.0.2.1\" \"x-forward-color\" \"a \\\"b\\\"\")\r\n")
        .until("i OK");
    client.send("a LOGIN ann \"secret one\"\r\n").until("a OK");
    row.dovecot_says("forward_color=a \"b\"");
    let mut client = Client::connect(row.proxy.at("pop3_inner"));
    client.expect_prefix("+OK");
    // printf 'color=red' | base64
    client.exchange("XCLIENT ADDR=192.0.2.2 FORWARD=Y29sb3I9cmVk\r\n", "+OK\r\n");
    client.exchange("USER ann\r\n", "+OK\r\n").send("PASS secret one\r\n");
    client.expect_prefix("+OK");
    row.dovecot_says("forward_color=red");
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
        Server("xclient", "smtp", "xclient on;", Next::Postfix(Postfix::smtp)),
        Server("v1", "smtp", "proxy_protocol v1; proxy_smtp_auth on;", Next::Postfix(Postfix::headed_smtp)),
        Server("v2", "smtp", "proxy_protocol v2; proxy_smtp_auth on;", Next::Postfix(Postfix::headed_smtp)),
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
