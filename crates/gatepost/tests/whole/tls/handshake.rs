//! Handshakes: clients that are served, and those that are not.

use std::process::Command;

use rig::tool::{self, Ran};
use rig::{Client, Script, eventually};

use super::{Place, Secured};
use crate::stage::Protocol;

/// The log's first line with this text.
#[track_caller]
fn told(secured: &Secured, text: &str) -> String {
    let log = secured.stage.proxy.wait_for_log(text);
    log.lines().find(|line| line.contains(text)).unwrap_or_default().to_owned()
}

#[test]
fn clients_of_openssl_are_served_from_the_first_byte() {
    for protocol in Protocol::ALL {
        let secured = Secured::answering(protocol, "");
        let input = format!("{}hello\r\n", protocol.login());
        let ran = secured.s_client(Place::Tls, &["-quiet"], &input).succeeded();
        let expected = [protocol.greeting(), protocol.asked(), protocol.logged_in(), "bye\r\n"].concat();
        assert_eq!(ran.text(), expected);
        let request = secured.stage.auth.request(0);
        let told = ["Auth-SSL", "Auth-SSL-Protocol", "Auth-SSL-Cipher"].map(|name| request.header(name));
        assert_eq!(told, ["on", "TLSv1.3", "TLS_AES_256_GCM_SHA384"].map(|value| Some(value.to_owned())));
        assert_eq!(request.header("Auth-SSL-Verify"), None);
    }
}

/// A backend with one mailbox, or one that takes one message, as curl asks for it.
fn backend_for_curl(protocol: Protocol, place: Place) -> Script {
    match protocol {
        Protocol::Imap => {
            // curl counts its commands: STARTTLS needs one, and another to ask again what there is.
            let first = if place == Place::Clear { 4 } else { 2 };
            let tag = |number: u8| format!("A{:03}", first + number);
            rig::backend::imap_login(&tag(0), "u", "p")
                .answer(
                    format!("{} LIST \"\" *\r\n", tag(1)),
                    format!("* LIST () \"/\" INBOX\r\n{} OK\r\n", tag(1)),
                )
                .answer(format!("{} LOGOUT\r\n", tag(2)), format!("* BYE\r\n{} OK\r\n", tag(2)))
        }
        Protocol::Pop3 => {
            protocol.backend().answer("LIST\r\n", "+OK\r\n1 120\r\n.\r\n").answer("QUIT\r\n", "+OK\r\n")
        }
        Protocol::Smtp => protocol
            .backend()
            .answer("MAIL FROM:<a@x>\r\n", "250 ok\r\n")
            .answer("RCPT TO:<b@x>\r\n", "250 ok\r\n")
            .answer("DATA\r\n", "354 go\r\n")
            .answer("hello\r\n.\r\n", "250 ok\r\n")
            .answer("QUIT\r\n", "221 bye\r\n"),
    }
}

fn curl(secured: &Secured, place: Place) -> Ran {
    let protocol = secured.stage.protocol;
    let scheme = format!("{}{}", protocol.name(), if place == Place::Tls { "s" } else { "" });
    let address = secured.place(place);
    let (_, port) = address.rsplit_once(':').expect("an address has a port");
    let mut curl = Command::new("curl");
    curl.args(["-sS", "--max-time", "20", "--ssl-reqd", "--user", "u:p", "--cacert"]);
    curl.arg(&secured.root);
    curl.args(["--connect-to", &format!("::{address}"), &format!("{scheme}://{}:{port}/", super::NAME)]);
    if protocol == Protocol::Smtp {
        curl.args(["--mail-from", "a@x", "--mail-rcpt", "b@x", "--upload-file", "-"]);
    }
    tool::run(&mut curl, b"hello\r\n")
}

#[test]
fn curl_is_served_both_ways() {
    for protocol in Protocol::ALL {
        for place in [Place::Clear, Place::Tls] {
            let script = backend_for_curl(protocol, place);
            let secured = Secured::playing(protocol, "imap_auth plain; starttls only;", script);
            let said = curl(&secured, place).succeeded().text();
            let expected = match protocol {
                Protocol::Imap => "* LIST () \"/\" INBOX\r\n",
                Protocol::Pop3 => "1 120\r\n",
                Protocol::Smtp => "",
            };
            assert_eq!(said, expected, "{place:?}");
        }
    }
}

#[test]
fn python_s_clients_are_served_both_ways() {
    let program = r#"
import imaplib, poplib, smtplib
kind, = MORE
def client(tls):
    host, port = TLS if tls else CLEAR
    context = trusting()
    # The name is verified by the other tests; these classes take the host's for it.
    context.check_hostname = False
    if kind == "imap" and tls: return imaplib.IMAP4_SSL(host, port, ssl_context=context, timeout=10)
    if kind == "pop3" and tls: return poplib.POP3_SSL(host, port, context=context, timeout=10)
    if kind == "smtp" and tls: return smtplib.SMTP_SSL(host, port, "c", context=context, timeout=10)
    if kind == "imap": plain = imaplib.IMAP4(host, port, timeout=10); plain.starttls(context)
    if kind == "pop3": plain = poplib.POP3(host, port, timeout=10); plain.stls(context)
    if kind == "smtp": plain = smtplib.SMTP(host, port, "c", timeout=10); plain.starttls(context=context)
    return plain
for tls in True, False:
    who = client(tls)
    if kind == "imap": assert who.noop()[0] == "OK"; who.logout()
    if kind == "pop3": assert "SASL" in who.capa(); who.quit()
    if kind == "smtp": who.ehlo(); assert who.esmtp_features["auth"].split() == ["PLAIN", "LOGIN"]; who.quit()
"#;
    for protocol in Protocol::ALL {
        Secured::new(protocol, "").talk(program, &[protocol.name()]).succeeded();
    }
}

#[test]
fn who_speaks_no_tls_is_closed_without_an_answer() {
    let cases: [(&[u8], &str); 4] = [
        (b"a LOGIN u p\r\n", "error:0A00010B:SSL routines::wrong version number"),
        (b"\x00\xff\x80garbage\r\n", "error:0A00010B:SSL routines::wrong version number"),
        (b"GET / HTTP/1.1\r\n\r\n", "error:0A00009C:SSL routines::http request"),
        (&[0x80; 4096], "error:0A00010B:SSL routines::wrong version number"),
    ];
    for protocol in Protocol::ALL {
        for (said, why) in cases {
            let secured = Secured::new(protocol, "");
            Client::connect(secured.stage.proxy.at("tls")).send(said).expect_end();
            let line = told(&secured, "SSL_do_handshake() failed");
            assert!(line.contains("[info] "), "{line}");
            let expected = format!("failed (SSL: {why}) while SSL handshaking, client: ");
            assert!(line.contains(&expected), "{line}");
        }
    }
}

#[test]
fn bad_records_are_answered_by_an_alert_at_most() {
    let secured = Secured::new(Protocol::Imap, "");
    // A handshake record whose content is none (RFC 8446, section 5.1).
    let mut client = Client::connect(secured.stage.proxy.at("tls"));
    let answer = client.send([&[22, 3, 1, 0, 64][..], &[0xff; 64]].concat()).rest();
    assert!(answer.len() <= 7 && answer.first().is_none_or(|kind| *kind == 21), "{answer:?}");
    let line = told(&secured, "SSL_do_handshake() failed");
    assert!(line.contains("[info] "), "{line}");
}

#[test]
fn who_leaves_in_the_handshake_is_told_as_such() {
    let secured = Secured::new(Protocol::Imap, "");
    Client::connect(secured.stage.proxy.at("tls")).send([22, 3, 1]).half_close().expect_end();
    let line = told(&secured, "peer closed connection in SSL handshake");
    assert!(line.contains("[info] ") && line.contains(" while SSL handshaking, client: "), "{line}");
}

#[test]
fn a_handshake_has_to_be_made_in_time() {
    for protocol in Protocol::ALL {
        let secured = Secured::new(protocol, "timeout 1s;");
        let mut silent = Client::connect(secured.stage.proxy.at("tls"));
        secured.stage.proxy.wait_for_log("*1 client connected");
        let mut slow = Client::connect(secured.stage.proxy.at("tls"));
        secured.stage.proxy.wait_for_log("*2 client connected");
        slow.send([22, 3, 1, 2]);
        // It has one limit from the greeting on, and STARTTLS does not give it another.
        let (starttls, go) = protocol.starttls();
        let mut after = secured.stage.client();
        after.exchange(starttls, go).send([22]);
        for client in [&mut silent, &mut slow, &mut after] {
            client.expect_end();
        }
        // The originals leave no line behind.
        for (number, action) in [(1, "SSL handshaking"), (2, "SSL handshaking"), (3, "in starttls state")] {
            let text =
                format!("*{number} client timed out (110: Connection timed out) while {action}, client: ");
            let log = secured.stage.proxy.wait_for_log(&text);
            assert!(log.lines().any(|line| line.contains("[info] ") && line.contains(&text)), "{log}");
        }
    }
}

#[test]
fn an_application_protocol_has_to_be_ours() {
    let program = r#"
mine, = MORE
def offering(*protocols):
    context = trusting()
    context.set_alpn_protocols(protocols)
    return context
for make in starttls, implicit:
    for good in [mine], ["http/1.1", mine], [mine, "h2"]:
        assert make(offering(*good)).socket.selected_alpn_protocol() == mine
    assert make().socket.selected_alpn_protocol() is None
    for bad in ["http/1.1"], ["h2", "http/1.1"], [mine.upper()], ["managesieve"]:
        try: make(offering(*bad))
        except ssl.SSLError as error: assert "alert no application protocol" in str(error), error
        else: raise AssertionError(bad)
"#;
    for protocol in Protocol::ALL {
        let secured = Secured::new(protocol, "max_errors 100;");
        secured.talk(program, &[protocol.name()]).succeeded();
        let proxy = &secured.stage.proxy;
        let told = |line: &&str| line.contains("no application protocol") && line.contains("[info] ");
        eventually("each refusal is told", || proxy.log().lines().filter(told).count() == 8);
    }
}

#[test]
fn nothing_is_kept_of_clients_that_fail() {
    let secured = Secured::new(Protocol::Imap, "");
    let own = secured.stage.descriptors();
    for _ in 0..20 {
        Client::connect(secured.stage.proxy.at("tls")).send("GET / HTTP/1.0\r\n\r\n").expect_end();
        drop(Client::connect(secured.stage.proxy.at("tls")));
    }
    eventually("all descriptors are given back", || secured.stage.proxy.process().descriptors() <= own);
}
