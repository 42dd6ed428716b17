//! Texts to tokens, and the exact fault of what is no text.

use std::fmt::Write as _;

use super::*;

/// The tokens of `text` in a short form: words in `<>`, the rest as it is.
fn tokens(text: impl AsRef<[u8]>) -> Result<String, String> {
    let mut lexer = Lexer::new(text.as_ref());
    let mut out = String::new();
    loop {
        match lexer.token() {
            Ok(Token::Word(word)) => write!(out, "<{}>", word.as_bytes().escape_ascii()).unwrap(),
            Ok(Token::Semicolon) => out.push(';'),
            Ok(Token::Open) => out.push('{'),
            Ok(Token::Close) => out.push('}'),
            Ok(Token::End) => return Ok(out),
            Ok(Token::Broken) => return Ok(out + "!"),
            Err(mistake) => return Err(format!("{mistake} on {}", lexer.line())),
        }
    }
}

#[test]
fn words_end_at_white_space_semicolons_and_braces() {
    for (text, expected) in [
        ("", ""),
        (" \t\r\n", ""),
        ("a b;", "<a><b>;"),
        ("a\r\nb\tc ;", "<a><b><c>;"),
        ("a{b;", "<a>{<b>;"),
        ("a}b c'd e\"f;", "<a}b><c\\'d><e\\\"f>;"),
        ("a{b;}c;", "<a>{<b>;}<c>;"),
        ("a", "!"),
        ("a ", "<a>"),
        (";{}", ";{}"),
        ("\u{feff}events{", "<\\xef\\xbb\\xbfevents>{"),
        ("a\0b;", "<a\\x00b>;"),
    ] {
        assert_eq!(tokens(text).as_deref(), Ok(expected), "{text:?}");
    }
    assert_eq!(tokens(b"\xff\xfe;").as_deref(), Ok("<\\xff\\xfe>;"));
}

#[test]
fn comments_start_only_where_a_word_could() {
    for (text, expected) in [
        ("#a b;\nc;", "<c>;"),
        ("a#b;", "<a#b>;"),
        ("a #b;\nc;", "<a><c>;"),
        ("a;#b", "<a>;"),
        ("a{#}\n}", "<a>{}"),
        ("\"a\" #b\n;", "<a>;"),
        ("#\\\na;", "<a>;"),
    ] {
        assert_eq!(tokens(text).as_deref(), Ok(expected), "{text:?}");
    }
    let long = format!("#{}\na;", "c".repeat(10_000));
    assert_eq!(tokens(long).as_deref(), Ok("<a>;"));
}

#[test]
fn quoted_words_hold_anything() {
    for (text, expected) in [
        ("\"a b;{}#\n\";", "<a b;{}#\\n>;"),
        ("'it\"s';", "<it\\\"s>;"),
        ("\"\" '';", "<><>;"),
        ("\"a\"{", "<a>{"),
        ("\"a\");", "<a><)>;"),
        ("\"a\"\n;", "<a>;"),
        ("\"a", "!"),
        ("'a\"", "!"),
        ("\"a\\", "!"),
    ] {
        assert_eq!(tokens(text).as_deref(), Ok(expected), "{text:?}");
    }
}

#[test]
fn only_white_space_and_the_end_of_the_statement_may_follow_a_quote() {
    for (text, expected) in [
        ("\"a\"b;", "unexpected \"b\" on 1"),
        ("\n\"a\"\"b\";", "unexpected \"\"\" on 2"),
        ("'a'}", "unexpected \"}\" on 1"),
        ("'a'#", "unexpected \"#\" on 1"),
    ] {
        assert_eq!(tokens(text).unwrap_err(), expected, "{text:?}");
    }
}

#[test]
fn escapes_take_the_meaning_and_mostly_stay() {
    for (text, expected) in [
        (r#"a\"b\'c\\d;"#, r#"<a\"b\'c\\d>;"#),
        (r"a\tb\rc\nd;", r"<a\tb\rc\nd>;"),
        (r"a\;b;", r"<a\\;b>;"),
        (r"a\ b;", r"<a\\ b>;"),
        (r"a\{b;", r"<a\\{b>;"),
        (r"\#a;", r"<\\#a>;"),
        (r"\}a;", r"<\\}a>;"),
        ("a\\\nb;", r"<a\\\nb>;"),
        (r#""a\qb\"c";"#, r#"<a\\qb\"c>;"#),
        (r#""a\\";"#, r"<a\\>;"),
        (r"a\\\\b;", r"<a\\\\b>;"),
        (r"'\'';", r"<\'>;"),
    ] {
        assert_eq!(tokens(text).as_deref(), Ok(expected), "{text:?}");
    }
}

#[test]
fn a_brace_behind_a_dollar_opens_no_block() {
    for (text, expected) in [
        ("a ${b}c;", "<a><${b}c>;"),
        ("a$b{", "<a$b>{"),
        ("a$ {", "<a$>{"),
        (r"a\${", r"<a\\$>{"),
        (r"a\\${;", r"<a\\${>;"),
    ] {
        assert_eq!(tokens(text).as_deref(), Ok(expected), "{text:?}");
    }
}

#[test]
fn unquoted_words_have_4094_bytes_and_one_more_before_a_semicolon() {
    let word = |length: usize| "x".repeat(length);
    for end in [" ;", "\n;", "{"] {
        assert!(tokens(word(4094) + end).is_ok(), "{end:?}");
        assert_eq!(
            tokens("\n\n".to_owned() + &word(4095) + end).unwrap_err(),
            "too long parameter \"xxxxxxxxxx...\" started on 3",
            "{end:?}"
        );
    }
    assert!(tokens(word(4095) + ";").is_ok());
    assert!(tokens(word(4096) + ";").is_err());
    assert!(tokens(word(1 << 20)).is_err());
    assert!(tokens(" ".repeat(10_000) + "a;").is_ok());
    assert!(tokens(r"\;".repeat(2047) + " ;").is_ok());
    assert!(tokens(r"\;".repeat(2048) + ";").is_err());
}

#[test]
fn quoted_words_have_4094_bytes_with_their_quotes() {
    for quote in ['"', '\''] {
        let word = |length: usize| format!("\n{quote}{}{quote};", "\n".repeat(length - 2));
        assert!(tokens(word(4094)).is_ok());
        assert_eq!(
            tokens(word(4095)).unwrap_err(),
            format!("too long parameter, probably missing terminating \"{quote}\" character on 2")
        );
    }
}
