//! mbsync keeps two mailboxes alike, fetchmail fetches.

use std::fs::File;
use std::path::Path;
use std::process::Command;
use std::time::UNIX_EPOCH;

use rig::tool::{self, Ran};

use crate::stage::{Authority, Stage};

fn mbsync(stage: &Stage, mechanism: &str) -> Command {
    let at = stage.at("imap");
    let near = stage.path("near");
    let configuration = format!(
        r#"
FSync no

IMAPAccount gate
Host {host}
Port {port}
User ann
Pass "secret one"
SSLType None
AuthMechs {mechanism}

IMAPStore far
Account gate

MaildirStore near
Path {near}/
Inbox {near}/INBOX
SubFolders Verbatim

Channel all
Far :far:
Near :near:
Patterns *
Create Both
Expunge Both
SyncState *
"#,
        host = at.ip(),
        port = at.port(),
        near = near.display(),
    );
    std::fs::create_dir_all(&near).expect("the directory is writable");
    let file = stage.write("mbsyncrc", configuration);
    let mut command = stage.command("mbsync");
    command.arg("-c").arg(file).arg("all");
    command
}

/// The directories of a maildir.
const PARTS: [&str; 3] = ["new", "cur", "tmp"];

/// Makes a maildir look old: mbsync waits for seconds if somebody might still be writing there.
fn age(maildir: &Path) {
    for part in PARTS {
        let directory = File::open(maildir.join(part)).expect("the directory is readable");
        directory.set_modified(UNIX_EPOCH).expect("it is ours");
    }
}

/// The messages of a maildir, whatever their file names.
fn messages(maildir: &Path) -> Vec<String> {
    let mut messages: Vec<_> = PARTS
        .iter()
        .flat_map(|part| std::fs::read_dir(maildir.join(part)).into_iter().flatten())
        .map(|entry| std::fs::read_to_string(entry.expect("readable").path()).expect("text"))
        .map(|text| text.rsplit('\n').nth(1).expect("a last line").to_owned())
        .collect();
    messages.sort();
    messages
}

fn expected(numbers: impl IntoIterator<Item = u32>) -> Vec<String> {
    numbers.into_iter().map(|number| format!("body {number:03}")).collect()
}

#[test]
fn mbsync_carries_new_mail_flags_and_deletions_both_ways() {
    for (authority, mechanism) in [(Authority::Server, "LOGIN"), (Authority::File, "CRAM-MD5")] {
        let stage = Stage::start(authority);
        let here = stage.path("near/INBOX");
        let there = stage.dovecot.maildir("ann");
        for part in PARTS {
            std::fs::create_dir_all(here.join(part)).expect("the directory is writable");
        }
        for number in 0..50 {
            let text = format!("Subject: {number}\n\nbody {number:03}\n");
            std::fs::write(here.join(format!("cur/{number}.local:2,S")), text).expect("writable");
        }
        age(&here);
        tool::run(&mut mbsync(&stage, mechanism), &[]).succeeded();
        assert_eq!(messages(&there), expected(0..50));

        let program = r#"
box = imaplib.IMAP4(*IMAP, timeout=10)
box.login(*ANN)
box.select()
assert len(box.search(None, "SEEN")[1][0].split()) == 50
for number in range(50, 60):
    box.append("INBOX", None, None, f"Subject: {number}\r\n\r\nbody {number:03}\r\n".encode())
box.create("Archive")
box.append("Archive", None, None, b"Subject: old\r\n\r\nbody 100\r\n")
first = box.search(None, "SUBJECT", '"0"', "BODY", '"body 000"')[1][0]
box.store(first, "+FLAGS", r"(\Deleted)")
box.expunge()
box.logout()
"#;
        stage.python(program, &[]).succeeded();
        let last = std::fs::read_dir(here.join("cur"))
            .expect("readable")
            .map(|entry| entry.expect("readable").path());
        let last =
            last.into_iter().find(|path| path.to_string_lossy().contains("/49.local")).expect("it is there");
        std::fs::remove_file(last).expect("it can go");
        age(&here);
        tool::run(&mut mbsync(&stage, mechanism), &[]).succeeded();
        let left = expected((1..49).chain(50..60));
        assert_eq!(messages(&here), left);
        assert_eq!(messages(&there), left);
        assert_eq!(messages(&stage.path("near/Archive")), ["body 100"]);
    }
}

/// Runs fetchmail once; what it fetches goes to the end of the file `fetched`.
fn fetchmail(stage: &Stage, protocol: &str, server_options: &str, user_options: &str) -> Ran {
    let at = stage.at(if protocol == "IMAP" { "imap" } else { "pop3" });
    let rc = format!(
        r#"
defaults
poll gate via {host} service {port} protocol {protocol} timeout 10 {server_options}
user "ann" password "secret one" {user_options} no rewrite sslproto "" mda "cat >> {fetched}"
"#,
        host = at.ip(),
        port = at.port(),
        fetched = stage.path("fetched").display(),
    );
    let rc = stage.write("fetchmailrc", rc);
    let private = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(&rc, private).expect("it is ours");
    let mut fetchmail = stage.command("fetchmail");
    fetchmail.env("FETCHMAILHOME", stage.path("")).arg("-f").arg(rc).args(["-v", "--nodetach", "--nosyslog"]);
    tool::run(&mut fetchmail, &[])
}

#[track_caller]
fn fetches_and_keeps(stage: &Stage, protocol: &str, auth: &str) {
    let fetched = stage.path("fetched");
    let _ = std::fs::remove_file(&fetched);
    let _ = std::fs::remove_file(stage.path(".fetchids"));
    fetchmail(stage, protocol, auth, "fetchall keep").succeeded();
    let text = std::fs::read_to_string(fetched).expect("something was fetched");
    for body in ["body one\n", ".dot\n..dots\nbody two\n"] {
        assert!(text.contains(body), "{protocol} {auth}: {text}");
    }
    assert_eq!(stage.inbox("ann").len(), 2, "{protocol} {auth}");
}

#[test]
fn fetchmail_fetches_and_keeps_over_imap_and_pop3() {
    let stage = Stage::start(Authority::Server);
    let program = r#"
box = imaplib.IMAP4(*IMAP, timeout=10)
box.login(*ANN)
for text in "one", "two":
    box.append("INBOX", None, None, f"From: bob@example.test\r\nSubject: {text}\r\n\r\n.dot\r\n..dots\r\nbody {text}\r\n".encode())
"#;
    stage.python(program, &[]).succeeded();
    fetches_and_keeps(&stage, "IMAP", "auth password");
    fetches_and_keeps(&stage, "IMAP", "auth cram-md5");
    assert_eq!(stage.method("imap"), "cram-md5");
    fetches_and_keeps(&stage, "POP3", "auth password");
    fetches_and_keeps(&stage, "APOP", "");
    assert_eq!(stage.method("pop3"), "apop");

    // By UIDL it knows what it has already: one run for new mail, and none is left for the next.
    fetchmail(&stage, "POP3", "uidl", "keep").succeeded();
    let nothing = fetchmail(&stage, "POP3", "uidl", "keep");
    assert_eq!(nothing.status.code(), Some(1), "{}", nothing.text());
    fetchmail(&stage, "POP3", "uidl", "fetchall no keep").succeeded();
    assert!(stage.inbox("ann").is_empty());
}
