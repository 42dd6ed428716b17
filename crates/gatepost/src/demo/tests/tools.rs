//! The demo store and real software: Python's mail modules and curl, as the printed text advertises.

use std::process::{Command, Stdio};

use super::*;

/// Runs a program on a thread of its own, so that the store can serve it, and returns what it printed.
async fn output(mut command: Command) -> String {
    let run = move || command.stdin(Stdio::null()).output();
    let output = tokio::task::spawn_blocking(run).await.expect("no panic").expect("the program is installed");
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{}\n{out}\n{err}", output.status);
    out.into_owned()
}

async fn python(script: &str, store: &Backends) {
    let mut command = Command::new("python3");
    command.arg("-c").arg(script);
    command.args([store.imap, store.pop3, store.smtp].map(|address| address.port().to_string()));
    output(command).await;
}

async fn curl(arguments: &[&str]) -> String {
    let mut command = Command::new("curl");
    command.args(["--silent", "--show-error", "--max-time", "20", "--noproxy", "*"]).args(arguments);
    output(command).await
}

#[tokio::test]
async fn python_lists_fetches_searches_and_appends() {
    let script = r#"
import imaplib, sys, time
box = imaplib.IMAP4("127.0.0.1", int(sys.argv[1]), timeout=10)
assert box.login("alice", "wonder" + "land")[0] == "OK"
assert b'() "/" "INBOX"' in box.list()[1]
assert box.select("INBOX")[1] == [b"3"]
assert box.search(None, "UNSEEN", "FROM", '"bob"')[1] == [b"2"]
assert b"Subject: Lunch" in box.fetch("2", "(RFC822)")[1][0][1]
message = b"Subject: large\r\n\r\n" + b"0123456789abcdef\r\n" * 1200000
kind, answer = box.append("Sent", r"(\Seen)", imaplib.Time2Internaldate(time.time()), message)
assert kind == "OK" and b"APPENDUID" in answer[0], answer
assert box.select("Sent")[1] == [b"1"]
assert box.fetch("1", "(BODY.PEEK[])")[1][0][1] == message
assert box.uid("STORE", "1", "+FLAGS", r"(\Deleted)")[0] == "OK"
assert box.expunge()[1] == [b"1"]
assert box.authenticate is not None and box.logout()[0] == "BYE"
"#;
    python(script, &store().await).await;
}

#[tokio::test]
async fn python_sends_and_an_idle_client_hears_of_it_and_pop3_reads_it() {
    let script = r#"
import imaplib, poplib, smtplib, sys
from email.message import EmailMessage
imap, pop3, smtp = map(int, sys.argv[1:])

box = imaplib.IMAP4("127.0.0.1", imap, timeout=10)
box.authenticate("PLAIN", lambda _: b"\0bob\0builder")
box.select("INBOX")
box.send(b"x IDLE\r\n")
assert box.readline().startswith(b"+ ")

message = EmailMessage()
message["From"], message["To"], message["Subject"] = "alice@example.org", "bob@example.org", "to you"
message.set_content(".one dot\n..two dots\n")
with smtplib.SMTP("127.0.0.1", smtp, timeout=10) as out:
    out.login("alice", "wonderland")
    assert out.send_message(message) == {}
    try:
        out.sendmail("alice@example.org", ["carol@example.org"], b"x")
        raise SystemExit("a stranger got mail")
    except smtplib.SMTPRecipientsRefused as refused:
        assert refused.recipients["carol@example.org"][0] == 550

assert box.readline() == b"* 3 EXISTS\r\n"
assert box.readline().startswith(b"* 3 RECENT")
box.send(b"DONE\r\n")
assert box.readline().startswith(b"x OK")

drop = poplib.POP3("127.0.0.1", pop3, timeout=10)
drop.user("bob")
drop.pass_("builder")
count, size = drop.stat()
assert count == 3
lines = drop.retr(3)[1]
assert b"Subject: to you" in lines and b".one dot" in lines and b"..two dots" in lines, lines
assert "UIDL" in drop.capa() and len(drop.uidl()[1]) == 3
drop.dele(3)
drop.quit()
box.noop()
assert box.untagged_responses["EXPUNGE"] == [b"3"]
"#;
    python(script, &store().await).await;
}

#[tokio::test]
async fn the_curl_lines_of_the_text_work() {
    let store = store().await;
    let imap = format!("imap://{}", store.imap);
    let pop3 = format!("pop3://{}", store.pop3);
    let smtp = format!("smtp://{}", store.smtp);
    let alice = ["-u", "alice:wonderland"];

    let list = curl(&[&alice[..], &[&format!("{imap}/")]].concat()).await;
    assert!(list.contains("* LIST () \"/\" \"INBOX\""), "{list}");
    let inbox = format!("{imap}/INBOX");
    let fetched = curl(&[&alice[..], &[&inbox, "-X", "FETCH 1:* (FLAGS ENVELOPE)"]].concat()).await;
    assert!(fetched.contains("* 3 FETCH (FLAGS ("), "{fetched}");
    let first = curl(&[&alice[..], &[&format!("{imap}/INBOX;MAILINDEX=1")]].concat()).await;
    assert!(first.contains("\r\nSubject: Welcome to the demo\r\n"), "{first}");
    let over_pop3 = curl(&[&alice[..], &[&format!("{pop3}/1")]].concat()).await;
    assert_eq!(over_pop3, first);
    assert_eq!(curl(&[&alice[..], &[&format!("{pop3}/")]].concat()).await.lines().count(), 3);

    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), "From: alice@example.org\r\nSubject: hello\r\n\r\nHello, Bob!\r\n")
        .expect("written");
    let path = file.path().to_str().expect("a plain path");
    let envelope = ["--mail-from", "alice@example.org", "--mail-rcpt", "bob@example.org", "-T", path];
    curl(&[&alice[..], &[&smtp], &envelope].concat()).await;
    let received = curl(&["-u", "bob:builder", &format!("{imap}/INBOX;MAILINDEX=3")]).await;
    assert!(received.ends_with("\r\nSubject: hello\r\n\r\nHello, Bob!\r\n"), "{received}");
}
