//! How the bytes of a segment fall into reads.

/// One way of arriving.
#[derive(Debug, Clone, Copy)]
pub enum Cut {
    /// All at once.
    Nowhere,
    /// Byte by byte.
    Everywhere,
    /// In pieces whose lengths follow from this number.
    Somewhere(u8),
}

impl Cut {
    /// The three that are compared.
    pub const fn all(seed: u8) -> [Self; 3] {
        [Self::Nowhere, Self::Everywhere, Self::Somewhere(seed)]
    }

    /// The pieces of `bytes`. Behind `cuttable` there is no cut.
    pub fn pieces(self, bytes: &[u8], cuttable: usize) -> Vec<&[u8]> {
        let mut numbers = Numbers::new(if let Self::Somewhere(seed) = self { seed } else { 0 });
        let mut pieces = Vec::new();
        let mut rest = bytes;
        let mut left = cuttable.min(bytes.len());
        while !rest.is_empty() {
            let length = match self {
                Self::Nowhere => rest.len(),
                Self::Everywhere => 1,
                Self::Somewhere(_) => 1 + numbers.below(23),
            };
            let length = if length < left { length } else { rest.len() };
            let (piece, behind) = rest.split_at(length);
            pieces.push(piece);
            rest = behind;
            left = left.saturating_sub(length);
        }
        pieces
    }
}

/// Numbers without any pattern that matters (xorshift); the same for the same seed.
#[derive(Debug, Clone)]
pub struct Numbers(u64);

impl Numbers {
    /// Numbers that follow from `seed`.
    pub fn new(seed: u8) -> Self {
        Self(0x9e37_79b9_7f4a_7c15 ^ (u64::from(seed) << 17))
    }

    /// The next one, less than `end`.
    pub fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).expect("31 bits fit") % end
    }
}
