//! Dovecot as IMAP and POP3 backend.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use tempfile::TempDir;

use super::{OWNER, account, directory, owned};
use crate::pki::Identity;
use crate::{Process, port};

/// A running Dovecot with mailboxes of its own and every mechanism that the proxy can use.
#[derive(Debug)]
pub struct Dovecot {
    _process: Process,
    directory: TempDir,
    places: Places,
    users: Vec<String>,
}

/// Where it listens.
#[derive(Clone, Copy, Debug)]
struct Places {
    imap: SocketAddr,
    pop3: SocketAddr,
    tls: Option<TlsPlaces>,
    headed: Option<HeadedPlaces>,
}

/// Where it listens for TLS from the first byte on.
#[derive(Clone, Copy, Debug)]
struct TlsPlaces {
    imaps: SocketAddr,
    pop3s: SocketAddr,
}

/// Where it wants a PROXY header before everything else.
#[derive(Clone, Copy, Debug)]
struct HeadedPlaces {
    imap: SocketAddr,
    pop3: SocketAddr,
}

/// A Dovecot to be started.
#[derive(Debug)]
#[must_use = "nothing runs before it is started"]
pub struct DovecotSetup<'a> {
    users: &'a [(&'a str, &'a str)],
    tls: Option<&'a Identity>,
    behind_proxies: bool,
}

impl<'a> DovecotSetup<'a> {
    /// Shows this certificate, and offers STARTTLS and STLS too. Logins in clear stay allowed.
    pub fn tls(self, identity: &'a Identity) -> Self {
        Self { tls: Some(identity), ..self }
    }

    /// Believes what proxies on this machine say of their clients: by ID and XCLIENT, and by PROXY headers at places of
    /// their own.
    pub fn behind_proxies(self) -> Self {
        Self { behind_proxies: true, ..self }
    }

    /// Starts Dovecot and waits until it listens.
    #[track_caller]
    pub fn start(self) -> Dovecot {
        let directory = directory();
        let places = Places::free(self.tls.is_some(), self.behind_proxies);
        owned(&directory.path().join("mail"), OWNER, None);
        let lines = self.users.iter().map(|(user, password)| format!("{user}:{{PLAIN}}{password}"));
        write(&directory, "users", &lines.collect::<Vec<_>>().join("\n"));
        write(&directory, "conf", &configuration(&directory, places, self.tls));
        let process = launch(&directory);
        let ready = process.wait_until(|| places.all().all(port::listens));
        let users = self.users.iter().map(|(user, _)| (*user).to_owned()).collect();
        let dovecot = Dovecot { _process: process, directory, places, users };
        if let Err(why) = ready {
            panic!("{why}\n{}", dovecot.log());
        }
        dovecot
    }
}

impl Places {
    fn free(tls: bool, headed: bool) -> Self {
        let tls = tls.then(|| TlsPlaces { imaps: port::free(), pop3s: port::free() });
        let headed = headed.then(|| HeadedPlaces { imap: port::free(), pop3: port::free() });
        Self { imap: port::free(), pop3: port::free(), tls, headed }
    }

    fn all(self) -> impl Iterator<Item = SocketAddr> {
        let tls = self.tls.into_iter().flat_map(|tls| [tls.imaps, tls.pop3s]);
        let headed = self.headed.into_iter().flat_map(|headed| [headed.imap, headed.pop3]);
        [self.imap, self.pop3].into_iter().chain(tls).chain(headed)
    }
}

impl Dovecot {
    /// Starts Dovecot with these users and clear-text passwords, and waits until it listens.
    ///
    /// Mailboxes are empty until mail is appended or delivered to [`Dovecot::maildir`].
    #[track_caller]
    pub fn start(users: &[(&str, &str)]) -> Self {
        Self::setup(users).start()
    }

    /// The same, for more to be said before it starts.
    pub fn setup<'a>(users: &'a [(&'a str, &'a str)]) -> DovecotSetup<'a> {
        DovecotSetup { users, tls: None, behind_proxies: false }
    }

    /// Where it speaks IMAP.
    pub fn imap(&self) -> SocketAddr {
        self.places.imap
    }

    /// Where it speaks POP3.
    pub fn pop3(&self) -> SocketAddr {
        self.places.pop3
    }

    /// Where it speaks IMAP over TLS.
    #[track_caller]
    pub fn imaps(&self) -> SocketAddr {
        self.places.tls.expect("it was set up with TLS").imaps
    }

    /// Where it speaks POP3 over TLS.
    #[track_caller]
    pub fn pop3s(&self) -> SocketAddr {
        self.places.tls.expect("it was set up with TLS").pop3s
    }

    /// Where it speaks IMAP behind a PROXY header.
    #[track_caller]
    pub fn headed_imap(&self) -> SocketAddr {
        self.places.headed.expect("it was set up behind proxies").imap
    }

    /// Where it speaks POP3 behind a PROXY header.
    #[track_caller]
    pub fn headed_pop3(&self) -> SocketAddr {
        self.places.headed.expect("it was set up behind proxies").pop3
    }

    /// The inbox of a user, in maildir form. [`Postfix`](super::Postfix) can deliver there.
    pub fn maildir(&self, user: &str) -> PathBuf {
        self.directory.path().join("mail").join(user).join("Maildir")
    }

    /// The names of its users.
    pub(super) fn users(&self) -> impl Iterator<Item = &str> {
        self.users.iter().map(String::as_str)
    }

    /// The directory above all users' directories.
    pub(super) fn mail(&self) -> PathBuf {
        self.directory.path().join("mail")
    }

    /// The socket on which Postfix can ask whether a password is right.
    pub(super) fn auth_socket(&self) -> PathBuf {
        self.directory.path().join("run/auth-postfix")
    }

    /// Its log up to now.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.directory.path().join("log")).unwrap_or_default()
    }
}

fn write(directory: &TempDir, file: &str, text: &str) {
    std::fs::write(directory.path().join(file), text).expect("the directory is writable");
}

fn launch(directory: &TempDir) -> Process {
    Process::start(
        Command::new("/usr/sbin/dovecot")
            .arg("-F")
            .arg("-c")
            .arg(directory.path().join("conf"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null()),
    )
}

fn configuration(directory: &TempDir, places: Places, identity: Option<&Identity>) -> String {
    let (uid, gid) = account(OWNER);
    format!(
        r"
base_dir = {dir}/run
state_dir = {dir}/state
log_path = {dir}/log
protocols = imap pop3
listen = {host}
{tls}
{trust}
disable_plaintext_auth = no
auth_mechanisms = plain login cram-md5 digest-md5 apop external
auth_ssl_username_from_cert = no
# A refusal is told at once and not after two seconds; the log says why.
auth_failure_delay = 0
auth_verbose = yes
passdb {{
  driver = passwd-file
  args = {dir}/users
}}
userdb {{
  driver = static
  args = uid={uid} gid={gid} home={dir}/mail/%u
}}
first_valid_uid = {uid}
first_valid_gid = {gid}
mail_location = maildir:~/Maildir
# Nothing has to survive the test.
mail_fsync = never
# New mail is told to an idle client at once.
mailbox_idle_check_interval = 1 s
service imap-login {{
  chroot =
  inet_listener imap {{
    address = {host}
    port = {imap}
  }}
  {imaps}
  {headed_imap}
}}
service pop3-login {{
  chroot =
  inet_listener pop3 {{
    address = {host}
    port = {pop3}
  }}
  {pop3s}
  {headed_pop3}
}}
service anvil {{
  chroot =
  # Nor do refusals make later logins from the same address wait.
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
service auth {{
  unix_listener auth-postfix {{
    mode = 0666
  }}
}}
",
        dir = directory.path().display(),
        host = places.imap.ip(),
        imap = places.imap.port(),
        pop3 = places.pop3.port(),
        tls = identity.map_or_else(|| "ssl = no".to_owned(), tls),
        trust = if places.headed.is_some() { TRUST } else { "" },
        headed_imap = headed_listener("imap", places.headed.map(|headed| headed.imap)),
        headed_pop3 = headed_listener("pop3", places.headed.map(|headed| headed.pop3)),
        imaps = tls_listener("imaps", places.tls.map(|tls| tls.imaps)),
        pop3s = tls_listener("pop3s", places.tls.map(|tls| tls.pop3s)),
    )
}

fn tls(identity: &Identity) -> String {
    format!(
        "ssl = yes\nssl_cert = <{}\nssl_key = <{}",
        identity.certificate().display(),
        identity.key().display()
    )
}

/// Whose word it believes; and it tells what it was told.
const TRUST: &str =
    "login_trusted_networks = 127.0.0.0/8\nhaproxy_trusted_networks = 127.0.0.0/8\nauth_debug = yes";

fn headed_listener(protocol: &str, at: Option<SocketAddr>) -> String {
    let listener = |at: SocketAddr| {
        let (ip, port) = (at.ip(), at.port());
        format!(
            "inet_listener {protocol}_headed {{\n    address = {ip}\n    port = {port}\n    haproxy = yes\n  }}"
        )
    };
    at.map(listener).unwrap_or_default()
}

/// Dovecot has these listeners of itself; port 0 is how to have none.
fn tls_listener(name: &str, at: Option<SocketAddr>) -> String {
    let how = at.map_or_else(
        || "port = 0".to_owned(),
        |at| format!("address = {}\n    port = {}\n    ssl = yes", at.ip(), at.port()),
    );
    format!("inet_listener {name} {{\n    {how}\n  }}")
}
