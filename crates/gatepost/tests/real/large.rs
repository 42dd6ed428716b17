//! Twenty megabytes in both directions, byte for byte.

use crate::message;
use crate::stage::{Authority, Stage};

/// Both are 20 MB long, and a report of them helps nobody.
#[track_caller]
fn same(left: &[u8], right: &[u8]) {
    let differs = || left.iter().zip(right).position(|(left, right)| left != right);
    assert!(left == right, "{} and {} bytes, alike up to {:?}", left.len(), right.len(), differs());
}

#[test]
fn twenty_megabytes_appended_by_curl_are_fetched_unchanged_over_imap_and_pop3() {
    let stage = Stage::start(Authority::Server);
    let message = message::large();
    let file = stage.write("large", &message);
    let inbox = format!("{}/INBOX", stage.url("imap"));
    stage.curl(&["-T", &file.to_string_lossy(), &inbox]).succeeded();
    same(&stage.inbox("ann")[0], &message::on_disk(&message));
    let fetched = stage.curl(&[&format!("{inbox};MAILINDEX=1")]).succeeded();
    same(&fetched.stdout, &message);
    let fetched = stage.curl(&[&format!("{}/1", stage.url("pop3"))]).succeeded();
    same(&fetched.stdout, &message);
}

#[test]
fn python_appends_and_fetches_twenty_megabytes() {
    let stage = Stage::start(Authority::File);
    let file = stage.write("large", message::large());
    let program = r#"
message = open(MORE[0], "rb").read()
box = imaplib.IMAP4(*IMAP, timeout=10)
box.login(*ANN)
assert box.append("INBOX", r"(\Seen)", None, message)[0] == "OK"
assert box.select()[1] == [b"1"]
data = box.fetch("1", "(BODY.PEEK[])")[1]
assert hashlib.sha256(data[0][1]).digest() == hashlib.sha256(message).digest()
box.logout()
"#;
    stage.python(program, &[&file.to_string_lossy()]).succeeded();
}

#[test]
fn twenty_megabytes_submitted_by_curl_arrive_unchanged() {
    let stage = Stage::start(Authority::Server);
    let message = message::large();
    let file = stage.write("large", &message);
    let envelope = ["--mail-from", "ann@example.test", "--mail-rcpt", "bob@example.test"];
    let url = stage.url("smtp");
    stage.curl(&[&envelope[..], &["-T", &file.to_string_lossy(), &url]].concat()).succeeded();
    stage.postfix.wait_for_log("status=sent");
    // Postfix has put lines of its own above.
    let delivered = &stage.inbox("bob")[0];
    let sent = message::on_disk(&message);
    same(&delivered[delivered.len() - sent.len()..], &sent);
}
