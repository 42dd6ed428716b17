//! Tables applied to texts: what is set, and the exact fault of what is wrong.

use std::path::Path;
use std::time::Duration;

use super::*;
use crate::{Count, Doc, List, Mask, Once, Setting, Sources, bind, doc, parse_text};

#[derive(Default)]
struct Owner {
    flag: Setting<bool>,
    number: Setting<u64>,
    size: Setting<u64>,
    offset: Setting<u64>,
    msec: Setting<Duration>,
    sec: Setting<Duration>,
    color: Setting<u8>,
    last: Setting<String>,
    bits: Mask<u8>,
    list: List<String>,
    once: Once,
    inner: Vec<Owner>,
}

const NO_DOC: Doc = doc("", "", "");

const COLORS: &[(&str, u8)] = &[("red", 1), ("green", 2)];

const TABLE: &[Directive<Owner>] = &[
    Directive::new("flag", Count::Exactly(1), NO_DOC, |b, a| b.flag.set(a, Args::flag)),
    Directive::new("number", Count::Exactly(1), NO_DOC, |b, a| b.number.set(a, Args::number)),
    Directive::new("size", Count::Exactly(1), NO_DOC, |b, a| b.size.set(a, Args::size)),
    Directive::new("offset", Count::Exactly(1), NO_DOC, |b, a| b.offset.set(a, Args::offset)),
    Directive::new("msec", Count::Exactly(1), NO_DOC, |b, a| b.msec.set(a, Args::msec)),
    Directive::new("sec", Count::Exactly(1), NO_DOC, |b, a| b.sec.set(a, Args::sec)),
    Directive::new("color", Count::Exactly(1), NO_DOC, |b, a| b.color.set(a, |a| a.one_of(COLORS))),
    Directive::new("last", Count::Exactly(1), NO_DOC, |b, a| b.last.replace(a, Args::string)),
    Directive::new("bits", Count::AtLeast(1), NO_DOC, |b, a| b.bits.add(a, COLORS)),
    Directive::new("list", Count::Between(1, 2), NO_DOC, |b, a| {
        b.list.push(a.string()?);
        Ok(())
    }),
    Directive::accepted("ignored", Count::Exactly(1), "nobody needs it", NO_DOC, |b, a| {
        b.once.check(a, Args::flag)
    }),
    Directive::not_yet("later", Count::Exactly(1), "time", NO_DOC),
    Directive::refused("never", Count::Exactly(1), "it is a bad idea", NO_DOC),
    Directive::block("inner", Count::Exactly(0), NO_DOC, |b, a, block| {
        let mut inner = Owner::default();
        apply(block, &mut [&mut bind(TABLE, &mut inner)], a.reading())?;
        b.inner.push(inner);
        Ok(())
    }),
    Directive::block("http", Count::Exactly(0), NO_DOC, |_, a, block| a.reading().skip(a, block)),
];

#[derive(Default)]
struct Other;

const OTHER: &[Directive<Other>] = &[
    Directive::new("other", Count::Exactly(0), NO_DOC, |_, _| Ok(())),
    Directive::new("flag", Count::Exactly(0), NO_DOC, |_, _| Ok(())),
];

/// A world without host names.
fn nobody() -> Names {
    Names::told(std::collections::BTreeMap::new())
}

/// A world without files.
fn nothing() -> Disk<'static> {
    Disk { directory: Path::new("/etc"), read: &|_| Err(std::io::ErrorKind::NotFound.into()) }
}

/// What came of `text`: the owner, the fault, the warnings.
fn read(text: &str) -> (Owner, String, Vec<String>) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x");
    std::fs::write(&path, text).unwrap();
    let block = crate::parse_file(&path, &mut Sources::new());
    let short = |text: String| text.replace(&path.display().to_string(), "x");
    let (vocabulary, warnings) = (Vocabulary::new().and(TABLE).and(OTHER), Warnings::new());
    let reading = Reading { vocabulary: &vocabulary, warnings: &warnings, names: &nobody(), disk: nothing() };
    let mut owner = Owner::default();
    let result = apply(&block, &mut [&mut bind(TABLE, &mut owner)], &reading);
    let fault = result.err().map(|fault| short(fault.to_string())).unwrap_or_default();
    let warnings = warnings.into_vec().iter().map(|warning| short(warning.to_string())).collect();
    (owner, fault, warnings)
}

fn fault(text: &str) -> String {
    read(text).1
}

#[test]
fn values_are_set() {
    let text = "flag ON; number 7; size 4k; offset 1g; msec 1m; sec 1M; color Green; last a; last b;
                bits red GREEN; list a; list b c; inner { flag off; } ignored on;";
    let (owner, fault, warnings) = read(text);
    assert_eq!((fault.as_str(), warnings.as_slice()), ("", [].as_slice()));
    assert_eq!(owner.flag.value(), Some(&true));
    assert_eq!(owner.number.value(), Some(&7));
    assert_eq!(owner.size.value(), Some(&4096));
    assert_eq!(owner.offset.value(), Some(&(1 << 30)));
    assert_eq!(owner.msec.value(), Some(&Duration::from_mins(1)));
    assert_eq!(owner.sec.value(), Some(&Duration::from_hours(30 * 24)));
    assert_eq!(owner.color.value(), Some(&2));
    assert_eq!(owner.last.value().map(String::as_str), Some("b"));
    assert_eq!(owner.bits.or(&Mask::default(), &[]), [1, 2]);
    assert_eq!(owner.list.as_slice(), ["a", "b"]);
    assert_eq!(owner.inner[0].flag.value(), Some(&false));
}

#[test]
fn an_inner_context_replaces_what_the_outer_one_says() {
    let (outer, ..) =
        read("number 1; bits red; list a; list b; inner { number 2; bits green; list c; } inner { }");
    let [some, none] = outer.inner.as_slice() else { panic!("two blocks") };
    assert_eq!((some.number.or(&outer.number, 9), none.number.or(&outer.number, 9)), (2, 1));
    assert_eq!(none.number.or(&none.number, 9), 9);
    assert_eq!((some.bits.or(&outer.bits, &[9]), none.bits.or(&outer.bits, &[9])), (vec![2], vec![1]));
    assert_eq!(none.bits.or(&none.bits, &[9]), [9]);
    assert_eq!(some.list.or(&outer.list), ["c"]);
    assert_eq!(none.list.or(&outer.list), ["a", "b"]);
    assert_eq!(
        none.number.inherit(&outer.number).at().map(ToString::to_string),
        outer.number.at().map(ToString::to_string)
    );
}

#[test]
fn mistakes_are_worded_as_the_originals_word_them() {
    for (text, expected) in [
        ("\nfoo;", "unknown directive \"foo\" in x:2"),
        ("Flag on;", "unknown directive \"Flag\" in x:1"),
        ("foo {", "unknown directive \"foo\" in x:1"),
        ("other;", "\"other\" directive is not allowed here in x:1"),
        ("root /;", "\"root\" directive is not allowed here in x:1"),
        ("inner { other; }", "\"other\" directive is not allowed here in x:1"),
        ("flag;", "invalid number of arguments in \"flag\" directive in x:1"),
        ("flag on off;", "invalid number of arguments in \"flag\" directive in x:1"),
        ("list;", "invalid number of arguments in \"list\" directive in x:1"),
        ("list a b c;", "invalid number of arguments in \"list\" directive in x:1"),
        ("bits;", "invalid number of arguments in \"bits\" directive in x:1"),
        ("inner x { }", "invalid number of arguments in \"inner\" directive in x:1"),
        ("flag {", "directive \"flag\" is not terminated by \";\" in x:1"),
        ("inner;", "directive \"inner\" has no opening \"{\" in x:1"),
        ("flag on;\nflag yes;", "\"flag\" directive is duplicate in x:2"),
        ("ignored on; ignored off;", "\"ignored\" directive is duplicate in x:1"),
        ("flag yes;", "invalid value \"yes\" in \"flag\" directive, it must be \"on\" or \"off\" in x:1"),
        ("ignored 1;", "invalid value \"1\" in \"ignored\" directive, it must be \"on\" or \"off\" in x:1"),
        ("number 1k;", "\"number\" directive invalid number in x:1"),
        ("size 1g;", "\"size\" directive invalid value in x:1"),
        ("offset 1t;", "\"offset\" directive invalid value in x:1"),
        ("msec 1M;", "\"msec\" directive invalid value in x:1"),
        ("sec 1ms;", "\"sec\" directive invalid value in x:1"),
        ("color blue;", "invalid value \"blue\" in x:1"),
        ("bits red blue;", "invalid value \"blue\" in x:1"),
        ("later 1;", "\"later\" directive is not supported yet in x:1"),
        ("later;", "invalid number of arguments in \"later\" directive in x:1"),
        ("never 1;", "\"never\" directive is not supported: it is a bad idea in x:1"),
    ] {
        assert_eq!(fault(text), expected, "{text:?}");
    }
}

#[test]
fn the_first_mistake_in_the_text_is_the_one_that_is_named() {
    for (text, expected) in [
        ("foo;\n}", "unknown directive \"foo\" in x:1"),
        ("flag on;\n}", "unexpected \"}\" in x:2"),
        ("inner { foo;\n ;", "unknown directive \"foo\" in x:1"),
        ("inner { flag on;\n ; }", "unexpected \";\" in x:2"),
        ("inner { flag on; \nfoo {", "unknown directive \"foo\" in x:2"),
        ("http { anything goes; \n", "unexpected end of file, expecting \"}\" in x:2"),
        ("foo; include missing;", "unknown directive \"foo\" in x:1"),
    ] {
        assert_eq!(fault(text), expected, "{text:?}");
    }
}

#[test]
fn text_must_be_utf_8_where_text_is_needed() {
    let block = parse_text(b"last \"a\xff\";", Path::new("/"), &mut Sources::new());
    let (vocabulary, warnings) = (Vocabulary::new(), Warnings::new());
    let reading = Reading { vocabulary: &vocabulary, warnings: &warnings, names: &nobody(), disk: nothing() };
    let mut owner = Owner::default();
    let fault = apply(&block, &mut [&mut bind(TABLE, &mut owner)], &reading).unwrap_err();
    let expected = "\"last\" directive invalid value \"a\u{fffd}\", it must be UTF-8 in command line";
    assert_eq!(fault.to_string(), expected);
}

#[test]
fn what_looks_wrong_is_warned_of_and_goes_on() {
    let (owner, fault, warnings) =
        read("bits red;\nbits RED green;\nhttp { server { listen 80; } }\nflag on;");
    assert_eq!(fault, "");
    assert_eq!(owner.bits.or(&Mask::default(), &[]), [1, 2]);
    assert_eq!(owner.flag.value(), Some(&true));
    assert_eq!(
        warnings,
        [
            "duplicate value \"RED\" in x:2",
            "\"http\" block is not supported by a mail proxy and is skipped in x:3"
        ]
    );
}

#[test]
fn names_from_elsewhere_are_sorted_and_none_of_them_twice() {
    assert!(known::ELSEWHERE.is_sorted_by(|a, b| a < b));
}
