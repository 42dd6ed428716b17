//! Postfix as SMTP backend.

use std::fs::File;
use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::UNIX_EPOCH;

use tempfile::TempDir;

use super::{Dovecot, OWNER, account, directory, owned};
use crate::pki::Identity;
use crate::{Process, port};

const DOMAIN: &str = Postfix::DOMAIN;

/// Directories of the queue, which every daemon expects to be there.
const QUEUE: [&str; 10] =
    ["active", "bounce", "corrupt", "defer", "deferred", "flush", "hold", "incoming", "saved", "trace"];

/// A running Postfix that believes XCLIENT from loopback, knows SMTP AUTH, and delivers to a Dovecot's mailboxes.
#[derive(Debug)]
pub struct Postfix {
    process: Process,
    directory: TempDir,
    smtp: SocketAddr,
    smtps: Option<SocketAddr>,
    headed: Option<SocketAddr>,
}

/// A Postfix to be started.
#[derive(Debug)]
#[must_use = "nothing runs before it is started"]
pub struct PostfixSetup<'a> {
    dovecot: &'a Dovecot,
    tls: Option<&'a Identity>,
    behind_proxies: bool,
}

impl<'a> PostfixSetup<'a> {
    /// Shows this certificate, and offers STARTTLS too. Mail in clear stays allowed.
    pub fn tls(self, identity: &'a Identity) -> Self {
        Self { tls: Some(identity), ..self }
    }

    /// Wants PROXY headers at a place of their own, and logs ports of clients. (XCLIENT it always believes.)
    pub fn behind_proxies(self) -> Self {
        Self { behind_proxies: true, ..self }
    }

    /// Starts Postfix and waits until it listens.
    #[track_caller]
    pub fn start(self) -> Postfix {
        let directory = directory();
        let smtp = port::free();
        let smtps = self.tls.map(|_| port::free());
        let headed = self.behind_proxies.then(port::free);
        lay_out(directory.path());
        write(&directory, "master.cf", &master_cf(smtp, smtps, headed));
        let tls = self.tls.map(tls).unwrap_or_default();
        let ports = if self.behind_proxies { "smtpd_client_port_logging = yes\n" } else { "" };
        write(&directory, "main.cf", &(main_cf(directory.path(), self.dovecot) + &tls + ports));
        let process = launch(directory.path());
        let ready =
            process.wait_until(|| [Some(smtp), smtps, headed].into_iter().flatten().all(port::listens));
        let postfix = Postfix { process, directory, smtp, smtps, headed };
        if let Err(why) = ready {
            panic!("{why}\n{}\n{}", postfix.log(), postfix.read("stderr"));
        }
        postfix
    }
}

impl Postfix {
    /// The domain whose mail it delivers: `user@example.test` to the Dovecot user `user`.
    pub const DOMAIN: &str = "example.test";

    /// Starts Postfix in front of `dovecot`'s users and mailboxes, and waits until it listens.
    #[track_caller]
    pub fn start(dovecot: &Dovecot) -> Self {
        Self::setup(dovecot).start()
    }

    /// The same, for more to be said before it starts.
    pub fn setup(dovecot: &Dovecot) -> PostfixSetup<'_> {
        PostfixSetup { dovecot, tls: None, behind_proxies: false }
    }

    /// Where it speaks SMTP.
    pub fn smtp(&self) -> SocketAddr {
        self.smtp
    }

    /// Where it speaks SMTP over TLS.
    #[track_caller]
    pub fn smtps(&self) -> SocketAddr {
        self.smtps.expect("it was set up with TLS")
    }

    /// Where it speaks SMTP behind a PROXY header.
    #[track_caller]
    pub fn headed_smtp(&self) -> SocketAddr {
        self.headed.expect("it was set up behind proxies")
    }

    /// Its log up to now.
    pub fn log(&self) -> String {
        self.read("log")
    }

    /// Waits until the log contains `text`, then returns all of it. Postfix delivers and logs after it has answered.
    #[track_caller]
    pub fn wait_for_log(&self, text: &str) -> String {
        let found = self.process.wait_until(|| self.log().contains(text));
        let log = self.log();
        assert!(found.is_ok(), "no {text:?} in the log\n{log}");
        log
    }

    /// Waits until `count` messages have gone through the queue and out of it, then returns all of the log.
    #[track_caller]
    pub fn wait_for_removed(&self, count: usize) -> String {
        let gone = self.process.wait_until(|| self.log().matches(": removed\n").count() >= count);
        let log = self.log();
        assert!(gone.is_ok(), "fewer than {count} messages went through\n{log}");
        log
    }

    fn read(&self, file: &str) -> String {
        std::fs::read_to_string(self.directory.path().join(file)).unwrap_or_default()
    }
}

/// Writes a configuration file that looks old: Postfix waits for two seconds if somebody might still be editing.
fn write(directory: &TempDir, name: &str, text: &str) {
    let mut file = File::create(directory.path().join("conf").join(name)).expect("the directory is writable");
    let written = file.write_all(text.as_bytes()).and_then(|()| file.set_modified(UNIX_EPOCH));
    written.expect("the file is writable");
}

/// The queue, with the owners that Postfix's own installation gives it.
fn lay_out(directory: &Path) {
    std::fs::create_dir(directory.join("conf")).expect("the directory is writable");
    owned(&directory.join("data"), "postfix", None);
    let queue = directory.join("queue");
    owned(&queue, "root", None);
    owned(&queue.join("pid"), "root", None);
    owned(&queue.join("private"), "postfix", Some("root"));
    for name in ["public", "maildrop"] {
        owned(&queue.join(name), "postfix", Some("postdrop"));
    }
    for name in QUEUE {
        owned(&queue.join(name), "postfix", Some("root"));
    }
}

/// The master itself, without the shell scripts around it; `-d` keeps it in the foreground.
fn launch(directory: &Path) -> Process {
    Process::start(
        Command::new("/usr/lib/postfix/sbin/master")
            .arg("-c")
            .arg(directory.join("conf"))
            .arg("-d")
            // It looks for its own name here.
            .env("MAIL_CONFIG", directory.join("conf"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(directory.join("stderr")).expect("the directory is writable")),
    )
}

fn main_cf(directory: &Path, dovecot: &Dovecot) -> String {
    let (uid, gid) = account(OWNER);
    let mailboxes = dovecot.users().map(|user| format!("{{ {user}@{DOMAIN} = {user}/Maildir/ }}"));
    let mailboxes = mailboxes.collect::<Vec<_>>().join(", ");
    format!(
        r"
compatibility_level = 3.6
queue_directory = {dir}/queue
data_directory = {dir}/data
maillog_file = {dir}/log
maillog_file_prefixes = {dir}
# The one listener names its own address; Postfix would refuse it here, as no interface has it.
inet_interfaces = all
inet_protocols = ipv4
myhostname = postfix.{DOMAIN}
mydestination =
mynetworks =
alias_maps =
alias_database =
biff = no
# No DNS: nothing outside this machine is asked.
smtp_host_lookup = native
disable_dns_lookups = yes
smtpd_peername_lookup = no
# A refusal is told at once and not after a second.
smtpd_error_sleep_time = 0
smtpd_authorized_xclient_hosts = 127.0.0.0/8
smtpd_relay_restrictions = permit_sasl_authenticated, reject_unauth_destination
smtpd_sasl_auth_enable = yes
smtpd_sasl_type = dovecot
smtpd_sasl_path = {auth}
message_size_limit = 50000000
virtual_mailbox_limit = 0
virtual_mailbox_domains = {DOMAIN}
virtual_mailbox_base = {mail}
virtual_mailbox_maps = inline:{{ {mailboxes} }}
virtual_minimum_uid = 1
virtual_uid_maps = static:{uid}
virtual_gid_maps = static:{gid}
",
        dir = directory.display(),
        auth = dovecot.auth_socket().display(),
        mail = dovecot.mail().display(),
    )
}

fn tls(identity: &Identity) -> String {
    format!(
        r"
smtpd_tls_security_level = may
smtpd_tls_cert_file = {certificate}
smtpd_tls_key_file = {key}
smtpd_tls_loglevel = 1
",
        certificate = identity.certificate().display(),
        key = identity.key().display(),
    )
}

/// The services that receive and deliver, none of them in a chroot.
fn master_cf(smtp: SocketAddr, smtps: Option<SocketAddr>, headed: Option<SocketAddr>) -> String {
    let smtps = smtps.map(|at| format!("{at} inet n - n - - smtpd -o smtpd_tls_wrappermode=yes"));
    let headed =
        headed.map(|at| format!("{at} inet n - n - - smtpd -o smtpd_upstream_proxy_protocol=haproxy"));
    format!(
        r"
{smtp} inet n - n - - smtpd
{smtps}
{headed}
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
proxymap unix - - n - - proxymap
error unix - - n - - error
retry unix - - n - - error
virtual unix - n n - - virtual
anvil unix - - n - 1 anvil
tlsmgr unix - - n 1000? 1 tlsmgr
postlog unix-dgram n - n - 1 postlogd
",
        smtps = smtps.unwrap_or_default(),
        headed = headed.unwrap_or_default(),
    )
}
