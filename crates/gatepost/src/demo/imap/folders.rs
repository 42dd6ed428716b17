//! LIST, LSUB and STATUS (RFC 3501, sections 6.3.8 to 6.3.10).

use super::super::mailbox::{Flags, Mailbox};
use super::super::store::{Account, Refusal};
use super::command::StatusItem;
use super::print;

/// The answers to LIST or LSUB; every mailbox counts as subscribed to.
pub(super) fn list(account: &Account, verb: &str, reference: &str, pattern: &str) -> String {
    if pattern.is_empty() {
        return format!("* {verb} (\\Noselect) \"/\" \"\"\r\n");
    }
    let pattern = [reference, pattern].concat();
    account.quietly(|mailboxes| {
        let names = mailboxes.names().filter(|name| matches(pattern.as_bytes(), name.as_bytes()));
        names.map(|name| format!("* {verb} () \"/\" {}\r\n", quoted(name))).collect::<Vec<_>>().concat()
    })
}

/// Whether `name` is like `pattern`: `*` stands for anything, `%` for anything within a level.
fn matches(pattern: &[u8], name: &[u8]) -> bool {
    let same = |a: u8, b: u8| if name == b"INBOX" { a.eq_ignore_ascii_case(&b) } else { a == b };
    // Which beginnings of the name the pattern so far can stand for: no backtracking, so no pattern is slow.
    let mut reached = vec![false; name.len() + 1];
    reached[0] = true;
    for &wanted in pattern {
        let mut next = vec![false; name.len() + 1];
        for at in 0..=name.len() {
            next[at] = match wanted {
                b'*' | b'%' => {
                    let crosses = at > 0 && (wanted == b'*' || name[at - 1] != b'/');
                    reached[at] || (crosses && next[at - 1])
                }
                wanted => at > 0 && reached[at - 1] && same(wanted, name[at - 1]),
            };
        }
        reached = next;
    }
    reached[name.len()]
}

/// The answer to STATUS.
pub(super) fn status(account: &Account, name: &str, items: &[StatusItem]) -> Result<String, Refusal> {
    account.quietly(|mailboxes| {
        let mailbox = mailboxes.named(name)?;
        let values: Vec<_> = items.iter().map(|item| value(mailbox, *item)).collect();
        Ok(format!("* STATUS {} ({})\r\n", quoted(name), values.join(" ")))
    })
}

fn value(mailbox: &Mailbox, item: StatusItem) -> String {
    let messages = mailbox.messages();
    match item {
        StatusItem::Messages => format!("MESSAGES {}", messages.len()),
        StatusItem::Recent => {
            let recent = messages.iter().filter(|message| message.uid >= mailbox.first_recent());
            format!("RECENT {}", recent.count())
        }
        StatusItem::UidNext => format!("UIDNEXT {}", mailbox.next_uid()),
        StatusItem::UidValidity => format!("UIDVALIDITY {}", mailbox.validity()),
        StatusItem::Unseen => {
            let unseen = messages.iter().filter(|message| !message.flags.contains(Flags::SEEN));
            format!("UNSEEN {}", unseen.count())
        }
    }
}

/// The name of a mailbox as a string. The names that there are need no literal.
fn quoted(name: &str) -> String {
    let mut out = Vec::new();
    print::string(&mut out, name.as_bytes());
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_stand_for_names() {
        for (pattern, name, expected) in [
            ("*", "a/b", true),
            ("%", "a", true),
            ("%", "a/b", false),
            ("%/%", "a/b", true),
            ("a*", "a/b/c", true),
            ("a%c", "a/c", false),
            ("*c", "a/b/c", true),
            ("inbox", "INBOX", true),
            ("sent", "Sent", false),
            ("", "a", false),
            ("**%*", "", true),
        ] {
            assert_eq!(matches(pattern.as_bytes(), name.as_bytes()), expected, "{pattern} {name}");
        }
    }
}
