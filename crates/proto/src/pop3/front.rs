//! POP3 towards clients: from the greeting to a login that an authority has to judge.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use super::Settings;
use super::command::{self, MOST_ARGUMENTS, Verb};
use super::reply;
use crate::client::Client;
use crate::forwarded::attribute;
use crate::line::{Command, Malformed};
use crate::line_front::{LineFront, Reaction, Speech};
use crate::sasl::Exchange;
use crate::{
    Credentials, Dialogue, Forwarded, Login, LoginAnswer, Mechanism, Method, Refusal, Salt, Secret, Want,
};

/// The dialogue with a POP3 client before it is logged in.
///
/// The first [`step`](Dialogue::step) greets. Input that is left once a login was asked about belongs to the
/// upstream, or to the next attempt.
#[derive(Debug)]
pub struct Front(LineFront<Pop3>);

impl Front {
    /// A dialogue that begins with the greeting. `secured`: TLS is already up. The salt is for APOP and CRAM-MD5.
    pub fn new(settings: Arc<Settings>, secured: bool, salt: Salt) -> Self {
        Self(LineFront::new(settings, secured, salt))
    }

    /// Listens to what the client says of others, by XCLIENT: it is a proxy.
    pub const fn trusting(mut self) -> Self {
        self.0.trust();
        self
    }

    /// What the client says of the one that it is a proxy for; nothing unless it is trusted.
    pub fn forwarded(&self) -> &Forwarded {
        &self.0.client().forwarded
    }

    /// The user name for the log, from the moment the client has named one.
    pub fn login_name(&self) -> Option<&[u8]> {
        self.0.client().name()
    }

    /// Whether the client has not sent a byte yet.
    pub const fn greeted_only(&self) -> bool {
        !self.0.client().heard()
    }
}

impl Dialogue for Front {
    type Question = Login;
    type Answer = LoginAnswer;

    fn step(&mut self, input: &mut BytesMut, output: &mut BytesMut) -> Want<Login> {
        self.0.step(input, output)
    }

    fn answer(&mut self, answer: LoginAnswer) {
        self.0.answer(answer);
    }

    fn secured(&mut self) {
        self.0.secured();
    }
}

/// What POP3 remembers from command to command.
#[derive(Debug, Default)]
struct Pop3 {
    /// The argument of USER, if that was the last command that changed anything.
    user: Option<Bytes>,
}

impl Speech for Pop3 {
    type Verb = Verb;

    const MOST_ARGUMENTS: usize = MOST_ARGUMENTS;
    const PROMPT: &'static [u8] = reply::PROMPT;
    const INVALID: &'static [u8] = reply::INVALID;
    const FAILED: &'static [u8] = reply::FAILED;

    fn greet(client: &Client, output: &mut BytesMut) {
        reply::greeting(client, output);
    }

    fn refuse(refusal: &Refusal, output: &mut BytesMut) {
        reply::refused(refusal, output);
    }

    fn limited(_: Method) -> &'static [u8] {
        reply::LIMITED
    }

    fn verb(word: &[u8]) -> Option<Verb> {
        Verb::of(word)
    }

    fn parse(content: &[u8], trusted: bool) -> Result<Command<'_, Verb>, Malformed> {
        command::parse(content, trusted)
    }

    fn execute(
        &mut self,
        client: &mut Client,
        command: &Command<'_, Verb>,
        output: &mut BytesMut,
    ) -> Reaction {
        match self.user.take() {
            Some(user) => self.after_user(user, client, command, output),
            None => self.at_start(client, command, output),
        }
    }

    fn malformed(&mut self) {
        self.user = None;
    }
}

impl Pop3 {
    fn at_start(
        &mut self,
        client: &mut Client,
        command: &Command<'_, Verb>,
        output: &mut BytesMut,
    ) -> Reaction {
        match (command.verb, command.arguments.as_slice()) {
            (Verb::Capa, _) => reply::capabilities(client, output),
            (Verb::Noop, _) => reply::ok(output),
            (Verb::Quit, _) => {
                reply::ok(output);
                return Reaction::Close;
            }
            (Verb::Stls, _) if client.may_upgrade() => {
                reply::ok(output);
                return Reaction::Upgrade;
            }
            (Verb::Xclient, attributes) => {
                for (name, value) in attributes.iter().filter_map(|text| attribute(text)) {
                    client.forwarded.read_xclient(name, value);
                }
                reply::ok(output);
            }
            // RFC 2595, section 4: what names a user or proves one is refused until TLS is up, where TLS is required.
            _ if client.must_upgrade() => return Reaction::Invalid,
            (Verb::User, [user]) => {
                reply::ok(output);
                let user = Bytes::copy_from_slice(user);
                client.set_name(Some(user.clone()));
                self.user = Some(user);
            }
            (Verb::Apop, [user, digest]) if client.settings.mechanisms.contains(Mechanism::Apop) => {
                return ask(Method::Apop, Bytes::copy_from_slice(user), digest);
            }
            // Older than RFC 5034, and common: AUTH alone lists the mechanisms.
            (Verb::Auth, []) => reply::mechanisms(client, output),
            (Verb::Auth, [name]) => return auth(client, name, None),
            (Verb::Auth, [name, initial]) => return auth(client, name, Some(initial)),
            _ => return Reaction::Invalid,
        }
        Reaction::Done
    }

    /// Behind USER. All commands but NOOP and CAPA forget the user.
    fn after_user(
        &mut self,
        user: Bytes,
        client: &Client,
        command: &Command<'_, Verb>,
        output: &mut BytesMut,
    ) -> Reaction {
        match (command.verb, command.arguments.as_slice()) {
            (Verb::Pass, [password]) => return ask(Method::Plain, user, password),
            (Verb::Quit, _) => {
                reply::ok(output);
                return Reaction::Close;
            }
            (Verb::Capa, _) => reply::capabilities_after_user(client, output),
            (Verb::Noop, _) => reply::ok(output),
            _ => return Reaction::Invalid,
        }
        self.user = Some(user);
        Reaction::Done
    }
}

fn auth(client: &Client, name: &[u8], initial: Option<&[u8]>) -> Reaction {
    Reaction::Sasl(Exchange::start(name, initial, client.settings.mechanisms, || client.challenge()))
}

fn ask(method: Method, user: Bytes, password: &[u8]) -> Reaction {
    Reaction::Ask(Credentials { method, user, password: Secret::from(password) }, None)
}
