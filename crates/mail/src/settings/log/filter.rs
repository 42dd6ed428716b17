//! `filter=TYPE:PATTERN` of an `error_log`.

use std::hash::{Hash, Hasher};

use conf::{Args, Fault, Position, Word};
use regex::bytes::Regex;

use crate::log::NAMES;

/// What a line has to match.
#[derive(Debug, Clone)]
pub struct Filter {
    /// As written, behind `filter=`. Filters are equal if their texts are.
    text: Word,
    subject: Subject,
    pattern: Pattern,
}

/// What a [`Filter`] looks at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// The line, behind the number of the session.
    Logline,
    /// The message alone.
    Message,
    /// Any of the tags.
    Tag,
    /// A field of the context, by name.
    Field(Box<str>),
}

#[derive(Debug, Clone)]
enum Pattern {
    Part(Box<[u8]>),
    Whole(Box<[u8]>),
    Expression(Regex),
}

/// What can be wrong with a filter.
#[derive(Debug, thiserror::Error)]
enum FilterMistake {
    #[error("missing filter type in \"{0}\"")]
    NoType(Word),
    #[error("empty filter pattern \"{0}\"")]
    Empty(Word),
    #[error("\"error_log\" directive source file filtering requires debug build")]
    SourceFile,
    /// The originals name pcre2_compile() here.
    #[error("regular expression \"{expression}\" cannot be used: {reason}")]
    Expression { expression: Word, reason: String },
}

/// A filter on a field that no message has.
#[derive(Debug, thiserror::Error)]
#[error("error_log directive at {at} has filter with unknown property \"{name}\"")]
pub(super) struct UnknownProperty {
    at: Position,
    name: Box<str>,
}

impl Filter {
    /// Reads what follows `filter=`.
    pub(super) fn parse(args: &Args<'_>, text: &[u8]) -> Result<Self, Fault> {
        let wrong = |mistake| Fault::own(mistake, args.at());
        let word = || Word::from(text);
        let split = text.iter().position(|byte| *byte == b':').filter(|at| *at > 0);
        let (name, pattern) = text.split_at(split.ok_or_else(|| wrong(FilterMistake::NoType(word())))?);
        let pattern = match &pattern[1..] {
            [] => return Err(wrong(FilterMistake::Empty(word()))),
            pattern => Pattern::parse(pattern).map_err(wrong)?,
        };
        let subject = match name {
            b"logline" => Subject::Logline,
            b"message" => Subject::Message,
            b"tag" => Subject::Tag,
            b"sourcefile" => return Err(wrong(FilterMistake::SourceFile)),
            name => Subject::Field(String::from_utf8_lossy(name).into()),
        };
        Ok(Self { text: word(), subject, pattern })
    }

    /// What it looks at.
    pub const fn subject(&self) -> &Subject {
        &self.subject
    }

    /// Whether `text` is what it looks for.
    pub fn matches(&self, text: &[u8]) -> bool {
        match &self.pattern {
            Pattern::Part(part) => memchr::memmem::find(text, part).is_some(),
            Pattern::Whole(whole) => **whole == *text,
            Pattern::Expression(expression) => expression.is_match(text),
        }
    }

    /// The mistake, in the `error_log` at `at`, of naming a field that does not exist.
    pub(super) fn unknown_property(&self, at: &Position) -> Option<UnknownProperty> {
        let Subject::Field(name) = &self.subject else { return None };
        let known = NAMES.iter().any(|(known, _)| **known == **name);
        (!known).then(|| UnknownProperty { at: at.clone(), name: name.clone() })
    }
}

impl Pattern {
    fn parse(written: &[u8]) -> Result<Self, FilterMistake> {
        match written {
            [b'=', whole @ ..] => Ok(Self::Whole(whole.into())),
            [b'~', expression @ ..] => compile(expression).map(Self::Expression),
            part => Ok(Self::Part(part.into())),
        }
    }
}

fn compile(expression: &[u8]) -> Result<Regex, FilterMistake> {
    let wrong = |reason| FilterMistake::Expression { expression: expression.into(), reason };
    let text = std::str::from_utf8(expression).map_err(|error| wrong(error.to_string()))?;
    Regex::new(text).map_err(|error| {
        // The crate draws a picture of several lines; the last one is the reason.
        let error = error.to_string();
        let reason = error.lines().last().unwrap_or_default();
        wrong(reason.strip_prefix("error: ").unwrap_or(reason).to_owned())
    })
}

impl PartialEq for Filter {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Filter {}

impl Hash for Filter {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.text.hash(state);
    }
}
