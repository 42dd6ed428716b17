//! What `gatepost demo` prints: who the users are, where the proxy listens, what to type.

use std::io::{self, Write};

use super::store::USERS;
use super::{Claim, Plan};

/// Writes the whole text.
pub(super) fn write(out: &mut impl Write, plan: &Plan) -> io::Result<()> {
    let [(alice, secret), (bob, bobs_secret)] = USERS;
    writeln!(out, "{INTRODUCTION}")?;
    writeln!(out, "  user   password\n  {alice}  {secret}\n  {bob}    {bobs_secret}\n")?;
    for (name, port) in [("IMAP", &plan.imap.port), ("POP3", &plan.pop3.port), ("SMTP", &plan.smtp.port)] {
        writeln!(out, "  {name}   {}{}", port.address, instead_of(port))?;
    }
    let text = COMMANDS
        .replace("{imap}", &plan.imap.port.address.to_string())
        .replace("{pop3}", &plan.pop3.port.address.to_string())
        .replace("{smtp}", &plan.smtp.port.address.to_string())
        .replace("{alice}", &format!("{alice}:{secret}"))
        .replace("{bob}", &format!("{bob}:{bobs_secret}"));
    write!(out, "{text}")?;
    out.flush()
}

/// Says which ports were not free.
fn instead_of(port: &Claim) -> String {
    match port.taken.as_slice() {
        [] => String::new(),
        [one] => format!("   (port {one} is taken)"),
        [first, .., last] => format!("   (ports {first} to {last} are taken)"),
    }
}

const INTRODUCTION: &str = "\
gatepost demo: a mail proxy, and behind it a mail store in the memory of this process.
Nothing is written to disk; when the demo ends, all mail is forgotten.
";

const COMMANDS: &str = r"
List mailboxes, list messages, read one (IMAP):

  curl -u {alice} imap://{imap}/
  curl -u {alice} imap://{imap}/INBOX -X 'FETCH 1:* (FLAGS ENVELOPE)'
  curl -u {alice} 'imap://{imap}/INBOX;MAILINDEX=1'

The same mailbox over POP3:

  curl -u {alice} pop3://{pop3}/
  curl -u {alice} pop3://{pop3}/1

Send to bob, and read it as bob:

  printf 'From: alice@example.org\r\nTo: bob@example.org\r\nSubject: hello\r\n\r\nHello, Bob!\r\n' |
    curl -u {alice} smtp://{smtp} --mail-from alice@example.org --mail-rcpt bob@example.org -T -
  curl -u {bob} 'imap://{imap}/INBOX;MAILINDEX=3'

Read and write with mutt:

  mutt -n -F /dev/null -f +INBOX -e 'set ssl_force_tls=no ssl_starttls=no from=alice@example.org
    folder=imap://alice@{imap} imap_pass=wonderland record=+Sent
    smtp_url=smtp://alice@{smtp} smtp_pass=wonderland'

By hand (then type: a login alice wonderland, b select inbox, c fetch 1 body[], d logout):

  curl telnet://{imap}

The proxy logs its sessions below. Ctrl-C ends the demo.

";

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::super::{Front, ports};
    use super::*;

    fn front() -> Front {
        Front { port: ports::claim(0).unwrap(), backend: (Ipv4Addr::LOCALHOST, 7).into() }
    }

    #[test]
    fn the_text_names_users_and_places_and_leaves_no_gap() {
        let plan = Plan { imap: front(), pop3: front(), smtp: front() };
        let mut text = Vec::new();
        write(&mut text, &plan).unwrap();
        let text = String::from_utf8(text).unwrap();
        for expected in [
            format!("  alice  wonderland\n  bob    builder\n\n  IMAP   {}\n", plan.imap.port.address),
            format!("  curl -u alice:wonderland pop3://{}/1\n", plan.pop3.port.address),
            format!("    curl -u alice:wonderland smtp://{} ", plan.smtp.port.address),
        ] {
            assert!(text.contains(&expected), "{expected}");
        }
        assert!(!text.contains('{') && !text.contains('}'));
    }

    #[test]
    fn taken_ports_are_named() {
        let mut port = ports::claim(0).unwrap();
        for (taken, expected) in [
            (vec![], ""),
            (vec![1143], "   (port 1143 is taken)"),
            (vec![1143, 1144, 1145], "   (ports 1143 to 1145 are taken)"),
        ] {
            port.taken = taken;
            assert_eq!(instead_of(&port), expected);
        }
    }
}
