//! Sets of message numbers: `1,3:5,9:*` (RFC 3501, section 9: sequence-set).

use std::fmt::Write;

/// The ranges as written. Nothing is counted out, so a range costs the same whatever it spans.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Set(Vec<(Bound, Bound)>);

/// One end of a range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Bound {
    Number(u32),
    /// `*`: the highest number there is.
    Last,
}

impl Set {
    /// Reads a set; numbers begin with 1.
    pub(super) fn parse(text: &[u8]) -> Option<Self> {
        let range = |text: &[u8]| match memchr::memchr(b':', text) {
            Some(colon) => Some((Bound::parse(&text[..colon])?, Bound::parse(&text[colon + 1..])?)),
            None => Bound::parse(text).map(|bound| (bound, bound)),
        };
        text.split(|&b| b == b',').map(range).collect::<Option<_>>().map(Self)
    }

    /// Whether `number` is in the set, where `last` is the highest number there is.
    pub(super) fn contains(&self, number: u32, last: u32) -> bool {
        self.0.iter().any(|(from, to)| {
            let (from, to) = (from.value(last), to.value(last));
            (from.min(to)..=from.max(to)).contains(&number)
        })
    }
}

impl Bound {
    fn parse(text: &[u8]) -> Option<Self> {
        if text == b"*" {
            return Some(Self::Last);
        }
        let number = super::scanner::number(text)?;
        (number > 0).then_some(Self::Number(number))
    }

    fn value(self, last: u32) -> u32 {
        match self {
            Self::Number(number) => number,
            Self::Last => last,
        }
    }
}

/// Ascending `numbers` as a set: `1:3,7`.
pub(super) fn print(numbers: &[u32]) -> String {
    let mut text = String::new();
    for run in numbers.chunk_by(|a, b| a.checked_add(1) == Some(*b)) {
        let separator = if text.is_empty() { "" } else { "," };
        // Writing to a String does not fail.
        let _ = match run {
            [one] => write!(text, "{separator}{one}"),
            [first, .., last] => write!(text, "{separator}{first}:{last}"),
            [] => Ok(()),
        };
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn members(set: &str, last: u32) -> Vec<u32> {
        let set = Set::parse(set.as_bytes()).expect(set);
        (1..=9).filter(|number| set.contains(*number, last)).collect()
    }

    #[test]
    fn a_set_holds_its_ranges_whichever_way_round() {
        assert_eq!(members("2", 9), [2]);
        assert_eq!(members("1,3:4,6:5", 9), [1, 3, 4, 5, 6]);
        assert_eq!(members("7:*", 9), [7, 8, 9]);
        assert_eq!(members("*", 3), [3]);
        // RFC 3501, section 6.4.8: 559:* includes the last message even if its UID is below 559.
        assert_eq!(members("8:*", 3), [3, 4, 5, 6, 7, 8]);
        assert_eq!(members("1:4294967295", 9).len(), 9);
    }

    #[test]
    fn what_is_no_set_is_refused() {
        for text in ["", "0", "1:", ":1", "1,", "a", "1:2:3", "4294967296", "+1", "1 2"] {
            assert_eq!(Set::parse(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn runs_are_printed_as_ranges() {
        assert_eq!(print(&[1, 2, 3, 7, 9, 10, u32::MAX]), "1:3,7,9:10,4294967295");
        assert_eq!(print(&[]), "");
    }
}
