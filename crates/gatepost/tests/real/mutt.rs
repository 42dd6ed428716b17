//! mutt reads, sends and files.

use std::path::PathBuf;

use rig::tool::{self, Ran};

use crate::stage::{Authority, Stage, TOKEN};

/// Settings without which mutt would ask somebody.
fn settings(stage: &Stage, mechanism: &str) -> PathBuf {
    let text = format!(
        r#"
set from=ann@example.test realname=Ann hostname=laptop.example.test
set imap_user=ann imap_pass="secret one"
set pop_user=ann pop_pass="secret one" pop_delete=no pop_last=no
set smtp_pass="secret one" smtp_url="smtp://ann@{smtp}/" smtp_authenticators="{mechanism}"
set imap_authenticators="{mechanism}:login" pop_authenticators="{mechanism}"
set smtp_oauth_refresh_command="echo '{TOKEN}'"
set ssl_starttls=no ssl_force_tls=no
set record="imap://{imap}/Sent" copy=yes
set folder="{home}" confirmcreate=no confirmappend=no wait_key=no quit=yes delete=yes move=no
set print=yes print_decode=no print_command="cat > '{printed}'"
set sleep_time=0 mail_check=0 header_cache="" message_cachedir=""
"#,
        smtp = stage.at("smtp"),
        imap = stage.at("imap"),
        home = stage.path("").display(),
        printed = stage.path("printed").display(),
    );
    stage.write("muttrc", text)
}

/// Opens a mailbox on a terminal of its own, prints its first message to the file `printed`, and leaves.
fn read(stage: &Stage, mechanism: &str, mailbox: &str) -> Ran {
    let settings = settings(stage, mechanism);
    let _ = std::fs::remove_file(stage.path("printed"));
    let mutt = format!("mutt -F '{}' -e \"push '<print-message><exit>'\" -f '{mailbox}'", settings.display());
    let mut script = stage.command("script");
    script.env("TERM", "xterm").args(["--quiet", "--return", "--command", &mutt, "/dev/null"]);
    tool::run(&mut script, &[])
}

/// What mutt calls mechanisms, and what the auth server calls them. Tokens go by SMTP only, as mutt's IMAP wants TLS for
/// them.
const MECHANISMS: &[(&str, &str)] = &[
    ("login", "plain"),
    ("plain", "plain"),
    ("cram-md5", "cram-md5"),
    ("oauthbearer", "oauthbearer"),
    ("xoauth2", "xoauth2"),
];

#[test]
fn mutt_sends_and_files_a_copy() {
    let stage = Stage::start(Authority::Server);
    for (number, (mechanism, method)) in MECHANISMS.iter().enumerate() {
        let settings = settings(&stage, mechanism);
        let mut mutt = stage.command("mutt");
        mutt.arg("-F").arg(settings).args(["-s", "hello", "--", "bob@example.test"]);
        tool::run(&mut mutt, format!(".\nbody by {mechanism}\n").as_bytes()).succeeded();
        stage.postfix.wait_for_removed(number + 1);
        assert_eq!(stage.method("smtp"), *method);
    }
    let arrived = stage.inbox("bob");
    let filed = stage.mailbox("ann", ".Sent");
    assert_eq!((arrived.len(), filed.len()), (MECHANISMS.len(), MECHANISMS.len()));
    for (mechanism, _) in MECHANISMS {
        let body = format!("\n\n.\nbody by {mechanism}\n");
        for messages in [&arrived, &filed] {
            assert!(messages.iter().any(|message| message.ends_with(body.as_bytes())), "{mechanism}");
        }
    }
}

#[test]
fn mutt_reads_over_imap_and_pop3() {
    let stage = Stage::start(Authority::Server);
    let file =
        stage.write("hello", "From: bob@example.test\r\nSubject: hello\r\n\r\n.dot\r\nGr\u{fc}\u{df}e\r\n");
    stage.curl(&["-T", &file.to_string_lossy(), &format!("{}/INBOX", stage.url("imap"))]).succeeded();
    let look = |protocol: &str, mechanism: &str, mailbox: &str, method: &str| {
        let ran = read(&stage, mechanism, mailbox);
        let printed = std::fs::read(stage.path("printed")).unwrap_or_default();
        let printed = String::from_utf8_lossy(&printed);
        assert!(
            printed.contains("\n\n.dot\nGr\u{fc}\u{df}e\n"),
            "{mailbox} {mechanism}: {printed}\n{}",
            ran.text()
        );
        assert_eq!(stage.method(protocol), method, "{mailbox} {mechanism}");
    };
    let imap = format!("{}/INBOX", stage.url("imap"));
    for (mechanism, method) in &MECHANISMS[..3] {
        look("imap", mechanism, &imap, method);
    }
    let pop3 = format!("pop://{}/", stage.at("pop3"));
    for (mechanism, method) in [("user", "plain"), ("apop", "apop")] {
        look("pop3", mechanism, &pop3, method);
    }
}
