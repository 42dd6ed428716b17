//! The configuration language of nginx and Angie: words, statements, blocks, `include`, positions, directive
//! tables and faults.
//!
//! This crate does not know mail. It turns text into [`Statement`]s ([`parse_file`], [`parse_text`]), and applies
//! them to whoever owns the directives ([`apply`]): an owner has a block that holds what was written and a table
//! of [`Directive`] rows that say how a statement changes the block. Unknown names, wrong contexts, wrong
//! numbers of arguments and duplicates are found here, so that owners only say what is theirs.
//!
//! Text is parsed as a whole before anything is applied, yet mistakes are reported in the order in which they
//! stand in the text: a [`Block`] that could not be read to its end carries the statements before the mistake,
//! and the mistake in place of its end.

mod args;
mod directive;
mod disk;
mod engine;
mod fault;
mod include;
mod known;
mod lexer;
mod names;
mod parser;
mod position;
mod reference;
mod setting;
mod source;
mod statement;
mod time;
pub mod value;
mod word;

pub use args::Args;
pub use directive::{Count, Directive, Doc, Entry, Status, doc};
pub use disk::Disk;
pub use engine::{Bound, Reading, Rows, Vocabulary, apply, bind};
pub use fault::{Fault, Mistake, Notice, Severity, SystemError, Warning, Warnings};
pub use names::{Lookup, Names};
pub use parser::{parse_file, parse_text};
pub use position::Position;
pub use reference::{Chapter, chapter};
pub use setting::{List, Mask, Once, Setting};
pub use source::{Source, Sources};
pub use statement::{Block, Statement};
pub use word::Word;
