//! BODY and BODYSTRUCTURE (RFC 3501, section 7.4.2): the parts of a message, without what is in them.

use super::super::mime::{self, Inside, Media, Parameters, Part};
use super::envelope;
use super::print::{nstring, string};

/// Writes the structure of one message.
pub(super) struct Structure<'a> {
    /// The whole message, which the ranges of parts count in.
    pub(super) message: &'a [u8],
    /// BODYSTRUCTURE tells more than BODY.
    pub(super) extended: bool,
}

impl Structure<'_> {
    /// Adds `part` and all that is in it.
    pub(super) fn write(&self, out: &mut Vec<u8>, part: &Part) {
        out.push(b'(');
        match &part.inside {
            Inside::Parts(parts) => self.multipart(out, part, parts),
            Inside::Message(inner) => {
                self.basic(out, part, &part.media);
                out.push(b' ');
                envelope::write(out, &self.message[inner.header.clone()]);
                out.push(b' ');
                self.write(out, inner);
                self.lines(out, part);
                self.extension(out, part);
            }
            Inside::Bytes => self.single(out, part),
        }
        out.push(b')');
    }

    fn multipart(&self, out: &mut Vec<u8>, part: &Part, parts: &[Part]) {
        for part in parts {
            self.write(out, part);
        }
        out.push(b' ');
        string(out, &part.media.subtype);
        if self.extended {
            out.push(b' ');
            parameters(out, &part.media.parameters);
            self.disposition(out, part);
            out.extend_from_slice(b" NIL NIL");
        }
    }

    fn single(&self, out: &mut Vec<u8>, part: &Part) {
        // Something that says it has parts, and has none to show, would have to be told with parts.
        let is = |kind: &[u8]| part.media.kind.eq_ignore_ascii_case(kind);
        if is(b"multipart") || is(b"message") {
            let (kind, subtype) = (b"application".to_vec(), b"octet-stream".to_vec());
            self.basic(out, part, &Media { kind, subtype, parameters: Vec::new() });
        } else {
            self.basic(out, part, &part.media);
            if is(b"text") {
                self.lines(out, part);
            }
        }
        self.extension(out, part);
    }

    /// Type, parameters, id, description, encoding and size.
    fn basic(&self, out: &mut Vec<u8>, part: &Part, media: &Media) {
        let header = self.header(part);
        string(out, &media.kind);
        out.push(b' ');
        string(out, &media.subtype);
        out.push(b' ');
        parameters(out, &media.parameters);
        for name in ["Content-ID", "Content-Description"] {
            out.push(b' ');
            nstring(out, mime::value(header, name).as_deref());
        }
        out.push(b' ');
        let encoding =
            mime::value(header, "Content-Transfer-Encoding").filter(|encoding| !encoding.is_empty());
        string(out, encoding.as_deref().unwrap_or(b"7bit"));
        out.extend_from_slice(format!(" {}", part.body.len()).as_bytes());
    }

    fn lines(&self, out: &mut Vec<u8>, part: &Part) {
        let lines = memchr::memchr_iter(b'\n', &self.message[part.body.clone()]).count();
        out.extend_from_slice(format!(" {lines}").as_bytes());
    }

    /// Checksum, disposition, language and location, where they are asked for.
    fn extension(&self, out: &mut Vec<u8>, part: &Part) {
        if self.extended {
            out.extend_from_slice(b" NIL");
            self.disposition(out, part);
            out.extend_from_slice(b" NIL NIL");
        }
    }

    fn disposition(&self, out: &mut Vec<u8>, part: &Part) {
        let Some(value) = mime::value(self.header(part), "Content-Disposition") else {
            out.extend_from_slice(b" NIL");
            return;
        };
        let (disposition, named) = mime::parameterised(&value);
        out.extend_from_slice(b" (");
        string(out, &disposition);
        out.push(b' ');
        parameters(out, &named);
        out.push(b')');
    }

    fn header(&self, part: &Part) -> &[u8] {
        &self.message[part.header.clone()]
    }
}

fn parameters(out: &mut Vec<u8>, parameters: &Parameters) {
    if parameters.is_empty() {
        out.extend_from_slice(b"NIL");
        return;
    }
    for (index, (name, value)) in parameters.iter().enumerate() {
        out.push(if index == 0 { b'(' } else { b' ' });
        string(out, name);
        out.push(b' ');
        string(out, value);
    }
    out.push(b')');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn structure(message: &str, extended: bool) -> String {
        let message = message.replace('\n', "\r\n").into_bytes();
        let mut out = Vec::new();
        Structure { message: &message, extended }.write(&mut out, &Part::of(&message));
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_message_without_mime_is_plain_text() {
        let expected = r#"("text" "plain" ("charset" "us-ascii") NIL NIL "7bit" 3 1)"#;
        assert_eq!(structure("Subject: x\n\nb\n", false), expected);
    }

    #[test]
    fn parts_are_listed_with_their_disposition() {
        let message = "Content-Type: multipart/mixed; boundary=x\n\n--x\n\none\n--x\n\
            Content-Type: image/png\nContent-Disposition: attachment; filename=a\n\nAA==\n--x--\n";
        let expected = concat!(
            r#"(("text" "plain" ("charset" "us-ascii") NIL NIL "7bit" 3 0 NIL NIL NIL NIL)"#,
            r#"("image" "png" NIL NIL NIL "7bit" 4 NIL ("attachment" ("filename" "a")) NIL NIL)"#,
            r#" "mixed" ("boundary" "x") NIL NIL NIL)"#,
        );
        assert_eq!(structure(message, true), expected);
    }

    #[test]
    fn a_message_in_a_message_shows_its_envelope() {
        let expected = concat!(
            r#"("message" "rfc822" NIL NIL NIL "7bit" 16 "#,
            r#"(NIL "in" NIL NIL NIL NIL NIL NIL NIL NIL) "#,
            r#"("text" "plain" ("charset" "us-ascii") NIL NIL "7bit" 1 0) 2)"#,
        );
        let got = structure("Content-Type: message/rfc822\n\nSubject: in\n\nb", false);
        assert_eq!(got, expected);
    }

    #[test]
    fn a_multipart_without_parts_is_opaque() {
        let got = structure("Content-Type: multipart/mixed\n\nb", false);
        assert_eq!(got, r#"("application" "octet-stream" NIL NIL NIL "7bit" 1)"#);
    }
}
