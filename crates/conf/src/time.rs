//! Lengths of time: `1h30m`, `500ms`, `90`.

use std::time::Duration;

/// Which units a directive knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Precision {
    /// Weeks to milliseconds.
    Milliseconds,
    /// Years to seconds.
    Seconds,
}

impl Precision {
    /// How many of the smallest unit make a second.
    const fn per_second(self) -> u64 {
        match self {
            Self::Milliseconds => 1000,
            Self::Seconds => 1,
        }
    }

    const fn duration(self, total: u64) -> Duration {
        match self {
            Self::Milliseconds => Duration::from_millis(total),
            Self::Seconds => Duration::from_secs(total),
        }
    }

    /// The largest unit, as a rank.
    const fn largest(self) -> Rank {
        match self {
            Self::Milliseconds => Rank::Week,
            Self::Seconds => Rank::Year,
        }
    }
}

/// Units, largest first: each unit in a value must be smaller than the one before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    Year,
    Month,
    Week,
    Day,
    Hour,
    Minute,
    Second,
    Millisecond,
    /// A number that ended with a space: seconds, and only a last number may follow.
    Bare,
}

impl Rank {
    /// How long the unit is in milliseconds; `Bare` counts seconds.
    const fn milliseconds(self) -> u64 {
        const SECOND: u64 = 1000;
        const DAY: u64 = 24 * 60 * 60 * SECOND;
        match self {
            Self::Year => 365 * DAY,
            Self::Month => 30 * DAY,
            Self::Week => 7 * DAY,
            Self::Day => DAY,
            Self::Hour => 60 * 60 * SECOND,
            Self::Minute => 60 * SECOND,
            Self::Second | Self::Bare => SECOND,
            Self::Millisecond => 1,
        }
    }
}

/// Reads a length of time as the originals do, quirks included.
///
/// A number without a unit is seconds and comes last (`5m5` is 305 s, `5s5` is 10 s); a unit without a number
/// adds nothing as long as there is any number (`5sms`); spaces may stand between the parts.
pub(crate) fn parse(text: &[u8], precision: Precision) -> Option<Duration> {
    if !text.iter().any(u8::is_ascii_digit) {
        return None;
    }
    let mut total: u64 = 0;
    let mut last = None;
    let mut rest = text;
    while !rest.is_empty() {
        let (number, after) = digits(rest)?;
        let Some((rank, after)) = unit(after, precision)? else {
            return add(total, number, precision.per_second()).map(|total| precision.duration(total));
        };
        // Seconds may be followed by milliseconds, but not by a number that ended with a space.
        let follows = last.is_none_or(|last| rank > last && !(rank == Rank::Bare && last >= Rank::Second));
        if !follows || rank < precision.largest() {
            return None;
        }
        total = add(total, number, rank.milliseconds() * precision.per_second() / 1000)?;
        last = Some(rank);
        rest = skip_spaces(after);
    }
    Some(precision.duration(total))
}

/// The number at the start of `text`, 0 if there is none, and what follows it.
fn digits(text: &[u8]) -> Option<(u64, &[u8])> {
    let length = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (number, rest) = text.split_at(length);
    let add_digit = |value: u64, digit: &u8| value.checked_mul(10)?.checked_add(u64::from(digit - b'0'));
    Some((number.iter().try_fold(0, add_digit)?, rest))
}

/// The unit at the start of `text` and what follows it; `Some(None)` at the end, `None` for what is no unit.
#[expect(clippy::option_option, reason = "no unit and a wrong unit are different things")]
fn unit(text: &[u8], precision: Precision) -> Option<Option<(Rank, &[u8])>> {
    let Some((&first, rest)) = text.split_first() else { return Some(None) };
    let rank = match first {
        b'y' => Rank::Year,
        b'M' => Rank::Month,
        b'w' => Rank::Week,
        b'd' => Rank::Day,
        b'h' => Rank::Hour,
        b'm' if rest.first() == Some(&b's') => {
            return (precision == Precision::Milliseconds).then_some(Some((Rank::Millisecond, &rest[1..])));
        }
        b'm' => Rank::Minute,
        b's' => Rank::Second,
        b' ' => Rank::Bare,
        _ => return None,
    };
    Some(Some((rank, rest)))
}

/// `total + number * scale`, within what the originals can hold.
fn add(total: u64, number: u64, scale: u64) -> Option<u64> {
    let sum = total.checked_add(number.checked_mul(scale)?)?;
    (sum <= i64::MAX.unsigned_abs()).then_some(sum)
}

/// Spaces, but no other white space, may separate the parts of a time.
fn skip_spaces(text: &[u8]) -> &[u8] {
    &text[text.iter().take_while(|byte| **byte == b' ').count()..]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn milliseconds(text: &str) -> Option<u128> {
        parse(text.as_bytes(), Precision::Milliseconds).map(|time| time.as_millis())
    }

    fn seconds(text: &str) -> Option<u64> {
        parse(text.as_bytes(), Precision::Seconds).map(|time| time.as_secs())
    }

    #[test]
    fn times_in_milliseconds() {
        for (text, value) in [
            ("0", 0),
            ("60s", 60_000),
            ("90", 90_000),
            ("500ms", 500),
            ("1h30m", 5_400_000),
            ("1d12h", 129_600_000),
            ("1w", 604_800_000),
            ("1m1ms", 60_001),
            ("1h 30m", 5_400_000),
            (" 5", 5_000),
            ("5 ", 5_000),
            ("5s5", 10_000),
            ("5m5", 305_000),
            ("5sms", 5_000),
            ("5s ", 5_000),
        ] {
            assert_eq!(milliseconds(text), Some(value), "{text:?}");
        }
    }

    #[test]
    fn times_in_seconds() {
        for (text, value) in [
            ("0", 0),
            ("5m", 300),
            ("1y", 31_536_000),
            ("1M", 2_592_000),
            ("1y1M1w1d1h1m1s", 31_536_000 + 2_592_000 + 604_800 + 86_400 + 3_600 + 61),
            ("5s5", 10),
            ("9223372036854775807", 9_223_372_036_854_775_807),
        ] {
            assert_eq!(seconds(text), Some(value), "{text:?}");
        }
    }

    #[test]
    fn what_is_no_time() {
        for text in [
            "",
            "s",
            " ",
            "ms",
            "5S",
            "1.5s",
            "-1",
            "1x",
            "1s1m",
            "1m1m",
            "5 30m",
            "1ms1s",
            "1h\t30m",
            "1k",
            "5ms5 ",
            "99999999999999999999",
        ] {
            assert_eq!(milliseconds(text), None, "{text:?}");
            assert_eq!(seconds(text), None, "{text:?}");
        }
        for text in ["1y", "1M", "9223372036854775807", "9223372036854776s"] {
            assert_eq!(milliseconds(text), None, "{text:?}");
        }
        for text in ["500ms", "5sms", "9223372036854775808", "292471208678y"] {
            assert_eq!(seconds(text), None, "{text:?}");
        }
    }
}
