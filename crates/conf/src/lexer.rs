//! Bytes to tokens: white space, comments, quotes, escapes and the limits of a word.
//!
//! Knows nothing of statements; the parser decides whether a token may stand where it stands.

use crate::fault::Mistake;
use crate::word::Word;

/// The most bytes, quotes and backslashes included, that a word may have: the read buffer of the originals has
/// 4096 bytes, and they need to see what follows.
const MAX_WORD: usize = 4094;

/// How many bytes of a word that is too long are shown.
const SHOWN: usize = 10;

/// The smallest things that the language is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Token {
    /// A name or an argument.
    Word(Word),
    /// `;`
    Semicolon,
    /// `{`
    Open,
    /// `}` in the place of a word.
    Close,
    /// The end of the text.
    End,
    /// The end of the text in the middle of a word.
    Broken,
}

/// Reads tokens from a text, counting lines.
pub(crate) struct Lexer<'t> {
    text: &'t [u8],
    pos: usize,
    /// The line of the last byte read, from 1.
    line: u32,
    /// The last token was quoted, so that not everything may follow it.
    after_quote: bool,
}

impl<'t> Lexer<'t> {
    pub(crate) const fn new(text: &'t [u8]) -> Self {
        Self { text, pos: 0, line: 1, after_quote: false }
    }

    /// The line that reading has reached.
    pub(crate) const fn line(&self) -> u32 {
        self.line
    }

    /// The next token, or what is wrong on [`Lexer::line`].
    pub(crate) fn token(&mut self) -> Result<Token, Mistake> {
        self.check_after_quote()?;
        self.skip_blank();
        let start = Start { pos: self.pos, line: self.line };
        match self.peek() {
            None => Ok(Token::End),
            Some(b';') => Ok(self.single(Token::Semicolon)),
            Some(b'{') => Ok(self.single(Token::Open)),
            Some(b'}') => Ok(self.single(Token::Close)),
            Some(quote @ (b'"' | b'\'')) => self.quoted(start, quote),
            Some(_) => self.unquoted(start),
        }
    }

    /// Only white space, the end of the statement and `)` may follow a closing quote.
    fn check_after_quote(&mut self) -> Result<(), Mistake> {
        if !std::mem::take(&mut self.after_quote) {
            return Ok(());
        }
        match self.peek() {
            None | Some(b' ' | b'\t' | b'\r' | b'\n' | b';' | b'{' | b')') => Ok(()),
            Some(byte) => Err(Mistake::Unexpected([byte].as_slice().into())),
        }
    }

    fn skip_blank(&mut self) {
        while let Some(byte) = self.peek() {
            match byte {
                b' ' | b'\t' | b'\r' | b'\n' => self.advance(),
                // The originals refuse comments of 4095 bytes and more, which helps nobody.
                b'#' => self.skip_comment(),
                _ => return,
            }
        }
    }

    fn skip_comment(&mut self) {
        while self.peek().is_some_and(|byte| byte != b'\n') {
            self.advance();
        }
    }

    fn single(&mut self, token: Token) -> Token {
        self.advance();
        token
    }

    fn quoted(&mut self, start: Start, quote: u8) -> Result<Token, Mistake> {
        self.advance();
        loop {
            match self.peek() {
                None => return Ok(Token::Broken),
                Some(_) if self.pos - start.pos >= MAX_WORD => {
                    self.line = start.line;
                    return Err(Mistake::TooLongQuoted(char::from(quote)));
                }
                Some(byte) if byte == quote => break,
                Some(b'\\') => self.advance_escape(),
                Some(_) => self.advance(),
            }
        }
        let raw = &self.text[start.pos + 1..self.pos];
        self.advance();
        self.after_quote = true;
        Ok(Token::Word(unescape(raw)))
    }

    fn unquoted(&mut self, start: Start) -> Result<Token, Mistake> {
        while let Some(byte) = self.peek() {
            match byte {
                b' ' | b'\t' | b'\r' | b'\n' | b';' => return self.finish(start),
                b'{' if !self.follows_dollar(start) => return self.finish(start),
                b'\\' => self.advance_escape(),
                _ => self.advance(),
            }
            if self.pos - start.pos > MAX_WORD + 1 {
                return Err(self.too_long(start));
            }
        }
        Ok(Token::Broken)
    }

    /// Ends an unquoted word; one more byte fits if `;` follows at once.
    fn finish(&mut self, start: Start) -> Result<Token, Mistake> {
        let raw = &self.text[start.pos..self.pos];
        let limit = if self.peek() == Some(b';') { MAX_WORD + 1 } else { MAX_WORD };
        if raw.len() > limit {
            return Err(self.too_long(start));
        }
        Ok(Token::Word(unescape(raw)))
    }

    fn too_long(&mut self, start: Start) -> Mistake {
        self.line = start.line;
        Mistake::TooLong(self.text[start.pos..start.pos + SHOWN].into())
    }

    /// `${name}` does not open a block; an escaped dollar is no dollar.
    fn follows_dollar(&self, start: Start) -> bool {
        let before = &self.text[start.pos..self.pos];
        let Some(before) = before.strip_suffix(b"$") else { return false };
        let backslashes = before.iter().rev().take_while(|byte| **byte == b'\\').count();
        backslashes % 2 == 0
    }

    fn peek(&self) -> Option<u8> {
        self.text.get(self.pos).copied()
    }

    fn advance(&mut self) {
        if self.peek() == Some(b'\n') {
            self.line = self.line.saturating_add(1);
        }
        self.pos = self.text.len().min(self.pos + 1);
    }

    /// Passes a backslash and whatever follows it, which thereby loses its meaning.
    fn advance_escape(&mut self) {
        self.advance();
        self.advance();
    }
}

/// Where a token begins.
#[derive(Clone, Copy)]
struct Start {
    pos: usize,
    line: u32,
}

/// Resolves escapes: `\" \' \\ \t \r \n`; before anything else the backslash stays.
fn unescape(raw: &[u8]) -> Word {
    let mut bytes = Vec::with_capacity(raw.len());
    let mut rest = raw;
    while let Some((&byte, tail)) = rest.split_first() {
        let escaped = (byte == b'\\').then(|| tail.first().and_then(|next| escape(*next))).flatten();
        bytes.push(escaped.unwrap_or(byte));
        rest = if escaped.is_some() { &tail[1..] } else { tail };
    }
    bytes.into()
}

/// What `\` and `byte` stand for, if for one byte.
const fn escape(byte: u8) -> Option<u8> {
    match byte {
        b'"' | b'\'' | b'\\' => Some(byte),
        b't' => Some(b'\t'),
        b'r' => Some(b'\r'),
        b'n' => Some(b'\n'),
        _ => None,
    }
}

#[cfg(test)]
#[path = "lexer/tests.rs"]
mod tests;
