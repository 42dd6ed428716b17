//! Lines of POP3 and SMTP clients, read by the parser of either.

use proto::line;

/// The most arguments that any command has.
const MOST: usize = 11;

/// The arguments of a command, if a line without its end is one; where the client is trusted, it may say more.
pub type Parse = fn(&[u8], bool) -> Option<Vec<&[u8]>>;

/// Reads every line of the input behind its first byte, which says whether the client is trusted.
pub fn read_lines(bytes: &[u8], parse: Parse) {
    let Some((&trusted, text)) = bytes.split_first() else { return };
    let lines = text.split_inclusive(|&byte| byte == b'\n');
    lines
        .filter_map(|line| line::content(line).ok())
        .for_each(|content| check(content, trusted & 1 == 1, parse));
}

fn check(content: &[u8], trusted: bool, parse: Parse) {
    assert!(!content.contains(&b'\r') && !content.contains(&b'\n'));
    let Some(words) = parse(content, trusted) else { return };
    assert!(words.len() <= MOST && words.iter().all(|word| !word.is_empty()));
    let mut rest = content;
    for word in words {
        let at = rest.windows(word.len()).position(|window| window == word);
        rest = &rest[at.expect("a word is a part of its line") + word.len()..];
    }
    // Letter case of the verb does not matter, and with trust no less is understood.
    let mut upper = content.to_vec();
    upper.make_ascii_uppercase();
    assert_eq!(parse(&upper, false).is_some(), parse(content, false).is_some());
    assert!(parse(content, false).is_none() || parse(content, true).is_some());
}
