//! IMAP towards upstreams: says who the client is, if told to, and logs in with LOGIN, as the originals do.
//!
//! The client's own tag is used, so that the upstream's last reply is the one that the client waits for. User and
//! password always go as literals, whatever the client has used: every server understands them, and no byte of them
//! can be taken for a command. They are synchronising, so that a login takes three round trips, unless the upstream's
//! greeting announces that it does without (RFC 7888): then all goes at once.

use std::convert::Infallible;

use bytes::{Bytes, BytesMut};
use memchr::{memchr, memchr_iter};

use super::Tag;
use crate::back::Snub;
use crate::forwarded::ID_TAG;
use crate::line::write;
use crate::{Action, Dialogue, Forwarded, Identity, Outcome, Secret, Want};

/// The dialogue with an IMAP server, from its greeting to the reply to LOGIN.
///
/// Once the [`Outcome`] is there the dialogue is over.
#[derive(Debug)]
pub struct Back {
    tag: Tag,
    limit: usize,
    starttls: bool,
    /// The longest literal that the upstream takes unprompted, if it does that at all.
    unprompted: Option<usize>,
    /// The command that says who the client is, or nothing.
    introduction: Bytes,
    snub: Option<Snub>,
    action: Action,
    /// The input begins with untagged lines of this many bytes, which were looked at.
    passed: usize,
    state: State,
}

/// The reply that is waited for, and what is left to be said.
#[derive(Debug)]
enum State {
    /// The greeting; nothing was said yet.
    Greeting(Identity),
    /// The tagged go-ahead for TLS.
    Starttls(Identity),
    /// TLS is to begin, and no reply is waited for.
    Securing(Identity),
    /// TLS is up, and no reply is waited for.
    Secured(Identity),
    /// The tagged reply to ID.
    Id(Identity),
    /// The prompt for the user's name.
    User(Bytes, Secret),
    /// The prompt for the password.
    Password(Secret),
    /// The tagged reply to LOGIN.
    Completion,
    /// Nothing.
    Over,
}

/// The tag of STARTTLS; the client's own is for LOGIN.
const STARTTLS_TAG: &[u8] = b"TLS";

/// What a line of the upstream is.
enum Line {
    /// The one that was waited for.
    Awaited,
    /// Untagged, and of no matter.
    Passing,
    /// Something else, which is worth logging from here on.
    Refusal { shown_from: usize },
}

impl Back {
    /// Logs in as `identity` by a command of this tag. `limit`: longest reply, in bytes (`proxy_buffer`).
    pub const fn new(tag: Tag, identity: Identity, limit: usize) -> Self {
        Self {
            tag,
            limit,
            starttls: false,
            unprompted: None,
            introduction: Bytes::new(),
            snub: None,
            action: Action::Connecting,
            passed: 0,
            state: State::Greeting(identity),
        }
    }

    /// Begins TLS with STARTTLS (RFC 9051, section 6.2.1) before anything else, and does nothing without it.
    pub const fn with_starttls(mut self) -> Self {
        self.starttls = true;
        self
    }

    /// Says who the client is, with ID, before the login. An upstream that does not want to hear it is logged in to
    /// without.
    pub fn introducing(self, client: &Forwarded) -> Self {
        Self { introduction: client.id(), ..self }
    }

    /// Whether the upstream has refused to hear who the client is.
    pub const fn snub(&self) -> Option<Snub> {
        self.snub
    }

    /// What is being done, for the log.
    pub const fn action(&self) -> Action {
        self.action
    }

    /// What `line` is to the state. Letter case does not matter, except in the tag.
    fn judge(&self, line: &[u8]) -> Line {
        let refusal = Line::Refusal { shown_from: 0 };
        match &self.state {
            // `* PREAUTH` would be somebody else's session, and is what attackers send.
            State::Greeting(_) if is_condition(line, b"* OK") => Line::Awaited,
            State::Greeting(_) => refusal,
            State::Starttls(_) if is_ok(line, STARTTLS_TAG) => Line::Awaited,
            State::Id(_) if is_reply(line, ID_TAG) => Line::Awaited,
            State::User(..) | State::Password(_) if line.starts_with(b"+") => Line::Awaited,
            State::Completion if is_ok(line, self.tag.as_ref()) => Line::Awaited,
            State::Completion
                if line.strip_prefix(self.tag.as_ref()).is_some_and(|rest| rest.starts_with(b" ")) =>
            {
                Line::Refusal { shown_from: self.tag.as_ref().len() + 1 }
            }
            _ if is_passing(line) => Line::Passing,
            _ => refusal,
        }
    }

    /// The line that was waited for ends at `end` of the input. An outcome ends the dialogue.
    fn proceed(&mut self, end: usize, input: &mut BytesMut, output: &mut BytesMut) -> Option<Outcome> {
        let in_clear = self.is_in_clear();
        let state = match std::mem::replace(&mut self.state, State::Over) {
            State::Starttls(identity) => return self.secure(identity, end, input),
            State::Completion | State::Over => {
                return Some(Outcome::LoggedIn { reply: input.split().freeze() });
            }
            state => state,
        };
        let line = &input[self.passed..end];
        match state {
            // What was announced in clear does not hold inside TLS (RFC 9051, section 6.2.1).
            State::Greeting(_) if !self.starttls => self.unprompted = unprompted(line),
            State::Id(_) if !is_ok(line, ID_TAG) => self.snub = Some(Snub::ImapId),
            _ => {}
        }
        // What is there already was not said in answer to what is going to be sent.
        if !is_untagged(&input[end..]) {
            return Some(if in_clear {
                Outcome::no_tls(input)
            } else {
                Outcome::Refused { reply: input.split().freeze(), shown_from: end }
            });
        }
        let _ = input.split_to(end);
        self.passed = 0;
        self.send(state, output).err()
    }

    /// The go-ahead ends at `end`. What comes behind it in clear must not be taken for something inside TLS.
    fn secure(&mut self, identity: Identity, end: usize, input: &mut BytesMut) -> Option<Outcome> {
        if end != input.len() {
            return Some(Outcome::no_tls(input));
        }
        input.clear();
        self.passed = 0;
        self.state = State::Securing(identity);
        None
    }

    fn send(&mut self, state: State, output: &mut BytesMut) -> Result<(), Outcome> {
        match state {
            State::Greeting(identity) if self.starttls => {
                write(output, &[STARTTLS_TAG, b" STARTTLS"]);
                self.action = Action::SendingStarttls;
                self.state = State::Starttls(identity);
            }
            State::Greeting(identity) | State::Secured(identity) if !self.introduction.is_empty() => {
                output.extend_from_slice(&self.introduction);
                self.action = Action::SendingId;
                self.state = State::Id(identity);
            }
            State::Greeting(identity) | State::Secured(identity) | State::Id(identity) => {
                self.login(identity, output)?;
            }
            State::User(user, password) => {
                write(output, &[&user, b" ", &literal(password.expose())]);
                self.action = Action::SendingUser;
                self.state = State::Password(password);
            }
            State::Password(password) => {
                write(output, &[password.expose()]);
                self.action = Action::SendingPassword;
                self.state = State::Completion;
            }
            State::Starttls(_) | State::Securing(_) | State::Completion | State::Over => {}
        }
        Ok(())
    }

    fn login(&mut self, Identity { user, password }: Identity, output: &mut BytesMut) -> Result<(), Outcome> {
        let password = password.ok_or(Outcome::NoPassword)?;
        // CHAR8, which literals are made of, does not include NUL (RFC 9051, section 9); a server that takes it for
        // the end would log in somebody else.
        if memchr(0, &user).or(memchr(0, password.expose())).is_some() {
            return Err(Outcome::Unsendable);
        }
        self.action = Action::SendingLogin;
        let tag = self.tag.as_ref();
        if self.unprompted.is_some_and(|most| user.len().max(password.expose().len()) <= most) {
            let (first, second) = (non_synchronising(&user), non_synchronising(password.expose()));
            write(
                output,
                &[tag, b" LOGIN ", &first, b"\r\n", &user, b" ", &second, b"\r\n", password.expose()],
            );
            self.state = State::Completion;
        } else {
            write(output, &[tag, b" LOGIN ", &literal(&user)]);
            self.state = State::User(user, password);
        }
        Ok(())
    }

    /// Whether TLS is still to begin.
    const fn is_in_clear(&self) -> bool {
        self.starttls && matches!(self.state, State::Greeting(_) | State::Starttls(_))
    }

    fn end(&mut self, outcome: Outcome) -> Want<Outcome> {
        self.state = State::Over;
        Want::Answer(outcome)
    }
}

impl Dialogue for Back {
    type Question = Outcome;
    type Answer = Infallible;

    fn step(&mut self, input: &mut BytesMut, output: &mut BytesMut) -> Want<Outcome> {
        match std::mem::replace(&mut self.state, State::Over) {
            State::Over => return Want::Close,
            secured @ State::Secured(_) => {
                if let Err(outcome) = self.send(secured, output) {
                    return self.end(outcome);
                }
            }
            waiting => self.state = waiting,
        }
        if !input.is_empty() {
            self.action = Action::ReadingResponse;
        }
        loop {
            if matches!(self.state, State::Securing(_)) {
                self.action = Action::SendingStarttls;
                return Want::Tls;
            }
            let visible = &input[..input.len().min(self.limit)];
            let Some(end) = next_end(visible, self.passed) else {
                if input.len() < self.limit {
                    return Want::Input;
                }
                return self.end(Outcome::too_long(input, self.limit));
            };
            match self.judge(&visible[self.passed..end]) {
                Line::Passing => self.passed = end,
                Line::Awaited => {
                    if let Some(outcome) = self.proceed(end, input, output) {
                        return self.end(outcome);
                    }
                }
                Line::Refusal { .. } if self.is_in_clear() => return self.end(Outcome::no_tls(input)),
                Line::Refusal { shown_from } => {
                    let reply = input.split_to(end).freeze();
                    input.clear();
                    return self.end(Outcome::Refused { reply, shown_from: self.passed + shown_from });
                }
            }
        }
    }

    fn answer(&mut self, answer: Infallible) {
        match answer {}
    }

    fn secured(&mut self) {
        if let State::Securing(identity) = std::mem::replace(&mut self.state, State::Over) {
            self.state = State::Secured(identity);
        }
    }
}

/// Whether `line` is the OK to the command of `tag`.
fn is_ok(line: &[u8], tag: &[u8]) -> bool {
    line.strip_prefix(tag).is_some_and(|rest| is_condition(rest, b" OK"))
}

/// Whether `line` is any reply to the command of `tag` (RFC 9051, section 7.1).
fn is_reply(line: &[u8], tag: &[u8]) -> bool {
    let conditions: [&[u8]; 3] = [b" OK", b" NO", b" BAD"];
    line.strip_prefix(tag).is_some_and(|rest| conditions.iter().any(|it| is_condition(rest, it)))
}

/// Whether a line begins with this condition and not with a longer word. Behind it comes a space (RFC 9051, section 7.1);
/// where nothing more is said some servers leave that out.
fn is_condition(line: &[u8], condition: &[u8]) -> bool {
    starts_with(line, condition) && matches!(&line[condition.len()..], [b' ', ..] | b"\r\n")
}

/// Where the line that begins at `from` ends, behind its CRLF. An LF alone does not end it, as in the originals.
fn next_end(input: &[u8], from: usize) -> Option<usize> {
    memchr_iter(b'\n', &input[from..])
        .map(|at| from + at + 1)
        .find(|&end| input[from..end].ends_with(b"\r\n"))
}

/// Whether an untagged line can be passed over: any but those that end the login (RFC 9051, section 7.1).
fn is_passing(line: &[u8]) -> bool {
    let ends: [&[u8]; 3] = [b"* BYE", b"* BAD", b"* PREAUTH"];
    line.starts_with(b"* ") && !ends.iter().any(|end| starts_with(line, end))
}

/// Whether there is nothing but untagged lines, the last of which may be cut off.
fn is_untagged(lines: &[u8]) -> bool {
    lines.split_inclusive(|&byte| byte == b'\n').all(|line| line.starts_with(b"*"))
}

fn starts_with(line: &[u8], prefix: &[u8]) -> bool {
    line.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
}

/// The longest literal that a server takes without prompting for it, if its greeting announces that it takes any:
/// LITERAL+ sets no limit, LITERAL- one of 4096 bytes (RFC 7888, sections 4 and 5).
fn unprompted(greeting: &[u8]) -> Option<usize> {
    const CODE: &[u8] = b"* OK [CAPABILITY ";
    if !starts_with(greeting, CODE) {
        return None;
    }
    let code = greeting[CODE.len()..].split(|&byte| byte == b']').next()?;
    let announces = |name: &[u8]| code.split(|&byte| byte == b' ').any(|it| it.eq_ignore_ascii_case(name));
    if announces(b"LITERAL+") { Some(usize::MAX) } else { announces(b"LITERAL-").then_some(4096) }
}

/// Announces `text` as a literal, which waits for the prompt.
fn literal(text: &[u8]) -> Vec<u8> {
    format!("{{{}}}", text.len()).into_bytes()
}

/// Announces `text` as a literal that follows at once.
fn non_synchronising(text: &[u8]) -> Vec<u8> {
    format!("{{{}+}}", text.len()).into_bytes()
}

#[cfg(test)]
mod tests;
