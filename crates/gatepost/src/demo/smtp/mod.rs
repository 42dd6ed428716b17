//! SMTP submission (RFC 6409) that delivers to the users of the store and to nobody else.
//!
//! A client says who it is by AUTH PLAIN or, as gatepost does, by XCLIENT with LOGIN from this machine.

mod command;
mod data;

use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;

use self::command::{Attribute, Command, Mail};
use super::limits;
use super::mailbox::{Flags, Message};
use super::plain::{self, Denied};
use super::store::{Account, DOMAIN, Refusal, Store};
use super::wire::{End, Line, Wire};

/// Serves one client to its end.
pub(super) async fn serve(wire: Wire, store: Store) {
    let client = Client { address: wire.peer(), ..Client::default() };
    let mut session = Session { wire, store, client, state: State::default(), errors: 0, open: true };
    if let Err(End::Silent | End::Lost(_)) = session.run().await {
        session.wire.farewell("421 4.4.2 closing the connection\r\n").await;
    }
}

struct Session {
    wire: Wire,
    store: Store,
    client: Client,
    state: State,
    errors: u32,
    open: bool,
}

/// What is known of the client itself; the trace header tells it.
#[derive(Default)]
struct Client {
    helo: Option<String>,
    name: Option<String>,
    address: Option<IpAddr>,
}

/// How far the client has come.
#[derive(Default)]
struct State {
    account: Option<Arc<Account>>,
    transaction: Option<Transaction>,
}

struct Transaction {
    sender: String,
    recipients: Vec<Arc<Account>>,
}

/// The reply to a command: a complete line, or several.
type Reply = String;

const GREETING: &str = "220 store.example.org ESMTP gatepost demo store";

impl Session {
    async fn run(&mut self) -> Result<(), End> {
        self.reply(GREETING).await?;
        while self.open {
            let reply = match self.wire.line(limits::LINE_AT_LOGIN).await? {
                Line::Whole(line) => self.obey(&line).await?,
                Line::TooLong => "500 5.5.2 line too long".to_owned(),
            };
            self.reply(&reply).await?;
        }
        self.wire.flush().await
    }

    async fn reply(&mut self, reply: &str) -> Result<(), End> {
        if reply.starts_with('5') {
            self.errors += 1;
        }
        if self.errors > limits::ERRORS {
            return Err(End::Lost("too many errors"));
        }
        self.wire.say(format!("{reply}\r\n")).await
    }

    async fn obey(&mut self, line: &Bytes) -> Result<Reply, End> {
        let reply = match command::parse(line) {
            Err(reply) => reply.to_owned(),
            Ok(Command::Helo(name)) => self.helo(name, false),
            Ok(Command::Ehlo(name)) => self.helo(name, true),
            Ok(Command::Xclient(attributes)) => self.xclient(attributes),
            Ok(Command::AuthPlain(initial)) => self.auth(initial).await?,
            Ok(Command::Mail(mail)) => self.mail(mail),
            Ok(Command::Rcpt(address)) => self.rcpt(&address),
            Ok(Command::Data) => self.data().await?,
            Ok(Command::Rset) => {
                self.state.transaction = None;
                "250 2.0.0 OK".to_owned()
            }
            Ok(Command::Noop) => "250 2.0.0 OK".to_owned(),
            Ok(Command::Vrfy) => "252 2.5.0 send some mail and see".to_owned(),
            Ok(Command::Quit) => {
                self.open = false;
                "221 2.0.0 goodbye".to_owned()
            }
        };
        Ok(reply)
    }

    fn helo(&mut self, name: String, extended: bool) -> Reply {
        self.client.helo = Some(name);
        self.state.transaction = None;
        if !extended {
            return "250 store.example.org".to_owned();
        }
        let xclient =
            if self.may_speak_for_others() { "250-XCLIENT NAME ADDR PORT PROTO HELO LOGIN\r\n" } else { "" };
        format!(
            "250-store.example.org\r\n250-PIPELINING\r\n250-SIZE {}\r\n250-8BITMIME\r\n250-AUTH PLAIN\r\n\
             {xclient}250 ENHANCEDSTATUSCODES",
            limits::MESSAGE
        )
    }

    /// Whether XCLIENT is taken from this client. Passwords are printed, so on this machine nothing is lost.
    fn may_speak_for_others(&self) -> bool {
        self.wire.peer().is_some_and(|peer| peer.is_loopback())
    }

    /// XCLIENT as Postfix documents it: who the client of the proxy is, then everything from the start.
    fn xclient(&mut self, attributes: Vec<Attribute>) -> Reply {
        if !self.may_speak_for_others() {
            return "550 5.7.0 not from there".to_owned();
        }
        if self.state.transaction.is_some() {
            return "503 5.5.1 not within a transaction".to_owned();
        }
        let (mut client, mut account) = (Client::default(), None);
        for attribute in attributes {
            match attribute {
                Attribute::Address(address) => client.address = address,
                Attribute::Name(name) => client.name = name,
                Attribute::Helo(name) => client.helo = name,
                Attribute::Login(None) => account = None,
                Attribute::Login(Some(user)) => match self.store.account(&user) {
                    Some(found) => account = Some(found),
                    None => return "550 5.7.0 no such user".to_owned(),
                },
                Attribute::Other => {}
            }
        }
        if account.is_some() {
            self.wire.trust();
        }
        self.client = client;
        self.state = State { account, transaction: None };
        GREETING.to_owned()
    }

    async fn auth(&mut self, initial: Option<Bytes>) -> Result<Reply, End> {
        if self.state.account.is_some() {
            return Ok("503 5.5.1 logged in already".to_owned());
        }
        let Line::Whole(response) = self.response(initial).await? else {
            return Ok("500 5.5.6 line too long".to_owned());
        };
        Ok(match plain::login(&self.store, &response) {
            Ok(account) => {
                self.state.account = Some(account);
                self.wire.trust();
                "235 2.7.0 logged in".to_owned()
            }
            Err(Denied::Wrong) => "535 5.7.8 wrong user or password".to_owned(),
            Err(Denied::Malformed) => "501 5.5.2 not a PLAIN response".to_owned(),
        })
    }

    /// The response of the client: what came with the command, or what it says when it is asked.
    async fn response(&mut self, initial: Option<Bytes>) -> Result<Line, End> {
        if let Some(response) = initial {
            return Ok(Line::Whole(response));
        }
        self.wire.say("334 \r\n").await?;
        self.wire.line(limits::LINE_AT_LOGIN).await
    }

    fn mail(&mut self, mail: Mail) -> Reply {
        if self.client.helo.is_none() {
            return "503 5.5.1 HELO or EHLO comes first".to_owned();
        }
        if self.state.account.is_none() {
            return "530 5.7.0 authentication required".to_owned();
        }
        if self.state.transaction.is_some() {
            return "503 5.5.1 one sender is enough".to_owned();
        }
        if mail.size.is_some_and(|size| size > limits::MESSAGE) {
            return "552 5.3.4 message too large".to_owned();
        }
        self.state.transaction = Some(Transaction { sender: mail.sender, recipients: Vec::new() });
        "250 2.1.0 OK".to_owned()
    }

    fn rcpt(&mut self, address: &[u8]) -> Reply {
        let Some(transaction) = &mut self.state.transaction else {
            return "503 5.5.1 MAIL comes first".to_owned();
        };
        let Some(account) = self.store.recipient(address) else {
            return format!("550 5.1.1 only alice and bob at {DOMAIN} live here");
        };
        // At most every user once, so the list has its bound.
        if !transaction.recipients.iter().any(|known| Arc::ptr_eq(known, &account)) {
            transaction.recipients.push(account);
        }
        "250 2.1.5 OK".to_owned()
    }

    async fn data(&mut self) -> Result<Reply, End> {
        let Some(transaction) =
            self.state.transaction.take_if(|transaction| !transaction.recipients.is_empty())
        else {
            return Ok("503 5.5.1 MAIL and RCPT come first".to_owned());
        };
        self.wire.say("354 end with a dot on a line by itself\r\n").await?;
        let delivered = match data::read(&mut self.wire, &self.store).await? {
            Ok(body) => self.deliver(&transaction, &body),
            Err(refusal) => Err(refusal),
        };
        Ok(match delivered {
            Ok(()) => "250 2.0.0 delivered".to_owned(),
            Err(refusal @ (Refusal::Full | Refusal::Messages)) => format!("452 4.3.1 {refusal}"),
            Err(refusal @ Refusal::TooLarge) => format!("552 5.3.4 {refusal}"),
            Err(refusal) => format!("554 5.6.0 {refusal}"),
        })
    }

    fn deliver(&self, transaction: &Transaction, body: &[u8]) -> Result<(), Refusal> {
        let now = Timestamp::now();
        let header = data::header(&self.client, &transaction.sender, body, now);
        let message = [header.as_bytes(), body].concat();
        let content = self.store.content(message, self.store.reserve(header.len() + body.len())?)?;
        for recipient in &transaction.recipients {
            recipient.deliver(Message::new(content.clone(), Flags::NONE, now))?;
        }
        Ok(())
    }
}
