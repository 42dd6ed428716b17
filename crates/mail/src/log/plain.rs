//! Lines of text, as Angie and as nginx write them.

use std::fmt;
use std::io::Write;

use super::clock::Clock;
use super::record::{Context, Field, Record};
use super::{LONGEST, cut};
use crate::event::Errno;

/// What is kept free behind a message for the system error (as the originals).
const ERRNO_ROOM: usize = 50;

/// Whose way of showing context.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialect {
    Angie,
    Nginx,
}

/// `YYYY/MM/DD HH:MM:SS [LEVEL] PID#TID: *CONN MESSAGE (ERRNO: TEXT)CONTEXT` LF, cut to [`LONGEST`].
pub(super) fn render(record: &Record<'_>, dialect: Dialect) -> Vec<u8> {
    let mut line = Vec::with_capacity(256);
    let (pid, tid) = (std::process::id(), nix::unistd::gettid());
    // Here and below: writing to a vector cannot fail.
    let _ = Clock::now(|clock, _| write!(line, "{} [{}] {pid}#{tid}: ", clock.plain, record.level.name()));
    if let Some(connection) = record.connection {
        let _ = write!(line, "*{connection} ");
    }
    write_body(record, dialect, &mut line);
    cut(&mut line, LONGEST - 1);
    line.push(b'\n');
    line
}

/// What stands behind process and connection: message, system error, context.
pub(super) fn body(record: &Record<'_>, dialect: Dialect) -> Vec<u8> {
    let mut line = Vec::with_capacity(256);
    write_body(record, dialect, &mut line);
    line
}

fn write_body(record: &Record<'_>, dialect: Dialect, line: &mut Vec<u8>) {
    let instead = record.nginx.filter(|_| dialect == Dialect::Nginx);
    let _ = write!(line, "{}", instead.unwrap_or(record.message));
    if record.errno.is_some() {
        // A message of any length must not hide the system's reason.
        if line.len() > LONGEST - ERRNO_ROOM {
            cut(line, LONGEST - ERRNO_ROOM);
            line.extend_from_slice(b"...");
        }
        let _ = write!(line, "{}", Errno(record.errno));
    }
    if instead.is_none() {
        let context = record.shown_context();
        let _ = match dialect {
            Dialect::Angie => write!(line, "{}", fmt::from_fn(|f| angie(&context, f))),
            Dialect::Nginx => write!(line, "{}", fmt::from_fn(|f| nginx(&context, f))),
        };
    }
}

/// ` while ACTION, NAME: "VALUE", …`
fn angie(context: &Context<'_>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    write_action(context, f)?;
    context.fields.iter().try_for_each(|field| write!(f, ", {}: \"{field}\"", field.name()))
}

/// The same in nginx's words, which differ from field to field.
fn nginx(context: &Context<'_>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    write_action(context, f)?;
    // nginx has ` using starttls` right behind the client, and Angie behind the server.
    let starttls = context.fields.iter().any(|field| matches!(field, Field::Starttls));
    context.fields.iter().try_for_each(|field| match field {
        Field::Client(client) => {
            write!(f, ", client: {}{}", client.host(), if starttls { " using starttls" } else { "" })
        }
        Field::Starttls => Ok(()),
        Field::Login(_) => write!(f, ", login: \"{field}\""),
        Field::ListenAddr(_) => write!(f, " on {field}"),
        Field::SyslogServer(_) => write!(f, ", server: {field}"),
        Field::Server(_) | Field::Upstream(_) => write!(f, ", {}: {field}", field.name()),
    })
}

fn write_action(context: &Context<'_>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    if context.action.is_empty() { Ok(()) } else { write!(f, " while {}", context.action) }
}
