//! The stage of every test: Dovecot and Postfix, an authority, and gatepost between them and the clients.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use hmac::{Hmac, KeyInit, Mac};
use md5::{Digest, Md5};
use rig::real::{Dovecot, Postfix};
use rig::tool::{self, Ran};
use rig::{AuthServer, Program, Proxy, Request, Script, auth_server};
use tempfile::TempDir;

/// Names and passwords of the users; the passwords have what has to be quoted or escaped somewhere.
pub(crate) const USERS: [(&str, &str); 2] = [("ann", "secret one"), ("bob", r#"100% p%20r"e\s"#)];

/// Somebody whom the authority lets in, but no upstream knows.
pub(crate) const STRANGER: (&str, &str) = ("eve", "in love");

/// The token with which anybody may log in by XOAUTH2 and OAUTHBEARER.
pub(crate) const TOKEN: &str = "eyJhbGciOiJub25lIn0.e30.c2lnbmF0dXJl-_~+/=";

/// What the auth server tells those whom it does not let in.
pub(crate) const REFUSED: &str = "Wrong password, says the auth server";

/// Who decides about logins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Authority {
    /// A scripted auth server that checks each mechanism by its own definition.
    Server,
    /// A users file with clear-text passwords.
    File,
}

/// Everything that a test needs, running.
pub(crate) struct Stage {
    pub(crate) dovecot: Dovecot,
    pub(crate) postfix: Postfix,
    /// Idle, but for those who need no login, if the authority is a file.
    pub(crate) auth: AuthServer,
    proxy: Proxy,
    directory: TempDir,
}

impl Stage {
    /// Starts all of it.
    #[track_caller]
    pub(crate) fn start(authority: Authority) -> Self {
        let dovecot = Dovecot::start(&USERS);
        let postfix = Postfix::start(&dovecot);
        let backends = Backends { imap: dovecot.imap(), pop3: dovecot.pop3(), smtp: postfix.smtp() };
        let auth = AuthServer::start(move |request| judge(request, backends));
        let directory = tempfile::tempdir().expect("a temporary directory");
        let proxy = start_proxy(authority, backends, &auth, directory.path());
        Self { dovecot, postfix, auth, proxy, directory }
    }

    /// Where the proxy listens as curl and mutt want to be told: `imap://127.0.0.1:1143`.
    pub(crate) fn url(&self, protocol: &str) -> String {
        format!("{protocol}://{}", self.proxy.at(protocol))
    }

    /// Where the proxy listens: `imap`, `pop3`, `smtp` with all mechanisms, `mx` without login, and `imap_xoauth2` and so
    /// on with this mechanism only, for clients that always prefer another. `imap_told` and so on pass on the upstream's
    /// words, `smtp_told` and `smtp_plain` log in to Postfix, the latter without XCLIENT.
    #[track_caller]
    pub(crate) fn at(&self, name: &str) -> SocketAddr {
        self.proxy.at(name)
    }

    /// A path in a directory of this test's own.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Writes a file there.
    #[track_caller]
    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, content).expect("the directory is writable");
        path
    }

    /// Runs curl as the first user.
    #[track_caller]
    pub(crate) fn curl(&self, arguments: &[&str]) -> Ran {
        let (user, password) = USERS[0];
        self.curl_as(&format!("{user}:{password}"), arguments)
    }

    /// Runs curl as somebody.
    #[track_caller]
    pub(crate) fn curl_as(&self, user: &str, arguments: &[&str]) -> Ran {
        let mut curl = self.command("curl");
        tool::run(curl.args(["-sS", "--max-time", "20", "--user", user]).args(arguments), &[])
    }

    /// A program that finds nobody's settings at home, and works in this test's directory.
    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.env("HOME", self.directory.path()).current_dir(self.directory.path());
        command
    }

    /// Runs a Python program. It has the names of [`PREAMBLE`]; `more` are its arguments.
    #[track_caller]
    pub(crate) fn python(&self, program: &str, more: &[&str]) -> Ran {
        let [imap, pop3, smtp] = ["imap", "pop3", "smtp"].map(|name| self.at(name).to_string());
        tool::python(&format!("{PREAMBLE}{program}"), &[&[&*imap, &*pop3, &*smtp], more].concat())
    }

    /// How the last login over `protocol` was tried, as the auth server was told.
    #[track_caller]
    pub(crate) fn method(&self, protocol: &str) -> String {
        let requests = self.auth.requests();
        let last = requests.iter().rfind(|request| header(request, "Auth-Protocol") == protocol);
        header(last.expect("the auth server was asked"), "Auth-Method")
    }

    /// The messages in a user's inbox as they lie on disk, where lines end in LF, in no particular order.
    pub(crate) fn inbox(&self, user: &str) -> Vec<Vec<u8>> {
        self.mailbox(user, "")
    }

    /// The same of any mailbox, by the name of its directory: `.Sent`.
    pub(crate) fn mailbox(&self, user: &str, name: &str) -> Vec<Vec<u8>> {
        let maildir = self.dovecot.maildir(user).join(name);
        let files = ["new", "cur"].iter().flat_map(|part| files(&maildir.join(part)));
        files.map(|file| std::fs::read(file).expect("a message is readable")).collect()
    }
}

/// Addresses and users for Python programs: `IMAP`, `POP3`, `SMTP` as (host, port), and `MORE` arguments.
const PREAMBLE: &str = r#"
import hashlib, imaplib, poplib, smtplib, sys
def place(text):
    host, port = text.rsplit(":", 1)
    return host, int(port)
IMAP, POP3, SMTP = map(place, sys.argv[1:4])
MORE = sys.argv[4:]
ANN, BOB, EVE = ("ann", "secret one"), ("bob", r'100% p%20r"e\s'), ("eve", "in love")
"#;

/// Where users belong.
#[derive(Clone, Copy)]
struct Backends {
    imap: SocketAddr,
    pop3: SocketAddr,
    smtp: SocketAddr,
}

impl Backends {
    fn of(self, protocol: &str) -> SocketAddr {
        match protocol {
            "imap" => self.imap,
            "pop3" => self.pop3,
            _ => self.smtp,
        }
    }
}

fn start_proxy(authority: Authority, backends: Backends, auth: &AuthServer, directory: &Path) -> Proxy {
    let auth = format!("auth_http {};", auth.address());
    let ask = |protocol: &str| match authority {
        Authority::Server => auth.clone(),
        Authority::File => {
            let file = directory.join(format!("users.{protocol}"));
            std::fs::write(&file, users_file(backends.of(protocol))).expect("the directory is writable");
            format!("auth_user_file {};", file.display())
        }
    };
    let (imap, pop3, smtp) = (ask("imap"), ask("pop3"), ask("smtp"));
    let configuration = format!(
        r#"
server_name gate.example.test;
imap_capabilities IMAP4rev1 UIDPLUS IDLE LITERAL+ SASL-IR;
imap_auth plain login cram-md5 xoauth2 oauthbearer;
pop3_auth plain apop cram-md5 xoauth2 oauthbearer;
smtp_capabilities PIPELINING 8BITMIME "SIZE 50000000";
smtp_auth plain login cram-md5 xoauth2 oauthbearer;
server {{ listen @imap; protocol imap; {imap} }}
server {{ listen @pop3; protocol pop3; {pop3} }}
server {{ listen @smtp; protocol smtp; {smtp} }}
server {{ listen @imap_xoauth2; protocol imap; imap_auth xoauth2; {imap} }}
server {{ listen @pop3_xoauth2; protocol pop3; pop3_auth xoauth2; {pop3} }}
server {{ listen @smtp_xoauth2; protocol smtp; smtp_auth xoauth2; {smtp} }}
server {{ listen @imap_told; protocol imap; proxy_pass_error_message on; {imap} }}
server {{ listen @pop3_told; protocol pop3; proxy_pass_error_message on; {pop3} }}
server {{ listen @smtp_told; protocol smtp; proxy_pass_error_message on; proxy_smtp_auth on; {smtp} }}
server {{ listen @smtp_plain; protocol smtp; xclient off; proxy_smtp_auth on; {smtp} }}
server {{ listen @mx; protocol smtp; smtp_auth none; {auth} }}
"#
    );
    Proxy::start(&Program::gatepost(env!("CARGO_BIN_EXE_gatepost")), &configuration)
}

fn users_file(backend: SocketAddr) -> String {
    let extra = format!("::::::host={} port={}\n", backend.ip(), backend.port());
    known().flat_map(|(user, password)| [user, ":{PLAIN}", password, &extra]).collect()
}

/// All who may log in to the proxy.
fn known() -> impl Iterator<Item = (&'static str, &'static str)> {
    USERS.into_iter().chain([STRANGER])
}

/// The auth server: says where a user belongs if the credentials are right.
fn judge(request: &Request, backends: Backends) -> Script {
    let backend = backends.of(&header(request, "Auth-Protocol"));
    let method = header(request, "Auth-Method");
    if method == "none" {
        return auth_server::allow(backend);
    }
    let user = unescaped(&header(request, "Auth-User"));
    match known().find(|(name, _)| *name == user) {
        Some((_, password)) if proves(request, &method, password) => {
            // The upstreams want a password whatever the client has shown.
            auth_server::allow_with(backend, &[&format!("Auth-Pass: {password}")])
        }
        _ => auth_server::refuse(REFUSED),
    }
}

fn proves(request: &Request, method: &str, password: &str) -> bool {
    let given = unescaped(&header(request, "Auth-Pass"));
    let salt = || header(request, "Auth-Salt");
    match method {
        "plain" => given == password,
        "xoauth2" | "oauthbearer" => given == TOKEN,
        // RFC 1939, section 7: MD5 over the greeting's time stamp and the password.
        "apop" => given == hex(Md5::digest(salt() + password).into()),
        // RFC 2195: HMAC-MD5 over the challenge, keyed by the password.
        "cram-md5" => {
            let mut mac = Hmac::<Md5>::new_from_slice(password.as_bytes()).expect("a key of any length");
            mac.update(salt().as_bytes());
            given == hex(mac.finalize().into_bytes().into())
        }
        _ => false,
    }
}

fn header(request: &Request, name: &str) -> String {
    request.header(name).unwrap_or_default()
}

fn hex(digest: [u8; 16]) -> String {
    format!("{:032x}", u128::from_be_bytes(digest))
}

/// Undoes the escapes of user names and passwords in requests.
fn unescaped(text: &str) -> String {
    let mut pieces = text.split('%');
    let mut plain = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let (code, rest) = piece.split_at(2);
        plain.push(u8::from_str_radix(code, 16).expect("two hexadecimal digits").into());
        plain.push_str(rest);
    }
    plain
}

fn files(directory: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(directory).into_iter().flatten();
    entries.map(|entry| entry.expect("a directory is readable").path()).collect()
}
