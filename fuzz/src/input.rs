//! An input: a few bytes that choose the circumstances, then what a peer sends.

/// How many bytes choose the circumstances of a dialogue. Seeds have zeros there.
pub const CHOICES: usize = 4;

/// Ends a segment: what the peer sends before it waits, for TLS or for an answer.
pub const MARK: &[u8] = b"\x1e~\x1e";

/// The circumstances of a dialogue, and what the peer sends.
#[derive(Debug, Clone, Copy)]
pub struct Input<'a> {
    /// Bits for the settings.
    pub settings: u8,
    /// Which limits.
    pub limits: u8,
    /// Which answers to questions, or whose credentials.
    pub answers: u8,
    /// Where to cut.
    pub cuts: u8,
    /// What the peer sends, with [`MARK`]s.
    pub sent: &'a [u8],
}

impl<'a> Input<'a> {
    /// Reads an input of the fuzzer; `None` if it is too short to be one.
    pub fn of(bytes: &'a [u8]) -> Option<Self> {
        let (&[settings, limits, answers, cuts], sent) = bytes.split_first_chunk::<CHOICES>()?;
        Some(Self { settings, limits, answers, cuts, sent })
    }

    /// Whether this bit of the settings is set.
    pub const fn has(&self, bit: u8) -> bool {
        self.settings & (1 << bit) != 0
    }

    /// What the peer sends, segment by segment.
    pub fn segments(&self) -> Vec<&'a [u8]> {
        let mut segments = Vec::new();
        let mut rest = self.sent;
        while let Some(at) = rest.windows(MARK.len()).position(|bytes| bytes == MARK) {
            segments.push(&rest[..at]);
            rest = &rest[at + MARK.len()..];
        }
        segments.push(rest);
        segments
    }
}
