//! Whether a record passes the `filter=` parameters of an output.

use super::plain::{self, Dialect};
use super::record::Record;
use crate::settings::log::{Filter, Subject};

/// Whether `record` passes all of `filters`; `logline` means the line as `dialect` writes it, whatever the format.
///
/// A record that lacks what a filter looks at does not pass.
pub(super) fn passes(filters: &[Filter], record: &Record<'_>, tags: &[Box<str>], dialect: Dialect) -> bool {
    filters.iter().all(|filter| match filter.subject() {
        Subject::Logline => filter.matches(&plain::body(record, dialect)),
        Subject::Message => filter.matches(record.message.to_string().as_bytes()),
        Subject::Tag => tagged(filter, record, tags),
        Subject::Field(name) => {
            let found = record.context.fields.iter().find(|field| **name == *field.name());
            found.is_some_and(|field| filter.matches(&field.bytes()))
        }
    })
}

/// Whether one of the tags matches.
fn tagged(filter: &Filter, record: &Record<'_>, tags: &[Box<str>]) -> bool {
    let Some(subsystem) = record.context.subsystem else { return false };
    filter.matches(subsystem.as_bytes()) || tags.iter().any(|tag| filter.matches(tag.as_bytes()))
}
