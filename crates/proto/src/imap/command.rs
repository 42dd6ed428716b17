//! What an IMAP client may say before it is logged in: commands with literals, and SASL responses.
//!
//! The input is looked at from the start of the command each time, and nothing is kept between two looks but two
//! numbers: how many literals were prompted for, and where the next line end has to be looked for before another
//! look can tell anything new. So a command is looked at once per literal and once at its end, however its bytes
//! arrive. The front keeps the input within its limit.
//!
//! The grammar is that of the originals, a subset of RFC 9051, section 9.

use std::fmt;

use bytes::Bytes;
use memchr::{memchr, memchr3};

use crate::Secret;

/// The most arguments of a command or SASL response.
const MOST_ARGUMENTS: usize = 3;

/// The most quoted strings and literals of an ID command: 30 fields and their values (RFC 2971, section 3.3).
const MOST_ID_STRINGS: usize = 60;

/// The longest tag, in bytes.
const LONGEST_TAG: usize = 32;

/// The name that a client gives to a command, and that the replies to it carry.
///
/// Letters, digits, `-`, `.` and `_`, at most 32 of them, as in the originals. RFC 9051 allows more; but tags are
/// sent back before anybody has logged in, and a web browser that was tricked into talking to us must not get
/// back a text of the attacker's choosing (ALPACA).
#[derive(Clone, PartialEq, Eq)]
pub struct Tag(Bytes);

impl Tag {
    fn accepts(byte: u8) -> bool {
        byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_')
    }
}

impl AsRef<[u8]> for Tag {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tag({})", self.0.escape_ascii())
    }
}

/// A command that is whole and well-formed.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Command {
    pub(super) tag: Tag,
    pub(super) verb: Verb,
    pub(super) arguments: Vec<Secret>,
}

/// The commands of the not authenticated state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verb {
    Authenticate,
    Capability,
    /// RFC 2971; known only where it is among the configured capabilities.
    Id,
    Login,
    Logout,
    Noop,
    Starttls,
}

impl Verb {
    const ALL: [Self; 7] = [
        Self::Authenticate,
        Self::Capability,
        Self::Id,
        Self::Login,
        Self::Logout,
        Self::Noop,
        Self::Starttls,
    ];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Authenticate => "AUTHENTICATE",
            Self::Capability => "CAPABILITY",
            Self::Id => "ID",
            Self::Login => "LOGIN",
            Self::Logout => "LOGOUT",
            Self::Noop => "NOOP",
            Self::Starttls => "STARTTLS",
        }
    }

    fn find(name: &[u8]) -> Option<Self> {
        Self::ALL.into_iter().find(|verb| verb.name().as_bytes().eq_ignore_ascii_case(name))
    }
}

/// What a look at the input found.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Look<T> {
    /// The tag, as soon as the space behind it is there.
    pub(super) tag: Option<Tag>,
    /// The verb, as soon as it is known to be one.
    pub(super) verb: Option<Verb>,
    /// How many synchronising literals were announced so far: each wants its `+ OK`.
    pub(super) prompts: usize,
    /// How far it goes.
    pub(super) found: Found<T>,
}

/// How far the input goes.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found<T> {
    /// Not to the end; another look tells nothing new before there is an LF at `resume` or behind.
    Part { resume: usize },
    /// To the end of a well-formed one, which is `length` bytes long.
    Whole { length: usize, value: T },
    /// To the end of a malformed one.
    Malformed {
        /// How many bytes to skip.
        length: usize,
        /// It ends by announcing a literal without waiting: what follows would be taken for commands.
        data_follows: bool,
    },
}

/// Looks for a command.
///
/// ```abnf
/// command   = tag 1*SP verb [ 1*SP [ arguments ] ] eol
/// tag       = 1*32( ALPHA / DIGIT / "-" / "." / "_" )
/// verb      = 1*ALPHA
/// ```
pub(super) fn command(input: &[u8], knows_id: bool) -> Look<Command> {
    look(input, |parser| {
        let tag = parser.tag()?;
        let verb = parser.verb(knows_id)?;
        let mut arguments = Vec::new();
        match verb {
            Verb::Id => parser.id_arguments(&mut arguments)?,
            _ => parser.arguments(&mut arguments)?,
        }
        Ok(Command { tag, verb, arguments })
    })
}

/// Looks for a SASL response; its value is the first argument, which is all that counts.
///
/// ```abnf
/// response  = *( any except SP CR LF ) [ 1*SP [ arguments ] ] eol
/// ```
pub(super) fn response(input: &[u8]) -> Look<Secret> {
    look(input, |parser| {
        let first = parser.word()?;
        let mut arguments = vec![first];
        parser.arguments(&mut arguments)?;
        Ok(arguments.swap_remove(0))
    })
}

fn look<T>(input: &[u8], parse: impl FnOnce(&mut Parser<'_>) -> Result<T, Stop>) -> Look<T> {
    let mut parser = Parser { input, at: 0, tag: None, verb: None, prompts: 0 };
    let found = match parse(&mut parser) {
        Ok(value) => Found::Whole { length: parser.at, value },
        Err(Stop::Part { resume }) => Found::Part { resume },
        Err(Stop::Malformed) => parser.skip_line(),
    };
    Look { tag: parser.tag, verb: parser.verb, prompts: parser.prompts, found }
}

/// Why parsing cannot go on.
enum Stop {
    /// See [`Found::Part`].
    Part { resume: usize },
    /// What stands at the parser's place must not stand there.
    Malformed,
}

/// A place in the input and what was found before it.
struct Parser<'a> {
    input: &'a [u8],
    at: usize,
    tag: Option<Tag>,
    verb: Option<Verb>,
    prompts: usize,
}

impl<'a> Parser<'a> {
    fn rest(&self) -> &'a [u8] {
        self.input.get(self.at..).unwrap_or_default()
    }

    fn part(&self) -> Stop {
        Stop::Part { resume: self.input.len() }
    }

    fn peek(&self) -> Result<u8, Stop> {
        self.rest().first().copied().ok_or_else(|| self.part())
    }

    /// Steps over `wanted`; nothing else may stand here.
    fn step_over(&mut self, wanted: u8) -> Result<(), Stop> {
        if self.peek()? != wanted {
            return Err(Stop::Malformed);
        }
        self.at += 1;
        Ok(())
    }

    /// Takes bytes for as long as they are accepted; there must be one behind them.
    fn take_while(&mut self, accepts: impl Fn(u8) -> bool) -> Result<&'a [u8], Stop> {
        let rest = self.rest();
        let length = rest.iter().position(|&byte| !accepts(byte)).ok_or_else(|| self.part())?;
        self.at += length;
        Ok(&rest[..length])
    }

    fn skip_spaces(&mut self) -> Result<(), Stop> {
        self.take_while(|byte| byte == b' ').map(drop)
    }

    /// An empty tag is none: the originals answer a line that starts with a space, nobody relies on it.
    fn tag(&mut self) -> Result<Tag, Stop> {
        let tag = self.take_while(Tag::accepts)?;
        if tag.is_empty() || tag.len() > LONGEST_TAG {
            return Err(Stop::Malformed);
        }
        self.step_over(b' ')?;
        let tag = Tag(Bytes::copy_from_slice(tag));
        self.tag = Some(tag.clone());
        self.skip_spaces()?;
        Ok(tag)
    }

    fn verb(&mut self, knows_id: bool) -> Result<Verb, Stop> {
        let name = self.take_while(|byte| byte.is_ascii_alphabetic())?;
        if !matches!(self.peek()?, b' ' | b'\r' | b'\n') {
            return Err(Stop::Malformed);
        }
        self.verb = Verb::find(name).filter(|&verb| verb != Verb::Id || knows_id);
        self.verb.ok_or(Stop::Malformed)
    }

    /// Takes arguments and the line end.
    ///
    /// ```abnf
    /// arguments = argument *( *SP argument ) *SP      ; a bare argument and a literal end at SP or eol
    /// argument  = quoted / literal / bare
    /// ```
    fn arguments(&mut self, arguments: &mut Vec<Secret>) -> Result<(), Stop> {
        loop {
            self.skip_spaces()?;
            if matches!(self.peek()?, b'\r' | b'\n') {
                return self.line_end();
            }
            if arguments.len() == MOST_ARGUMENTS {
                return Err(Stop::Malformed);
            }
            arguments.push(self.argument()?);
        }
    }

    fn argument(&mut self) -> Result<Secret, Stop> {
        match self.peek()? {
            b'"' => self.quoted(),
            b'{' => self.literal(),
            _ => self.word(),
        }
    }

    /// Takes the strings of an ID command: a parenthesised list of names and values, or NIL.
    ///
    /// Arguments of any kind will do, parentheses being ordinary bytes; only quotes and literals have to be
    /// recognised, since a line end may be in them, and are bounded in number. NIL is an empty string.
    fn id_arguments(&mut self, strings: &mut Vec<Secret>) -> Result<(), Stop> {
        while strings.len() <= MOST_ID_STRINGS {
            match self.peek()? {
                b'\r' | b'\n' => return self.line_end(),
                b'"' => strings.push(self.quoted()?),
                b'{' => strings.push(self.literal_content()?.into()),
                b' ' | b'(' | b')' => self.at += 1,
                _ => self.id_word(strings)?,
            }
        }
        Err(Stop::Malformed)
    }

    /// Takes a word of ID that is no string; one that is NIL counts as one.
    fn id_word(&mut self, strings: &mut Vec<Secret>) -> Result<(), Stop> {
        let word =
            self.take_while(|byte| !matches!(byte, b' ' | b'(' | b')' | b'\r' | b'\n' | b'"' | b'{'))?;
        if word.eq_ignore_ascii_case(b"NIL") {
            strings.push(Secret::default());
        }
        Ok(())
    }

    /// ```abnf
    /// bare      = *( any except SP CR LF )            ; an argument is not empty and starts with neither <"> nor "{"
    /// ```
    fn word(&mut self) -> Result<Secret, Stop> {
        let rest = self.rest();
        let length = memchr3(b' ', b'\r', b'\n', rest).ok_or_else(|| self.part())?;
        self.at += length;
        Ok(rest[..length].into())
    }

    /// ```abnf
    /// quoted    = <"> *( any except CR LF <"> "\" / "\" any except CR LF ) <">
    /// ```
    ///
    /// In the originals a line end closes the quotes for this argument and opens them for the next line.
    fn quoted(&mut self) -> Result<Secret, Stop> {
        self.step_over(b'"')?;
        let rest = self.rest();
        // The line end must be there before the line can be judged; it bounds the value, too.
        let mut value = Vec::with_capacity(memchr(b'\n', rest).ok_or_else(|| self.part())?);
        loop {
            let byte = match self.peek()? {
                b'"' => break,
                b'\\' => {
                    self.at += 1;
                    self.peek()?
                }
                byte => byte,
            };
            if matches!(byte, b'\r' | b'\n') {
                return Err(Stop::Malformed);
            }
            value.push(byte);
            self.at += 1;
        }
        self.at += 1;
        Ok(Secret::new(value))
    }

    /// A literal as an argument: a space or the line end must follow, as the originals want it.
    fn literal(&mut self) -> Result<Secret, Stop> {
        let content = self.literal_content()?;
        match self.peek()? {
            b' ' | b'\r' | b'\n' => Ok(content.into()),
            _ => Err(Stop::Malformed),
        }
    }

    /// ```abnf
    /// literal   = "{" *DIGIT [ "+" ] "}" *CR LF octets          ; no digit means 0
    /// ```
    ///
    /// `+` (RFC 7888): the client does not wait for a prompt. It is understood whether announced or not.
    fn literal_content(&mut self) -> Result<&'a [u8], Stop> {
        self.step_over(b'{')?;
        let digits = self.take_while(|byte| byte.is_ascii_digit())?;
        let length = parse_number(digits).ok_or(Stop::Malformed)?;
        let waits = self.peek()? != b'+';
        if !waits {
            self.at += 1;
        }
        self.step_over(b'}')?;
        self.take_while(|byte| byte == b'\r')?;
        self.step_over(b'\n')?;
        self.prompts += usize::from(waits);
        let end = self.at.saturating_add(length);
        let content = self.input.get(self.at..end).ok_or(Stop::Part { resume: end })?;
        self.at = end;
        Ok(content)
    }

    /// CRLF or LF.
    fn line_end(&mut self) -> Result<(), Stop> {
        if self.peek()? == b'\r' {
            self.at += 1;
        }
        self.step_over(b'\n')
    }

    /// Skips a malformed command: all up to the next LF, which may be where the parser stopped.
    fn skip_line<T>(&self) -> Found<T> {
        match memchr(b'\n', self.rest()) {
            None => Found::Part { resume: self.input.len() },
            Some(end) => {
                let end = self.at + end;
                Found::Malformed { length: end + 1, data_follows: announces_data(&self.input[..end]) }
            }
        }
    }
}

/// Whether a malformed line, given without its LF, ends like `{n+}`; looked for as the originals do.
fn announces_data(line: &[u8]) -> bool {
    let crs = line.iter().rev().take_while(|&&byte| byte == b'\r').count();
    line.len() >= 4 && line[..line.len() - crs].ends_with(b"+}")
}

/// A decimal number; no digits mean 0, as in the originals. `None` if it is too large.
fn parse_number(digits: &[u8]) -> Option<usize> {
    digits.iter().try_fold(0_usize, |number, digit| {
        number.checked_mul(10)?.checked_add(usize::from(digit.wrapping_sub(b'0')))
    })
}

#[cfg(test)]
mod tests;
