//! The reference of directives as Markdown, made from the tables so that it cannot lie.

use std::fmt::Write as _;

use crate::directive::{Directive, Doc, Entry, Status};

/// The directives of one table.
#[derive(Debug)]
pub struct Chapter {
    title: &'static str,
    contexts: &'static str,
    entries: Vec<Entry>,
}

/// The chapter of `table`, whose directives stand in `contexts`: `mail, server`.
pub fn chapter<B>(title: &'static str, contexts: &'static str, table: &[Directive<B>]) -> Chapter {
    Chapter { title, contexts, entries: table.iter().map(|directive| directive.entry).collect() }
}

impl Chapter {
    /// The directives, in the order of the table.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The chapter as Markdown, from a heading of the second level.
    pub fn markdown(&self) -> String {
        let mut out = format!("## {}\n\nContext: {}\n", self.title, self.contexts);
        for entry in &self.entries {
            out.push_str(&markdown(entry));
        }
        out
    }
}

fn markdown(entry: &Entry) -> String {
    let Entry { name, doc: Doc { syntax, default, text }, status } = entry;
    let space = if syntax.is_empty() { "" } else { " " };
    let end = if syntax.ends_with('}') { "" } else { ";" };
    let mut out = format!("\n### {name}\n\n    {name}{space}{syntax}{end}\n\n");
    if !default.is_empty() {
        let _ = write!(out, "Default: `{default}`\n\n");
    }
    match status {
        Status::Works => {}
        Status::Accepted(why) => {
            let _ = write!(out, "**Accepted without effect**: {why}.\n\n");
        }
        Status::NotYet(what) => {
            let _ = write!(out, "**Not yet**: it needs {what}.\n\n");
        }
        Status::Refused(why) => {
            let _ = write!(out, "**Refused**: {why}.\n\n");
        }
    }
    let _ = writeln!(out, "{text}");
    out
}
