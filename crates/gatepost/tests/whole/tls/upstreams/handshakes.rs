//! Upstreams that speak TLS: what they see of us, and which of them are believed.

use std::net::SocketAddr;
use std::path::Path;
use std::thread::JoinHandle;

use rig::pki::{Identity, Key, Root};
use rig::tool::{self, Ran};
use rig::{AuthServer, Client, Proxy, auth_server, port, show};

use super::wanting;
use crate::stage::{Protocol, proxy};
use crate::tls::NAME;

/// A mail server by Python: one login, by TLS from the first byte on or by STARTTLS, then one line is echoed.
///
/// Prints what it saw of the handshake, and of the login; ends with its connection.
const SERVER: &str = r#"
import socket, ssl, sys
protocol, how, port, certificate, key, clients, noise = sys.argv[1:]
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(certificate, key)
if clients:
    context.load_verify_locations(clients)
    context.verify_mode = ssl.CERT_REQUIRED
asked = []
context.sni_callback = lambda _, name, __: asked.append(name)
host, port = port.rsplit(":", 1)
listener = socket.create_server((host, int(port)))
listener.settimeout(20)
wire, _ = listener.accept()
wire.settimeout(10)
def line():
    got = b""
    while not got.endswith(b"\n"):
        piece = wire.recv(1)
        if not piece: sys.exit(0)
        got += piece
    return got.decode()
def say(text): wire.sendall(text.encode())
def hear(expected, reply):
    got = line()
    assert got == expected, got
    say(reply)
def secure():
    global wire
    try: wire = context.wrap_socket(wire, server_side=True)
    except (ssl.SSLError, OSError) as error:
        print("no handshake:", getattr(error, "reason", error))
        sys.exit(0)
    subject = wire.getpeercert()["subject"][0][0][1] if clients else "nobody"
    print(f"asked for {asked[0] if asked else None} by {subject}")
hello = "EHLO proxy.example\r\n"
if how == "implicit": secure()
if protocol == "imap":
    say("* OK imap ready\r\n")
    if how == "starttls":
        hear("TLS STARTTLS\r\n", noise + "TLS OK begin\r\n")
        secure()
    hear("a LOGIN {1}\r\n", "+ go\r\n")
    hear("u {1}\r\n", "+ go\r\n")
    hear("p\r\n", "a OK logged in\r\n")
if protocol == "pop3":
    say("+OK pop3 ready\r\n")
    if how == "starttls":
        hear("STLS\r\n", "+OK begin\r\n")
        secure()
    hear("USER u\r\n", "+OK\r\n")
    hear("PASS p\r\n", "+OK logged in\r\n")
if protocol == "smtp":
    say("220 smtp ready\r\n")
    if how == "starttls":
        hear(hello, "250-x\r\n250 STARTTLS\r\n")
        hear("STARTTLS\r\n", "220 begin\r\n")
        secure()
    hear(hello, "250 x\r\n")
    hear("AUTH PLAIN AHUAcA==\r\n", "235 ok\r\n")
print("logged in")
say(line())
"#;

/// How an upstream begins TLS.
const WAYS: [(&str, &str); 2] = [("implicit", "on"), ("starttls", "starttls")];

/// One that runs; it ends after its one connection.
struct Upstream {
    at: SocketAddr,
    thread: JoinHandle<Ran>,
}

/// What an upstream is like.
struct Kind<'a> {
    protocol: Protocol,
    way: &'a str,
    identity: &'a Identity,
    /// Whose clients it wants certificates of.
    clients: Option<&'a Root>,
    /// What it says in clear before its go-ahead (IMAP).
    noise: &'a str,
}

impl Kind<'_> {
    #[track_caller]
    fn start(&self) -> Upstream {
        let at = port::free();
        let path = |path: &Path| path.display().to_string();
        let words = [
            self.protocol.name().to_owned(),
            self.way.to_owned(),
            at.to_string(),
            path(&self.identity.certificate()),
            path(&self.identity.key()),
            self.clients.map(|root| path(&root.certificate())).unwrap_or_default(),
            self.noise.to_owned(),
        ];
        let thread = std::thread::spawn(move || {
            let words: Vec<_> = words.iter().map(String::as_str).collect();
            tool::python(SERVER, &words)
        });
        rig::eventually("the upstream listens", || port::listens(at));
        Upstream { at, thread }
    }
}

impl Upstream {
    /// What it has seen.
    #[track_caller]
    fn saw(self) -> String {
        self.thread.join().expect("it ends").succeeded().text()
    }
}

/// A proxy in front of it; the auth server's answers have these further lines.
#[track_caller]
fn in_front(protocol: Protocol, settings: &str, at: SocketAddr, lines: &[&str]) -> (Proxy, AuthServer) {
    let auth = AuthServer::always(auth_server::allow_with(at, lines));
    let mail = format!(
        "auth_http {}; proxy_smtp_auth on; server {{ listen @proxy; protocol {}; {settings} }}",
        auth.address(),
        protocol.name()
    );
    (proxy(&mail), auth)
}

#[track_caller]
fn login(proxy: &Proxy, protocol: Protocol) -> Client {
    let mut client = Client::connect(proxy.at("proxy"));
    client.expect(protocol.greeting()).exchange(protocol.login(), protocol.asked());
    client
}

/// The client is logged in and what it says is echoed; returns what the upstream saw.
#[track_caller]
fn succeeds(kind: &Kind<'_>, settings: &str, lines: &[&str]) -> String {
    let upstream = kind.start();
    let (proxy, _auth) = in_front(kind.protocol, settings, upstream.at, lines);
    let mut client = login(&proxy, kind.protocol);
    client.expect(kind.protocol.logged_in()).exchange("hello\r\n", "hello\r\n").expect_end();
    let saw = upstream.saw();
    assert!(saw.ends_with("logged in\n"), "no login: {saw}");
    saw.trim_end_matches("logged in\n").trim_end().to_owned()
}

/// The client hears of an internal error, the upstream no password, and the log has the reason.
#[track_caller]
fn fails(kind: &Kind<'_>, settings: &str, lines: &[&str], reason: &str) {
    let upstream = kind.start();
    let (proxy, _auth) = in_front(kind.protocol, settings, upstream.at, lines);
    let said = login(&proxy, kind.protocol).rest();
    assert_eq!(show(&said), show(kind.protocol.internal_error().as_bytes()), "{reason}");
    let saw = upstream.saw();
    assert!(!saw.contains("logged in"), "{saw}");
    let log = proxy.wait_for_log(reason);
    let line = log.lines().find(|line| line.contains(reason)).unwrap_or_default();
    assert!(
        line.contains("[error] ") && line.contains(" while SSL handshaking to upstream, client: "),
        "{line}"
    );
}

#[test]
fn an_upstream_that_is_vouched_for_is_logged_in_to() {
    let root = Root::new(Key::Ec, "Test root");
    let identity = root.server(Key::Ec, &[NAME]);
    for protocol in Protocol::ALL {
        for (way, how) in WAYS {
            let kind = Kind { protocol, way, identity: &identity, clients: None, noise: "" };
            assert_eq!(succeeds(&kind, &wanting(how, &root), &[]), "asked for None by nobody");
            let settings = format!("{} proxy_ssl_server_name on;", wanting(how, &root));
            assert_eq!(succeeds(&kind, &settings, &[]), format!("asked for {NAME} by nobody"));
        }
    }
}

#[test]
fn an_upstream_that_nobody_vouches_for_gets_no_password() {
    let root = Root::new(Key::Ec, "Test root");
    let kinds = [
        (root.expired_server(Key::Ec, &[NAME]), "certificate verify failed: 10:certificate has expired)"),
        (root.server(Key::Ec, &["other.example.test"]), "certificate verify failed: 62:hostname mismatch)"),
        (Identity::self_signed(Key::Ec, &[NAME]), "certificate verify failed: 18:self-signed certificate)"),
        (Root::new(Key::Ec, "Another root").server(Key::Ec, &[NAME]), "certificate verify failed: 2"),
        // The same name, another key.
        (Root::new(Key::Ec, "Test root").server(Key::Ec, &[NAME]), "certificate verify failed: 2"),
    ];
    for protocol in Protocol::ALL {
        for (identity, reason) in &kinds {
            for (way, how) in WAYS {
                let kind = Kind { protocol, way, identity, clients: None, noise: "" };
                fails(&kind, &wanting(how, &root), &[], reason);
                let unverified = format!("{} proxy_ssl_verify off;", wanting(how, &root));
                succeeds(&kind, &unverified, &[]);
            }
        }
    }
}

#[test]
fn what_an_upstream_says_before_tls_reaches_no_client() {
    let root = Root::new(Key::Ec, "Test root");
    let identity = root.server(Key::Ec, &[NAME]);
    let noise = "* LIST () \"/\" evil\r\n* OK [ALERT] call 0900 1234\r\n* 23 EXISTS\r\n* FLAGS (evil)\r\n* 1 FETCH (FLAGS ())\r\n";
    let kind = Kind { protocol: Protocol::Imap, way: "starttls", identity: &identity, clients: None, noise };
    // The client gets its tagged reply and no more than that.
    succeeds(&kind, &wanting("starttls", &root), &[]);
}

#[test]
fn we_show_our_certificate_to_upstreams_that_want_one() {
    let root = Root::new(Key::Ec, "Test root");
    let (identity, ours) = (root.server(Key::Ec, &[NAME]), root.client(Key::Ec, "the proxy"));
    for protocol in Protocol::ALL {
        for (way, how) in WAYS {
            let kind = Kind { protocol, way, identity: &identity, clients: Some(&root), noise: "" };
            let (certificate, key) = (ours.certificate(), ours.key());
            let settings = format!(
                "{} proxy_ssl_certificate {}; proxy_ssl_certificate_key {};",
                wanting(how, &root),
                certificate.display(),
                key.display()
            );
            assert_eq!(succeeds(&kind, &settings, &[]), "asked for None by the proxy");
        }
    }
}

#[test]
fn the_auth_server_says_for_each_user_how_and_under_which_name() {
    let root = Root::new(Key::Ec, "Test root");
    let identity = root.server(Key::Ec, &["home.example.test"]);
    let trusted = format!("proxy_ssl_trusted_certificate {};", root.certificate().display());
    for protocol in Protocol::ALL {
        for (way, how) in WAYS {
            let kind = Kind { protocol, way, identity: &identity, clients: None, noise: "" };
            let header = format!("Auth-Server-SSL: {how}");
            succeeds(&kind, &trusted, &[&header, "Auth-Server-Name: home.example.test"]);
            // Its word counts before ours.
            let other = format!("{trusted} proxy_ssl off; proxy_ssl_name else.example.test;");
            succeeds(&kind, &other, &[&header, "Auth-Server-Name: home.example.test"]);
            fails(
                &kind,
                &trusted,
                &[&header, "Auth-Server-Name: else.example.test"],
                "certificate verify failed: 62:hostname mismatch)",
            );
            fails(&kind, &other, &[&header], "certificate verify failed: 62:hostname mismatch)");
        }
    }
}

#[test]
fn a_users_file_says_it_in_dovecot_s_words() {
    let root = Root::new(Key::Ec, "Test root");
    let good = root.server(Key::Ec, &[&port::host().to_string()]);
    let bad = root.server(Key::Ec, &["other.example.test"]);
    let cases = [
        ("implicit", "ssl=yes", &good, true),
        ("starttls", "starttls=yes", &good, true),
        ("implicit", "ssl=yes", &bad, false),
        ("starttls", "starttls=yes", &bad, false),
        ("implicit", "ssl=any-cert", &bad, true),
        ("starttls", "starttls=any-cert", &bad, true),
    ];
    for protocol in Protocol::ALL {
        for (way, field, identity, good) in cases {
            let upstream = Kind { protocol, way, identity, clients: None, noise: "" }.start();
            let directory = tempfile::tempdir().expect("a temporary directory");
            let users = directory.path().join("users");
            let line =
                format!("u:{{PLAIN}}p::::::host={} port={} {field}\n", upstream.at.ip(), upstream.at.port());
            std::fs::write(&users, line).expect("the directory is writable");
            let mail = format!(
                "auth_user_file {}; proxy_smtp_auth on; proxy_ssl_trusted_certificate {};
                 server {{ listen @proxy; protocol {}; }}",
                users.display(),
                root.certificate().display(),
                protocol.name()
            );
            let proxy = proxy(&mail);
            let mut client = login(&proxy, protocol);
            if good {
                client.expect(protocol.logged_in()).exchange("hello\r\n", "hello\r\n").expect_end();
            } else {
                assert_eq!(show(&client.rest()), show(protocol.internal_error().as_bytes()), "{field}");
            }
            assert_eq!(upstream.saw().contains("logged in"), good, "{field}");
        }
    }
}
