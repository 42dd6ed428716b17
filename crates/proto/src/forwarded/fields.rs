//! Fields for the upstreams' own use, which proxies pass on without knowing them: `x-forward-NAME` of IMAP ID, and all
//! in one as `FORWARD` of XCLIENT (as Dovecot, which gives them to its auth service as `forward_NAME`).

use bytes::Bytes;

use crate::sasl;

/// Before the names, in ID.
const PREFIX: &[u8] = b"x-forward-";

/// The longest that all fields together may be, in bytes, a few for each counted in: `FORWARD` has to fit into a line.
const LONGEST: usize = 1024;

/// What counts for a field beside its name and value.
const EACH: usize = 2;

/// Fields by their names, each of which is there once. Names are printable ASCII without spaces, `=`, quotes and
/// backslashes; values have no control characters, and are not empty (of which NIL in ID is one).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fields(Vec<(String, String)>);

impl Fields {
    /// Takes over a field of ID if it is one of these.
    pub(super) fn read_id(&mut self, name: &[u8], value: &[u8]) {
        let (prefix, own) = name.split_at(name.len().min(PREFIX.len()));
        if prefix.eq_ignore_ascii_case(PREFIX) {
            self.put(own, value);
        }
    }

    /// Takes over the value of `FORWARD`: base64 of fields with tabs between them.
    pub(crate) fn read_forward(&mut self, value: &[u8]) {
        let Ok(fields) = sasl::decode(value) else { return };
        for field in fields.split(|&byte| byte == b'\t') {
            if let Some((name, value)) = super::attribute(field) {
                self.put(name, value);
            }
        }
    }

    /// The fields as ID has them, the values not quoted yet.
    pub(crate) fn id(&self) -> impl Iterator<Item = (String, &str)> {
        let prefix = || PREFIX.iter().copied().map(char::from);
        self.0.iter().map(move |(name, value)| (prefix().chain(name.chars()).collect(), value.as_str()))
    }

    /// The value of `FORWARD`; `None` without fields.
    ///
    /// What Dovecot escapes in it cannot be in a field.
    pub(crate) fn forward(&self) -> Option<Bytes> {
        let fields: Vec<String> = self.0.iter().map(|(name, value)| format!("{name}={value}")).collect();
        (!fields.is_empty()).then(|| sasl::encode(fields.join("\t").as_bytes()))
    }

    /// What cannot be said in every protocol, or is too much, is left out.
    fn put(&mut self, name: &[u8], value: &[u8]) {
        let (Some(name), Some(value)) = (field_name(name), field_value(value)) else { return };
        self.0.retain(|(known, _)| *known != name);
        let used: usize = self.0.iter().map(|(name, value)| name.len() + value.len() + EACH).sum();
        if used + name.len() + value.len() + EACH <= LONGEST {
            self.0.push((name.to_owned(), value.to_owned()));
        }
    }
}

fn field_name(name: &[u8]) -> Option<&str> {
    let sayable = |byte: &u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\' | b'=');
    str::from_utf8(name).ok().filter(|_| !name.is_empty() && name.iter().all(sayable))
}

fn field_value(value: &[u8]) -> Option<&str> {
    str::from_utf8(value).ok().filter(|value| !value.is_empty() && !value.chars().any(char::is_control))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(said: &[(&str, &str)]) -> Fields {
        let mut fields = Fields::default();
        for (name, value) in said {
            fields.put(name.as_bytes(), value.as_bytes());
        }
        fields
    }

    #[test]
    fn what_is_said_one_way_is_read_the_other_way() {
        let said = fields(&[("realm", "a b=c"), ("Color", "gr\u{fc}n \"x\" \\")]);
        let mut by_id = Fields::default();
        for (name, value) in said.id() {
            by_id.read_id(name.as_bytes(), value.as_bytes());
        }
        assert_eq!(by_id, said);
        let mut by_xclient = Fields::default();
        by_xclient.read_forward(&said.forward().unwrap());
        assert_eq!(by_xclient, said);
    }

    #[test]
    fn they_are_called_as_dovecot_calls_them() {
        let mut read = Fields::default();
        read.read_id(b"X-Forward-realm", b"a");
        read.read_id(b"x-forward-color", b"b");
        for other in ["x-forward-", "x-forward", "x-forwards-a", "vendor", ""] {
            read.read_id(other.as_bytes(), b"z");
        }
        let names: Vec<_> = read.id().map(|(name, _)| name).collect();
        assert_eq!(names, ["x-forward-realm", "x-forward-color"]);
        // printf 'realm=a\tcolor=b' | base64
        assert_eq!(read.forward().unwrap(), "cmVhbG09YQljb2xvcj1i");
        assert_eq!(Fields::default().forward(), None);
    }

    #[test]
    fn what_is_said_last_counts() {
        assert_eq!(fields(&[("a", "1"), ("b", "2"), ("a", "3")]), fields(&[("b", "2"), ("a", "3")]));
    }

    #[test]
    fn what_cannot_be_said_everywhere_is_left_out() {
        for (name, value) in [
            (&b""[..], &b"x"[..]),
            (b"a b", b"x"),
            (b"a\"", b"x"),
            (b"a\\", b"x"),
            (b"a=b", b"x"),
            (b"\xc3\xbc", b"x"),
            (b"a", b"x\r\nb LOGOUT"),
            (b"a", b"x\ty"),
            (b"a", b""),
            (b"a", b"\0"),
            (b"a", b"\x7f"),
            (b"a", b"\xff"),
        ] {
            let mut read = Fields::default();
            read.put(name, value);
            assert_eq!(read, Fields::default(), "{}={}", name.escape_ascii(), value.escape_ascii());
        }
        let mut read = Fields::default();
        for nonsense in [&b"!"[..], b"eA==", b"", b"CQkJ"] {
            read.read_forward(nonsense);
        }
        assert_eq!(read, Fields::default());
    }

    #[test]
    fn there_is_an_end_to_what_is_remembered() {
        let mut read = Fields::default();
        for number in 0..10_000 {
            read.put(format!("n{number}").as_bytes(), b"value");
        }
        read.put(b"long", &[b'x'; LONGEST]);
        let kept: usize = read.0.iter().map(|(name, value)| name.len() + value.len()).sum();
        assert!(kept <= LONGEST && read.0.len() > 50, "{kept}");
        assert!(read.forward().unwrap().len() < 1500, "fits into a line of 2048 bytes with all the rest");
    }
}
