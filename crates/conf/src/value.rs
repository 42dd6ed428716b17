//! Values inside words: numbers, sizes, times, flags.
//!
//! [`Args`](crate::Args) reads whole arguments and words their faults; owners of directives with parameters such
//! as `backlog=N` use these functions for what follows the equals sign.

use std::time::Duration;

use crate::time::{self, Precision};

const KILO: u64 = 1024;
const MEGA: u64 = 1024 * 1024;
const GIGA: u64 = 1024 * 1024 * 1024;

/// `on` or `off`, in any case.
pub fn flag(text: &[u8]) -> Option<bool> {
    if text.eq_ignore_ascii_case(b"on") {
        Some(true)
    } else if text.eq_ignore_ascii_case(b"off") {
        Some(false)
    } else {
        None
    }
}

/// Decimal digits, up to 9223372036854775807.
pub fn number(text: &[u8]) -> Option<u64> {
    if text.is_empty() {
        return None;
    }
    let add_digit = |value: u64, byte: &u8| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        value.checked_mul(10)?.checked_add(digit)
    };
    text.iter().try_fold(0, add_digit).filter(|value| *value <= i64::MAX.unsigned_abs())
}

/// Bytes: a number with at most one of `k`, `K`, `m`, `M`.
pub fn size(text: &[u8]) -> Option<u64> {
    match text {
        [digits @ .., b'k' | b'K'] => scaled(digits, KILO),
        [digits @ .., b'm' | b'M'] => scaled(digits, MEGA),
        _ => number(text),
    }
}

/// Bytes: as [`size`], and `g` or `G`.
pub fn offset(text: &[u8]) -> Option<u64> {
    match text {
        [digits @ .., b'g' | b'G'] => scaled(digits, GIGA),
        _ => size(text),
    }
}

/// A length of time with milliseconds: `1h30m`, `500ms`, `90`. No unit is larger than a week.
pub fn milliseconds(text: &[u8]) -> Option<Duration> {
    time::parse(text, Precision::Milliseconds)
}

/// A length of time in whole seconds: `1y`, `5m`, `90`.
pub fn seconds(text: &[u8]) -> Option<Duration> {
    time::parse(text, Precision::Seconds)
}

fn scaled(digits: &[u8], scale: u64) -> Option<u64> {
    number(digits)?.checked_mul(scale).filter(|value| *value <= i64::MAX.unsigned_abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_digits_and_nothing_else() {
        assert_eq!(number(b"0"), Some(0));
        assert_eq!(number(b"007"), Some(7));
        assert_eq!(number(b"9223372036854775807"), Some(i64::MAX.unsigned_abs()));
        for text in ["", "-1", "+1", "1k", " 1", "0x1", "9223372036854775808", "99999999999999999999"] {
            assert_eq!(number(text.as_bytes()), None, "{text:?}");
        }
    }

    #[test]
    fn sizes_know_kilo_and_mega_but_not_giga() {
        for (text, value) in
            [("0", 0), ("4096", 4096), ("4k", 4096), ("4K", 4096), ("1m", MEGA), ("1M", MEGA)]
        {
            assert_eq!(size(text.as_bytes()), Some(value), "{text:?}");
        }
        for text in ["", "k", "1g", "1kk", "1 k", "-1k", "9007199254740992k", "8796093022208m"] {
            assert_eq!(size(text.as_bytes()), None, "{text:?}");
        }
        assert_eq!(size(b"9007199254740991k"), Some(9_007_199_254_740_991 * KILO));
    }

    #[test]
    fn offsets_know_giga_too() {
        assert_eq!(offset(b"2g"), Some(2 * GIGA));
        assert_eq!(offset(b"2G"), Some(2 * GIGA));
        assert_eq!(offset(b"2k"), Some(2 * KILO));
        assert_eq!(offset(b"8589934592g"), None);
    }

    #[test]
    fn flags_are_on_and_off_in_any_case() {
        assert_eq!(flag(b"on"), Some(true));
        assert_eq!(flag(b"OFF"), Some(false));
        for text in ["yes", "1", "true", "o", "", "on "] {
            assert_eq!(flag(text.as_bytes()), None, "{text:?}");
        }
    }
}
