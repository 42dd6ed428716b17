//! IMAP commands with their arguments (RFC 3501, section 6, and the extensions that the store announces).

use jiff::Timestamp;

use super::super::mailbox::Flags;
use super::fetch::{self, Item};
use super::intake::Literal;
use super::scanner::{Bad, Scanner};
use super::search::{self, Search};
use super::set::Set;

/// A command, sorted by when it is possible.
pub(super) enum Command {
    /// In any state.
    Any(Any),
    /// Before login.
    Login(Login),
    /// After login.
    User(User),
    /// With a mailbox selected.
    Selected(Selected),
}

/// Possible in any state.
pub(super) enum Any {
    Capability,
    Noop,
    Id,
    Logout,
}

/// Possible before login.
pub(super) enum Login {
    Password {
        user: Vec<u8>,
        password: Vec<u8>,
    },
    /// AUTHENTICATE PLAIN, with the initial response if there is one (RFC 4959).
    Plain(Option<Vec<u8>>),
    /// AUTHENTICATE with something else.
    OtherMechanism,
}

/// Possible after login.
pub(super) enum User {
    Namespace,
    Select { mailbox: String, read_only: bool },
    Status { mailbox: String, items: Vec<StatusItem> },
    List { verb: &'static str, reference: String, pattern: String },
    Create(String),
    Delete(String),
    Rename { from: String, to: String },
    Subscribe(String),
    Unsubscribe,
    Append(Append),
    Idle,
}

/// A message on its way into a mailbox.
pub(super) struct Append {
    pub(super) mailbox: String,
    pub(super) flags: Flags,
    pub(super) date: Option<Timestamp>,
    pub(super) message: Literal,
}

/// Possible with a mailbox selected.
pub(super) enum Selected {
    Check,
    /// With or without removing what is marked \Deleted.
    Close {
        expunge: bool,
    },
    /// All that is marked \Deleted, or what of it has these UIDs (RFC 4315).
    Expunge(Option<Set>),
    Fetch {
        messages: Messages,
        items: Vec<Item>,
    },
    Store {
        messages: Messages,
        change: FlagChange,
    },
    Copy {
        messages: Messages,
        mailbox: String,
        remove: bool,
    },
    Search {
        search: Search,
        by_uid: bool,
    },
}

/// Messages by number or by UID; answers follow.
pub(super) struct Messages {
    pub(super) set: Set,
    pub(super) by_uid: bool,
}

/// What STORE does.
pub(super) struct FlagChange {
    pub(super) how: How,
    pub(super) flags: Flags,
    pub(super) silent: bool,
}

/// How STORE uses the flags that it names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum How {
    Replace,
    Add,
    Remove,
}

impl FlagChange {
    /// The flags of a message that had `old`.
    pub(super) fn apply(&self, old: Flags) -> Flags {
        match self.how {
            How::Replace => self.flags,
            How::Add => old.with(self.flags),
            How::Remove => old.without(self.flags),
        }
    }
}

/// What STATUS tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum StatusItem {
    Messages,
    Recent,
    UidNext,
    UidValidity,
    Unseen,
}

/// Reads what stands behind the tag and its space.
pub(super) fn parse(scanner: &mut Scanner) -> Result<Command, Bad> {
    let verb = scanner.word()?;
    let command = match verb.as_str() {
        "CAPABILITY" => Command::Any(Any::Capability),
        "NOOP" => Command::Any(Any::Noop),
        "LOGOUT" => Command::Any(Any::Logout),
        // Nothing here depends on who the client is, whatever it says.
        "ID" => return Ok(Command::Any(Any::Id)),
        "LOGIN" | "AUTHENTICATE" => Command::Login(login(&verb, scanner)?),
        "CHECK" | "CLOSE" | "UNSELECT" | "EXPUNGE" | "FETCH" | "STORE" | "COPY" | "MOVE" | "SEARCH" => {
            Command::Selected(selected(&verb, scanner, false)?)
        }
        "UID" => {
            scanner.space()?;
            let verb = scanner.word()?;
            Command::Selected(selected(&verb, scanner, true)?)
        }
        _ => Command::User(user(&verb, scanner)?),
    };
    scanner.end()?;
    Ok(command)
}

fn login(verb: &str, scanner: &mut Scanner) -> Result<Login, Bad> {
    scanner.space()?;
    if verb == "LOGIN" {
        let user = scanner.astring()?;
        scanner.space()?;
        return Ok(Login::Password { user, password: scanner.astring()? });
    }
    let is_plain = scanner.word()? == "PLAIN";
    let initial =
        if scanner.take(b' ') { Some(scanner.run(|b| b.is_ascii_graphic())?.to_vec()) } else { None };
    Ok(if is_plain { Login::Plain(initial) } else { Login::OtherMechanism })
}

fn user(verb: &str, scanner: &mut Scanner) -> Result<User, Bad> {
    match verb {
        "NAMESPACE" => return Ok(User::Namespace),
        "IDLE" => return Ok(User::Idle),
        "SELECT" | "EXAMINE" | "STATUS" | "LIST" | "LSUB" | "CREATE" | "DELETE" | "RENAME" | "SUBSCRIBE"
        | "UNSUBSCRIBE" | "APPEND" => scanner.space()?,
        _ => return Err(Bad::Unknown),
    }
    if verb == "APPEND" {
        return append(scanner).map(User::Append);
    }
    let name = scanner.mailbox()?;
    Ok(match verb {
        "SELECT" => User::Select { mailbox: name, read_only: false },
        "EXAMINE" => User::Select { mailbox: name, read_only: true },
        "CREATE" => User::Create(name),
        "DELETE" => User::Delete(name),
        "SUBSCRIBE" => User::Subscribe(name),
        "UNSUBSCRIBE" => User::Unsubscribe,
        "RENAME" => {
            scanner.space()?;
            User::Rename { from: name, to: scanner.mailbox()? }
        }
        "STATUS" => {
            scanner.space()?;
            User::Status { mailbox: name, items: scanner.list(status_item)? }
        }
        _ => {
            scanner.space()?;
            let verb = if verb == "LIST" { "LIST" } else { "LSUB" };
            User::List { verb, reference: name, pattern: scanner.pattern()? }
        }
    })
}

fn status_item(scanner: &mut Scanner) -> Result<StatusItem, Bad> {
    Ok(match scanner.word()?.as_str() {
        "MESSAGES" => StatusItem::Messages,
        "RECENT" => StatusItem::Recent,
        "UIDNEXT" => StatusItem::UidNext,
        "UIDVALIDITY" => StatusItem::UidValidity,
        "UNSEEN" => StatusItem::Unseen,
        _ => return Err(Bad::Syntax),
    })
}

fn append(scanner: &mut Scanner) -> Result<Append, Bad> {
    let mailbox = scanner.mailbox()?;
    scanner.space()?;
    let mut flags = Flags::NONE;
    if scanner.peek() == Some(b'(') {
        flags = flag_list(scanner)?;
        scanner.space()?;
    }
    let mut date = None;
    if scanner.peek() == Some(b'"') {
        date = Some(scanner.date_time()?);
        scanner.space()?;
    }
    Ok(Append { mailbox, flags, date, message: scanner.literal()? })
}

fn selected(verb: &str, scanner: &mut Scanner, by_uid: bool) -> Result<Selected, Bad> {
    match verb {
        "CHECK" if !by_uid => return Ok(Selected::Check),
        "CLOSE" if !by_uid => return Ok(Selected::Close { expunge: true }),
        "UNSELECT" if !by_uid => return Ok(Selected::Close { expunge: false }),
        "EXPUNGE" if !by_uid => return Ok(Selected::Expunge(None)),
        "EXPUNGE" | "FETCH" | "STORE" | "COPY" | "MOVE" | "SEARCH" => scanner.space()?,
        _ => return Err(Bad::Unknown),
    }
    if verb == "SEARCH" {
        return Ok(Selected::Search { search: search::parse(scanner)?, by_uid });
    }
    let set = scanner.set()?;
    if verb == "EXPUNGE" {
        return Ok(Selected::Expunge(Some(set)));
    }
    scanner.space()?;
    let messages = Messages { set, by_uid };
    Ok(match verb {
        "FETCH" => Selected::Fetch { messages, items: fetch::parse(scanner)? },
        "STORE" => Selected::Store { messages, change: flag_change(scanner)? },
        _ => Selected::Copy { messages, mailbox: scanner.mailbox()?, remove: verb == "MOVE" },
    })
}

fn flag_change(scanner: &mut Scanner) -> Result<FlagChange, Bad> {
    let (how, silent) = match scanner.word()?.as_str() {
        "FLAGS" => (How::Replace, false),
        "FLAGS.SILENT" => (How::Replace, true),
        "+FLAGS" => (How::Add, false),
        "+FLAGS.SILENT" => (How::Add, true),
        "-FLAGS" => (How::Remove, false),
        "-FLAGS.SILENT" => (How::Remove, true),
        _ => return Err(Bad::Syntax),
    };
    scanner.space()?;
    let flags = if scanner.peek() == Some(b'(') { flag_list(scanner)? } else { bare_flags(scanner)? };
    Ok(FlagChange { how, flags, silent })
}

fn flag_list(scanner: &mut Scanner) -> Result<Flags, Bad> {
    Ok(scanner.list(flag)?.into_iter().fold(Flags::NONE, Flags::with))
}

fn bare_flags(scanner: &mut Scanner) -> Result<Flags, Bad> {
    let mut flags = flag(scanner)?;
    while scanner.take(b' ') {
        flags = flags.with(flag(scanner)?);
    }
    Ok(flags)
}

/// One flag. Those that are not in PERMANENTFLAGS are ignored (RFC 3501, section 7.1).
fn flag(scanner: &mut Scanner) -> Result<Flags, Bad> {
    let name = scanner.run(|b| b.is_ascii_graphic() && !b"(){%*\"".contains(&b))?;
    Ok(Flags::named(name).unwrap_or(Flags::NONE))
}
