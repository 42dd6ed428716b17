//! SEARCH (RFC 3501, section 6.4.4).
//!
//! Texts are looked for in the bytes of a message as they are, without regard to the case of ASCII letters.
//! Nothing is decoded: a word in base64 is not found.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use memchr::{memchr2, memchr2_iter};

use super::super::mailbox::Flags;
use super::super::{limits, mime};
use super::scanner::{Bad, Scanner};
use super::set::Set;
use super::view::Entry;

/// What SEARCH asks for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Search {
    /// Messages that match the key.
    For(Key),
    /// A search in a charset that the store does not know.
    OtherCharset,
}

/// What a message has to be like.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Key {
    All(Vec<Key>),
    Either(Box<(Key, Key)>),
    Not(Box<Key>),
    Numbers(Set),
    Uids(Set),
    Flag(Flags),
    Recent,
    /// Keywords are not kept, so no message has any.
    Keyword,
    /// A header field and a text in it; an empty text asks for the field.
    Header(Vec<u8>, Vec<u8>),
    Body(Vec<u8>),
    Text(Vec<u8>),
    /// Day of arrival.
    Arrived(When, Date),
    /// Day of the Date field.
    Sent(When, Date),
    Larger(u32),
    Smaller(u32),
}

/// How a day compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum When {
    Before,
    On,
    Since,
}

impl When {
    fn holds(self, day: Date, asked: Date) -> bool {
        match self {
            Self::Before => day < asked,
            Self::On => day == asked,
            Self::Since => day >= asked,
        }
    }
}

/// Reads the arguments of SEARCH.
pub(super) fn parse(scanner: &mut Scanner) -> Result<Search, Bad> {
    let mut keys = Vec::new();
    let mut word = next(scanner)?;
    if word.as_deref() == Some("CHARSET") {
        scanner.space()?;
        let charset = scanner.astring()?.to_ascii_uppercase();
        if !matches!(charset.as_slice(), b"US-ASCII" | b"UTF-8") {
            while scanner.run(|_| true).is_ok() {}
            return Ok(Search::OtherCharset);
        }
        scanner.space()?;
        word = next(scanner)?;
    }
    loop {
        keys.push(key(word, scanner, limits::SEARCH_DEPTH)?);
        if !scanner.take(b' ') {
            return Ok(Search::For(Key::All(keys)));
        }
        word = next(scanner)?;
    }
}

/// The name of a key; `None` where a set or a list begins.
fn next(scanner: &mut Scanner) -> Result<Option<String>, Bad> {
    let named = scanner.peek().is_some_and(|b| b.is_ascii_alphabetic());
    if named { scanner.word().map(Some) } else { Ok(None) }
}

fn key(word: Option<String>, scanner: &mut Scanner, depth: usize) -> Result<Key, Bad> {
    let depth = depth.checked_sub(1).ok_or(Bad::Depth)?;
    let Some(word) = word else { return unnamed(scanner, depth) };
    if let Some(key) = flag(&word) {
        return Ok(key);
    }
    scanner.space()?;
    Ok(match word.as_str() {
        "NOT" => Key::Not(Box::new(nested(scanner, depth)?)),
        "OR" => {
            let first = nested(scanner, depth)?;
            scanner.space()?;
            Key::Either(Box::new((first, nested(scanner, depth)?)))
        }
        "HEADER" => {
            let name = scanner.astring()?;
            scanner.space()?;
            Key::Header(name, text(scanner)?)
        }
        "FROM" | "TO" | "CC" | "BCC" | "SUBJECT" => Key::Header(word.into_bytes(), text(scanner)?),
        "BODY" => Key::Body(text(scanner)?),
        "TEXT" => Key::Text(text(scanner)?),
        "UID" => Key::Uids(scanner.set()?),
        "LARGER" => Key::Larger(scanner.number()?),
        "SMALLER" => Key::Smaller(scanner.number()?),
        "KEYWORD" | "UNKEYWORD" => {
            scanner.astring()?;
            if word == "KEYWORD" { Key::Keyword } else { Key::Not(Box::new(Key::Keyword)) }
        }
        word => by_day(word, scanner.date())?,
    })
}

/// A set of message numbers, or keys in parentheses.
fn unnamed(scanner: &mut Scanner, depth: usize) -> Result<Key, Bad> {
    if scanner.peek() != Some(b'(') {
        return scanner.set().map(Key::Numbers);
    }
    let keys = scanner.list(|scanner| nested(scanner, depth))?;
    if keys.is_empty() { Err(Bad::Syntax) } else { Ok(Key::All(keys)) }
}

fn nested(scanner: &mut Scanner, depth: usize) -> Result<Key, Bad> {
    let word = next(scanner)?;
    key(word, scanner, depth)
}

/// The keys without arguments.
fn flag(word: &str) -> Option<Key> {
    let not = |key| Key::Not(Box::new(key));
    Some(match word {
        "ALL" => Key::All(Vec::new()),
        "ANSWERED" => Key::Flag(Flags::ANSWERED),
        "DELETED" => Key::Flag(Flags::DELETED),
        "DRAFT" => Key::Flag(Flags::DRAFT),
        "FLAGGED" => Key::Flag(Flags::FLAGGED),
        "SEEN" => Key::Flag(Flags::SEEN),
        "UNANSWERED" => not(Key::Flag(Flags::ANSWERED)),
        "UNDELETED" => not(Key::Flag(Flags::DELETED)),
        "UNDRAFT" => not(Key::Flag(Flags::DRAFT)),
        "UNFLAGGED" => not(Key::Flag(Flags::FLAGGED)),
        "UNSEEN" => not(Key::Flag(Flags::SEEN)),
        "RECENT" => Key::Recent,
        "OLD" => not(Key::Recent),
        "NEW" => Key::All(vec![Key::Recent, not(Key::Flag(Flags::SEEN))]),
        _ => return None,
    })
}

fn by_day(word: &str, day: Result<Date, Bad>) -> Result<Key, Bad> {
    Ok(match word {
        "BEFORE" => Key::Arrived(When::Before, day?),
        "ON" => Key::Arrived(When::On, day?),
        "SINCE" => Key::Arrived(When::Since, day?),
        "SENTBEFORE" => Key::Sent(When::Before, day?),
        "SENTON" => Key::Sent(When::On, day?),
        "SENTSINCE" => Key::Sent(When::Since, day?),
        _ => return Err(Bad::Syntax),
    })
}

fn text(scanner: &mut Scanner) -> Result<Vec<u8>, Bad> {
    let text = scanner.astring()?;
    if text.len() > limits::SEARCH_TEXT { Err(Bad::SearchText) } else { Ok(text) }
}

/// A message that a search looks at.
#[derive(Clone, Copy)]
pub(super) struct Candidate<'a> {
    /// Its number.
    pub(super) number: u32,
    /// The highest number in the mailbox.
    pub(super) last_number: u32,
    /// The highest UID in the mailbox.
    pub(super) last_uid: u32,
    /// The message itself.
    pub(super) entry: &'a Entry,
}

impl Candidate<'_> {
    /// The number or UID of the message, and the highest that there is.
    pub(super) fn called(&self, by_uid: bool) -> (u32, u32) {
        if by_uid { (self.entry.message.uid, self.last_uid) } else { (self.number, self.last_number) }
    }
}

impl Key {
    /// Whether the message is like that.
    pub(super) fn matches(&self, candidate: Candidate<'_>) -> bool {
        let message = &candidate.entry.message;
        let content: &[u8] = &message.content;
        match self {
            Self::All(keys) => keys.iter().all(|key| key.matches(candidate)),
            Self::Either(keys) => keys.0.matches(candidate) || keys.1.matches(candidate),
            Self::Not(key) => !key.matches(candidate),
            Self::Numbers(set) => set.contains(candidate.number, candidate.last_number),
            Self::Uids(set) => set.contains(message.uid, candidate.last_uid),
            Self::Flag(flag) => message.flags.contains(*flag),
            Self::Recent => candidate.entry.recent,
            Self::Keyword => false,
            Self::Header(name, text) => header_has(content, name, text),
            Self::Body(text) => contains(&content[mime::header_len(content)..], text),
            Self::Text(text) => contains(content, text),
            Self::Arrived(when, day) => when.holds(message.date.to_zoned(TimeZone::UTC).date(), *day),
            Self::Sent(when, day) => sent(content).is_some_and(|sent| when.holds(sent, *day)),
            Self::Larger(size) => u32::try_from(content.len()).is_ok_and(|len| len > *size),
            Self::Smaller(size) => u32::try_from(content.len()).is_ok_and(|len| len < *size),
        }
    }
}

fn header_has(content: &[u8], name: &[u8], text: &[u8]) -> bool {
    let header = &content[..mime::header_len(content)];
    let mut named = mime::fields(header).filter(|field| field.name.eq_ignore_ascii_case(name));
    named.any(|field| contains(&mime::unfolded(field.value), text))
}

/// The day of the Date field, in the time zone that it names.
fn sent(content: &[u8]) -> Option<Date> {
    let value = mime::value(&content[..mime::header_len(content)], "Date")?;
    jiff::fmt::rfc2822::parse(str::from_utf8(&value).ok()?).ok().map(|moment| moment.date())
}

/// Whether `text` has `wanted` in it, in any case. The length of `wanted` is bounded when it is read.
fn contains(text: &[u8], wanted: &[u8]) -> bool {
    let Some(first) = wanted.first() else { return true };
    let (lower, upper) = (first.to_ascii_lowercase(), first.to_ascii_uppercase());
    if memchr2(lower, upper, text).is_none() {
        return false;
    }
    let at = |start: usize| text.get(start..start + wanted.len());
    memchr2_iter(lower, upper, text).filter_map(at).any(|piece| piece.eq_ignore_ascii_case(wanted))
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use bytes::Bytes;

    use super::super::super::mailbox::Message;
    use super::super::intake::Input;
    use super::*;

    const MESSAGE: &[u8] = b"From: Ann <ann@example.org>\r\nSubject: A long\r\n subject\r\n\
        Date: Tue, 4 Mar 2025 23:30:00 -0800\r\nX-Empty:\r\n\r\nHello there\r\n";

    fn parsed(text: &str) -> Result<Search, Bad> {
        let mut scanner = Scanner::new(Input { text: text.into(), literals: VecDeque::new() });
        let search = parse(&mut scanner)?;
        scanner.end().map(|()| search)
    }

    fn finds(text: &str) -> bool {
        let date = "2025-03-05T07:30:01Z".parse().unwrap();
        let message = Message::new(Bytes::from_static(MESSAGE), Flags::FLAGGED, date);
        let entry = Entry { message: Message { uid: 70, ..message }, recent: true };
        let Ok(Search::For(key)) = parsed(text) else { panic!("{text} is a search") };
        key.matches(Candidate { number: 2, last_number: 5, last_uid: 99, entry: &entry })
    }

    #[test]
    fn each_key_finds_what_it_means() {
        for text in [
            "ALL",
            "2",
            "1:3,5",
            "uid 70:*",
            "NEW",
            "FLAGGED UNSEEN",
            "UNKEYWORD x",
            "FROM ANN@",
            "SUBJECT \"long subject\"",
            "HEADER x-empty \"\"",
            "TEXT subject",
            "BODY HELLO",
            "BODY \"\"",
            "LARGER 10 SMALLER 1000",
            "ON 5-Mar-2025",
            "SENTON 4-Mar-2025",
            "SINCE 5-Mar-2025 BEFORE 6-Mar-2025",
            "OR SEEN (FLAGGED NOT DELETED)",
            "CHARSET UTF-8 ALL",
        ] {
            assert!(finds(text), "{text}");
        }
    }

    #[test]
    fn no_key_finds_more_than_it_means() {
        for text in [
            "*",
            "3:*",
            "UID 71:98",
            "OLD",
            "SEEN",
            "KEYWORD x",
            "FROM bob",
            "TO ann",
            "HEADER x-other \"\"",
            "BODY subject",
            "TEXT \"there!\"",
            "LARGER 1000",
            "BEFORE 5-Mar-2025",
            "SENTSINCE 5-Mar-2025",
            "NOT ALL",
            "ALL SEEN",
            "OR SEEN DELETED",
        ] {
            assert!(!finds(text), "{text}");
        }
    }

    #[test]
    fn nonsense_is_refused() {
        for text in
            ["", "()", "COLOUR red", "FROM", "OR SEEN", "NOT", "SINCE yesterday", "ALL ", "(ALL", "LARGER x"]
        {
            assert_eq!(parsed(text), Err(Bad::Syntax), "{text}");
        }
        assert_eq!(parsed("CHARSET KOI8-R TEXT x"), Ok(Search::OtherCharset));
    }

    #[test]
    fn depth_and_length_have_bounds() {
        assert_eq!(parsed(&format!("{}ALL", "NOT ".repeat(1000))), Err(Bad::Depth));
        assert_eq!(parsed(&"(".repeat(1000)), Err(Bad::Depth));
        let long = "x".repeat(limits::SEARCH_TEXT + 1);
        assert_eq!(parsed(&format!("TEXT {long}")), Err(Bad::SearchText));
    }
}
