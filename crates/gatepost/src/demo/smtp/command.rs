//! SMTP commands as far as submission needs them (RFC 5321, section 4.1; XCLIENT as Postfix documents it).

use std::net::IpAddr;

use bytes::Bytes;
use memchr::memchr;

/// A command and its arguments.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Command {
    Helo(String),
    Ehlo(String),
    Xclient(Vec<Attribute>),
    /// With the initial response, if there is one.
    AuthPlain(Option<Bytes>),
    Mail(Mail),
    /// The address without its brackets.
    Rcpt(Vec<u8>),
    Data,
    Rset,
    Noop,
    Vrfy,
    Quit,
}

/// The argument of MAIL.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Mail {
    /// Without brackets; empty for bounces.
    pub(super) sender: String,
    /// What the client says that the message will have, in bytes (RFC 1870).
    pub(super) size: Option<usize>,
}

/// What a proxy says of its client; `None` stands for `[UNAVAILABLE]` and `[TEMPUNAVAIL]`.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Attribute {
    Address(Option<IpAddr>),
    Name(Option<String>),
    Helo(Option<String>),
    Login(Option<Vec<u8>>),
    /// Known, but nothing here depends on it.
    Other,
}

/// Reads a command, or says what to reply instead.
pub(super) fn parse(line: &Bytes) -> Result<Command, &'static str> {
    let (verb, argument) = split_word(line);
    let argument = argument.trim_ascii();
    match verb.to_ascii_uppercase().as_slice() {
        b"HELO" => host(argument).map(Command::Helo),
        b"EHLO" => host(argument).map(Command::Ehlo),
        b"XCLIENT" => {
            xclient(argument).map(Command::Xclient).map_err(|Malformed| "501 5.5.4 bad XCLIENT attribute")
        }
        b"AUTH" => auth(argument).map(|initial| Command::AuthPlain(initial.map(|it| line.slice_ref(it)))),
        b"MAIL" => mail(argument).map(Command::Mail),
        b"RCPT" => rcpt(argument).map(Command::Rcpt),
        b"DATA" => Ok(Command::Data),
        b"RSET" => Ok(Command::Rset),
        b"NOOP" => Ok(Command::Noop),
        b"VRFY" => Ok(Command::Vrfy),
        b"QUIT" => Ok(Command::Quit),
        _ => Err("500 5.5.2 no such command"),
    }
}

fn split_word(text: &[u8]) -> (&[u8], &[u8]) {
    match memchr(b' ', text) {
        Some(at) => (&text[..at], &text[at + 1..]),
        None => (text, b""),
    }
}

fn host(argument: &[u8]) -> Result<String, &'static str> {
    graphic(argument, 255).filter(|name| !name.is_empty()).ok_or("501 5.5.4 what is your name?")
}

/// `text` as a string, if all of it may stand in a header line.
fn graphic(text: &[u8], most: usize) -> Option<String> {
    let plain = text.len() <= most && text.iter().all(u8::is_ascii_graphic);
    if plain { String::from_utf8(text.to_vec()).ok() } else { None }
}

fn auth(argument: &[u8]) -> Result<Option<&[u8]>, &'static str> {
    let (mechanism, initial) = split_word(argument);
    if !mechanism.eq_ignore_ascii_case(b"PLAIN") {
        return Err("504 5.5.4 only PLAIN");
    }
    Ok(Some(initial.trim_ascii()).filter(|initial| !initial.is_empty()))
}

fn mail(argument: &[u8]) -> Result<Mail, &'static str> {
    let (path, parameters) = path(argument, b"FROM:").ok_or("501 5.5.4 MAIL FROM:<address>")?;
    let sender = graphic(path, 320).ok_or("501 5.1.7 not an address")?;
    let mut size = None;
    for parameter in parameters.split(|&b| b == b' ').filter(|parameter| !parameter.is_empty()) {
        match keyword(parameter) {
            (name, value) if name.eq_ignore_ascii_case(b"SIZE") => {
                size = Some(number(value).ok_or("501 5.5.4 bad SIZE")?);
            }
            (name, _) if name.eq_ignore_ascii_case(b"BODY") || name.eq_ignore_ascii_case(b"AUTH") => {}
            _ => return Err("555 5.5.4 no such parameter"),
        }
    }
    Ok(Mail { sender, size })
}

fn rcpt(argument: &[u8]) -> Result<Vec<u8>, &'static str> {
    match path(argument, b"TO:") {
        Some((address, [])) => Ok(address.to_vec()),
        Some(_) => Err("555 5.5.4 no such parameter"),
        None => Err("501 5.5.4 RCPT TO:<address>"),
    }
}

/// What stands in the brackets behind `prefix`, and what stands behind them.
fn path<'a>(argument: &'a [u8], prefix: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    let (start, rest) = argument.split_at_checked(prefix.len())?;
    let rest = rest.trim_ascii_start().strip_prefix(b"<")?;
    let end = memchr(b'>', rest)?;
    start.eq_ignore_ascii_case(prefix).then(|| (&rest[..end], rest[end + 1..].trim_ascii()))
}

fn keyword(parameter: &[u8]) -> (&[u8], &[u8]) {
    match memchr(b'=', parameter) {
        Some(at) => (&parameter[..at], &parameter[at + 1..]),
        None => (parameter, b""),
    }
}

/// A number; one too large to be told apart from the largest is the largest.
fn number(digits: &[u8]) -> Option<usize> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(str::from_utf8(digits).ok()?.parse().unwrap_or(usize::MAX))
}

/// A value that is not what its attribute needs, or an attribute that nobody knows.
struct Malformed;

fn xclient(argument: &[u8]) -> Result<Vec<Attribute>, Malformed> {
    let attributes = argument.split(|&b| b == b' ').filter(|attribute| !attribute.is_empty());
    let found: Vec<_> = attributes.map(attribute).collect::<Result<_, _>>()?;
    if found.is_empty() { Err(Malformed) } else { Ok(found) }
}

fn attribute(text: &[u8]) -> Result<Attribute, Malformed> {
    let (name, value) = keyword(text);
    let unavailable =
        value.eq_ignore_ascii_case(b"[UNAVAILABLE]") || value.eq_ignore_ascii_case(b"[TEMPUNAVAIL]");
    let value = if unavailable { None } else { Some(from_xtext(value).ok_or(Malformed)?) };
    let text = value.as_ref().map(|value| graphic(value, 255).ok_or(Malformed));
    Ok(match name.to_ascii_uppercase().as_slice() {
        // The client of a proxy has no address if it came over a unix socket.
        b"ADDR" if value.as_deref() == Some(b"unix:") => Attribute::Address(None),
        b"ADDR" => Attribute::Address(value.as_deref().map(address).transpose()?),
        b"NAME" => Attribute::Name(text.transpose()?),
        b"HELO" => Attribute::Helo(text.transpose()?),
        b"LOGIN" => Attribute::Login(value),
        b"PORT" | b"PROTO" | b"DESTADDR" | b"DESTPORT" => Attribute::Other,
        _ => return Err(Malformed),
    })
}

/// An address, IPv6 behind `IPV6:`.
fn address(value: &[u8]) -> Result<IpAddr, Malformed> {
    let text = str::from_utf8(value).map_err(|_| Malformed)?;
    let bare = match text.split_at_checked(5) {
        Some((tag, rest)) if tag.eq_ignore_ascii_case("IPV6:") => rest,
        _ => text,
    };
    bare.parse().map_err(|_| Malformed)
}

/// Undoes xtext (RFC 3461, section 4): `+` and two hexadecimal digits stand for a byte.
fn from_xtext(text: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&first, behind)) = rest.split_first() {
        rest = behind;
        if first == b'+' {
            let (digits, behind) = rest.split_at_checked(2)?;
            let digit = |at: usize| char::from(digits[at]).to_digit(16).and_then(|d| u8::try_from(d).ok());
            bytes.push(digit(0)? << 4 | digit(1)?);
            rest = behind;
        } else {
            bytes.push(first);
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &'static str) -> Result<Command, &'static str> {
        parse(&Bytes::from_static(line.as_bytes()))
    }

    #[test]
    fn good_commands_are_understood() {
        let mail = |sender: &str, size| Command::Mail(Mail { sender: sender.to_owned(), size });
        for (line, expected) in [
            ("ehlo me", Command::Ehlo("me".to_owned())),
            ("AUTH PLAIN", Command::AuthPlain(None)),
            ("auth plain AGE= ", Command::AuthPlain(Some("AGE=".into()))),
            ("MAIL FROM:<>", mail("", None)),
            ("mail from: <a@b> SIZE=12 BODY=8BITMIME", mail("a@b", Some(12))),
            ("MAIL FROM:<a@b> SIZE=99999999999999999999999", mail("a@b", Some(usize::MAX))),
            ("RCPT TO:<a@b>", Command::Rcpt(b"a@b".to_vec())),
            ("quit ", Command::Quit),
        ] {
            assert_eq!(parsed(line), Ok(expected), "{line}");
        }
    }

    #[test]
    fn bad_commands_are_refused_with_the_code_that_fits() {
        for (line, code) in [
            ("", "500"),
            ("BDAT 3", "500"),
            ("EHLO", "501"),
            ("EHLO a\u{1}b", "501"),
            ("AUTH LOGIN", "504"),
            ("MAIL a@b", "501"),
            ("MAIL FROM:a@b", "501"),
            ("MAIL FROM:<a b>", "501"),
            ("MAIL FROM:<a@b> SIZE=-1", "501"),
            ("MAIL FROM:<a@b> SMTPUTF8", "555"),
            ("RCPT TO:<a@b> NOTIFY=NEVER", "555"),
            ("RCPT \u{e4}\u{e4}", "501"),
            ("XCLIENT", "501"),
            ("XCLIENT COLOUR=red", "501"),
            ("XCLIENT ADDR=nowhere", "501"),
            ("XCLIENT LOGIN=a+4", "501"),
            ("XCLIENT LOGIN=a+zz", "501"),
        ] {
            let reply = parsed(line).expect_err(line);
            assert!(reply.starts_with(code), "{line}: {reply}");
        }
    }

    #[test]
    fn xclient_attributes_are_decoded() {
        let line = "XCLIENT ADDR=IPV6:2001:db8::1 NAME=[UNAVAILABLE] LOGIN=a+2Bb+3D PORT=25";
        let expected = vec![
            Attribute::Address("2001:db8::1".parse().ok()),
            Attribute::Name(None),
            Attribute::Login(Some(b"a+b=".to_vec())),
            Attribute::Other,
        ];
        assert_eq!(parsed(line), Ok(Command::Xclient(expected)));
        assert_eq!(parsed("XCLIENT ADDR=unix:"), Ok(Command::Xclient(vec![Attribute::Address(None)])));
    }
}
