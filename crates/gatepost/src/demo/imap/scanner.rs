//! The words of IMAP commands: atoms, strings, numbers, dates (RFC 3501, section 9).

use std::collections::VecDeque;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::fmt::strtime;

use super::intake::{Input, Literal};
use super::set::Set;

/// A place in a command.
pub(super) struct Scanner {
    text: Vec<u8>,
    at: usize,
    literals: VecDeque<Literal>,
}

impl Scanner {
    /// The beginning of `input`.
    pub(super) fn new(input: Input) -> Self {
        Self { text: input.text, at: 0, literals: input.literals }
    }

    /// The byte that comes next.
    pub(super) fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    /// Steps over `byte` if it comes next.
    pub(super) fn take(&mut self, byte: u8) -> bool {
        let next = self.peek() == Some(byte);
        self.at += usize::from(next);
        next
    }

    /// Steps over `byte`, which has to come next.
    pub(super) fn expect(&mut self, byte: u8) -> Result<(), Bad> {
        if self.take(byte) { Ok(()) } else { Err(Bad::Syntax) }
    }

    /// The one space between arguments.
    pub(super) fn space(&mut self) -> Result<(), Bad> {
        self.expect(b' ')
    }

    /// Nothing may come any more, but spaces, which some clients leave there.
    pub(super) fn end(&mut self) -> Result<(), Bad> {
        while self.take(b' ') {}
        if self.at == self.text.len() { Ok(()) } else { Err(Bad::Syntax) }
    }

    /// Bytes up to the first that is not `wanted`, at least one.
    pub(super) fn run(&mut self, wanted: impl Fn(u8) -> bool) -> Result<&[u8], Bad> {
        let start = self.at;
        while self.peek().is_some_and(&wanted) {
            self.at += 1;
        }
        if self.at > start { Ok(&self.text[start..self.at]) } else { Err(Bad::Syntax) }
    }

    /// A keyword, in upper case.
    pub(super) fn word(&mut self) -> Result<String, Bad> {
        let bytes = self.run(|b| b.is_ascii_alphanumeric() || b"._-+".contains(&b))?;
        Ok(String::from_utf8_lossy(bytes).to_ascii_uppercase())
    }

    /// A tag: any characters of an astring but "+".
    pub(super) fn tag(&mut self) -> Result<String, Bad> {
        let bytes = self.run(|b| is_astring_char(b) && b != b'+')?;
        Ok(String::from_utf8_lossy(bytes).into_owned())
    }

    /// A number of 32 bits.
    pub(super) fn number(&mut self) -> Result<u32, Bad> {
        number(self.run(|b| b.is_ascii_digit())?).ok_or(Bad::Syntax)
    }

    /// A set of message numbers.
    pub(super) fn set(&mut self) -> Result<Set, Bad> {
        Set::parse(self.run(|b| b.is_ascii_digit() || b",:*".contains(&b))?).ok_or(Bad::Syntax)
    }

    /// An atom, a quoted string or a literal.
    pub(super) fn astring(&mut self) -> Result<Vec<u8>, Bad> {
        match self.peek() {
            Some(b'"' | b'{') => self.string(),
            _ => self.run(is_astring_char).map(<[u8]>::to_vec),
        }
    }

    /// The name of a mailbox. Ours are ASCII.
    pub(super) fn mailbox(&mut self) -> Result<String, Bad> {
        String::from_utf8(self.astring()?).map_err(|_| Bad::Syntax)
    }

    /// A pattern of LIST: like a name, but `%` and `*` may stand in an atom.
    pub(super) fn pattern(&mut self) -> Result<String, Bad> {
        let bytes = match self.peek() {
            Some(b'"' | b'{') => self.string()?,
            _ => self.run(|b| is_astring_char(b) || b"%*".contains(&b))?.to_vec(),
        };
        String::from_utf8(bytes).map_err(|_| Bad::Syntax)
    }

    /// A quoted string or a literal.
    pub(super) fn string(&mut self) -> Result<Vec<u8>, Bad> {
        if self.peek() == Some(b'"') { self.quoted() } else { self.literal().map(|literal| literal.bytes) }
    }

    /// A literal with the room that it takes.
    pub(super) fn literal(&mut self) -> Result<Literal, Bad> {
        self.expect(b'{')?;
        self.run(|b| b.is_ascii_digit())?;
        self.take(b'+');
        self.expect(b'}')?;
        self.literals.pop_front().ok_or(Bad::Syntax)
    }

    fn quoted(&mut self) -> Result<Vec<u8>, Bad> {
        self.expect(b'"')?;
        let mut bytes = Vec::new();
        loop {
            let byte = self.peek().ok_or(Bad::Syntax)?;
            self.at += 1;
            match byte {
                b'"' => return Ok(bytes),
                b'\\' => {
                    bytes.push(self.peek().filter(|b| b"\"\\".contains(b)).ok_or(Bad::Syntax)?);
                    self.at += 1;
                }
                byte => bytes.push(byte),
            }
        }
    }

    /// What stands in parentheses, each read by `item`; the list may be empty.
    pub(super) fn list<T>(
        &mut self,
        mut item: impl FnMut(&mut Self) -> Result<T, Bad>,
    ) -> Result<Vec<T>, Bad> {
        self.expect(b'(')?;
        let mut items = Vec::new();
        while !self.take(b')') {
            if !items.is_empty() {
                self.space()?;
            }
            items.push(item(self)?);
        }
        Ok(items)
    }

    /// A day, such as `1-Feb-1994`, quoted or not.
    pub(super) fn date(&mut self) -> Result<Date, Bad> {
        let text = self.astring()?;
        let time = strtime::parse("%d-%b-%Y", &text).map_err(|_| Bad::Syntax)?;
        time.to_date().map_err(|_| Bad::Syntax)
    }

    /// A moment, such as `" 1-Feb-1994 21:52:25 -0800"`.
    pub(super) fn date_time(&mut self) -> Result<Timestamp, Bad> {
        let text = self.quoted()?;
        let time =
            strtime::parse("%d-%b-%Y %H:%M:%S %z", text.trim_ascii_start()).map_err(|_| Bad::Syntax)?;
        time.to_timestamp().map_err(|_| Bad::Syntax)
    }
}

/// Why a command is answered with BAD.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Bad {
    #[error("syntax error in arguments")]
    Syntax,
    #[error("no such command")]
    Unknown,
    #[error("too many things to fetch")]
    Items,
    #[error("not nested that deep")]
    Depth,
    #[error("text to search for is too long")]
    SearchText,
}

/// A number of 32 bits, digits only.
pub(super) fn number(digits: &[u8]) -> Option<u32> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    str::from_utf8(digits).ok()?.parse().ok()
}

/// What a string may consist of that is not in quotes.
pub(super) fn is_astring_char(byte: u8) -> bool {
    byte.is_ascii_graphic() && !b"(){%*\"\\".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scanner(text: &str) -> Scanner {
        Scanner::new(Input { text: text.into(), literals: VecDeque::new() })
    }

    #[test]
    fn strings_come_in_three_forms() {
        let literal = Literal { bytes: b"li\"t".to_vec(), room: None };
        let input = Input { text: b"at]om \"q \\\"\\\\\" {4+}".to_vec(), literals: [literal].into() };
        let mut scanner = Scanner::new(input);
        assert_eq!(scanner.astring(), Ok(b"at]om".to_vec()));
        assert_eq!(scanner.space(), Ok(()));
        assert_eq!(scanner.astring(), Ok(b"q \"\\".to_vec()));
        assert_eq!(scanner.space(), Ok(()));
        assert_eq!(scanner.astring(), Ok(b"li\"t".to_vec()));
        assert_eq!(scanner.end(), Ok(()));
    }

    #[test]
    fn broken_strings_are_refused() {
        for text in ["", "\"open", "\"a\\b\"", "\"a\\", "{3}", "{x}", "(", "\u{e4}"] {
            assert_eq!(scanner(text).astring(), Err(Bad::Syntax), "{text}");
        }
    }

    #[test]
    fn dates_are_read_as_written() {
        assert_eq!(scanner("1-feb-1994").date(), Ok(jiff::civil::date(1994, 2, 1)));
        assert_eq!(scanner("\"01-Feb-1994\"").date(), Ok(jiff::civil::date(1994, 2, 1)));
        let moment = scanner("\" 1-Feb-1994 21:52:25 -0800\"").date_time().unwrap();
        assert_eq!(moment.to_string(), "1994-02-02T05:52:25Z");
        for text in ["30-Feb-1994", "1-2-1994", "\"\"", "1994-02-01"] {
            assert_eq!(scanner(text).date(), Err(Bad::Syntax), "{text}");
            assert_eq!(scanner(text).date_time(), Err(Bad::Syntax), "{text}");
        }
    }

    #[test]
    fn lists_have_spaces_between_items_and_may_be_empty() {
        assert_eq!(scanner("()").list(Scanner::number), Ok(vec![]));
        assert_eq!(scanner("(1 2)").list(Scanner::number), Ok(vec![1, 2]));
        for text in ["(1 2", "(1  2)", "1", "(1,2)", "(1 )"] {
            assert_eq!(scanner(text).list(Scanner::number), Err(Bad::Syntax), "{text}");
        }
    }
}
