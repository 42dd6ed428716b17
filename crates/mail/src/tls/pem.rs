//! Text files with PEM sections (RFC 7468), with the headers of traditional encrypted keys (RFC 1421).
//!
//! What is not in a section is skipped, as OpenSSL does: many files carry a description before each certificate.

use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use zeroize::Zeroizing;

use super::mistake::Why;

const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// What stands between `-----BEGIN LABEL-----` and its end.
pub(super) struct Section<'a> {
    /// What it is said to be: `CERTIFICATE`.
    pub(super) label: &'a str,
    headers: Vec<(&'a str, &'a str)>,
    /// The content; wiped when dropped, as it may be a key.
    pub(super) der: Zeroizing<Vec<u8>>,
}

impl<'a> Section<'a> {
    /// The value of the header called `name`.
    pub(super) fn header(&self, name: &str) -> Option<&'a str> {
        self.headers.iter().find(|(known, _)| *known == name).map(|(_, value)| *value)
    }
}

/// The sections of `text`, in their order.
pub(super) fn sections(text: &[u8]) -> Sections<'_> {
    Sections { lines: text.split(|byte| *byte == b'\n') }
}

/// Iterates over sections; ends behind the first that cannot be read.
pub(super) struct Sections<'a> {
    lines: std::slice::Split<'a, u8, fn(&u8) -> bool>,
}

impl<'a> Iterator for Sections<'a> {
    type Item = Result<Section<'a>, Why>;

    fn next(&mut self) -> Option<Self::Item> {
        let label = self.lines.find_map(|line| boundary(line, "-----BEGIN "))?;
        Some(self.content(label))
    }
}

impl<'a> Sections<'a> {
    fn content(&mut self, label: &'a str) -> Result<Section<'a>, Why> {
        let mut headers = Vec::new();
        let mut base64 = Zeroizing::new(Vec::new());
        for line in self.lines.by_ref() {
            if let Some(end) = boundary(line, "-----END ") {
                let der = BASE64.decode(&base64).map(Zeroizing::new);
                return if end == label {
                    Ok(Section { label, headers, der: der.map_err(|_| Why::BadPem)? })
                } else {
                    Err(Why::BadPem)
                };
            }
            match header(line) {
                Some(header) => headers.push(header),
                None => base64.extend(line.iter().filter(|byte| !byte.is_ascii_whitespace())),
            }
        }
        Err(Why::BadPem)
    }
}

/// The label of a line such as `-----BEGIN LABEL-----`.
fn boundary<'a>(line: &'a [u8], start: &str) -> Option<&'a str> {
    std::str::from_utf8(line.trim_ascii_end()).ok()?.strip_prefix(start)?.strip_suffix("-----")
}

/// A line such as `DEK-Info: AES-256-CBC,00FF`. Base64 has no colon.
fn header(line: &[u8]) -> Option<(&str, &str)> {
    let (name, value) = std::str::from_utf8(line).ok()?.split_once(':')?;
    Some((name.trim(), value.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<(String, Vec<u8>)>, Why> {
        sections(text.as_bytes())
            .map(|section| section.map(|section| (section.label.to_owned(), section.der.to_vec())))
            .collect()
    }

    #[test]
    fn sections_are_found_between_other_text() {
        let text = "subject=CN = a\n-----BEGIN A-----\nAAEC\nAwQ=\n-----END A-----\n\nother\r\n-----BEGIN B C-----\r\n//8=\r\n-----END B C-----";
        assert_eq!(read(text), Ok(vec![("A".into(), vec![0, 1, 2, 3, 4]), ("B C".into(), vec![255, 255])]));
        assert_eq!(read("no section at all"), Ok(vec![]));
    }

    #[test]
    fn headers_are_kept_apart_from_the_content() {
        let text = "-----BEGIN K-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00FF\n\nAAEC\n-----END K-----\n";
        let section = sections(text.as_bytes()).next().expect("one").expect("readable");
        assert_eq!(section.header("Proc-Type"), Some("4,ENCRYPTED"));
        assert_eq!(section.header("DEK-Info"), Some("AES-128-CBC,00FF"));
        assert_eq!(section.header("X"), None);
        assert_eq!(*section.der, [0, 1, 2]);
    }

    #[test]
    fn broken_sections_are_refused() {
        for text in [
            "-----BEGIN A-----\nAAEC\n",
            "-----BEGIN A-----\nAAEC\n-----END B-----\n",
            "-----BEGIN A-----\nAA*C\n-----END A-----\n",
            "-----BEGIN A-----\nAAECA\n-----END A-----\n",
        ] {
            assert_eq!(read(text), Err(Why::BadPem), "{text}");
        }
    }
}
