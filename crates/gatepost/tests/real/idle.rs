//! What the upstream says of its own accord.

use crate::stage::{Authority, Stage};

#[test]
fn an_idle_client_hears_of_mail_that_arrives() {
    let program = r#"
box = imaplib.IMAP4(*IMAP, timeout=10)
box.login(*BOB)
box.select()
box.send(b"x IDLE\r\n")
assert box.readline() == b"+ idling\r\n"
for count in 1, 2:
    with smtplib.SMTP(*SMTP, timeout=10) as out:
        out.login(*ANN)
        out.sendmail("ann@example.test", ["bob@example.test"], b"Subject: hello\r\n\r\nbody\r\n")
    # "Still here" comes only after two minutes.
    while (line := box.readline()) != b"* %d EXISTS\r\n" % count:
        assert line.endswith(b" RECENT\r\n"), line
assert box.readline() == b"* 2 RECENT\r\n"
box.send(b"DONE\r\n")
assert box.readline().startswith(b"x OK Idle completed")
assert box.search(None, "SUBJECT", "hello")[1] == [b"1 2"]
box.logout()
"#;
    Stage::start(Authority::Server).python(program, &[]).succeeded();
}
