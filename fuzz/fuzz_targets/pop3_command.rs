//! Lines of a POP3 client: words are parts of the line, in its order, and never empty.
#![no_main]

use libfuzzer_sys::fuzz_target;
use proto::line;
use proto::pop3::fuzzing::arguments;

/// The most arguments that any command has.
const MOST: usize = 11;

fuzz_target!(|bytes: &[u8]| {
    let Some((&trusted, text)) = bytes.split_first() else { return };
    for raw in text.split_inclusive(|&byte| byte == b'\n') {
        let Ok(content) = line::content(raw) else { continue };
        assert!(!content.contains(&b'\r') && !content.contains(&b'\n'));
        let Some(words) = arguments(content, trusted & 1 == 1) else { continue };
        assert!(words.len() <= MOST && words.iter().all(|word| !word.is_empty()));
        let mut rest = content;
        for word in words {
            let at = rest.windows(word.len()).position(|window| window == word);
            rest = &rest[at.expect("a word is a part of its line") + word.len()..];
        }
        // Letter case of the verb does not matter, and without trust no more is understood.
        let mut upper = content.to_vec();
        upper.make_ascii_uppercase();
        assert_eq!(arguments(&upper, false).is_some(), arguments(content, false).is_some());
        assert!(arguments(content, false).is_none() || arguments(content, true).is_some());
    }
});
