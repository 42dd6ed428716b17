//! Which files an `include` names: one, or all that match a pattern, as glob(3) would find them.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use glob::{MatchOptions, Pattern};

use crate::word::Word;

/// As glob(3) without flags: a wildcard does not match the dot of a hidden file.
const OPTIONS: MatchOptions =
    MatchOptions { case_sensitive: true, require_literal_separator: true, require_literal_leading_dot: true };

/// The files that `name` stands for, relative names in `base`, in byte order.
///
/// A name without wildcards stands for itself, whether there is such a file or not. A pattern that matches
/// nothing stands for nothing.
pub(crate) fn files(name: &Word, base: &Path) -> Vec<PathBuf> {
    if !is_pattern(name.as_bytes()) {
        return vec![base.join(name.as_path())];
    }
    let start = if name.as_bytes().starts_with(b"/") { Path::new("/") } else { base };
    let mut found = vec![start.to_owned()];
    for part in name.as_bytes().split(|byte| *byte == b'/').filter(|part| !part.is_empty()) {
        found = found.into_iter().flat_map(|dir| step(&dir, part)).collect();
    }
    found.retain(|path| path.symlink_metadata().is_ok());
    found.sort_by(|a, b| a.as_os_str().as_bytes().cmp(b.as_os_str().as_bytes()));
    found
}

fn is_pattern(text: &[u8]) -> bool {
    text.iter().any(|byte| b"*?[".contains(byte))
}

/// What one part of a pattern, between slashes, matches in `dir`.
///
/// The glob crate's own walk panics at names that are not UTF-8 and never finds hidden files, so that only its
/// matching is used.
fn step(dir: &Path, part: &[u8]) -> Vec<PathBuf> {
    if !is_pattern(part) {
        return vec![dir.join(OsStr::from_bytes(part))];
    }
    let Ok(pattern) = Pattern::new(&translate(&String::from_utf8_lossy(part))) else { return Vec::new() };
    let matches = |name: &OsString| pattern.matches_with(&name.to_string_lossy(), OPTIONS);
    // A directory that cannot be read has nothing in it, as with glob(3).
    let entries = dir.read_dir().into_iter().flatten().filter_map(Result::ok);
    entries.map(|entry| entry.file_name()).filter(matches).map(|name| dir.join(name)).collect()
}

/// From glob(3) to the glob crate: `**` is no more than `*`, `[^…]` is `[!…]`, `\c` is the character itself, and
/// a bracket that is never closed is a bracket.
fn translate(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    let mut rest = name;
    while let Some(c) = rest.chars().next() {
        let mut tail = &rest[c.len_utf8()..];
        match c {
            '*' => {
                out.push('*');
                tail = tail.trim_start_matches('*');
            }
            '\\' => {
                let escaped = tail.chars().next();
                out.push_str(&Pattern::escape(escaped.unwrap_or(c).encode_utf8(&mut [0; 4])));
                tail = escaped.map_or("", |escaped| &tail[escaped.len_utf8()..]);
            }
            '[' => tail = translate_class(tail, &mut out),
            _ => out.push(c),
        }
        rest = tail;
    }
    out
}

/// Translates what follows `[` and gives what follows the class.
fn translate_class<'p>(tail: &'p str, out: &mut String) -> &'p str {
    let negated = tail.starts_with(['!', '^']);
    let members = if negated { &tail[1..] } else { tail };
    // A `]` that comes first is a member.
    let end = members.char_indices().skip(1).find(|(_, c)| *c == ']').map(|(at, _)| at);
    let Some(end) = end else {
        out.push_str("[[]");
        return tail;
    };
    out.push_str(if negated { "[!" } else { "[" });
    out.push_str(&members[..=end]);
    &members[end + 1..]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_mean_what_glob_3_says() {
        for (written, translated) in [
            ("*.conf", "*.conf"),
            ("**/x", "*/x"),
            ("***", "*"),
            ("[^a]*", "[!a]*"),
            ("[!a-z]", "[!a-z]"),
            ("[]a]", "[]a]"),
            ("a[b", "a[[]b"),
            ("[", "[[]"),
            ("\\*?", "[*]?"),
            ("\\é\\", "é\\"),
        ] {
            assert_eq!(translate(written), translated, "{written}");
            assert!(Pattern::new(&translate(written)).is_ok(), "{written}");
        }
    }

    #[test]
    fn wildcards_skip_hidden_files_and_directories_below() {
        let dir = tempfile::tempdir().unwrap();
        // The name of the directory is no pattern.
        let base = dir.path().join("a[b]c");
        std::fs::create_dir_all(base.join("sub")).unwrap();
        for name in ["b.conf", "a.conf", "B.conf", ".hidden.conf", "c.txt", "sub/d.conf"] {
            std::fs::write(base.join(name), "").unwrap();
        }
        let names = |pattern: &str| -> Vec<String> {
            let strip = |path: PathBuf| path.strip_prefix(&base).unwrap().display().to_string();
            files(&pattern.into(), &base).into_iter().map(strip).collect()
        };
        assert_eq!(names("*.conf"), ["B.conf", "a.conf", "b.conf"]);
        assert_eq!(names("*/*.conf"), ["sub/d.conf"]);
        assert_eq!(names("[ab].conf"), ["a.conf", "b.conf"]);
        assert_eq!(names(".*.conf"), [".hidden.conf"]);
        assert_eq!(names("*/d.conf"), ["sub/d.conf"]);
        assert_eq!(names("b.conf/*"), [""; 0]);
        assert_eq!(names("*.none"), [""; 0]);
        assert_eq!(names("missing.conf"), ["missing.conf"]);
    }

    #[test]
    fn names_need_not_be_utf_8() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join(OsStr::from_bytes(b"a\xff.conf"));
        std::fs::write(&file, "").unwrap();
        assert_eq!(files(&"*.conf".into(), dir.path()), [file.as_path()]);
        assert_eq!(files(&b"a\xff*".as_slice().into(), dir.path()), [file]);
    }
}
