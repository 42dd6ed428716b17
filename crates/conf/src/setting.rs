//! What a directive has set in one context: nothing, one value, a list of values, or a set of words.
//!
//! Each kind has its own rule for a second occurrence in the same context, and the same rule of inheritance: a
//! context that sets something does not look at the outer one.

use crate::args::Args;
use crate::fault::{Fault, Mistake, Notice};
use crate::position::Position;

/// A value that may be set once in a context.
#[derive(Debug, Clone)]
pub struct Setting<T>(Option<(T, Position)>);

impl<T> Default for Setting<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<T> Setting<T> {
    /// Sets the value that `parse` finds in `args`; a second time is a fault, whatever the value.
    pub fn set<'a>(
        &mut self,
        args: &Args<'a>,
        parse: impl FnOnce(&Args<'a>) -> Result<T, Fault>,
    ) -> Result<(), Fault> {
        if self.0.is_some() {
            return Err(args.fault(Mistake::Duplicate(args.name())));
        }
        self.replace(args, parse)
    }

    /// As [`Setting::set`], for the few directives of which the last one wins.
    pub fn replace<'a>(
        &mut self,
        args: &Args<'a>,
        parse: impl FnOnce(&Args<'a>) -> Result<T, Fault>,
    ) -> Result<(), Fault> {
        self.0 = Some((parse(args)?, args.at().clone()));
        Ok(())
    }

    /// The value, if it was set here.
    pub fn value(&self) -> Option<&T> {
        self.0.as_ref().map(|(value, _)| value)
    }

    /// Where it was set.
    pub fn at(&self) -> Option<&Position> {
        self.0.as_ref().map(|(_, at)| at)
    }

    /// This setting, or the outer context's.
    pub fn inherit<'s>(&'s self, outer: &'s Self) -> &'s Self {
        if self.0.is_some() { self } else { outer }
    }
}

impl<T: Clone> Setting<T> {
    /// The value here, else in the outer context, else the default.
    pub fn or(&self, outer: &Self, default: T) -> T {
        self.inherit(outer).value().cloned().unwrap_or(default)
    }
}

/// Values that add up within a context.
#[derive(Debug, Clone)]
pub struct List<T>(Vec<T>);

impl<T> Default for List<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> List<T> {
    /// One more.
    pub fn push(&mut self, value: T) {
        self.0.push(value);
    }

    /// The values of this context.
    pub fn as_slice(&self) -> &[T] {
        &self.0
    }

    /// The values here if there are any, else those of the outer context.
    pub fn or<'s>(&'s self, outer: &'s Self) -> &'s [T] {
        if self.0.is_empty() { &outer.0 } else { &self.0 }
    }
}

/// A set of words out of a fixed choice, which add up within a context.
#[derive(Debug, Clone)]
pub struct Mask<T>(Vec<T>);

impl<T> Default for Mask<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T: Copy + Eq> Mask<T> {
    /// Adds the arguments, which must be among `choice` in any case; a repeated one is warned of.
    pub fn add(&mut self, args: &Args<'_>, choice: &[(&str, T)]) -> Result<(), Fault> {
        for word in args.words() {
            let value = args.choose(word, choice)?;
            if self.0.contains(&value) {
                args.warn(Notice::DuplicateValue(word.clone()));
            } else {
                self.0.push(value);
            }
        }
        Ok(())
    }

    /// The words here if there are any, else those of the outer context, else the default.
    pub fn or(&self, outer: &Self, default: &[T]) -> Vec<T> {
        let written = if self.0.is_empty() { &outer.0 } else { &self.0 };
        if written.is_empty() { default.to_vec() } else { written.clone() }
    }
}

/// Directives that are accepted without effect: nothing is kept of them but that they were there.
#[derive(Debug, Clone, Default)]
pub struct Once(Vec<String>);

impl Once {
    /// Checks the value of a directive that may be set once in a context, and forgets it.
    pub fn check<'a, T>(
        &mut self,
        args: &Args<'a>,
        parse: impl FnOnce(&Args<'a>) -> Result<T, Fault>,
    ) -> Result<(), Fault> {
        let name = args.name().to_string();
        if self.0.contains(&name) {
            return Err(args.fault(Mistake::Duplicate(args.name())));
        }
        parse(args)?;
        self.0.push(name);
        Ok(())
    }
}
