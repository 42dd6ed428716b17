//! IMAP towards clients: from the greeting to a login that an authority has to judge.
//!
//! The same dialogue as that of the line protocols, but for tags and for commands that span lines.

use std::ops::ControlFlow::{self, Break, Continue};
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use memchr::memchr;

use super::command::{self, Command, Found, Look, Verb};
use super::{Settings, Tag, reply};
use crate::client::Client;
use crate::line;
use crate::sasl::{self, Exchange, Turn};
use crate::{
    Credentials, Dialogue, Forwarded, Login, LoginAnswer, Method, Refusal, Salt, Secret, Violation, Want,
};

/// The dialogue with an IMAP client before it is logged in.
///
/// The first [`step`](Dialogue::step) greets. Input that is left once a login was asked about belongs to the
/// upstream, or to the next attempt. A step while a question is open ends the session.
#[derive(Debug)]
pub struct Front {
    client: Client,
    progress: Progress,
    state: State,
}

/// How much is done about the command in the input that is not whole yet.
#[derive(Debug, Default)]
struct Progress {
    /// This many literals were prompted for.
    prompts: usize,
    /// The next line end has to be looked for from here on.
    resume: usize,
}

/// What is expected next, and what is known of the login that is under way.
///
/// The tag is that of the command which has begun the login. What is large is boxed: most clients wait for their own next
/// command, and there are many of them.
#[derive(Debug)]
enum State {
    /// The first step.
    New,
    /// A command.
    Command,
    /// A SASL response.
    Sasl(Tag, Exchange),
    /// The authority's answer about a login by this method.
    Asked(Tag, Method),
    /// The step that tells the client of it.
    Answered(Tag, Method, Box<LoginAnswer>),
    /// The client's line behind an error challenge; then the refusal.
    Challenged(Box<Challenged>),
    /// TLS.
    Upgrading,
    /// Nothing.
    Closing,
}

/// A refusal that is said once the client has acknowledged its error challenge.
#[derive(Debug)]
struct Challenged {
    tag: Tag,
    method: Method,
    refusal: Refusal,
}

/// Whether to go on in the new state, or what is wanted first.
type Next = ControlFlow<Want<Login>>;

/// What came of reading a command or response.
enum Read<T> {
    /// It is not whole yet.
    Part,
    /// It is whole and may be acted upon.
    Whole(T),
    /// It is answered already, the state is set, and this is wanted next.
    Done(Next),
}

impl Front {
    /// A dialogue that begins with the greeting. `secured`: TLS is already up. The salt is for CRAM-MD5.
    pub fn new(settings: Arc<Settings>, secured: bool, salt: Salt) -> Self {
        let client = Client::new(settings, secured, salt);
        Self { client, progress: Progress::default(), state: State::New }
    }

    /// Listens to what the client says of others, by ID: it is a proxy.
    pub const fn trusting(mut self) -> Self {
        self.client.trust();
        self
    }

    /// What the client says of the one that it is a proxy for; nothing unless it is trusted.
    pub fn forwarded(&self) -> &Forwarded {
        &self.client.forwarded
    }

    /// The user name for the log, from the moment the client has named one.
    pub fn login_name(&self) -> Option<&[u8]> {
        self.client.name()
    }

    /// Whether the client has not sent a byte yet.
    pub const fn greeted_only(&self) -> bool {
        !self.client.heard()
    }

    /// The tag of the command whose login is being asked about.
    ///
    /// The back logs in with it, so that the upstream's last reply is the right one for the client.
    pub fn tag(&self) -> Option<&Tag> {
        match &self.state {
            State::Asked(tag, _) => Some(tag),
            _ => None,
        }
    }

    fn advance(&mut self, input: &mut BytesMut, output: &mut BytesMut) -> Next {
        match std::mem::replace(&mut self.state, State::Closing) {
            State::New => {
                output.extend_from_slice(reply::GREETING);
                self.enter(State::Command)
            }
            State::Command => self.next_command(input, output),
            State::Sasl(tag, exchange) => self.next_response(tag, exchange, input, output),
            State::Challenged(challenged) => self.next_acknowledgement(challenged, input, output),
            State::Answered(tag, method, answer) => self.conclude(tag, method, *answer, output),
            State::Upgrading => {
                self.state = State::Upgrading;
                Break(Want::Tls)
            }
            State::Asked(..) | State::Closing => Break(Want::Close),
        }
    }

    fn next_command(&mut self, input: &mut BytesMut, output: &mut BytesMut) -> Next {
        let knows_id = self.client.trusted() || self.announces_id();
        match self.read(None, |input| command::command(input, knows_id), input, output) {
            Read::Part => Break(self.wait_in(State::Command)),
            Read::Done(next) => next,
            Read::Whole(command) => self.command(command, output),
        }
    }

    fn announces_id(&self) -> bool {
        self.client.settings.capabilities.iter().any(|text| text.eq_ignore_ascii_case(b"ID"))
    }

    fn next_response(
        &mut self,
        tag: Tag,
        exchange: Exchange,
        input: &mut BytesMut,
        output: &mut BytesMut,
    ) -> Next {
        match self.read(Some(&tag), command::response, input, output) {
            Read::Part => Break(self.wait_in(State::Sasl(tag, exchange))),
            Read::Done(next) => next,
            Read::Whole(response) => self.turn(tag, exchange.respond(response.expose()), output),
        }
    }

    fn next_acknowledgement(
        &mut self,
        challenged: Box<Challenged>,
        input: &mut BytesMut,
        output: &mut BytesMut,
    ) -> Next {
        let Challenged { tag, method, refusal } = &*challenged;
        match self.read(Some(tag), command::response, input, output) {
            Read::Part => Break(self.wait_in(State::Challenged(challenged))),
            Read::Done(next) => self.end_unless(refusal.retry, next),
            Read::Whole(response) if sasl::acknowledges(*method, response.expose()) => {
                self.refuse(tag, refusal, output)
            }
            Read::Whole(_) => {
                let next = self.invalid(Some(tag), output);
                self.end_unless(refusal.retry, next)
            }
        }
    }

    /// Looks for a command or response in the input, prompts for its literals, takes it out and counts it.
    ///
    /// `tag` is the one to answer with, if it is known already.
    fn read<T>(
        &mut self,
        tag: Option<&Tag>,
        look: impl FnOnce(&[u8]) -> Look<T>,
        input: &mut BytesMut,
        output: &mut BytesMut,
    ) -> Read<T> {
        let limit = self.client.settings.limits.line.max(1);
        let visible = &input[..input.len().min(limit)];
        let is_full = visible.len() == limit;
        let unseen = visible.get(self.progress.resume..).unwrap_or_default();
        if !is_full && memchr(b'\n', unseen).is_none() {
            return Read::Part;
        }
        let look = look(visible);
        (self.progress.prompts..look.prompts).for_each(|_| output.extend_from_slice(reply::LITERAL_PROMPT));
        let tag = tag.or(look.tag.as_ref());
        match look.found {
            Found::Part { .. } if is_full => {
                reply::invalid(tag, output);
                Read::Done(Break(Want::Note(Violation::TooLong {
                    seen: limit,
                    start: harmless(tag, look.verb),
                })))
            }
            Found::Part { resume } => {
                self.progress = Progress { prompts: look.prompts, resume };
                Read::Part
            }
            Found::Whole { length, value } => {
                self.consume(length, input);
                self.count_command(tag, value, output)
            }
            Found::Malformed { length, data_follows } => {
                self.consume(length, input);
                Read::Done(self.count_error(tag, data_follows, output))
            }
        }
    }

    fn consume(&mut self, length: usize, input: &mut BytesMut) {
        line::consume(input, length);
        self.progress = Progress::default();
    }

    fn count_command<T>(&mut self, tag: Option<&Tag>, value: T, output: &mut BytesMut) -> Read<T> {
        match self.client.counters.command(&self.client.settings.limits) {
            Ok(()) => Read::Whole(value),
            Err(violation) => {
                reply::invalid(tag, output);
                Read::Done(Break(Want::Note(violation)))
            }
        }
    }

    /// If data follows that would be taken for commands, the session ends: it may be a password or a message.
    fn count_error(&mut self, tag: Option<&Tag>, data_follows: bool, output: &mut BytesMut) -> Next {
        let next = self.invalid(tag, output);
        match self.client.counters.malformed(&self.client.settings.limits) {
            Ok(()) => self.end_unless(!data_follows, next),
            Err(violation) => self.end_unless(false, Break(Want::Note(violation))),
        }
    }

    /// Any command in the start state.
    fn command(&mut self, command: Command, output: &mut BytesMut) -> Next {
        let Command { tag, verb, arguments } = command;
        match verb {
            Verb::Capability => reply::capabilities(&self.client, &tag, output),
            Verb::Noop => reply::completed(&tag, output),
            Verb::Id => {
                self.forward(&arguments);
                reply::id(&tag, output);
            }
            Verb::Logout => {
                reply::bye(&tag, output);
                return self.enter(State::Closing);
            }
            Verb::Starttls if self.client.may_upgrade() => {
                reply::completed(&tag, output);
                return self.enter(State::Upgrading);
            }
            Verb::Login if !self.client.must_upgrade() => return self.login(tag, arguments, output),
            Verb::Authenticate if !self.client.must_upgrade() => {
                return self.authenticate(tag, &arguments, output);
            }
            Verb::Starttls | Verb::Login | Verb::Authenticate => reply::invalid(Some(&tag), output),
        }
        self.enter(State::Command)
    }

    /// Takes over what a proxy says of its client.
    fn forward(&mut self, fields: &[Secret]) {
        if self.client.trusted() {
            for [name, value] in fields.as_chunks().0 {
                self.client.forwarded.read_id(name.expose(), value.expose());
            }
        }
    }

    fn login(&mut self, tag: Tag, arguments: Vec<Secret>, output: &mut BytesMut) -> Next {
        match <[Secret; 2]>::try_from(arguments) {
            Ok([user, password]) if !user.is_empty() => {
                let user = Bytes::copy_from_slice(user.expose());
                Break(self.ask(tag, Credentials { method: Method::Plain, user, password }))
            }
            _ => self.invalid(Some(&tag), output),
        }
    }

    fn authenticate(&mut self, tag: Tag, arguments: &[Secret], output: &mut BytesMut) -> Next {
        let (name, initial) = match arguments {
            [name] => (name, None),
            [name, initial] => (name, Some(initial.expose())),
            _ => return self.invalid(Some(&tag), output),
        };
        let mechanisms = self.client.settings.mechanisms;
        let turn = Exchange::start(name.expose(), initial, mechanisms, || self.client.challenge());
        self.turn(tag, turn, output)
    }

    fn turn(&mut self, tag: Tag, turn: Turn, output: &mut BytesMut) -> Next {
        match turn {
            Turn::Prompt { exchange, prompt } => {
                if let Some(user) = exchange.user() {
                    self.client.set_name(Some(user.clone()));
                }
                reply::prompt(&prompt, output);
                self.enter(State::Sasl(tag, exchange))
            }
            Turn::Credentials(credentials) => Break(self.ask(tag, credentials)),
            Turn::Invalid(violation) => {
                let next = self.invalid(Some(&tag), output);
                violation.map_or(next, |violation| Break(Want::Note(violation)))
            }
        }
    }

    fn ask(&mut self, tag: Tag, credentials: Credentials) -> Want<Login> {
        self.state = State::Asked(tag, credentials.method);
        Want::Answer(self.client.login(credentials))
    }

    /// Tells the client what the authority or the upstream said.
    fn conclude(&mut self, tag: Tag, method: Method, answer: LoginAnswer, output: &mut BytesMut) -> Next {
        match answer {
            LoginAnswer::Refused(mut refusal) => {
                let challenge = refusal.challenge.take().filter(|_| sasl::has_error_challenge(method));
                let Some(challenge) = challenge else { return self.refuse(&tag, &refusal, output) };
                reply::prompt(&challenge, output);
                self.enter(State::Challenged(Box::new(Challenged { tag, method, refusal })))
            }
            LoginAnswer::Failed => {
                output.extend_from_slice(reply::FAILED);
                self.enter(State::Closing)
            }
            LoginAnswer::Passed(words) => {
                output.extend_from_slice(&words);
                self.enter(State::Closing)
            }
            LoginAnswer::Limited => {
                reply::limited(&tag, output);
                self.enter(State::Closing)
            }
        }
    }

    fn refuse(&mut self, tag: &Tag, refusal: &Refusal, output: &mut BytesMut) -> Next {
        reply::refused(tag, &refusal.text, output);
        self.state = State::Command;
        self.end_unless(refusal.retry, Continue(()))
    }

    fn invalid(&mut self, tag: Option<&Tag>, output: &mut BytesMut) -> Next {
        reply::invalid(tag, output);
        self.enter(State::Command)
    }

    fn end_unless(&mut self, goes_on: bool, next: Next) -> Next {
        if !goes_on {
            self.state = State::Closing;
        }
        next
    }

    fn wait_in(&mut self, state: State) -> Want<Login> {
        self.state = state;
        Want::Input
    }

    fn enter(&mut self, state: State) -> Next {
        self.state = state;
        Continue(())
    }
}

impl Dialogue for Front {
    type Question = Login;
    type Answer = LoginAnswer;

    fn step(&mut self, input: &mut BytesMut, output: &mut BytesMut) -> Want<Login> {
        self.client.hear(input);
        loop {
            if let Break(want) = self.advance(input, output) {
                return want;
            }
        }
    }

    fn answer(&mut self, answer: LoginAnswer) {
        self.state = match std::mem::replace(&mut self.state, State::Closing) {
            State::Asked(tag, method) => State::Answered(tag, method, Box::new(answer)),
            other => other,
        };
    }

    fn secured(&mut self) {
        self.client.secure();
        self.progress = Progress::default();
        self.state = State::Command;
    }
}

/// What may be shown of a command: tag and verb, if there is a verb that we know; else it may be anything.
fn harmless(tag: Option<&Tag>, verb: Option<Verb>) -> Bytes {
    match (tag, verb) {
        (Some(tag), Some(verb)) => [tag.as_ref(), verb.name().as_bytes()].join(&b' ').into(),
        _ => Bytes::new(),
    }
}

#[cfg(test)]
mod tests;
