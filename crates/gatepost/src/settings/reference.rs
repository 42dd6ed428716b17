//! The reference of all directives as Markdown, made from the tables; `docs/directives.md` is a copy of it.

use conf::chapter;

use super::events::EVENTS;
use super::process::MAIN;

const HEAD: &str = "\
# Directives

This page is made from the program's own tables (`GATEPOST_BLESS=1 cargo test -p gatepost reference`); do not edit it.

The language is that of nginx and Angie. `include FILE;` may stand anywhere; FILE may be a pattern, and is relative to
the directory of the main configuration file. Sizes are bytes, or take `k` or `m`. Times take `ms`, `s`, `m`, `h`, `d`
and `w`, as in `1h30m`; without a unit they are seconds. What stands in `mail` holds for every `server` that does not
say otherwise; lists are not added up but replaced.
";

/// The reference.
#[cfg_attr(not(test), expect(dead_code, reason = "only read by the test that keeps the page true"))]
pub(super) fn reference() -> String {
    let mut page = HEAD.to_owned();
    let mut chapters = vec![chapter("Process", "main", MAIN), chapter("Connections", "events", EVENTS)];
    chapters.extend(mail::settings::chapters());
    for chapter in chapters {
        page.push('\n');
        page.push_str(&chapter.markdown());
    }
    page
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn the_reference_page_says_what_the_tables_say() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/directives.md");
        if std::env::var_os("GATEPOST_BLESS").is_some() {
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, reference()).unwrap();
        }
        let written = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            written == reference(),
            "docs/directives.md is stale; renew it with: GATEPOST_BLESS=1 cargo test -p gatepost reference"
        );
    }

    #[test]
    fn every_directive_of_the_process_says_what_it_is() {
        for chapter in [chapter("", "", MAIN), chapter("", "", EVENTS)] {
            for entry in chapter.entries() {
                assert!(entry.doc.text.ends_with('.') && !entry.doc.syntax.is_empty(), "{}", entry.name);
            }
        }
    }
}
