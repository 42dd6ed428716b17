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
    wrap(text, &mut out);
    out
}

/// The longest line of a paragraph.
const WIDTH: usize = 110;

/// Adds `text` in lines of at most [`WIDTH`] characters.
fn wrap(text: &str, out: &mut String) {
    let mut column = 0;
    for word in text.split(' ') {
        let length = word.chars().count();
        if column > 0 {
            let fits = column + 1 + length <= WIDTH;
            out.push(if fits { ' ' } else { '\n' });
            column = if fits { column + 1 } else { 0 };
        }
        out.push_str(word);
        column += length;
    }
    out.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Count, doc};

    const TABLE: &[Directive<()>] = &[
        Directive::new("a", Count::Exactly(1), doc("on | off", "off", "What it does."), |(), _| Ok(())),
        Directive::accepted("b", Count::Exactly(0), "nobody needs it", doc("", "", "Nothing."), |(), _| {
            Ok(())
        }),
        Directive::not_yet("c", Count::Exactly(0), "time", doc("{ … }", "", "Much.")),
        Directive::refused("d", Count::Exactly(0), "it is bad", doc("X", "", "Harm.")),
    ];

    #[test]
    fn a_chapter_says_what_each_directive_is_and_what_becomes_of_it() {
        let expected = "## Title\n\nContext: main\n\n\
            ### a\n\n    a on | off;\n\nDefault: `off`\n\nWhat it does.\n\n\
            ### b\n\n    b;\n\n**Accepted without effect**: nobody needs it.\n\nNothing.\n\n\
            ### c\n\n    c { … }\n\n**Not yet**: it needs time.\n\nMuch.\n\n\
            ### d\n\n    d X;\n\n**Refused**: it is bad.\n\nHarm.\n";
        assert_eq!(chapter("Title", "main", TABLE).markdown(), expected);
    }

    #[test]
    fn paragraphs_are_wrapped_between_words() {
        let mut out = String::new();
        wrap(&["word"; 40].join(" "), &mut out);
        let lengths: Vec<usize> = out.lines().map(str::len).collect();
        assert_eq!(lengths, [109, 89]);
    }
}
