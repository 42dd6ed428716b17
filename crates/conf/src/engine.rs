//! Applies statements to the blocks of their owners, and finds the mistakes that need no owner.

use std::collections::HashSet;

use crate::args::Args;
use crate::directive::{Directive, Entry, Setter, Status};
use crate::disk::Disk;
use crate::fault::{Fault, Mistake, Notice, Warnings};
use crate::known;
use crate::names::Names;
use crate::statement::{Block, Statement};

/// What is common to all statements of one reading of a configuration.
#[derive(Debug, Clone, Copy)]
pub struct Reading<'a> {
    /// Every name that is a directive somewhere.
    pub vocabulary: &'a Vocabulary,
    /// Where warnings go.
    pub warnings: &'a Warnings,
    /// What host names mean.
    pub names: &'a Names,
    /// The files that directives name.
    pub disk: Disk<'a>,
}

impl Reading<'_> {
    /// Passes over the block of another kind of server, such as `http`, with a warning.
    pub fn skip(&self, args: &Args<'_>, block: &Block) -> Result<(), Fault> {
        self.warnings.add(Notice::BlockSkipped(args.name()), Some(args.at()));
        block.is_complete()
    }
}

/// Every name that is a directive in some context: of our tables, or of the originals' http and stream modules.
///
/// Only tells a directive in the wrong place from one that nobody knows.
#[derive(Debug, Default)]
pub struct Vocabulary(HashSet<&'static str>);

impl Vocabulary {
    /// The names of the originals' other modules.
    pub fn new() -> Self {
        Self(known::ELSEWHERE.iter().copied().collect())
    }

    /// And those of `table`.
    pub fn and<B>(mut self, table: &[Directive<B>]) -> Self {
        self.0.extend(table.iter().map(|directive| directive.entry.name));
        self
    }

    fn knows(&self, name: &str) -> bool {
        self.0.contains(name)
    }
}

/// The directives of one owner in one context.
pub trait Rows {
    /// Applies `statement` if the owner has it; `None` if it does not.
    fn apply(&mut self, statement: &Statement, reading: &Reading<'_>) -> Option<Result<(), Fault>>;
}

/// A table and the block that its setters change.
#[derive(Debug)]
pub struct Bound<'b, B: 'static> {
    table: &'static [Directive<B>],
    block: &'b mut B,
}

/// Lets the directives of `table` change `block`.
pub const fn bind<'b, B>(table: &'static [Directive<B>], block: &'b mut B) -> Bound<'b, B> {
    Bound { table, block }
}

impl<B> Rows for Bound<'_, B> {
    fn apply(&mut self, statement: &Statement, reading: &Reading<'_>) -> Option<Result<(), Fault>> {
        let directive = self.table.iter().find(|directive| statement.name == directive.entry.name)?;
        Some(set(directive, self.block, &Args::new(statement, reading), statement.body.as_ref()))
    }
}

/// The directives of two owners.
impl<A: Rows, B: Rows> Rows for (A, B) {
    fn apply(&mut self, statement: &Statement, reading: &Reading<'_>) -> Option<Result<(), Fault>> {
        self.0.apply(statement, reading).or_else(|| self.1.apply(statement, reading))
    }
}

/// Applies all statements of `block` to whichever of `owners` has them.
///
/// # Errors
/// The first mistake in the order of the text.
pub fn apply(block: &Block, owners: &mut [&mut dyn Rows], reading: &Reading<'_>) -> Result<(), Fault> {
    for statement in &block.statements {
        owners
            .iter_mut()
            .find_map(|owner| owner.apply(statement, reading))
            .unwrap_or_else(|| Err(stranger(statement, reading)))?;
    }
    block.is_complete()
}

/// A directive that none of the owners has.
fn stranger(statement: &Statement, reading: &Reading<'_>) -> Fault {
    let name = statement.name.clone();
    let known = name.to_str().is_some_and(|name| reading.vocabulary.knows(name));
    let mistake = if known { Mistake::NotAllowedHere(name) } else { Mistake::UnknownDirective(name) };
    Fault::at(mistake, &statement.at)
}

fn set<B>(
    directive: &Directive<B>,
    block: &mut B,
    args: &Args<'_>,
    body: Option<&Block>,
) -> Result<(), Fault> {
    check_shape(directive, args, body).map_err(|mistake| args.fault(mistake))?;
    check_status(&directive.entry, args).map_err(|mistake| args.fault(mistake))?;
    match (&directive.setter, body) {
        (Setter::Simple(set), _) => set(block, args),
        (Setter::Block(set), Some(body)) => set(block, args, body),
        (Setter::Block(_), None) | (Setter::Nothing, _) => Ok(()),
    }
}

/// Whether the statement has a block or not, and as many arguments, as its directive wants.
fn check_shape<B>(directive: &Directive<B>, args: &Args<'_>, body: Option<&Block>) -> Result<(), Mistake> {
    match (&directive.setter, body) {
        (Setter::Simple(_) | Setter::Nothing, Some(_)) => Err(Mistake::NotTerminated(args.name())),
        (Setter::Block(_), None) => Err(Mistake::NoBlock(args.name())),
        _ if !directive.count.allows(args.words().len()) => Err(Mistake::ArgumentCount(args.name())),
        _ => Ok(()),
    }
}

fn check_status(entry: &Entry, args: &Args<'_>) -> Result<(), Mistake> {
    match entry.status {
        Status::Works | Status::Accepted(_) => Ok(()),
        Status::NotYet(_) => Err(Mistake::NotYet(args.name())),
        Status::Refused(reason) => Err(Mistake::Refused { name: args.name(), reason }),
    }
}

#[cfg(test)]
#[path = "engine/tests.rs"]
mod tests;
