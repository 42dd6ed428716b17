//! Everyday sessions with Python's imaplib and poplib, which believe nothing that the protocols do not say.

use crate::stage::{Authority, Stage};

#[test]
fn imaplib_works_on_mailboxes_as_if_there_were_no_proxy() {
    let program = r#"
box = imaplib.IMAP4(*IMAP, timeout=10)
assert box.capabilities == ("IMAP4REV1", "UIDPLUS", "IDLE", "LITERAL+", "SASL-IR", "AUTH=PLAIN", "AUTH=LOGIN",
    "AUTH=CRAM-MD5", "AUTH=XOAUTH2", "AUTH=OAUTHBEARER"), box.capabilities
box.login(*ANN)
assert "NAMESPACE" in box.capability()[1][0].decode(), "the upstream's own capabilities come after the login"
for name in "Sent", "Sent.2026", '"with space"':
    assert box.create(name)[0] == "OK"
names = sorted(line.decode().rsplit('"." ', 1)[1] for line in box.list()[1])
assert names == ['"with space"', "INBOX", "Sent", "Sent.2026"], names
for number in range(20):
    message = f"Subject: number {number}\r\n\r\nbody {number}\r\n".encode()
    assert box.append("Sent", None, None, message)[0] == "OK"
assert box.select("Sent")[1] == [b"20"]
assert box.search(None, "SUBJECT", '"number 7"')[1] == [b"8"]
assert box.uid("COPY", "8:9", '"with space"')[0] == "OK"
assert box.store("1:3", "+FLAGS", r"(\Deleted)")[0] == "OK"
assert len(box.expunge()[1]) == 3
assert box.fetch("1", "(BODY[TEXT])")[1][0][1] == b"body 3\r\n"
assert box.status('"with space"', "(MESSAGES)")[1] == [b'"with space" (MESSAGES 2)']
try:
    box.select("nowhere")
    assert box.state == "AUTH"
finally:
    box.logout()
"#;
    for authority in [Authority::Server, Authority::File] {
        Stage::start(authority).python(program, &[]).succeeded();
    }
}

#[test]
fn poplib_reads_and_deletes() {
    let program = r#"
box = imaplib.IMAP4(*IMAP, timeout=10)
box.login(*BOB)
for number in range(5):
    box.append("INBOX", None, None, f"Subject: {number}\r\n\r\n.dot\r\n..\r\nbody {number}\r\n".encode())
box.logout()

def login():
    drop = poplib.POP3(*POP3, timeout=10)
    capabilities = drop.capa()
    assert set(capabilities["SASL"]) == {"PLAIN", "LOGIN", "CRAM-MD5", "XOAUTH2", "OAUTHBEARER"}, capabilities
    drop.user(BOB[0])
    drop.pass_(BOB[1])
    return drop

drop = login()
assert drop.stat()[0] == 5
names = [line.split()[1] for line in drop.uidl()[1]]
assert len(set(names)) == 5
assert drop.uidl(2).split()[2] == names[1]
assert len(drop.list()[1]) == 5
assert drop.retr(3)[1] == [b"Subject: 2", b"", b".dot", b"..", b"body 2"]
assert drop.top(3, 1)[1] == [b"Subject: 2", b"", b".dot"]
drop.dele(1)
drop.dele(3)
drop.rset()
drop.dele(2)
assert drop.noop() == b"+OK"
drop.quit()

drop = login()
assert [line.split()[1] for line in drop.uidl()[1]] == names[:1] + names[2:]
assert drop.retr(2)[1][-1] == b"body 2"
drop.quit()
"#;
    for authority in [Authority::Server, Authority::File] {
        Stage::start(authority).python(program, &[]).succeeded();
    }
}

#[test]
fn imaplib_and_smtplib_log_in_by_token() {
    let program = r#"
token = MORE[0]
def xoauth2(user):
    return f"user={user}\1auth=Bearer {token}\1\1"
def oauthbearer(user):
    return f"n,a={user},\1host=gate\1port=143\1auth=Bearer {token}\1\1"
for name, response in ("XOAUTH2", xoauth2), ("OAUTHBEARER", oauthbearer):
    for user in "ann", "bob":
        box = imaplib.IMAP4(*IMAP, timeout=10)
        box.authenticate(name, lambda _: response(user).encode())
        assert box.select()[0] == "OK"
        box.logout()
        for initial in True, False:
            with smtplib.SMTP(*SMTP, timeout=10) as out:
                out.ehlo()
                assert out.auth(name, lambda _=None: response(user), initial_response_ok=initial)[0] == 235
                assert out.noop()[0] == 250
"#;
    Stage::start(Authority::Server).python(program, &[crate::stage::TOKEN]).succeeded();
}
