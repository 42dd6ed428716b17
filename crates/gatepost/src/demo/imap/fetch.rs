//! FETCH: what may be asked of a message, and the answer (RFC 3501, sections 6.4.5 and 7.4.2).

use std::fmt::Write;
use std::ops::Range;

use bytes::Bytes;

use super::super::limits;
use super::super::mailbox::Flags;
use super::super::mime::{self, Inside, Part};
use super::scanner::{Bad, Scanner};
use super::structure::Structure;
use super::view::Entry;
use super::{envelope, print};

/// One thing asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Item {
    Flags,
    Uid,
    InternalDate,
    Size,
    Envelope,
    /// BODY or BODYSTRUCTURE.
    Structure {
        extended: bool,
    },
    Section(Section),
}

/// Bytes of the message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Section {
    /// As the answer calls it: `BODY[1.MIME]<0>`.
    label: String,
    /// Does not set \Seen.
    peek: bool,
    /// The numbers of the part; empty for the message itself.
    path: Vec<u32>,
    which: Which,
    /// First byte and number of bytes.
    partial: Option<(u32, u32)>,
}

/// Which bytes of a part.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Which {
    All,
    Header,
    Text,
    Mime,
    /// The header fields with these names, or without them.
    Fields {
        names: Vec<Vec<u8>>,
        with: bool,
    },
}

impl Item {
    /// Whether asking for it marks the message as \Seen.
    pub(super) fn marks_seen(&self) -> bool {
        matches!(self, Self::Section(section) if !section.peek)
    }
}

/// Reads what FETCH asks for: an item, a list of items, or a macro.
pub(super) fn parse(scanner: &mut Scanner) -> Result<Vec<Item>, Bad> {
    if scanner.peek() == Some(b'(') {
        return list(scanner);
    }
    let fast = vec![Item::Flags, Item::InternalDate, Item::Size];
    let name = scanner.word()?;
    Ok(match name.as_str() {
        "FAST" => fast,
        "ALL" => [fast, vec![Item::Envelope]].concat(),
        "FULL" => [fast, vec![Item::Envelope, Item::Structure { extended: false }]].concat(),
        name => vec![item(name, scanner)?],
    })
}

/// A list of items, each of which is told once.
fn list(scanner: &mut Scanner) -> Result<Vec<Item>, Bad> {
    let mut items = Vec::new();
    scanner.list(|scanner| {
        let name = scanner.word()?;
        let item = item(&name, scanner)?;
        if items.contains(&item) {
            return Ok(());
        }
        if items.len() >= limits::FETCH_ITEMS {
            return Err(Bad::Items);
        }
        items.push(item);
        Ok(())
    })?;
    if items.is_empty() { Err(Bad::Syntax) } else { Ok(items) }
}

fn item(name: &str, scanner: &mut Scanner) -> Result<Item, Bad> {
    Ok(match name {
        "FLAGS" => Item::Flags,
        "UID" => Item::Uid,
        "INTERNALDATE" => Item::InternalDate,
        "RFC822.SIZE" => Item::Size,
        "ENVELOPE" => Item::Envelope,
        "BODYSTRUCTURE" => Item::Structure { extended: true },
        "BODY" if scanner.peek() == Some(b'[') => Item::Section(section(scanner, false)?),
        "BODY.PEEK" => Item::Section(section(scanner, true)?),
        "BODY" => Item::Structure { extended: false },
        "RFC822" => Item::Section(Section::old(name, Which::All, false)),
        "RFC822.HEADER" => Item::Section(Section::old(name, Which::Header, true)),
        "RFC822.TEXT" => Item::Section(Section::old(name, Which::Text, false)),
        _ => return Err(Bad::Syntax),
    })
}

/// What stands behind BODY: `[1.2.HEADER.FIELDS (From)]<0.100>`.
fn section(scanner: &mut Scanner, peek: bool) -> Result<Section, Bad> {
    scanner.expect(b'[')?;
    let name = if scanner.peek() == Some(b']') { String::new() } else { scanner.word()? };
    let (path, rest) = path(&name)?;
    let which = match rest {
        "" => Which::All,
        "HEADER" => Which::Header,
        "TEXT" => Which::Text,
        "MIME" if !path.is_empty() => Which::Mime,
        "HEADER.FIELDS" => Which::Fields { names: field_names(scanner)?, with: true },
        "HEADER.FIELDS.NOT" => Which::Fields { names: field_names(scanner)?, with: false },
        _ => return Err(Bad::Syntax),
    };
    scanner.expect(b']')?;
    let partial = partial(scanner)?;
    let label = label(&name, &which, partial);
    Ok(Section { label, peek, path, which, partial })
}

/// The numbers that `name` begins with, and the rest.
fn path(name: &str) -> Result<(Vec<u32>, &str), Bad> {
    let mut path = Vec::new();
    let mut rest = name;
    while rest.starts_with(|c: char| c.is_ascii_digit()) {
        let (digits, behind) = rest.split_once('.').unwrap_or((rest, ""));
        path.push(digits.parse().ok().filter(|number| *number > 0).ok_or(Bad::Syntax)?);
        rest = behind;
    }
    if name.ends_with('.') { Err(Bad::Syntax) } else { Ok((path, rest)) }
}

fn field_names(scanner: &mut Scanner) -> Result<Vec<Vec<u8>>, Bad> {
    scanner.space()?;
    let names = scanner.list(Scanner::astring)?;
    // The names come back in the answer, so they must not be able to end it.
    let plain = |name: &Vec<u8>| !name.is_empty() && name.iter().all(|b| b.is_ascii_graphic() && *b != b':');
    if names.is_empty() || !names.iter().all(plain) { Err(Bad::Syntax) } else { Ok(names) }
}

fn partial(scanner: &mut Scanner) -> Result<Option<(u32, u32)>, Bad> {
    if !scanner.take(b'<') {
        return Ok(None);
    }
    let first = scanner.number()?;
    scanner.expect(b'.')?;
    let count = scanner.number()?;
    scanner.expect(b'>')?;
    Ok(Some((first, count)))
}

fn label(name: &str, which: &Which, partial: Option<(u32, u32)>) -> String {
    let mut label = format!("BODY[{name}");
    if let Which::Fields { names, .. } = which {
        let mut quoted = Vec::new();
        for name in names {
            quoted.push(b' ');
            print::astring(&mut quoted, name);
        }
        // Writing to a String does not fail, here and below.
        let _ = write!(label, " ({})", String::from_utf8_lossy(&quoted[1..]));
    }
    label.push(']');
    if let Some((first, _)) = partial {
        let _ = write!(label, "<{first}>");
    }
    label
}

impl Section {
    /// One of the items of RFC 822 days, which go by their own names.
    fn old(name: &str, which: Which, peek: bool) -> Self {
        Self { label: name.to_owned(), peek, path: Vec::new(), which, partial: None }
    }

    /// The bytes; `None` if there is no such part.
    fn bytes(&self, message: &Bytes) -> Option<Bytes> {
        let whole = match (self.path.as_slice(), &self.which) {
            ([], Which::All) => message.clone(),
            ([], which) => which.of(message, 0..mime::header_len(message), message.len()),
            (path, which) => {
                let root = Part::of(message);
                let part = root.at(path)?;
                match (which, &part.inside) {
                    (Which::All, _) => message.slice(part.body.clone()),
                    (Which::Mime, _) => message.slice(part.header.clone()),
                    (which, Inside::Message(inner)) => {
                        which.of(message, inner.header.clone(), inner.body.end)
                    }
                    // Only a message has a header and a text of its own (RFC 3501, section 6.4.5).
                    _ => return None,
                }
            }
        };
        Some(match self.partial {
            None => whole,
            Some((first, count)) => window(&whole, first, count),
        })
    }
}

impl Which {
    /// These bytes of the message that begins with `header` and ends at `end`.
    fn of(&self, message: &Bytes, header: Range<usize>, end: usize) -> Bytes {
        match self {
            Self::All => message.slice(header.start..end),
            Self::Header | Self::Mime => message.slice(header),
            Self::Text => message.slice(header.end..end),
            Self::Fields { names, with } => {
                let named =
                    |field: &mime::Field<'_>| names.iter().any(|name| field.name.eq_ignore_ascii_case(name));
                let chosen = mime::fields(&message[header]).filter(|field| named(field) == *with);
                let mut text: Vec<u8> = chosen.flat_map(|field| field.raw).copied().collect();
                text.extend_from_slice(b"\r\n");
                text.into()
            }
        }
    }
}

/// Up to `count` bytes from `first` on; none if that is behind the end.
fn window(bytes: &Bytes, first: u32, count: u32) -> Bytes {
    let clamp = |at: u64| usize::try_from(at).unwrap_or(usize::MAX).min(bytes.len());
    bytes.slice(clamp(first.into())..clamp(u64::from(first) + u64::from(count)))
}

/// The answer for one message, in pieces; the bytes of the message are not copied.
pub(super) fn answer(number: usize, entry: &Entry, items: &[Item], with_flags: bool) -> Vec<Bytes> {
    let mut pieces = Vec::new();
    let mut out = format!("* {number} FETCH (").into_bytes();
    let flags = (with_flags && !items.contains(&Item::Flags)).then_some(Item::Flags);
    for (index, item) in items.iter().chain(&flags).enumerate() {
        if index > 0 {
            out.push(b' ');
        }
        let section = write(&mut out, item, entry);
        if let Some(bytes) = section {
            out.extend_from_slice(format!("{{{}}}\r\n", bytes.len()).as_bytes());
            pieces.extend([std::mem::take(&mut out).into(), bytes]);
        }
    }
    out.extend_from_slice(b")\r\n");
    pieces.push(out.into());
    pieces
}

/// Adds an item, but for the bytes of a section, which it returns.
fn write(out: &mut Vec<u8>, item: &Item, entry: &Entry) -> Option<Bytes> {
    let message = &entry.message;
    let text = match item {
        Item::Flags => format!("FLAGS {}", print::flags(message.flags, entry.recent)),
        Item::Uid => format!("UID {}", message.uid),
        Item::InternalDate => format!("INTERNALDATE {}", print::date_time(message.date)),
        Item::Size => format!("RFC822.SIZE {}", message.content.len()),
        Item::Envelope => "ENVELOPE ".to_owned(),
        Item::Structure { extended: true } => "BODYSTRUCTURE ".to_owned(),
        Item::Structure { extended: false } => "BODY ".to_owned(),
        Item::Section(section) => format!("{} ", section.label),
    };
    out.extend_from_slice(text.as_bytes());
    match item {
        Item::Envelope => envelope::write(out, &message.content[..mime::header_len(&message.content)]),
        Item::Structure { extended } => {
            let structure = Structure { message: &message.content, extended: *extended };
            structure.write(out, &Part::of(&message.content));
        }
        Item::Section(section) => {
            let bytes = section.bytes(&message.content);
            if bytes.is_none() {
                out.extend_from_slice(b"NIL");
            }
            return bytes;
        }
        Item::Flags | Item::Uid | Item::InternalDate | Item::Size => {}
    }
    None
}

/// The answer that tells the flags of a message after they changed.
pub(super) fn flags(number: usize, uid: Option<u32>, flags: Flags, recent: bool) -> String {
    let uid = uid.map(|uid| format!("UID {uid} ")).unwrap_or_default();
    format!("* {number} FETCH ({uid}FLAGS {})\r\n", print::flags(flags, recent))
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use jiff::Timestamp;

    use super::super::super::mailbox::Message;
    use super::super::intake::Input;
    use super::*;

    const MESSAGE: &[u8] =
        b"From: a@b\r\nSubject: x\r\n y\r\nContent-Type: multipart/mixed; boundary=z\r\n\r\n\
        --z\r\nA: 1\r\n\r\none\r\n--z\r\nContent-Type: message/rfc822\r\n\r\nB: 2\r\n\r\ntwo\r\n--z--\r\n";

    fn items(text: &str) -> Result<Vec<Item>, Bad> {
        let mut scanner = Scanner::new(Input { text: text.into(), literals: VecDeque::new() });
        let items = parse(&mut scanner)?;
        scanner.end().map(|()| items)
    }

    fn fetched(text: &str) -> String {
        let message = Message::new(Bytes::from_static(MESSAGE), Flags::SEEN, Timestamp::UNIX_EPOCH);
        let entry = Entry { message: Message { uid: 7, ..message }, recent: true };
        let pieces = answer(3, &entry, &items(text).expect(text), false);
        String::from_utf8(pieces.concat()).unwrap()
    }

    #[test]
    fn each_item_is_answered_under_its_name() {
        for (text, expected) in [
            ("(FLAGS UID)", "FLAGS (\\Seen \\Recent) UID 7"),
            ("fast", "FLAGS (\\Seen \\Recent) INTERNALDATE \"01-Jan-1970 00:00:00 +0000\" RFC822.SIZE 147"),
            (
                "BODY[HEADER.FIELDS (subject X)]",
                "BODY[HEADER.FIELDS (subject X)] {18}\r\nSubject: x\r\n y\r\n\r\n",
            ),
            (
                "body.peek[header.fields.not (content-type subject)]<3.4>",
                "BODY[HEADER.FIELDS.NOT (content-type subject)]<3> {4}\r\nm: a",
            ),
            ("BODY[1]", "BODY[1] {3}\r\none"),
            ("BODY[1.MIME]", "BODY[1.MIME] {8}\r\nA: 1\r\n\r\n"),
            ("BODY[2]", "BODY[2] {11}\r\nB: 2\r\n\r\ntwo"),
            ("BODY[2.HEADER]", "BODY[2.HEADER] {8}\r\nB: 2\r\n\r\n"),
            ("BODY[2.TEXT]", "BODY[2.TEXT] {3}\r\ntwo"),
            ("BODY[2.1]", "BODY[2.1] {3}\r\ntwo"),
            ("BODY[1.TEXT]", "BODY[1.TEXT] NIL"),
            ("BODY[9]", "BODY[9] NIL"),
            ("BODY[1]<2.4294967295>", "BODY[1]<2> {1}\r\ne"),
            ("BODY[1]<4294967295.4294967295>", "BODY[1]<4294967295> {0}\r\n"),
        ] {
            assert_eq!(fetched(text), format!("* 3 FETCH ({expected})\r\n"), "{text}");
        }
    }

    #[test]
    fn header_and_text_are_the_message() {
        let whole = fetched("BODY[]");
        let (header, text) = (fetched("RFC822.HEADER"), fetched("RFC822.TEXT"));
        let content =
            |answer: &str| answer.split_once("}\r\n").unwrap().1.strip_suffix(")\r\n").unwrap().to_owned();
        assert_eq!(content(&whole).as_bytes(), MESSAGE);
        assert_eq!(content(&header) + &content(&text), content(&whole));
    }

    #[test]
    fn nonsense_is_refused() {
        for text in [
            "",
            "NONSENSE",
            "()",
            "(FAST)",
            "BODY[",
            "BODY[0]",
            "BODY[1.]",
            "BODY[1..2]",
            "BODY[MIME]",
            "BODY[4294967296]",
            "BODY[HEADER.FIELDS]",
            "BODY[HEADER.FIELDS ()]",
            "BODY[HEADER.FIELDS (\"a\tb\")]",
            "BODY[]<1>",
            "BODY[]<1.2",
            "BODY.PEEK",
        ] {
            assert_eq!(items(text), Err(Bad::Syntax), "{text}");
        }
    }

    #[test]
    fn each_thing_is_told_once_and_not_too_many_at_a_time() {
        assert_eq!(items("(UID FLAGS UID)"), Ok(vec![Item::Uid, Item::Flags]));
        let many: Vec<_> = (0..=limits::FETCH_ITEMS).map(|at| format!("BODY[]<{at}.1>")).collect();
        assert!(items(&format!("({})", many[1..].join(" "))).is_ok());
        assert_eq!(items(&format!("({})", many.join(" "))), Err(Bad::Items));
    }

    #[test]
    fn only_reading_the_text_marks_as_seen() {
        for (text, expected) in
            [("BODY[]", true), ("RFC822", true), ("BODY.PEEK[]", false), ("RFC822.HEADER", false)]
        {
            assert_eq!(items(text).unwrap()[0].marks_seen(), expected, "{text}");
        }
    }
}
