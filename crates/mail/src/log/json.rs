//! Lines of JSON, as Angie writes them: one object per line.

use std::fmt;

use super::LONGEST;
use super::clock::Clock;
use super::escaped::hex;
use super::record::{Context, Field, Record};

/// What ends an object that had to be cut.
const TRUNCATED: &[u8] = b",\"truncated\":true}";

/// The object of `record` and a line end, at most [`LONGEST`] bytes. What does not fit is left out, and said.
pub(super) fn render(record: &Record<'_>, tags: &[Box<str>]) -> Vec<u8> {
    let whole = render_within(record, tags, usize::MAX);
    if whole.len() <= LONGEST { whole } else { render_within(record, &[], LONGEST - 1 - TRUNCATED.len()) }
}

fn render_within(record: &Record<'_>, tags: &[Box<str>], room: usize) -> Vec<u8> {
    let mut object = Object { out: Vec::with_capacity(384), room, first: true, full: false };
    object.open();
    object.string("time", &fmt::from_fn(write_time));
    object.string("level", &record.level.name());
    object.number("pid", &std::process::id());
    object.number("tid", &nix::unistd::gettid());
    if let Some(connection) = record.connection {
        object.number("connection", &connection);
    }
    object.string("message", record.message);
    if let Some(errno) = record.errno {
        object.nested("error", |error| {
            error.number("code", &errno);
            error.string("message", &nix::errno::Errno::from_raw(errno).desc());
        });
    }
    object.context(&record.shown_context());
    if room == usize::MAX {
        object.tags(record.context.subsystem, tags);
        object.out.push(b'}');
    } else {
        object.out.extend_from_slice(TRUNCATED);
    }
    object.out.push(b'\n');
    object.out
}

/// `2026-11-20T06:18:36.441Z`, without `.000`.
fn write_time(f: &mut fmt::Formatter<'_>) -> fmt::Result {
    Clock::now(|clock, millisecond| match millisecond {
        0 => write!(f, "{}Z", clock.utc),
        _ => write!(f, "{}.{millisecond:03}Z", clock.utc),
    })
}

/// An object being written, of which only so much is written as there is room for.
struct Object {
    out: Vec<u8>,
    /// How long `out` may get, the ends of all that is open not counted.
    room: usize,
    /// Nothing stands in the innermost object yet.
    first: bool,
    /// Something did not fit; nothing more is written.
    full: bool,
}

impl Object {
    fn open(&mut self) {
        self.out.push(b'{');
        self.first = true;
    }

    /// `,"KEY":`, if that and `least` more bytes fit.
    fn key(&mut self, key: &str, least: usize) -> bool {
        let comma = usize::from(!self.first);
        self.full |= self.out.len() + comma + key.len() + 3 + least > self.room;
        if self.full {
            return false;
        }
        if !self.first {
            self.out.push(b',');
        }
        self.first = false;
        self.out.push(b'"');
        self.out.extend_from_slice(key.as_bytes());
        self.out.extend_from_slice(b"\":");
        true
    }

    fn number(&mut self, key: &str, value: &dyn fmt::Display) {
        let value = value.to_string();
        if self.key(key, value.len()) {
            self.out.extend_from_slice(value.as_bytes());
        }
    }

    fn string(&mut self, key: &str, value: &dyn fmt::Display) {
        self.text(key, |text| {
            // A value that fails to be shown is shown as far as it went.
            let _ = fmt::write(text, format_args!("{value}"));
        });
    }

    /// Bytes of a peer; what is not UTF-8, which no JSON may have, becomes `\xHH`. (Angie writes it raw.)
    fn bytes(&mut self, key: &str, value: &[u8]) {
        self.text(key, |text| {
            for chunk in value.utf8_chunks() {
                let _ = fmt::Write::write_str(text, chunk.valid());
                let _ = hex(chunk.invalid(), text);
            }
        });
    }

    fn text(&mut self, key: &str, write: impl FnOnce(&mut Text<'_>)) {
        if self.key(key, 2) {
            self.out.push(b'"');
            write(&mut Text(self));
            self.out.push(b'"');
        }
    }

    fn nested(&mut self, key: &str, write: impl FnOnce(&mut Self)) {
        if self.key(key, 2) {
            self.room -= 1;
            self.open();
            write(self);
            self.out.push(b'}');
            self.room += 1;
            self.first = false;
        }
    }

    fn context(&mut self, context: &Context<'_>) {
        if context.is_empty() {
            return;
        }
        self.nested(context.subsystem.unwrap_or("context"), |object| {
            if !context.action.is_empty() {
                object.string("action", &context.action);
            }
            for field in context.fields {
                match field {
                    Field::Login(login) => object.bytes(field.name(), login),
                    _ => object.string(field.name(), field),
                }
            }
        });
    }

    /// The tag of the subsystem, then those of the user, which only messages of a subsystem have.
    fn tags(&mut self, subsystem: Option<&'static str>, tags: &[Box<str>]) {
        let Some(subsystem) = subsystem else { return };
        if self.key("tags", 2) {
            for (i, tag) in std::iter::once(subsystem).chain(tags.iter().map(AsRef::as_ref)).enumerate() {
                self.out.extend_from_slice(if i == 0 { b"[\"" } else { b",\"" });
                let _ = fmt::Write::write_str(&mut Text(self), tag);
                self.out.push(b'"');
            }
            self.out.push(b']');
        }
    }
}

/// The inside of a string being written.
struct Text<'a>(&'a mut Object);

impl fmt::Write for Text<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for c in text.chars() {
            let mut buffer = [0; 6];
            let escaped = match c {
                '"' => "\\\"",
                '\\' => "\\\\",
                '\n' => "\\n",
                '\r' => "\\r",
                '\t' => "\\t",
                '\u{8}' => "\\b",
                '\u{c}' => "\\f",
                c if c.is_control() => unicode_escape(c, &mut buffer),
                _ => c.encode_utf8(&mut buffer),
            };
            // The closing quote has to fit as well.
            self.0.full |= self.0.out.len() + escaped.len() + 1 > self.0.room;
            if self.0.full {
                return Ok(());
            }
            self.0.out.extend_from_slice(escaped.as_bytes());
        }
        Ok(())
    }
}

/// `\u00XX` of a control character.
fn unicode_escape(c: char, buffer: &mut [u8; 6]) -> &str {
    let digit =
        |value: u32| char::from_digit(value, 16).map_or(b'0', |digit| digit.to_ascii_uppercase() as u8);
    *buffer = [b'\\', b'u', b'0', b'0', digit(u32::from(c) >> 4), digit(u32::from(c) & 15)];
    std::str::from_utf8(buffer).unwrap_or_default()
}
