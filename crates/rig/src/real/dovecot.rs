//! Dovecot as IMAP and POP3 backend.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use tempfile::TempDir;

use super::{OWNER, account, directory, owned};
use crate::{Process, port};

/// A running Dovecot with mailboxes of its own, in clear, with every mechanism that the proxy can use.
#[derive(Debug)]
pub struct Dovecot {
    _process: Process,
    directory: TempDir,
    imap: SocketAddr,
    pop3: SocketAddr,
    users: Vec<String>,
}

impl Dovecot {
    /// Starts Dovecot with these users and clear-text passwords, and waits until it listens.
    ///
    /// Mailboxes are empty until mail is appended or delivered to [`Dovecot::maildir`].
    #[track_caller]
    pub fn start(users: &[(&str, &str)]) -> Self {
        let directory = directory();
        let (imap, pop3) = (port::free(), port::free());
        owned(&directory.path().join("mail"), OWNER, None);
        let lines = users.iter().map(|(user, password)| format!("{user}:{{PLAIN}}{password}"));
        write(&directory, "users", &lines.collect::<Vec<_>>().join("\n"));
        write(&directory, "conf", &configuration(&directory, imap, pop3));
        let process = launch(&directory);
        let ready = process.wait_until(|| port::listens(imap) && port::listens(pop3));
        let users = users.iter().map(|(user, _)| (*user).to_owned()).collect();
        let dovecot = Self { _process: process, directory, imap, pop3, users };
        if let Err(why) = ready {
            panic!("{why}\n{}", dovecot.log());
        }
        dovecot
    }

    /// Where it speaks IMAP.
    pub fn imap(&self) -> SocketAddr {
        self.imap
    }

    /// Where it speaks POP3.
    pub fn pop3(&self) -> SocketAddr {
        self.pop3
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

fn configuration(directory: &TempDir, imap: SocketAddr, pop3: SocketAddr) -> String {
    let (uid, gid) = account(OWNER);
    format!(
        r"
base_dir = {dir}/run
state_dir = {dir}/state
log_path = {dir}/log
protocols = imap pop3
listen = {host}
ssl = no
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
# New mail is told to an idle client at once.
mailbox_idle_check_interval = 1 s
service imap-login {{
  chroot =
  inet_listener imap {{
    address = {host}
    port = {imap}
  }}
  inet_listener imaps {{
    port = 0
  }}
}}
service pop3-login {{
  chroot =
  inet_listener pop3 {{
    address = {host}
    port = {pop3}
  }}
  inet_listener pop3s {{
    port = 0
  }}
}}
service anvil {{
  chroot =
}}
service auth {{
  unix_listener auth-postfix {{
    mode = 0666
  }}
}}
",
        dir = directory.path().display(),
        host = imap.ip(),
        imap = imap.port(),
        pop3 = pop3.port(),
    )
}
