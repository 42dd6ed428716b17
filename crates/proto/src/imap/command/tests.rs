//! The grammar: what the arguments are, where a command ends, and when it is worth looking at again.

use super::*;

/// The arguments of a whole command that is all of the input.
fn arguments(input: &[u8]) -> Vec<Vec<u8>> {
    match command(input, false).found {
        Found::Whole { length, value } => {
            assert_eq!(length, input.len(), "{}", input.escape_ascii());
            value.arguments.iter().map(|argument| argument.expose().to_vec()).collect()
        }
        found => panic!("{}: {found:?}", input.escape_ascii()),
    }
}

fn is_malformed(input: &[u8]) -> bool {
    matches!(command(input, false).found, Found::Malformed { length, .. } if length == input.len())
}

#[test]
fn the_parts_of_a_command_are_told_apart() {
    let look = command(b"a.b-c_d lOgIn   u  p  \r\nrest", false);
    let Found::Whole { length, value } = look.found else { panic!("not whole") };
    assert_eq!(length, 24);
    assert_eq!(value.tag.as_ref(), b"a.b-c_d");
    assert_eq!(value.verb, Verb::Login);
    assert_eq!(value.arguments, [Secret::from(&b"u"[..]), Secret::from(&b"p"[..])]);
    assert_eq!((look.tag, look.verb, look.prompts), (Some(value.tag), Some(Verb::Login), 0));
}

#[test]
fn arguments_are_bare_quoted_or_literal() {
    for (line, expected) in [
        (&b"a NOOP\n"[..], &[][..]),
        (b"a NOOP   \r\n", &[]),
        (b"a LOGIN u p\r\n", &[&b"u"[..], b"p"]),
        (b"a LOGIN \"\" \"p w\"\r\n", &[b"", b"p w"]),
        (b"a LOGIN \"u\"\"p\"\r\n", &[b"u", b"p"]),
        (b"a LOGIN \"u\"p\r\n", &[b"u", b"p"]),
        (b"a LOGIN \"u\"{1+}\r\np\r\n", &[b"u", b"p"]),
        (b"a LOGIN \"u\\\"x\\\\y\\z\" p\r\n", &[b"u\"x\\yz", b"p"]),
        (b"a LOGIN u\"x p\"y\"z\r\n", &[b"u\"x", b"p\"y\"z"]),
        (b"a LOGIN u\\x p\\\"y\r\n", &[b"u\\x", b"p\\\"y"]),
        (b"a LOGIN (u) [p]\r\n", &[b"(u)", b"[p]"]),
        (b"a LOGIN us\0\ter p\x7f\x80\xff\r\n", &[b"us\0\ter", b"p\x7f\x80\xff"]),
        (b"a LOGIN u {1+}\r\np\r\n", &[b"u", b"p"]),
        (b"a LOGIN u {4}\r\np\r\nq\n", &[b"u", b"p\r\nq"]),
        (b"a LOGIN u {5}\r\n\"\\{}\0\r\n", &[b"u", b"\"\\{}\0"]),
        (b"a LOGIN {1}\r\r\r\nu p\r\n", &[b"u", b"p"]),
        (b"a LOGIN {1}\nu p\n", &[b"u", b"p"]),
        (b"a LOGIN {0}\r\n p\r\n", &[b"", b"p"]),
        (b"a LOGIN u {}\r\n\r\n", &[b"u", b""]),
        (b"a LOGIN u {+}\r\n\r\n", &[b"u", b""]),
        (b"a LOGIN {0001}\r\nu x{1}\r\n", &[b"u", b"x{1}"]),
    ] {
        assert_eq!(arguments(line), expected, "{}", line.escape_ascii());
    }
}

#[test]
fn what_breaks_the_grammar_is_malformed_up_to_the_next_line_end() {
    for line in [
        &b"\r\n"[..],
        b"\n",
        b"   \r\n",
        b" NOOP\r\n",
        b"a\r\n",
        b"a \r\n",
        b"a+b NOOP\r\n",
        b"* NOOP\r\n",
        b"a\0b NOOP\r\n",
        b"a\tNOOP\r\n",
        b"a NOOP\t\r\n",
        b"a NO\0OP\r\n",
        b"a \xd0\x90 x\r\n",
        b"a NOOP\rb NOOP\r\n",
        b"a NOOP\r\r\n",
        b"a NOOP 1 2 3 4\r\n",
        b"a SELECT INBOX\r\n",
        b"a ID NIL\r\n",
        b"a NOO\r\n",
        b"a LOGIN \"u\r\n",
        b"a LOGIN \"u\\\r\n",
        b"a LOGIN \"u\rx\" p\r\n",
        b"a LOGIN u\rx p\r\n",
        b"a LOGIN {1x}\r\n",
        b"a LOGIN {-1}\r\n",
        b"a LOGIN {1} \r\n",
        b"a LOGIN {1+1}\r\n",
        b"a LOGIN {1\r\n",
        b"a LOGIN {1}\rx\r\n",
        b"a LOGIN {99999999999999999999999}\r\n",
        b"a LOGIN {1}\r\nuxx p\r\n",
        b"a LOGIN {1}\r\nu\"p\"\r\n",
        b"a LOGIN u p x {3}\r\n",
    ] {
        assert!(is_malformed(line), "{}", line.escape_ascii());
    }
}

#[test]
fn a_tag_has_up_to_32_characters_and_is_known_once_its_space_is_there() {
    let tag = "A".repeat(32);
    assert_eq!(command(tag.as_bytes(), false).tag, None);
    assert_eq!(command(format!("{tag} ").as_bytes(), false).tag.unwrap().as_ref(), tag.as_bytes());
    assert_eq!(command(format!("{tag}A NOOP\r\n").as_bytes(), false).tag, None);
    assert!(is_malformed(format!("{tag}A NOOP\r\n").as_bytes()));
}

#[test]
fn a_malformed_line_that_announces_data_says_so() {
    for (line, expected) in [
        (&b"a FOO {3+}\r\n"[..], true),
        (b"a FOO {3+}\n", true),
        (b"a LOGIN u p x {3+}\r\n", true),
        (b"a LOGIN \"u {3+}\r\n", true),
        (b"a LOGIN {1}\r\nuxx {3+}\r\n", true),
        (b"a LOGIN {99999999999999999999999+}\r\n", true),
        (b"{1+}\r\n", true),
        (b"a FOO {3+}\r\r\n", true),
        (b"+}\r\n", false),
        (b"a FOO {3}\r\n", false),
        (b"a FOO {3+} \r\n", false),
    ] {
        let Found::Malformed { data_follows, .. } = command(line, false).found else { panic!("{line:?}") };
        assert_eq!(data_follows, expected, "{}", line.escape_ascii());
    }
}

#[test]
fn only_literals_that_wait_are_prompted_for() {
    let prompts = |input: &[u8]| command(input, false).prompts;
    assert_eq!(prompts(b"a LOGIN {1}\r"), 0);
    assert_eq!(prompts(b"a LOGIN {1}\r\n"), 1);
    assert_eq!(prompts(b"a LOGIN {1}\r\nu {1}\r\n"), 2);
    assert_eq!(prompts(b"a LOGIN {1}\r\nu {1}\r\np\r\n"), 2);
    assert_eq!(prompts(b"a LOGIN {1+}\r\nu {1}\r\n"), 1);
    assert_eq!(prompts(b"a LOGIN {1}\r\nuxx {1}\r\n"), 1);
    assert_eq!(prompts(b"a LOGIN {99999999999999999999999}\r\n"), 0);
}

#[test]
fn there_is_nothing_new_to_see_before_the_next_line_end_that_matters() {
    let resume = |input: &[u8]| match command(input, true).found {
        Found::Part { resume } => resume,
        found => panic!("{}: {found:?}", input.escape_ascii()),
    };
    assert_eq!(resume(b""), 0);
    assert_eq!(resume(b"a LOGIN u"), 9);
    assert_eq!(resume(b"a FOO \"u"), 8);
    assert_eq!(resume(b"a LOGIN \"u"), 10);
    assert_eq!(resume(b"a LOGIN {9}\r\n"), 22);
    assert_eq!(resume(format!("a LOGIN {{{}}}\r\nx", usize::MAX).as_bytes()), usize::MAX);
    assert_eq!(resume(b"a LOGIN {9}\r\n\r\n\r\n\r\n"), 22);
    assert_eq!(resume(b"a LOGIN {9}\r\n123456789 "), 23);
}

#[test]
fn id_takes_strings_and_lists_within_reason_where_it_is_known() {
    let is_whole = |line: &[u8]| match command(line, true).found {
        Found::Whole { length, value } => length == line.len() && value.verb == Verb::Id,
        _ => false,
    };
    let full = |pairs: usize| format!("a ID ({})\r\n", vec!["\"k\" \"v\""; pairs].join(" "));
    for line in [
        &b"a ID\r\n"[..],
        b"a id NIL\n",
        b"a ID (\"name\" \"x (y)\" \"version\" NIL)\r\n",
        b"a ID (\"name\" {4}\r\nx\r\ny)\r\n",
        b"a ID (\"name\" {0+}\r\n)\r\n",
        full(30).as_bytes(),
    ] {
        assert!(is_whole(line), "{}", line.escape_ascii());
    }
    for line in [&b"a ID (\"name\r\n"[..], b"a ID {x}\r\n", b"a ID NIL\rx\r\n", full(31).as_bytes()] {
        assert!(!is_whole(line), "{}", line.escape_ascii());
    }
}

#[test]
fn of_a_response_only_the_first_argument_counts() {
    for (line, expected) in [
        (&b"\r\n"[..], &b""[..]),
        (b" dQ==\r\n", b""),
        (b"dQ== x  {1}\r\ny\r\n", b"dQ=="),
        (b"\"dQ==\" x\n", b"\"dQ==\""),
        (b"{1}\r\n", b"{1}"),
        (b"*\r\n", b"*"),
    ] {
        let Found::Whole { length, value } = response(line).found else { panic!("{line:?}") };
        assert_eq!((length, value.expose()), (line.len(), expected), "{}", line.escape_ascii());
    }
    for line in [&b"dQ== x y z\r\n"[..], b"dQ==\rX\r\n", b"dQ== \"x\r\n"] {
        assert!(matches!(response(line).found, Found::Malformed { .. }), "{}", line.escape_ascii());
    }
}
