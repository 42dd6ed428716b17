//! SMTP towards clients: from the greeting to a login, or a transaction, that an authority has to judge.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use super::Settings;
use super::command::{self, MOST_ARGUMENTS, Verb};
use super::reply;
use super::xclient;
use crate::client::Client;
use crate::line::{Command, Malformed};
use crate::line_front::{LineFront, Reaction, Speech};
use crate::sasl::Exchange;
use crate::{
    Credentials, Dialogue, Envelope, Forwarded, Login, LoginAnswer, Mechanism, Method, Refusal, Salt, Secret,
    Violation, Want,
};

/// The dialogue with an SMTP client before it is logged in.
///
/// The first [`step`](Dialogue::step) greets. Input that is left once a login was asked about belongs to the
/// upstream, or to the next attempt.
#[derive(Debug)]
pub struct Front(LineFront<Smtp>);

impl Front {
    /// A dialogue that begins with the greeting. `secured`: TLS is already up. The salt is for CRAM-MD5.
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

    /// The argument of the last HELO or EHLO; empty before it, and before it is said again over TLS.
    pub const fn helo(&self) -> &Bytes {
        &self.0.speech().helo
    }

    /// Whether the client has ever said EHLO.
    pub const fn esmtp(&self) -> bool {
        self.0.speech().esmtp
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

/// What SMTP remembers from command to command.
#[derive(Debug, Default)]
struct Smtp {
    helo: Bytes,
    /// Never cleared, as in the originals: a client that knows EHLO knows it for good.
    esmtp: bool,
    /// The MAIL line of the transaction that is under way. It survives a refused RCPT.
    mail: Option<Bytes>,
}

impl Speech for Smtp {
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

    /// 454 answers AUTH and STARTTLS only (RFC 4954, RFC 3207).
    fn limited(method: Method) -> &'static [u8] {
        if method == Method::None { reply::LIMITED } else { reply::LOGIN_LIMITED }
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
        match command.verb {
            Verb::Helo | Verb::Ehlo => self.hello(client, command, output),
            Verb::Auth => auth(client, command.arguments.as_slice(), output),
            Verb::Mail => self.mail(client, command, output),
            Verb::Rcpt => self.rcpt(command, output),
            Verb::Xclient => self.xclient(client, command.arguments.as_slice(), output),
            Verb::Noop => say(output, reply::OK),
            Verb::Rset => {
                self.mail = None;
                say(output, reply::OK)
            }
            Verb::Quit => {
                output.extend_from_slice(reply::BYE);
                Reaction::Close
            }
            Verb::Starttls if client.may_upgrade() => {
                output.extend_from_slice(reply::START_TLS);
                Reaction::Upgrade
            }
            Verb::Starttls | Verb::Vrfy | Verb::Expn | Verb::Help => Reaction::Invalid,
        }
    }

    fn helo(&self) -> Bytes {
        self.helo.clone()
    }

    /// RFC 3207, section 4.2: what was learned from the client in clear must be discarded.
    fn secured(&mut self) {
        self.helo = Bytes::new();
        self.mail = None;
    }
}

impl Smtp {
    fn hello(&mut self, client: &Client, command: &Command<'_, Verb>, output: &mut BytesMut) -> Reaction {
        let [name] = command.arguments.as_slice() else { return say(output, reply::INVALID_ARGUMENT) };
        self.helo = Bytes::copy_from_slice(name);
        self.mail = None;
        if command.verb == Verb::Ehlo {
            self.esmtp = true;
            reply::extended_hello(client, output);
        } else {
            reply::hello(client, output);
        }
        Reaction::Done
    }

    /// The session begins anew, and the client itself is about to say hello.
    fn xclient(&mut self, client: &mut Client, attributes: &[&[u8]], output: &mut BytesMut) -> Reaction {
        if self.mail.is_some() {
            return say(output, reply::BAD_SEQUENCE);
        }
        xclient::read(attributes, &mut client.forwarded);
        self.helo = Bytes::new();
        reply::greeting(client, output);
        Reaction::Done
    }

    fn mail(&mut self, client: &mut Client, command: &Command<'_, Verb>, output: &mut BytesMut) -> Reaction {
        if !client.settings.mechanisms.contains(Mechanism::None) {
            output.extend_from_slice(reply::AUTHENTICATION_REQUIRED);
            return Reaction::Note(Violation::Unauthenticated(Bytes::copy_from_slice(command.raw)));
        }
        if self.mail.is_some() {
            return say(output, reply::BAD_SEQUENCE);
        }
        if command.arguments.as_slice().is_empty() {
            return say(output, reply::INVALID_ARGUMENT);
        }
        client.set_name(None);
        self.mail = Some(Bytes::copy_from_slice(command.raw));
        say(output, reply::OK)
    }

    fn rcpt(&self, command: &Command<'_, Verb>, output: &mut BytesMut) -> Reaction {
        let Some(mail) = self.mail.clone() else { return say(output, reply::BAD_SEQUENCE) };
        if command.arguments.as_slice().is_empty() {
            return say(output, reply::INVALID_ARGUMENT);
        }
        let nobody = Credentials { method: Method::None, user: Bytes::new(), password: Secret::default() };
        Reaction::Ask(nobody, Some(Envelope { mail, rcpt: Bytes::copy_from_slice(command.raw) }))
    }
}

fn auth(client: &Client, words: &[&[u8]], output: &mut BytesMut) -> Reaction {
    let (name, initial) = match words {
        _ if client.must_upgrade() => return Reaction::Invalid,
        [] => return say(output, reply::INVALID_ARGUMENT),
        [name] => (name, None),
        [name, initial] => (name, Some(*initial)),
        _ => return Reaction::Invalid,
    };
    Reaction::Sasl(Exchange::start(name, initial, client.settings.mechanisms, || client.challenge()))
}

fn say(output: &mut BytesMut, reply: &[u8]) -> Reaction {
    output.extend_from_slice(reply);
    Reaction::Done
}
