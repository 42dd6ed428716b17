//! Certificates of clients: who is refused in which words, and what the auth server hears of the others.

use std::path::Path;
use std::process::Command;

use jiff::Zoned;
use jiff::civil::date;
use rig::pki::{Identity, Key, Root};
use rig::tool;

use super::resumption::running;
use super::{NAME, Place, Secured, pair};
use crate::clock::Clock;
use crate::stage::Protocol;

/// Clients with certificates of every kind.
struct Clients {
    root: Root,
    good: Identity,
    expired: Identity,
    /// By an authority that nobody trusts.
    foreign: Identity,
}

impl Clients {
    fn new() -> Self {
        let root = Root::new(Key::Ec, "Clients' root");
        Self {
            good: root.client(Key::Ec, "ann"),
            expired: root.expired_client(Key::Ec, "bob"),
            foreign: Root::new(Key::Ec, "Another root").client(Key::Ec, "eve"),
            root,
        }
    }

    fn all(&self) -> [Option<&Identity>; 4] {
        [None, Some(&self.good), Some(&self.expired), Some(&self.foreign)]
    }

    fn settings(&self, mode: &str) -> String {
        format!("ssl_verify_client {mode}; ssl_client_certificate {};", self.root.certificate().display())
    }
}

/// What a client hears whose certificate will not do, and one that has none.
fn refusals(protocol: Protocol) -> [&'static str; 2] {
    match protocol {
        Protocol::Imap => ["* BYE SSL certificate error\r\n", "* BYE No required SSL certificate\r\n"],
        Protocol::Pop3 => ["-ERR SSL certificate error\r\n", "-ERR No required SSL certificate\r\n"],
        Protocol::Smtp => {
            ["421 4.7.1 SSL certificate error\r\n", "421 4.7.1 No required SSL certificate\r\n"]
        }
    }
}

/// Logs in with each of four certificates, or hears the refusal that the test expects.
const PROGRAM: &str = r"
def showing(certificate, key):
    context = trusting()
    if certificate: context.load_cert_chain(certificate, key)
    return context
refusals, files = MORE[:4], MORE[4:]
for refusal, certificate, key in zip(refusals, files[::2], files[1::2]):
    refusal = refusal.encode()
    for at in CLEAR, TLS:
        wire = Wire(at)
        if at == CLEAR: wire.expect(GREETING).say(STARTTLS, GO)
        wire.secure(showing(certificate, key))
        if refusal:
            wire.expect(refusal).ends()
            continue
        if at == TLS: wire.expect(GREETING)
        wire.say(LOGIN, ASKED + LOGGED_IN)
";

fn path(path: &Path) -> String {
    path.display().to_string()
}

/// Plays all clients, of whom these are refused: no certificate, a good one, an expired one, one by a stranger.
#[track_caller]
fn play(protocol: Protocol, mode: &str, clients: &Clients, refused: [&str; 4]) -> Secured {
    let secured = Secured::new(protocol, &clients.settings(mode));
    let files: Vec<_> = clients
        .all()
        .iter()
        .flat_map(|client| match client {
            None => [String::new(), String::new()],
            Some(identity) => [path(&identity.certificate()), path(&identity.key())],
        })
        .collect();
    let files: Vec<_> = files.iter().map(String::as_str).collect();
    secured.talk(PROGRAM, &[&refused[..], &files].concat()).succeeded();
    secured
}

/// What the auth server heard of each client: STARTTLS and TLS say the same.
#[track_caller]
fn verdicts(secured: &Secured) -> Vec<Option<String>> {
    let mut heard: Vec<_> =
        secured.stage.auth.requests().iter().map(|request| request.header("Auth-SSL-Verify")).collect();
    assert!(heard.chunks(2).all(|pair| pair[0] == pair[1]), "{heard:?}");
    heard.dedup();
    heard
}

#[test]
fn every_mode_has_its_reply_to_every_client() {
    let clients = Clients::new();
    let verdict = |text: &str| Some(text.to_owned());
    for protocol in Protocol::ALL {
        let [bad, missing] = refusals(protocol);
        let off = play(protocol, "off", &clients, ["", "", "", ""]);
        assert_eq!(verdicts(&off), [None]);
        let on = play(protocol, "on", &clients, [missing, "", bad, bad]);
        assert_eq!(verdicts(&on), [verdict("SUCCESS")]);
        let optional = play(protocol, "optional", &clients, ["", "", bad, bad]);
        assert_eq!(verdicts(&optional), [verdict("NONE"), verdict("SUCCESS")]);
        let no_ca = play(protocol, "optional_no_ca", &clients, ["", "", bad, ""]);
        let untrusted = verdict("FAILED:unable to verify the first certificate");
        assert_eq!(verdicts(&no_ca), [verdict("NONE"), verdict("SUCCESS"), untrusted]);
    }
}

#[test]
fn refusals_are_told_with_the_number_that_openssl_has_for_them() {
    let clients = Clients::new();
    let [bad, missing] = refusals(Protocol::Imap);
    let secured = play(Protocol::Imap, "on", &clients, [missing, "", bad, bad]);
    let log = secured.stage.proxy.log();
    for text in [
        "client sent no required SSL certificate",
        "client SSL certificate verify error: (10:certificate has expired)",
        "client SSL certificate verify error: (21:unable to verify the first certificate)",
    ] {
        let lines: Vec<_> = log.lines().filter(|line| line.contains(text)).collect();
        assert_eq!(lines.len(), 2, "{text}: {log}");
        assert!(
            lines[0].contains("[info] ")
                && lines[0].contains(&format!("{text} while in starttls state, client: "))
        );
        assert!(lines[1].contains(&format!("{text} while SSL handshaking, client: ")), "{}", lines[1]);
    }
}

/// What openssl says of a certificate, without the `name=` in front.
fn of_openssl(certificate: &Path, arguments: &[&str]) -> String {
    let mut openssl = Command::new("openssl");
    let ran = tool::run(openssl.args(["x509", "-noout", "-in"]).arg(certificate).args(arguments), &[]);
    let text = ran.succeeded().text();
    let (_, value) = text.trim_end().split_once('=').expect("name=value");
    value.to_owned()
}

#[test]
fn the_auth_server_hears_of_a_certificate_what_openssl_says_of_it() {
    let clients = Clients::new();
    let secured =
        Secured::new(Protocol::Imap, &format!("{} auth_http_pass_client_cert on;", clients.settings("on")));
    let program = "
context = trusting()
context.load_cert_chain(*MORE)
for wire in both(context): wire.say(LOGIN, ASKED + LOGGED_IN)
";
    let (certificate, key) = (clients.good.certificate(), clients.good.key());
    secured.talk(program, &[&path(&certificate), &path(&key)]).succeeded();
    let requests = secured.stage.auth.requests();
    assert_eq!(requests.len(), 2);
    let pem = std::fs::read_to_string(&certificate).expect("the certificate is readable");
    for request in requests {
        let header = |name: &str| request.header(name).unwrap_or_default();
        assert_eq!(
            header("Auth-SSL-Subject"),
            of_openssl(&certificate, &["-subject", "-nameopt", "RFC2253"])
        );
        assert_eq!(header("Auth-SSL-Issuer"), of_openssl(&certificate, &["-issuer", "-nameopt", "RFC2253"]));
        assert_eq!(header("Auth-SSL-Serial"), of_openssl(&certificate, &["-serial"]));
        let fingerprint = of_openssl(&certificate, &["-fingerprint", "-sha1"]);
        assert_eq!(header("Auth-SSL-Fingerprint"), fingerprint.replace(':', "").to_lowercase());
        let escaped = pem.replace("\r\n", "\n").replace('%', "%25").replace('\n', "%0A").replace(' ', "%20");
        assert_eq!(header("Auth-SSL-Cert"), escaped);
        assert_eq!(header("Auth-SSL-Server-Name"), NAME);
    }
}

#[test]
fn names_of_the_clients_authorities_are_told_where_they_shall_be() {
    let clients = Clients::new();
    let file = clients.root.certificate();
    for (directive, told) in [("ssl_client_certificate", true), ("ssl_trusted_certificate", false)] {
        let settings = format!("ssl_verify_client optional; {directive} {};", file.display());
        let secured = Secured::new(Protocol::Imap, &settings);
        let said = secured.s_client(Place::Tls, &[], "a LOGOUT\r\n").succeeded().text();
        assert_eq!(said.contains("CN = Clients' root"), told, "{said}");
        assert_eq!(said.contains("No client certificate CA names sent"), !told, "{said}");
    }
}

#[test]
fn certificates_are_valid_by_the_date_of_a_clock_that_jumps() {
    let (clients, clock) = (Clients::new(), Clock::new());
    let identity = clients.root.server(Key::Ec, &[NAME]);
    let settings = format!("{} {}", pair(&identity), clients.settings("on"));
    let main = "master_process off; sandbox off; worker_rlimit_core 0;";
    let secured = running(&clock.program(), main, &clients.root, &settings);
    let [certificate, key] = [clients.expired.certificate(), clients.expired.key()];
    let [certificate, key] = [&certificate, &key].map(|file| file.to_str().expect("a plain name"));
    let (then, today) = (date(2020, 7, 1), Zoned::now().date());
    let while_valid = today.until(then).expect("it is not that far away").get_days();
    for (days, expected) in [
        (0, refusals(Protocol::Imap)[0]),
        (while_valid, Protocol::Imap.greeting()),
        (0, refusals(Protocol::Imap)[0]),
    ] {
        clock.jump(days);
        let said = secured.s_client(Place::Tls, &["-cert", certificate, "-key", key], "a LOGOUT\r\n").text();
        assert!(said.contains(expected.trim_end()), "{days}: not {expected}\n{said}");
    }
}
