//! A row of a directive table: what the engine checks, what the setter does, what the reference says.

use crate::args::Args;
use crate::fault::Fault;
use crate::statement::Block;

/// One directive of the owner whose block is `B`.
#[derive(Debug)]
pub struct Directive<B: 'static> {
    /// What everyone may know.
    pub entry: Entry,
    /// How many arguments it takes.
    pub(crate) count: Count,
    /// What it does to the owner's block.
    pub(crate) setter: Setter<B>,
}

/// What a directive is, for the engine and for the reference.
#[derive(Debug, Clone, Copy)]
pub struct Entry {
    /// Its name.
    pub name: &'static str,
    /// What it says.
    pub doc: Doc,
    /// What becomes of it.
    pub status: Status,
}

/// What the reference says of a directive, beside its status.
#[derive(Debug, Clone, Copy)]
pub struct Doc {
    /// Its arguments: `on | off`.
    pub syntax: &'static str,
    /// Its default; empty if there is none.
    pub default: &'static str,
    /// A paragraph of Markdown.
    pub text: &'static str,
}

/// Syntax, default and text of a directive.
pub const fn doc(syntax: &'static str, default: &'static str, text: &'static str) -> Doc {
    Doc { syntax, default, text }
}

/// What becomes of a directive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// It does what the reference says.
    Works,
    /// It is checked and has no effect, for this reason.
    Accepted(&'static str),
    /// A later release will have it, because it needs this; until then it is a fault.
    NotYet(&'static str),
    /// It is a fault, for this reason.
    Refused(&'static str),
}

/// How many arguments a directive takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Count {
    /// Just so many.
    Exactly(usize),
    /// From so many to so many.
    Between(usize, usize),
    /// So many or more.
    AtLeast(usize),
}

impl Count {
    pub(crate) const fn allows(self, count: usize) -> bool {
        match self {
            Self::Exactly(n) => count == n,
            Self::Between(least, most) => least <= count && count <= most,
            Self::AtLeast(least) => least <= count,
        }
    }
}

/// What a directive does to its owner's block.
#[derive(Debug)]
pub enum Setter<B: 'static> {
    /// Nothing: the directive is a fault.
    Nothing,
    /// It ends with `;`.
    Simple(fn(&mut B, &Args<'_>) -> Result<(), Fault>),
    /// It has a block.
    Block(fn(&mut B, &Args<'_>, &Block) -> Result<(), Fault>),
}

impl<B> Directive<B> {
    /// A directive that works.
    pub const fn new(
        name: &'static str,
        count: Count,
        doc: Doc,
        set: fn(&mut B, &Args<'_>) -> Result<(), Fault>,
    ) -> Self {
        Self { entry: Entry { name, doc, status: Status::Works }, count, setter: Setter::Simple(set) }
    }

    /// A directive that works and has a block.
    pub const fn block(
        name: &'static str,
        count: Count,
        doc: Doc,
        set: fn(&mut B, &Args<'_>, &Block) -> Result<(), Fault>,
    ) -> Self {
        Self { entry: Entry { name, doc, status: Status::Works }, count, setter: Setter::Block(set) }
    }

    /// A directive that is checked and has no effect. `why` completes "accepted without effect: …".
    pub const fn accepted(
        name: &'static str,
        count: Count,
        why: &'static str,
        doc: Doc,
        check: fn(&mut B, &Args<'_>) -> Result<(), Fault>,
    ) -> Self {
        Self {
            entry: Entry { name, doc, status: Status::Accepted(why) },
            count,
            setter: Setter::Simple(check),
        }
    }

    /// A directive of a later release. `what` completes "not yet: it needs …".
    pub const fn not_yet(name: &'static str, count: Count, what: &'static str, doc: Doc) -> Self {
        Self { entry: Entry { name, doc, status: Status::NotYet(what) }, count, setter: Setter::Nothing }
    }

    /// A directive that is never supported. `why` completes "refused: …".
    pub const fn refused(name: &'static str, count: Count, why: &'static str, doc: Doc) -> Self {
        Self { entry: Entry { name, doc, status: Status::Refused(why) }, count, setter: Setter::Nothing }
    }
}
