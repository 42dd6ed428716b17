//! Places to cut at, chosen at random and told when a test fails.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};

/// The variable that chooses the places again.
const SEED: &str = "GATEPOST_SEED";

/// Cuts bytes into pieces. A failing test says which `GATEPOST_SEED` cuts them so again.
#[derive(Debug)]
pub struct Cuts {
    seed: u64,
    state: u64,
}

impl Default for Cuts {
    fn default() -> Self {
        Self::new()
    }
}

impl Cuts {
    /// Cuts by the seed in the environment, or else as never before.
    pub fn new() -> Self {
        let given = std::env::var(SEED).ok().and_then(|seed| seed.parse().ok());
        Self::seeded(given.unwrap_or_else(|| RandomState::new().build_hasher().finish()))
    }

    fn seeded(seed: u64) -> Self {
        // No state of an xorshift generator may be zero.
        Self { seed, state: (seed ^ 0x9e37_79b9_7f4a_7c15).max(1) }
    }

    /// The pieces of `bytes`: most of them short, and none empty.
    pub fn pieces<'a>(&mut self, bytes: &'a [u8]) -> Vec<&'a [u8]> {
        let mut pieces = Vec::new();
        let mut rest = bytes;
        // Long ones in long pieces, so that no input takes more than some dozens.
        let most = 8 + bytes.len() / 16;
        while !rest.is_empty() {
            let (piece, behind) = rest.split_at(self.length(most).min(rest.len()));
            pieces.push(piece);
            rest = behind;
        }
        pieces
    }

    /// From 1 to `most`.
    fn length(&mut self, most: usize) -> usize {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        1 + usize::try_from(self.state >> 33).expect("31 bits fit") % most
    }
}

impl Drop for Cuts {
    #[expect(clippy::print_stderr, reason = "part of the report of a failed test")]
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("cut by {SEED}={}", self.seed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_the_whole_and_the_same_for_the_same_seed() {
        let bytes = [b'x'; 4099];
        let pieces = Cuts::seeded(0).pieces(&bytes);
        assert_eq!(pieces.concat(), bytes);
        assert!((2..200).contains(&pieces.len()) && pieces.iter().all(|piece| !piece.is_empty()));
        assert_eq!(Cuts::seeded(0).pieces(&bytes), pieces);
        assert_ne!(Cuts::seeded(1).pieces(&bytes), pieces);
    }
}
