//! What was written: statements and blocks of statements, before anyone knows what they mean.

use crate::fault::Fault;
use crate::position::Position;
use crate::word::Word;

/// A directive with its arguments, and its block if it has one.
#[derive(Debug, Clone)]
pub struct Statement {
    /// The first word.
    pub name: Word,
    /// The other words.
    pub args: Vec<Word>,
    /// Where its `;` or `{` stands.
    pub at: Position,
    /// What stands between `{` and `}`.
    pub body: Option<Block>,
}

/// A sequence of statements: a whole file, or what stands between `{` and `}`.
#[derive(Debug, Clone)]
pub struct Block {
    /// In the order of the text; included files are spliced in.
    pub statements: Vec<Statement>,
    /// Where the block ended, or why its end was not reached. A fault in an inner block, or in an included
    /// file, is repeated in all blocks around it.
    pub end: Result<Position, Fault>,
}

impl Block {
    /// Whether the block, and everything in it, could be read.
    pub fn is_complete(&self) -> Result<(), Fault> {
        self.end.as_ref().map(|_| ()).map_err(Clone::clone)
    }
}
