//! Values as IMAP answers show them (RFC 3501, section 9: string, nstring).

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::super::mailbox::Flags;
use super::scanner::is_astring_char;

/// Longest string that is shown in quotes.
const QUOTED: usize = 512;

/// A string: in quotes if its bytes allow it, otherwise a literal.
pub(super) fn string(out: &mut Vec<u8>, text: &[u8]) {
    if text.len() > QUOTED || !text.iter().all(|b| matches!(b, b' '..=b'~' | b'\t')) {
        out.extend_from_slice(format!("{{{}}}\r\n", text.len()).as_bytes());
        out.extend_from_slice(text);
        return;
    }
    out.push(b'"');
    for &byte in text {
        if matches!(byte, b'"' | b'\\') {
            out.push(b'\\');
        }
        out.push(byte);
    }
    out.push(b'"');
}

/// A string that needs no quotes where its characters allow it; most clients expect field names so.
pub(super) fn astring(out: &mut Vec<u8>, text: &[u8]) {
    if !text.is_empty() && text.iter().all(|b| is_astring_char(*b)) {
        out.extend_from_slice(text);
    } else {
        string(out, text);
    }
}

/// A string, or NIL where there is none.
pub(super) fn nstring(out: &mut Vec<u8>, text: Option<&[u8]>) {
    match text {
        Some(text) => string(out, text),
        None => out.extend_from_slice(b"NIL"),
    }
}

/// Flags in parentheses.
pub(super) fn flags(flags: Flags, recent: bool) -> String {
    let mut names: Vec<_> = flags.names().collect();
    if recent {
        names.push("\\Recent");
    }
    format!("({})", names.join(" "))
}

/// A moment as INTERNALDATE shows it, in UTC.
pub(super) fn date_time(moment: Timestamp) -> String {
    moment.to_zoned(TimeZone::UTC).strftime("\"%d-%b-%Y %H:%M:%S +0000\"").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_take_the_form_that_holds_them() {
        for (text, expected) in [
            (&b"a \"b\\"[..], &b"\"a \\\"b\\\\\""[..]),
            (b"", b"\"\""),
            (b"a\r\nb", b"{4}\r\na\r\nb"),
            (b"\xe4", b"{1}\r\n\xe4"),
        ] {
            let mut out = Vec::new();
            string(&mut out, text);
            assert_eq!(out, expected);
        }
    }

    #[test]
    fn moments_are_shown_in_utc() {
        assert_eq!(date_time(Timestamp::UNIX_EPOCH), "\"01-Jan-1970 00:00:00 +0000\"");
    }
}
