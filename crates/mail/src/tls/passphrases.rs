//! Password files: a pass phrase on each line.

use std::path::Path;

use proto::Secret;

use super::mistake::Mistake;

/// Longest line, bytes, as in the originals.
const MAX_LINE: usize = 511;

/// The pass phrases in `text`, the content of `path`.
///
/// The whole line is the phrase, without its line end. Empty lines do not count, but a file without phrases
/// equals one empty phrase.
pub fn passphrases(path: &Path, text: &[u8]) -> Result<Vec<Secret>, Mistake> {
    let mut phrases = Vec::new();
    for line in text.split(|byte| *byte == b'\n') {
        if line.len() > MAX_LINE {
            return Err(Mistake::LongPhrase(path.to_owned()));
        }
        let phrase = line.strip_suffix(b"\r").unwrap_or(line);
        if !phrase.is_empty() {
            phrases.push(Secret::from(phrase));
        }
    }
    if phrases.is_empty() {
        phrases.push(Secret::default());
    }
    Ok(phrases)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &[u8]) -> Result<Vec<Vec<u8>>, String> {
        passphrases(Path::new("/p"), text)
            .map(|phrases| phrases.iter().map(|phrase| phrase.expose().to_vec()).collect())
            .map_err(|mistake| mistake.to_string())
    }

    #[test]
    fn every_line_is_a_phrase() {
        let cases: [(&[u8], &[&[u8]]); 5] = [
            (b"a\nb\n", &[b"a", b"b"]),
            (b"a b \r\n\nc", &[b"a b ", b"c"]),
            (b"", &[b""]),
            (b"\n\n", &[b""]),
            (b"\xff\x00x", &[b"\xff\x00x"]),
        ];
        for (text, expected) in cases {
            assert_eq!(read(text), Ok(expected.iter().map(|phrase| phrase.to_vec()).collect()), "{text:?}");
        }
    }

    #[test]
    fn long_lines_are_refused() {
        assert!(read(&[b'x'; 511]).is_ok());
        assert_eq!(read(&[b'x'; 512]), Err("too long line in \"/p\"".into()));
    }
}
