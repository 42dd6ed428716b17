//! What follows the destination of an `error_log`: levels, `format=`, `rate=`, `filter=`, in any order.

use conf::{Args, Fault, Mistake, Word, value};

use super::filter::Filter;
use super::{Format, Level};

/// The parameters as written.
#[derive(Debug)]
pub(super) struct Parameters {
    pub(super) level: Level,
    /// `None`: that of the flavour, by name or by default.
    pub(super) format: Option<Format>,
    /// Messages per second; `None`: that of the flavour.
    pub(super) rate: Option<u64>,
    pub(super) filters: Vec<Filter>,
}

/// What can be wrong with them.
#[derive(Debug, thiserror::Error)]
enum ParameterMistake {
    #[error("invalid log level \"{0}\"")]
    InvalidLevel(Word),
    #[error("duplicate log level \"{0}\"")]
    DuplicateLevel(Word),
    #[error("invalid rate \"{0}\"")]
    Rate(Word),
    #[error("unknown log format \"{0}\"")]
    Format(Word),
    #[error("duplicate format= parameter (\"{0}\")")]
    DuplicateFormat(Word),
}

impl Parameters {
    pub(super) fn parse(args: &Args<'_>) -> Result<Self, Fault> {
        let mut levels = Levels::Unset;
        let mut format = None;
        let mut rate = None;
        let mut filters = Vec::new();
        for word in args.words().iter().skip(1) {
            if let Some(value) = after(word, b"rate=") {
                rate = Some(parse_rate(args, word, value)?);
            } else if let Some(value) = after(word, b"format=") {
                let wrong = |mistake| Fault::own(mistake, args.at());
                if format.is_some() {
                    return Err(wrong(ParameterMistake::DuplicateFormat(value.into())));
                }
                let known = FORMATS.iter().find(|(name, _)| name.as_bytes() == value);
                format = Some(known.ok_or_else(|| wrong(ParameterMistake::Format(value.into())))?.1);
            } else if let Some(value) = after(word, b"filter=") {
                filters.push(Filter::parse(args, value)?);
            } else {
                levels = levels.add(args, word)?;
            }
        }
        Ok(Self { level: levels.level(), format: format.unwrap_or_default(), rate, filters })
    }
}

fn after<'w>(word: &'w Word, prefix: &[u8]) -> Option<&'w [u8]> {
    word.as_bytes().strip_prefix(prefix)
}

/// `N` or `Nm/s`.
fn parse_rate(args: &Args<'_>, word: &Word, written: &[u8]) -> Result<u64, Fault> {
    let digits = written.strip_suffix(b"m/s").unwrap_or(written);
    let wrong = || Fault::own(ParameterMistake::Rate(word.clone()), args.at());
    value::number(digits).ok_or_else(wrong)
}

/// The formats by name; `None` is that of the flavour.
const FORMATS: [(&str, Option<Format>); 3] =
    [("default", None), ("json", Some(Format::Json)), ("nginx", Some(Format::Nginx))];

/// The levels as far as they have been read.
#[derive(Clone, Copy)]
enum Levels {
    /// None.
    Unset,
    /// A level, after which no other may come.
    One(Level),
    /// `debug_core` and its siblings, which imply everything up to `info`.
    Parts(Level),
}

impl Levels {
    fn add(self, args: &Args<'_>, word: &Word) -> Result<Self, Fault> {
        let wrong = |mistake| Err(Fault::own(mistake, args.at()));
        let level = Level::ALL.into_iter().find(|level| *word == level.name());
        match (self, level, debug_part(word)) {
            (Self::Unset, Some(level), _) => Ok(Self::One(level)),
            (Self::One(_) | Self::Parts(_), Some(_), _) => {
                wrong(ParameterMistake::DuplicateLevel(word.clone()))
            }
            (Self::Unset, None, Some(level)) => Ok(Self::Parts(level)),
            (Self::Parts(other), None, Some(level)) => Ok(Self::Parts(level.max(other))),
            (Self::One(_), None, Some(_)) | (Self::Unset, None, None) => {
                wrong(ParameterMistake::InvalidLevel(word.clone()))
            }
            _ => Err(args.fault(Mistake::InvalidParameter(word.clone()))),
        }
    }

    const fn level(self) -> Level {
        match self {
            Self::Unset => Level::Error,
            Self::One(level) | Self::Parts(level) => level,
        }
    }
}

/// What a part of the originals' debug messages comes to here: only those about mail are ours.
fn debug_part(word: &Word) -> Option<Level> {
    match word.to_str()? {
        "debug_mail" => Some(Level::Debug),
        "debug_core" | "debug_alloc" | "debug_mutex" | "debug_event" | "debug_http" | "debug_stream" => {
            Some(Level::Info)
        }
        _ => None,
    }
}
