//! Every bound of the demo store, on one screen.
//!
//! The store runs on somebody's machine, so no client may make it grow or wait without end.

use std::time::Duration;

/// Largest message, in bytes.
pub(super) const MESSAGE: usize = 32 << 20;
/// All messages together, those on their way in included, in bytes.
pub(super) const ROOM: usize = 256 << 20;
/// What even the smallest message counts for, in bytes, because of what is kept around it.
pub(super) const MESSAGE_LEAST: usize = 1 << 10;
/// Largest header of a message or of a part, in bytes. Headers are copied when they are looked at, bodies never.
pub(super) const HEADER: usize = 256 << 10;
/// Most messages in one mailbox.
pub(super) const MESSAGES: usize = 10_000;
/// Most mailboxes of one user.
pub(super) const MAILBOXES: usize = 100;
/// Longest name of a mailbox, in bytes.
pub(super) const NAME: usize = 200;

/// Most sessions of one protocol at a time; more wait in the backlog.
pub(super) const SESSIONS: usize = 1_024;
/// A session ends with this many bad commands.
pub(super) const ERRORS: u32 = 20;
/// How long a client may be silent before it has logged in.
pub(super) const PATIENCE_AT_LOGIN: Duration = Duration::from_mins(1);
/// How long a client may be silent afterwards (RFC 3501, section 5.4: at least 30 minutes).
pub(super) const PATIENCE: Duration = Duration::from_mins(30);

/// How long a client may leave the next piece of an answer unread.
pub(super) const STALL: Duration = Duration::from_mins(1);

/// Longest command line before login, in bytes.
pub(super) const LINE_AT_LOGIN: usize = 8 << 10;
/// Longest IMAP command without its literals after login, in bytes: long enough for any set of messages.
pub(super) const LINE: usize = 64 << 10;
/// Largest literal that is not a message, in bytes.
pub(super) const LITERAL: usize = 4 << 10;
/// Most literals in one command.
pub(super) const LITERALS: usize = 32;
/// Most different things that one FETCH may ask for.
pub(super) const FETCH_ITEMS: usize = 32;
/// How deep search keys may nest.
pub(super) const SEARCH_DEPTH: usize = 16;
/// Longest text to search for, in bytes.
pub(super) const SEARCH_TEXT: usize = 256;

/// Most parts of a message that are told apart.
pub(super) const PARTS: usize = 200;
/// How deep parts may nest before they are told as opaque bytes.
pub(super) const PART_DEPTH: usize = 8;

/// How many ports are tried, beginning with the wanted one.
pub(super) const PORTS: u16 = 20;
