//! A row of a directive table: what the engine checks, what the setter does, what the reference says.

use crate::args::Args;
use crate::fault::Fault;
use crate::statement::Block;

/// One directive of the owner whose block is `B`.
///
/// Rows are written as constants: a constructor that says what becomes of the directive, then
/// [`Directive::doc`].
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
    /// Its arguments as the reference shows them: `on | off`.
    pub syntax: &'static str,
    /// Its default as the reference shows it; empty if there is none.
    pub default: &'static str,
    /// A paragraph of Markdown.
    pub text: &'static str,
    /// What becomes of it.
    pub status: Status,
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
        set: fn(&mut B, &Args<'_>) -> Result<(), Fault>,
    ) -> Self {
        Self::with(name, count, Setter::Simple(set), Status::Works)
    }

    /// A directive that works and has a block.
    pub const fn block(
        name: &'static str,
        count: Count,
        set: fn(&mut B, &Args<'_>, &Block) -> Result<(), Fault>,
    ) -> Self {
        Self::with(name, count, Setter::Block(set), Status::Works)
    }

    /// A directive that is checked and has no effect. `why` completes "accepted without effect: …".
    pub const fn accepted(
        name: &'static str,
        count: Count,
        why: &'static str,
        check: fn(&mut B, &Args<'_>) -> Result<(), Fault>,
    ) -> Self {
        Self::with(name, count, Setter::Simple(check), Status::Accepted(why))
    }

    /// A directive of a later release. `what` completes "not yet: it needs …".
    pub const fn not_yet(name: &'static str, count: Count, what: &'static str) -> Self {
        Self::with(name, count, Setter::Nothing, Status::NotYet(what))
    }

    /// A directive that is never supported.
    pub const fn refused(name: &'static str, count: Count, why: &'static str) -> Self {
        Self::with(name, count, Setter::Nothing, Status::Refused(why))
    }

    /// What the reference says.
    pub const fn doc(self, syntax: &'static str, default: &'static str, text: &'static str) -> Self {
        let entry = Entry { syntax, default, text, ..self.entry };
        Self { entry, count: self.count, setter: self.setter }
    }

    const fn with(name: &'static str, count: Count, setter: Setter<B>, status: Status) -> Self {
        Self { entry: Entry { name, syntax: "", default: "", text: "", status }, count, setter }
    }
}
