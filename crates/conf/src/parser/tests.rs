//! Texts to statements, exact faults with their places, and includes on a real disk.

use std::fmt::Write as _;
use std::fs;

use tempfile::TempDir;

use super::*;

/// A directory with files, of which `main.conf` is parsed.
struct Files {
    dir: TempDir,
    sources: Sources,
}

impl Files {
    fn new(files: &[(&str, &str)]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = dir.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        Self { dir, sources: Sources::new() }
    }

    fn parse(&mut self) -> Block {
        parse_file(&self.dir.path().join("main.conf"), &mut self.sources)
    }

    /// The statements as text, and the fault without the directory's name.
    fn outcome(&mut self) -> (String, String) {
        let block = self.parse();
        let fault = block.end.as_ref().err().map(|fault| self.short(fault)).unwrap_or_default();
        (print(&block), fault)
    }

    fn short(&self, fault: &Fault) -> String {
        fault.to_string().replace(&format!("{}/", self.dir.path().display()), "")
    }
}

fn fault_of(text: &str) -> String {
    Files::new(&[("main.conf", text)]).outcome().1
}

/// The shortest text that means the same; words are quoted where they need it.
fn print(block: &Block) -> String {
    let mut out = String::new();
    for statement in &block.statements {
        let words: Vec<String> = [&statement.name].into_iter().chain(&statement.args).map(quote).collect();
        out.push_str(&words.join(" "));
        match &statement.body {
            None => out.push_str("; "),
            Some(body) => write!(out, " {{ {}}} ", print(body)).unwrap(),
        }
    }
    out
}

fn quote(word: &Word) -> String {
    let text = word.to_str().unwrap();
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-.:/*".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        return text.to_owned();
    }
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

#[test]
fn statements_keep_their_words_blocks_and_lines() {
    let mut files = Files::new(&[("main.conf", "a 1\n 2;\nb {\n c;\n}\n# end\nd 'x y'\n{}")]);
    let block = files.parse();
    assert_eq!(print(&block), "a 1 2; b { c; } d \"x y\" { } ");
    let lines: Vec<String> = block.statements.iter().map(|s| s.at.to_string()).collect();
    let main = files.dir.path().join("main.conf");
    assert_eq!(lines, [2, 3, 8].map(|line| format!("{}:{line}", main.display())));
    let end = block.statements[1].body.as_ref().unwrap().end.as_ref().unwrap();
    assert_eq!(end.to_string(), format!("{}:5", main.display()));
}

#[test]
fn what_is_printed_parses_to_the_same() {
    for text in [
        "a;",
        "a b c { d { } e; }",
        r#"a "b\\\"c" 'd"e' "";"#,
        "a \"x;{}#\n\t\" \\;;",
        "map $a ${b} { ~^x$ \\{; }",
    ] {
        let (printed, fault) = Files::new(&[("main.conf", text)]).outcome();
        assert_eq!(fault, "", "{text:?}");
        assert_eq!(Files::new(&[("main.conf", &printed)]).outcome().0, printed, "{text:?}");
    }
}

#[test]
fn mistakes_are_named_with_their_line() {
    for (text, expected) in [
        ("", ""),
        ("a;\n;", "unexpected \";\" in main.conf:2"),
        ("a;\n{", "unexpected \"{\" in main.conf:2"),
        ("a;\n}", "unexpected \"}\" in main.conf:2"),
        ("a { b }", "unexpected \"}\" in main.conf:1"),
        ("a {\nb;\n", "unexpected end of file, expecting \"}\" in main.conf:3"),
        ("a {\nb", "unexpected end of file, expecting \";\" or \"}\" in main.conf:2"),
        ("a\n", "unexpected end of file, expecting \";\" or \"}\" in main.conf:2"),
        ("a 'b;\n", "unexpected end of file, expecting \";\" or \"}\" in main.conf:2"),
        ("a \"b\"c;", "unexpected \"c\" in main.conf:1"),
        ("include;", "invalid number of arguments in \"include\" directive in main.conf:1"),
        ("include a b;", "invalid number of arguments in \"include\" directive in main.conf:1"),
        ("include a {", "directive \"include\" is not terminated by \";\" in main.conf:1"),
        ("\ninclude no.conf;", "open() \"no.conf\" failed (2: No such file or directory) in main.conf:2"),
        ("include sub/*;", ""),
        ("include *.none;", ""),
    ] {
        assert_eq!(fault_of(text), expected, "{text:?}");
    }
}

#[test]
fn what_stands_before_a_mistake_is_kept() {
    let mut files = Files::new(&[("main.conf", "a; b { c; d { e; f")]);
    let (statements, fault) = files.outcome();
    assert_eq!(statements, "a; b { c; d { e; } } ");
    assert_eq!(fault, "unexpected end of file, expecting \";\" or \"}\" in main.conf:1");
}

#[test]
fn the_main_file_has_no_place_to_be_named() {
    let (_, fault) = Files::new(&[]).outcome();
    assert_eq!(fault, "open() \"main.conf\" failed (2: No such file or directory)");
}

#[test]
fn a_directory_is_opened_but_not_read() {
    let mut files = Files::new(&[("main.conf", "include sub;"), ("sub/x", "")]);
    let fault = files.parse().end.unwrap_err();
    assert_eq!(files.short(&fault), "pread() \"sub\" failed (21: Is a directory)");
    assert_eq!(fault.severity(), crate::Severity::Crit);
}

#[test]
fn includes_are_relative_to_the_main_file() {
    let mut files = Files::new(&[
        ("main.conf", "a { include sub/one.conf; } b;"),
        ("sub/one.conf", "one; include sub/two.conf;"),
        ("sub/two.conf", "two { three; }"),
    ]);
    assert_eq!(files.outcome(), ("a { one; two { three; } } b; ".to_owned(), String::new()));
}

#[test]
fn files_are_remembered_in_the_order_in_which_they_were_first_read() {
    let mut files = Files::new(&[
        ("main.conf", "include z.conf; include c/*.conf; include z.conf;"),
        ("z.conf", "z;"),
        ("c/b.conf", "b;"),
        ("c/a.conf", "a;"),
    ]);
    assert_eq!(files.outcome().0, "z; a; b; z; ");
    let dir = files.dir.path().to_owned();
    let name = |source: &Source| source.path.strip_prefix(&dir).unwrap().display().to_string();
    let names: Vec<String> = files.sources.files().iter().map(name).collect();
    assert_eq!(names, ["main.conf", "z.conf", "c/a.conf", "c/b.conf"]);
    assert_eq!(*files.sources.files()[1].contents, *b"z;");
}

#[test]
fn included_text_is_complete_by_itself() {
    let fault = |text: &str| Files::new(&[("main.conf", "a { include b; }"), ("b", text)]).outcome().1;
    assert_eq!(fault("b; }"), "unexpected \"}\" in b:1");
    assert_eq!(fault("b {"), "unexpected end of file, expecting \"}\" in b:1");
    assert_eq!(fault("b"), "unexpected end of file, expecting \";\" or \"}\" in b:1");
}

#[test]
fn a_file_that_includes_itself_is_a_fault() {
    let (_, fault) = Files::new(&[("main.conf", "a;\ninclude main.conf;")]).outcome();
    assert_eq!(fault, "open() \"main.conf\" failed (included more than 64 levels deep) in main.conf:2");
}

#[test]
fn nesting_has_an_end() {
    let (_, fault) = Files::new(&[("main.conf", &"a{".repeat(500_000))]).outcome();
    assert_eq!(fault, "blocks are nested more than 128 levels deep in main.conf:1");
    assert_eq!(fault_of(&("a{".repeat(128) + &"}".repeat(128))), "");
}

#[test]
fn nesting_through_includes_has_the_same_end() {
    let files = &[("main.conf", "a { include main.conf; }")];
    let (_, fault) = Files::new(files).outcome();
    assert_eq!(fault, "open() \"main.conf\" failed (included more than 64 levels deep) in main.conf:1");
    let files = &[("main.conf", "a { b { c { include main.conf; } } }")];
    let (_, fault) = Files::new(files).outcome();
    assert_eq!(fault, "blocks are nested more than 128 levels deep in main.conf:1");
}

#[test]
fn files_that_multiply_by_including_have_an_end() {
    let mut files = Files::new(&[]);
    for n in 0..40 {
        let next = format!("include {}; include {};", n + 1, n + 1);
        fs::write(files.dir.path().join(n.to_string()), next).unwrap();
    }
    fs::write(files.dir.path().join("40"), "").unwrap();
    fs::write(files.dir.path().join("main.conf"), "include 0;").unwrap();
    assert!(files.outcome().1.contains("failed (more than 100000 files included)"));
}

#[test]
fn text_of_the_command_line_has_no_blocks() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("x"), "x { y; }").unwrap();
    let parse = |text: &str| {
        let block = parse_text(text.as_bytes(), dir.path(), &mut Sources::new());
        (print(&block), block.end.err().map(|fault| fault.to_string()).unwrap_or_default())
    };
    for (text, statements, fault) in [
        ("", "", ""),
        ("daemon off;", "daemon off; ", ""),
        ("a; b;", "a; b; ", ""),
        ("daemon off", "", "unexpected end of parameter, expecting \";\" in command line"),
        ("a; 'b", "a; ", "unexpected end of parameter, expecting \";\" in command line"),
        ("events {}", "", "block directives are not supported in -g option in command line"),
        (";", "", "unexpected \";\" in command line"),
        ("}", "", "unexpected \"}\" in command line"),
        ("include x;", "x { y; } ", ""),
    ] {
        assert_eq!(parse(text), (statements.to_owned(), fault.to_owned()), "{text:?}");
    }
}
