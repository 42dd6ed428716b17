//! IMAP4rev1 (RFC 3501) over the store, with the extensions that [`CAPABILITIES`] names.
//!
//! The story of a session is here. How commands arrive is in `intake`, what they mean in `command`, what the
//! client knows of its mailbox in `view`.

mod command;
mod envelope;
mod fetch;
mod folders;
mod intake;
mod print;
mod scanner;
mod search;
mod set;
mod structure;
mod view;

use std::fmt::Write;
use std::sync::Arc;

use jiff::Timestamp;

use self::command::{Any, Append, Command, Login, Messages, Selected, User};
use self::fetch::Item;
use self::intake::{Input, Intake};
use self::scanner::{Bad, Scanner};
use self::search::{Key, Search};
use self::view::{Expunges, View};
use super::limits;
use super::mailbox::Message;
use super::plain::{self, Denied};
use super::store::{Account, Refusal, Store};
use super::wire::{End, Line, Wire};

/// What the store can do, as CAPABILITY lists it.
const CAPABILITIES: &str = "IMAP4rev1 LITERAL+ SASL-IR AUTH=PLAIN ID IDLE NAMESPACE UIDPLUS MOVE UNSELECT";

/// Serves one client to its end.
pub(super) async fn serve(wire: Wire, store: Store) {
    let mut session = Session { wire, store, state: State::Stranger, errors: 0 };
    if let Err(end @ (End::Silent | End::Lost(_))) = session.run().await {
        session.wire.farewell(&format!("* BYE {end}\r\n")).await;
    }
}

struct Session {
    wire: Wire,
    store: Store,
    state: State,
    errors: u32,
}

/// The states of RFC 3501, section 3.
enum State {
    Stranger,
    User(Arc<Account>),
    Selected(Arc<Account>, View),
    Leaving,
}

/// How a command ended: the tagged answer.
enum Outcome {
    Ok(String),
    No(String),
    Bad(String),
}

impl Outcome {
    fn ok(text: impl Into<String>) -> Self {
        Self::Ok(text.into())
    }

    fn no(text: impl Into<String>) -> Self {
        Self::No(text.into())
    }

    fn done(result: Result<(), Refusal>) -> Self {
        result.map_or_else(Self::from, |()| Self::ok("done"))
    }
}

impl From<Refusal> for Outcome {
    fn from(refusal: Refusal) -> Self {
        Self::No(match refusal {
            Refusal::Full | Refusal::Messages | Refusal::Mailboxes => format!("[OVERQUOTA] {refusal}"),
            refusal => refusal.to_string(),
        })
    }
}

impl From<Bad> for Outcome {
    fn from(bad: Bad) -> Self {
        Self::Bad(bad.to_string())
    }
}

impl Session {
    async fn run(&mut self) -> Result<(), End> {
        self.wire.say(format!("* OK [CAPABILITY {CAPABILITIES}] gatepost demo store ready\r\n")).await?;
        while !matches!(self.state, State::Leaving) {
            let logged_in = !matches!(self.state, State::Stranger);
            let (input, refused) = match intake::command(&mut self.wire, &self.store, logged_in).await? {
                Intake::Command(input) => (input, None),
                Intake::Refused(input, refusal) => (input, Some(refusal)),
            };
            self.obey(input, refused).await?;
        }
        self.wire.flush().await
    }

    async fn obey(&mut self, input: Input, refused: Option<Refusal>) -> Result<(), End> {
        let mut scanner = Scanner::new(input);
        let Ok(tag) = scanner.tag() else { return self.conclude("*", Bad::Syntax.into()).await };
        let outcome = match refused {
            Some(refusal) => refusal.into(),
            None => match scanner.space().and_then(|()| command::parse(&mut scanner)) {
                Ok(command) => self.execute(command).await?,
                Err(bad) => bad.into(),
            },
        };
        self.conclude(&tag, outcome).await
    }

    async fn conclude(&mut self, tag: &str, outcome: Outcome) -> Result<(), End> {
        let (word, text) = match outcome {
            Outcome::Ok(text) => ("OK", text),
            Outcome::No(text) => ("NO", text),
            Outcome::Bad(text) => {
                self.count_error()?;
                ("BAD", text)
            }
        };
        self.wire.say(format!("{tag} {word} {text}\r\n")).await
    }

    fn count_error(&mut self) -> Result<(), End> {
        self.errors += 1;
        if self.errors > limits::ERRORS { Err(End::Lost("too many errors")) } else { Ok(()) }
    }

    async fn execute(&mut self, command: Command) -> Result<Outcome, End> {
        match (command, &mut self.state) {
            (Command::Any(command), _) => self.any(command).await,
            (Command::Login(login), State::Stranger) => self.login(login).await,
            (Command::Login(_), _) => Ok(Outcome::Bad("logged in already".to_owned())),
            (Command::User(command), State::User(account) | State::Selected(account, _)) => {
                let account = Arc::clone(account);
                self.user(command, account).await
            }
            (Command::Selected(command), State::Selected(..)) => self.selected(command).await,
            (Command::Selected(_), State::User(_)) => Ok(Outcome::Bad("no mailbox is selected".to_owned())),
            _ => Ok(Outcome::Bad("log in first".to_owned())),
        }
    }

    async fn any(&mut self, command: Any) -> Result<Outcome, End> {
        match command {
            Any::Capability => self.wire.say(format!("* CAPABILITY {CAPABILITIES}\r\n")).await?,
            Any::Noop => self.tell_news(Expunges::Told).await?,
            Any::Id => self.wire.say("* ID (\"name\" \"gatepost demo store\")\r\n").await?,
            Any::Logout => {
                self.wire.say("* BYE goodbye\r\n").await?;
                self.state = State::Leaving;
            }
        }
        Ok(Outcome::ok("done"))
    }

    async fn login(&mut self, login: Login) -> Result<Outcome, End> {
        let account = match login {
            Login::Password { user, password } => self.store.login(&user, &password).ok_or(Denied::Wrong),
            Login::Plain(Some(response)) => plain::login(&self.store, &response),
            Login::Plain(None) => {
                self.wire.say("+ \r\n").await?;
                match self.wire.line(limits::LINE_AT_LOGIN).await? {
                    Line::Whole(response) => plain::login(&self.store, &response),
                    Line::TooLong => Err(Denied::Malformed),
                }
            }
            Login::OtherMechanism => return Ok(Outcome::no("only PLAIN")),
        };
        match account {
            Ok(account) => {
                self.state = State::User(account);
                self.wire.trust();
                Ok(Outcome::ok(format!("[CAPABILITY {CAPABILITIES}] logged in")))
            }
            Err(Denied::Wrong) => {
                self.count_error()?;
                Ok(Outcome::no("[AUTHENTICATIONFAILED] wrong user or password"))
            }
            Err(Denied::Malformed) => Ok(Outcome::Bad("not a PLAIN response".to_owned())),
        }
    }

    async fn user(&mut self, command: User, account: Arc<Account>) -> Result<Outcome, End> {
        let outcome = match command {
            User::Namespace => {
                self.wire.say("* NAMESPACE ((\"\" \"/\")) NIL NIL\r\n").await?;
                Outcome::ok("done")
            }
            User::Select { mailbox, read_only } => return self.select(account, &mailbox, read_only).await,
            User::Idle => return self.idle(&account).await,
            User::Status { mailbox, items } => match folders::status(&account, &mailbox, &items) {
                Ok(answer) => {
                    self.wire.say(answer).await?;
                    Outcome::ok("done")
                }
                Err(refusal) => refusal.into(),
            },
            User::List { verb, reference, pattern } => {
                self.wire.say(folders::list(&account, verb, &reference, &pattern)).await?;
                Outcome::ok("done")
            }
            User::Create(name) => Outcome::done(account.change(|mailboxes| mailboxes.create(&name))),
            User::Delete(name) => Outcome::done(account.change(|mailboxes| mailboxes.delete(&name))),
            User::Rename { from, to } => {
                Outcome::done(account.change(|mailboxes| mailboxes.rename(&from, &to)))
            }
            User::Subscribe(name) => {
                Outcome::done(account.quietly(|mailboxes| mailboxes.named(&name).map(|_| ())))
            }
            User::Unsubscribe => Outcome::no("every mailbox is subscribed to"),
            User::Append(append) => self.append(&account, append),
        };
        self.tell_news(Expunges::Told).await?;
        Ok(outcome)
    }

    async fn select(&mut self, account: Arc<Account>, name: &str, read_only: bool) -> Result<Outcome, End> {
        match View::open(&account, name, read_only) {
            Ok((view, answer)) => {
                self.state = State::Selected(account, view);
                self.wire.say(answer).await?;
                Ok(Outcome::ok(if read_only { "[READ-ONLY] selected" } else { "[READ-WRITE] selected" }))
            }
            Err(refusal) => {
                // A failed SELECT leaves no mailbox selected (RFC 3501, section 6.3.1).
                self.state = State::User(account);
                Ok(refusal.into())
            }
        }
    }

    /// Tells the news as it happens, until the client says DONE (RFC 2177).
    async fn idle(&mut self, account: &Account) -> Result<Outcome, End> {
        let mut changes = account.watch();
        self.wire.say("+ idling\r\n").await?;
        loop {
            self.tell_news(Expunges::Told).await?;
            self.wire.flush().await?;
            tokio::select! {
                line = self.wire.line(limits::LINE_AT_LOGIN) => return Ok(match line? {
                    Line::Whole(line) if line.eq_ignore_ascii_case(b"DONE") => Outcome::ok("done"),
                    _ => Outcome::Bad("DONE was expected".to_owned()),
                }),
                // The sender lives in the account, which we hold: there is no other end than a change.
                _ = changes.changed() => {}
            }
        }
    }

    fn append(&self, account: &Account, append: Append) -> Outcome {
        let size = append.message.bytes.len();
        let room = append.message.room.map_or_else(|| self.store.reserve(size), Ok);
        let content = room.and_then(|room| self.store.content(append.message.bytes, room));
        let message = content.map(|content| {
            let date = append.date.unwrap_or_else(Timestamp::now);
            Message::new(content, append.flags, date)
        });
        let appended = message.and_then(|message| {
            account.change(|mailboxes| {
                let mailbox = mailboxes.named(&append.mailbox)?;
                mailbox.append(message).map(|uid| (mailbox.validity(), uid))
            })
        });
        match appended {
            Ok((validity, uid)) => Outcome::ok(format!("[APPENDUID {validity} {uid}] appended")),
            Err(refusal) => to_mailbox(refusal),
        }
    }

    async fn selected(&mut self, command: Selected) -> Result<Outcome, End> {
        let State::Selected(account, view) = &mut self.state else {
            return Ok(Outcome::Bad("no mailbox is selected".to_owned()));
        };
        let writes = match &command {
            Selected::Expunge(_) | Selected::Store { .. } => true,
            Selected::Copy { remove, .. } => *remove,
            _ => false,
        };
        if writes && view.is_read_only() {
            return Ok(Outcome::no("[READ-ONLY] selected with EXAMINE"));
        }
        let (outcome, expunges) = match command {
            Selected::Check => (Outcome::ok("done"), Expunges::Told),
            Selected::Close { expunge } => {
                if expunge && !view.is_read_only() {
                    view.expunge(None);
                }
                self.state = State::User(Arc::clone(account));
                (Outcome::ok("closed"), Expunges::Withheld)
            }
            Selected::Expunge(uids) => {
                view.expunge(uids.as_ref());
                (Outcome::ok("expunged"), Expunges::Told)
            }
            Selected::Fetch { messages, items } => {
                (fetch(&mut self.wire, view, &messages, items).await?, Expunges::Withheld)
            }
            Selected::Store { messages, change } => {
                self.wire.say(view.change_flags(&messages, &change)).await?;
                (Outcome::ok("stored"), Expunges::Withheld)
            }
            Selected::Copy { messages, mailbox, remove } => {
                (copy(&mut self.wire, view, &messages, &mailbox, remove).await?, Expunges::Told)
            }
            Selected::Search { search: Search::For(key), by_uid } => {
                let answer = found(view, &key, by_uid).await;
                self.wire.say(answer).await?;
                (Outcome::ok("searched"), Expunges::Withheld)
            }
            Selected::Search { search: Search::OtherCharset, .. } => {
                (Outcome::no("[BADCHARSET (US-ASCII UTF-8)] unknown charset"), Expunges::Withheld)
            }
        };
        self.tell_news(expunges).await?;
        Ok(outcome)
    }

    async fn tell_news(&mut self, expunges: Expunges) -> Result<(), End> {
        let State::Selected(_, view) = &mut self.state else { return Ok(()) };
        self.wire.say(view.news(expunges)).await
    }
}

async fn fetch(
    wire: &mut Wire,
    view: &mut View,
    messages: &Messages,
    mut items: Vec<Item>,
) -> Result<Outcome, End> {
    if messages.by_uid && !items.contains(&Item::Uid) {
        items.insert(0, Item::Uid);
    }
    let marks_seen = items.iter().any(Item::marks_seen);
    for index in view.chosen(messages) {
        let newly_seen = marks_seen && view.mark_seen(index);
        let Some(entry) = view.entry(index) else { continue };
        for piece in fetch::answer(index + 1, entry, &items, newly_seen) {
            wire.say(piece).await?;
        }
        // Other sessions have their turn, however much this one asks for.
        tokio::task::yield_now().await;
    }
    Ok(Outcome::ok("fetched"))
}

async fn copy(
    wire: &mut Wire,
    view: &View,
    messages: &Messages,
    mailbox: &str,
    remove: bool,
) -> Result<Outcome, End> {
    Ok(match view.copy(messages, mailbox, remove) {
        Ok(None) => Outcome::ok("no messages"),
        Ok(Some(code)) if remove => {
            // Before the EXPUNGE answers (RFC 6851, section 4.3).
            wire.say(format!("* OK {code} moved\r\n")).await?;
            Outcome::ok("done")
        }
        Ok(Some(code)) => Outcome::ok(format!("{code} copied")),
        Err(refusal) => to_mailbox(refusal),
    })
}

/// The answer to SEARCH.
async fn found(view: &View, key: &Key, by_uid: bool) -> String {
    let mut answer = "* SEARCH".to_owned();
    for candidate in view.candidates() {
        if key.matches(candidate) {
            // Writing to a String does not fail.
            let _ = write!(answer, " {}", candidate.called(by_uid).0);
        }
        tokio::task::yield_now().await;
    }
    answer + "\r\n"
}

/// The answer when messages cannot go into a mailbox. The client is told if CREATE would help (RFC 3501, 6.3.11).
fn to_mailbox(refusal: Refusal) -> Outcome {
    match refusal {
        Refusal::NoMailbox => Outcome::no(format!("[TRYCREATE] {refusal}")),
        refusal => refusal.into(),
    }
}
