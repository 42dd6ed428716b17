//! Dovecot and Postfix behind TLS: implicit and by STARTTLS, believed or not.

use std::net::SocketAddr;

use rig::pki::{Identity, Key, Root};
use rig::real::{Dovecot, Postfix};
use rig::tool;
use rig::{AuthServer, Program, Proxy, auth_server};

const NAME: &str = "mail.example.test";
const USERS: [(&str, &str); 1] = [("ann", "secret one")];

/// Dovecot and Postfix with one certificate.
struct Upstreams {
    // It delivers to Dovecot's mailboxes, and so goes first.
    postfix: Postfix,
    dovecot: Dovecot,
}

/// Where a proxy connects, and how.
type Way = (&'static str, &'static str, SocketAddr);

impl Upstreams {
    #[track_caller]
    fn start(identity: &Identity) -> Self {
        let dovecot = Dovecot::setup(&USERS).tls(identity).start();
        let postfix = Postfix::setup(&dovecot).tls(identity).start();
        Self { postfix, dovecot }
    }

    fn ways(&self) -> [Way; 6] {
        [
            ("imap", "on", self.dovecot.imaps()),
            ("imap", "starttls", self.dovecot.imap()),
            ("pop3", "on", self.dovecot.pop3s()),
            ("pop3", "starttls", self.dovecot.pop3()),
            ("smtp", "on", self.postfix.smtps()),
            ("smtp", "starttls", self.postfix.smtp()),
        ]
    }
}

/// A proxy with a server for each way, in front of these upstreams.
struct Front {
    proxy: Proxy,
    _auth: AuthServer,
}

impl Front {
    /// `settings` are for all servers; it is left open which of them the auth server is asked for.
    #[track_caller]
    fn new(ways: &[Way; 6], settings: &str) -> Self {
        let homes = ways.map(|(_, _, home)| home);
        let auth = AuthServer::start(move |request| {
            let way = request.header("X-Way").and_then(|number| number.parse::<usize>().ok());
            auth_server::allow(homes[way.expect("the proxy tells it")])
        });
        let servers = ways.iter().enumerate().map(|(number, (protocol, how, _))| {
            format!(
                "server {{ listen @{protocol}_{how}; protocol {protocol}; proxy_ssl {how};
                           auth_http_header X-Way {number}; }}\n"
            )
        });
        let mail = format!(
            "server_name gate.example.test; auth_http {}; proxy_smtp_auth on; {settings}\n{}",
            auth.address(),
            servers.collect::<String>()
        );
        let proxy = Proxy::start(&Program::gatepost(env!("CARGO_BIN_EXE_gatepost")), &mail);
        Self { proxy, _auth: auth }
    }

    /// Logs in six ways by Python's clients and uses each session, or is refused as it should be.
    #[track_caller]
    fn play(&self, welcome: bool) {
        let places = ["imap", "pop3", "smtp"]
            .into_iter()
            .flat_map(|protocol| ["on", "starttls"].map(|how| format!("{protocol}_{how}")))
            .map(|name| self.proxy.at(&name).to_string());
        let places: Vec<_> = places.collect();
        let mut words: Vec<_> = places.iter().map(String::as_str).collect();
        words.push(if welcome { "welcome" } else { "refused" });
        let ran = tool::python(CLIENTS, &words);
        assert!(ran.status.success(), "{}\n{}", ran.stderr, self.proxy.log());
    }
}

/// Clients of the standard library: six addresses, and whether they are welcome.
const CLIENTS: &str = r#"
import imaplib, poplib, smtplib, sys
def place(text):
    host, port = text.rsplit(":", 1)
    return host, int(port)
*places, expected = sys.argv[1:]
places = [place(text) for text in places]
WHO = "ann", "secret one"
def imap(at):
    box = imaplib.IMAP4(*at, timeout=10)
    box.login(*WHO)
    assert box.select()[0] == "OK"
    box.logout()
def pop3(at):
    box = poplib.POP3(*at, timeout=10)
    box.user(WHO[0])
    box.pass_(WHO[1])
    box.stat()
    box.quit()
def smtp(at):
    with smtplib.SMTP(*at, timeout=10) as out:
        out.login(*WHO)
        out.sendmail("ann@example.test", ["ann@example.test"], b"Subject: hello\r\n\r\nbody\r\n")
def said(error): return b" ".join(a if isinstance(a, bytes) else str(a).encode() for a in error.args)
for play, at in zip((imap, imap, pop3, pop3, smtp, smtp), places):
    try: play(at)
    except (imaplib.IMAP4.error, poplib.error_proto, smtplib.SMTPException) as error:
        assert expected == "refused", (play, error)
        # imaplib does not tell of what has no tag, but of the end behind it; smtplib tries another mechanism then.
        ends = b"EOF", b"internal server error", b"unexpectedly closed"
        assert any(end in said(error) for end in ends), error
    else: assert expected == "welcome", play
"#;

fn trusting(root: &Root) -> String {
    format!("proxy_ssl_trusted_certificate {}; proxy_ssl_name {NAME};", root.certificate().display())
}

#[test]
fn mail_goes_through_tls_to_servers_that_are_vouched_for() {
    let root = Root::new(Key::Ec, "Test root");
    for key in [Key::Ec, Key::Rsa] {
        // The servers read it whenever they start a process.
        let identity = root.server(key, &[NAME]);
        let upstreams = Upstreams::start(&identity);
        Front::new(&upstreams.ways(), &trusting(&root)).play(true);
        let log = upstreams.dovecot.log();
        assert_eq!(log.matches("imap-login: Info: Login: user=<ann>").count(), 2, "{log}");
        assert_eq!(log.matches("pop3-login: Info: Login: user=<ann>").count(), 2, "{log}");
        assert_eq!(log.matches(", TLS, ").count(), 4, "{log}");
        let log = upstreams.postfix.wait_for_removed(2);
        assert_eq!(log.matches("TLS connection established from").count(), 2, "{log}");
    }
}

#[test]
fn servers_that_nobody_vouches_for_are_sent_no_password() {
    let root = Root::new(Key::Ec, "Test root");
    let identities = [
        (root.expired_server(Key::Ec, &[NAME]), "10:certificate has expired"),
        (root.server(Key::Ec, &["other.example.test"]), "62:hostname mismatch"),
        (Identity::self_signed(Key::Ec, &[NAME]), "18:self-signed certificate"),
        (Root::new(Key::Ec, "Another root").server(Key::Ec, &[NAME]), "certificate verify failed: 2"),
    ];
    for (identity, reason) in &identities {
        let upstreams = Upstreams::start(identity);
        let front = Front::new(&upstreams.ways(), &trusting(&root));
        front.play(false);
        let log = front.proxy.log();
        assert_eq!(log.matches(reason).count(), 6, "{reason}: {log}");
        for log in [upstreams.dovecot.log(), upstreams.postfix.log()] {
            assert!(!log.contains("ann") && !log.contains("sasl_username"), "{log}");
        }
        Front::new(&upstreams.ways(), &format!("{} proxy_ssl_verify off;", trusting(&root))).play(true);
    }
}
