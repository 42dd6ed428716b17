//! The real backends by themselves: what fails through a proxy has to work without one.

use std::net::SocketAddr;
use std::process::Command;

use gatepost_rig::pki::{Key, Root};
use gatepost_rig::real::{Dovecot, Postfix};
use gatepost_rig::{Client, tool};

const USERS: &[(&str, &str)] = &[("ann", "secret one"), ("bob", "secret2")];

/// Arguments: port and host, then user and password.
const IMAP: &str = r#"
import imaplib, sys
host, port, user, password = sys.argv[1:]
mail = imaplib.IMAP4(host, int(port))
mail.login_cram_md5(user, password)
mail.append("INBOX", None, None, b"Subject: hello\r\n\r\nbody\r\n")
print(mail.select()[1][0].decode(), mail.fetch("1", "(BODY[TEXT])")[1][0][1])
mail.logout()
"#;

const POP3: &str = r"
import poplib, sys
host, port, user, password = sys.argv[1:]
mail = poplib.POP3(host, int(port))
mail.user(user)
mail.pass_(password)
print(mail.stat()[0], mail.retr(1)[1][-1])
mail.quit()
";

const SMTP: &str = r#"
import smtplib, sys
host, port, user, password, sender, recipient = sys.argv[1:]
mail = smtplib.SMTP(host, int(port))
mail.login(user, password)
mail.sendmail(sender, [recipient], b"Subject: sent\r\n\r\nbody\r\n")
mail.quit()
"#;

#[test]
fn dovecot_lets_python_append_and_read() {
    let dovecot = Dovecot::start(USERS);
    let at = |port: u16| [dovecot.imap().ip().to_string(), port.to_string()];
    let [host, port] = at(dovecot.imap().port());
    let read = tool::python(IMAP, &[&host, &port, "ann", "secret one"]).succeeded();
    assert_eq!(read.text(), "1 b'body\\r\\n'\n");
    let [host, port] = at(dovecot.pop3().port());
    let read = tool::python(POP3, &[&host, &port, "ann", "secret one"]).succeeded();
    assert_eq!(read.text(), "1 b'body'\n");
    assert!(
        dovecot.log().contains("imap-login: Info: Login: user=<ann>, method=CRAM-MD5"),
        "{}",
        dovecot.log()
    );
}

#[test]
fn dovecot_refuses_a_wrong_password() {
    let dovecot = Dovecot::start(USERS);
    let url = format!("imap://{}/INBOX", dovecot.imap());
    let refused = tool::run(Command::new("curl").args(["-sS", "--user", "ann:wrong", &url]), &[]).failed();
    assert!(refused.stderr.contains("67"), "{}", refused.stderr);
}

#[test]
fn postfix_delivers_what_python_sends() {
    let dovecot = Dovecot::start(USERS);
    let postfix = Postfix::start(&dovecot);
    let [host, port] = [postfix.smtp().ip().to_string(), postfix.smtp().port().to_string()];
    let sent =
        tool::python(SMTP, &[&host, &port, "ann", "secret one", "ann@example.test", "bob@example.test"]);
    sent.succeeded();
    let log = postfix.wait_for_log("status=sent (delivered to maildir)");
    assert!(log.contains("sasl_username=ann"), "{log}");
    let new = std::fs::read_dir(dovecot.maildir("bob").join("new")).expect("the mailbox is there");
    assert_eq!(new.count(), 1);
}

#[test]
fn postfix_believes_xclient() {
    let dovecot = Dovecot::start(USERS);
    let postfix = Postfix::start(&dovecot);
    let mut client = Client::connect(postfix.smtp());
    client.expect_prefix("220 postfix.example.test ESMTP");
    client.send("EHLO proxy\r\n");
    let offered = String::from_utf8(client.until("250 CHUNKING\r\n")).expect("text");
    assert!(offered.contains("250-XCLIENT NAME ADDR PROTO HELO REVERSE_NAME PORT LOGIN"), "{offered}");
    client.send("XCLIENT ADDR=192.0.2.7 LOGIN=ann NAME=[UNAVAILABLE]\r\n");
    client.expect_prefix("220 postfix.example.test ESMTP");
    client.send("EHLO c\r\n").until("250 CHUNKING\r\n");
    client.exchange("MAIL FROM:<ann@example.test>\r\n", "250 2.1.0 Ok\r\n");
    client.exchange("RCPT TO:<bob@example.test>\r\n", "250 2.1.5 Ok\r\n");
    postfix.wait_for_log("client=unknown[192.0.2.7], sasl_method=XCLIENT, sasl_username=ann");
}

/// Runs curl as the first user; it trusts `root` alone, and finds `mail.example.test` at `at`.
fn curl_tls(root: &Root, url: &str, at: SocketAddr, options: &[&str]) -> tool::Ran {
    let place = format!("mail.example.test:{}:{}", at.port(), at.ip());
    let mut curl = Command::new("curl");
    curl.args(["-sSv", "--user", "ann:secret one", "--resolve", &place, "--cacert"]).arg(root.certificate());
    tool::run(curl.args(options).arg(format!("{url}://mail.example.test:{}", at.port())), &[])
}

#[test]
fn both_speak_tls_at_once_and_when_asked() {
    let root = Root::new(Key::Ec, "Test root");
    for key in [Key::Ec, Key::Rsa] {
        let identity = root.server(key, &["mail.example.test"]);
        let dovecot = Dovecot::setup(USERS).tls(&identity).start();
        let postfix = Postfix::setup(&dovecot).tls(&identity).start();
        for (url, at) in [
            ("imaps", dovecot.imaps()),
            ("pop3s", dovecot.pop3s()),
            ("smtps", postfix.smtps()),
            ("imap", dovecot.imap()),
            ("pop3", dovecot.pop3()),
            ("smtp", postfix.smtp()),
        ] {
            // Postfix has no HELP, which is what curl would ask otherwise.
            let request = if url.starts_with("smtp") { &["-X", "NOOP"][..] } else { &[] };
            let ran = curl_tls(&root, url, at, &[&["--ssl-reqd"], request].concat()).succeeded();
            assert!(ran.stderr.contains("SSL certificate verify ok."), "{url}: {}", ran.stderr);
        }
        assert!(dovecot.log().contains(", TLS, "), "{}", dovecot.log());
        curl_tls(&root, "imap", dovecot.imap(), &[]).succeeded();
    }
}

#[test]
fn clients_refuse_what_they_cannot_verify() {
    let root = Root::new(Key::Ec, "Test root");
    let identity = root.expired_server(Key::Ec, &["mail.example.test"]);
    let dovecot = Dovecot::setup(USERS).tls(&identity).start();
    let ran = curl_tls(&root, "imaps", dovecot.imaps(), &[]).failed();
    assert!(ran.stderr.contains("certificate has expired"), "{}", ran.stderr);
}
