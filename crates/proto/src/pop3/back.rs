//! POP3 towards upstreams: says who the client is, if told to, and logs in with USER and PASS, as the originals do.

use std::convert::Infallible;

use bytes::{Bytes, BytesMut};

use crate::back::{Reading, Snub, is_go_ahead, is_single_line};
use crate::line::write;
use crate::{Action, Dialogue, Forwarded, Identity, Outcome, Protocol, Secret, Want};

/// The dialogue with a POP3 server, from its greeting to the reply to PASS.
///
/// With the [`Outcome`] the dialogue is over.
#[derive(Debug)]
pub struct Back {
    limit: usize,
    starttls: bool,
    /// The command that says who the client is, or nothing.
    introduction: Bytes,
    snub: Option<Snub>,
    action: Action,
    state: State,
}

/// The reply that is waited for, and what is left to be said.
#[derive(Debug)]
enum State {
    Greeting(Identity),
    /// The go-ahead for TLS.
    Stls(Identity),
    /// TLS is to begin, and no reply is waited for.
    Securing(Identity),
    /// TLS is up, and no reply is waited for.
    Secured(Identity),
    Xclient(Identity),
    User(Secret),
    Pass,
    Over,
}

impl Back {
    /// Logs in as `identity`. `limit`: longest reply, in bytes (`proxy_buffer`).
    pub const fn new(identity: Identity, limit: usize) -> Self {
        Self {
            limit,
            starttls: false,
            introduction: Bytes::new(),
            snub: None,
            action: Action::Connecting,
            state: State::Greeting(identity),
        }
    }

    /// Begins TLS with STLS (RFC 2595, section 4) before anything else, and does nothing without it.
    pub fn with_starttls(self) -> Self {
        Self { starttls: true, ..self }
    }

    /// Says who the client is, with XCLIENT, before the login. An upstream that does not want to hear it is logged
    /// in to without.
    pub fn introducing(self, client: &Forwarded) -> Self {
        Self { introduction: client.xclient(), ..self }
    }

    /// Whether the upstream has refused to hear who the client is.
    pub const fn snub(&self) -> Option<Snub> {
        self.snub
    }

    /// What is being done, for the log.
    pub const fn action(&self) -> Action {
        self.action
    }

    /// All of `input` is the reply to the last command.
    fn reply(&mut self, input: &mut BytesMut, output: &mut BytesMut) -> Want<Outcome> {
        let state = std::mem::replace(&mut self.state, State::Over);
        match state {
            State::Greeting(identity) if self.starttls => return self.stls(identity, input, output),
            State::Stls(identity) => return self.secure(identity, input),
            State::Xclient(_) if is_snub(input) => self.snub = Some(Snub::Pop3Xclient),
            _ if !input.starts_with(b"+OK") => return Want::Answer(Outcome::refused(input)),
            _ => {}
        }
        let reply = input.split();
        match state {
            State::Greeting(identity) => self.introduce(identity, output),
            State::Xclient(identity) => self.authenticate(identity, output),
            State::User(password) => {
                write(output, &[b"PASS ", password.expose()]);
                self.sent(Action::SendingPassword, State::Pass)
            }
            State::Pass => Want::Answer(Outcome::LoggedIn { reply: reply.freeze() }),
            State::Stls(_) | State::Securing(_) | State::Secured(_) | State::Over => Want::Close,
        }
    }

    /// What comes behind the greeting in clear was not said in answer to anything.
    fn stls(&mut self, identity: Identity, input: &mut BytesMut, output: &mut BytesMut) -> Want<Outcome> {
        if !input.starts_with(b"+OK") || !is_single_line(input) {
            return Want::Answer(Outcome::no_tls(input));
        }
        input.clear();
        write(output, &[b"STLS"]);
        self.sent(Action::SendingStarttls, State::Stls(identity))
    }

    fn secure(&mut self, identity: Identity, input: &mut BytesMut) -> Want<Outcome> {
        if !is_go_ahead(input, b"+OK") {
            return Want::Answer(Outcome::no_tls(input));
        }
        input.clear();
        self.state = State::Securing(identity);
        self.action = Action::SendingStarttls;
        Want::Tls
    }

    /// XCLIENT of Dovecot, if it is to be said.
    fn introduce(&mut self, identity: Identity, output: &mut BytesMut) -> Want<Outcome> {
        if self.introduction.is_empty() {
            return self.authenticate(identity, output);
        }
        output.extend_from_slice(&self.introduction);
        self.sent(Action::SendingXclient, State::Xclient(identity))
    }

    fn authenticate(
        &mut self,
        Identity { user, password }: Identity,
        output: &mut BytesMut,
    ) -> Want<Outcome> {
        let Some(password) = password else { return Want::Answer(Outcome::NoPassword) };
        // In POP3 there is no way to say these bytes: a line end in a user name would begin another command.
        if !is_sendable(&user) || !is_sendable(password.expose()) {
            return Want::Answer(Outcome::Unsendable);
        }
        write(output, &[b"USER ", &user]);
        self.sent(Action::SendingUser, State::User(password))
    }

    fn sent(&mut self, action: Action, state: State) -> Want<Outcome> {
        self.action = action;
        self.state = state;
        Want::Input
    }
}

impl Dialogue for Back {
    type Question = Outcome;
    type Answer = Infallible;

    fn step(&mut self, input: &mut BytesMut, output: &mut BytesMut) -> Want<Outcome> {
        match std::mem::replace(&mut self.state, State::Over) {
            State::Over => return Want::Close,
            State::Securing(identity) => {
                self.state = State::Securing(identity);
                return Want::Tls;
            }
            State::Secured(identity) => return self.introduce(identity, output),
            waiting => self.state = waiting,
        }
        if !input.is_empty() {
            self.action = Action::ReadingResponse;
        }
        let reading = match self.state {
            State::Pass => Reading::of_last(input, self.limit, Protocol::Pop3),
            _ => Reading::of(input, self.limit),
        };
        match reading {
            Reading::Partial => Want::Input,
            Reading::Complete => self.reply(input, output),
            Reading::TooLong => {
                self.state = State::Over;
                Want::Answer(Outcome::too_long(input, self.limit))
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

/// Whether this answer to XCLIENT says that it counts for nothing. Dovecot says so in a `+OK`.
fn is_snub(reply: &[u8]) -> bool {
    [&b"-ERR"[..], b"+OK You are not from trusted IP"].iter().any(|snub| reply.starts_with(snub))
}

fn is_sendable(bytes: &[u8]) -> bool {
    !bytes.iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::transcript::Transcript;

    fn back(user: &'static [u8], password: &'static [u8]) -> Transcript<Back> {
        Transcript::of(move || {
            let password = Some(Secret::from(password));
            Back::new(Identity { user: Bytes::from_static(user), password }, 64)
        })
        .holds_less_than(64)
    }

    fn refused(reply: &'static str) -> Outcome {
        Outcome::Refused { reply: Bytes::from_static(reply.as_bytes()), shown_from: 0 }
    }

    #[test]
    fn user_and_password_are_sent_one_by_one_and_the_last_reply_is_the_clients() {
        back(b"u v", b" p ")
            .inspects(|back| assert_eq!(back.action(), Action::Connecting))
            .trades("+OK ready\r\n", "USER u v\r\n")
            .inspects(|back| assert_eq!(back.action(), Action::SendingUser))
            .trades("+OKxyz\r\n", "PASS  p \r\n")
            .inspects(|back| assert_eq!(back.action(), Action::SendingPassword))
            .sends("+OK logged in\r\n")
            .asks(Outcome::LoggedIn { reply: Bytes::from_static(b"+OK logged in\r\n") })
            .check();
    }

    #[test]
    fn a_refusal_at_any_step_is_handed_on_as_it_came() {
        for reply in ["-ERR no\r\n", "+ok\r\n", "+O\r\n", "\r\n", "* BYE\r\n"] {
            back(b"u", b"p").sends(reply).asks(refused(reply)).check();
            back(b"u", b"p").trades("+OK\r\n", "USER u\r\n").sends(reply).asks(refused(reply)).check();
            back(b"u", b"p")
                .trades("+OK\r\n", "USER u\r\n")
                .trades("+OK\r\n", "PASS p\r\n")
                .sends(reply)
                .asks(refused(reply))
                .inspects(|back| assert_eq!(back.action(), Action::ReadingResponse))
                .check();
        }
    }

    #[test]
    fn lines_that_come_with_a_reply_belong_to_it() {
        back(b"u", b"p").sends("-ERR a\r\n-ERR b\r\n").asks(refused("-ERR a\r\n-ERR b\r\n")).check_uncut();
        back(b"u", b"p")
            .trades("+OK hello\r\n+OK early\r\n+OK early\r\n", "USER u\r\n")
            .trades("-ERR no", "")
            .sends("\r\n")
            .asks(refused("-ERR no\r\n"))
            .check_uncut();
    }

    fn securing() -> Transcript<Back> {
        let identity =
            || Identity { user: Bytes::from_static(b"u"), password: Some(Secret::from(&b"p"[..])) };
        Transcript::of(move || Back::new(identity(), 64).with_starttls()).holds_less_than(64)
    }

    #[test]
    fn tls_is_begun_before_the_name_is_said() {
        securing()
            .trades("+OK ready\r\n", "STLS\r\n")
            .inspects(|back| assert_eq!(back.action(), Action::SendingStarttls))
            .sends("+OK begin\r\n")
            .upgrades()
            .receives("USER u\r\n")
            .trades("+OK\r\n", "PASS p\r\n")
            .sends("+OK in\r\n")
            .asks(Outcome::LoggedIn { reply: Bytes::from_static(b"+OK in\r\n") })
            .check();
    }

    #[test]
    fn without_tls_nothing_is_said_and_nothing_is_passed_on() {
        let no_tls = |reply: &'static str| Outcome::NoTls { reply: Bytes::from_static(reply.as_bytes()) };
        for reply in ["-ERR no\r\n", "* PREAUTH\r\n"] {
            securing().sends(reply).asks(no_tls(reply)).check();
            securing().trades("+OK\r\n", "STLS\r\n").sends(reply).asks(no_tls(reply)).check();
        }
        // What the originals take for a yes elsewhere.
        securing().trades("+OK\r\n", "STLS\r\n").sends("+OKAY\r\n").asks(no_tls("+OKAY\r\n")).check();
        let injected = "+OK begin\r\n+OK logged in\r\n";
        securing().sends(injected).asks(no_tls(injected)).check_uncut();
        securing().trades("+OK\r\n", "STLS\r\n").sends(injected).asks(no_tls(injected)).check_uncut();
    }

    const INTRODUCTION: &str = "XCLIENT ADDR=192.0.2.1 PORT=4711 SESSION=s TTL=4\r\n";

    fn introduced() -> Back {
        let client = Forwarded {
            client: "192.0.2.1:4711".parse().ok().into(),
            ttl: Some(4),
            session: Some(Bytes::from_static(b"s")),
            ..Forwarded::default()
        };
        let password = Some(Secret::from(&b"p"[..]));
        Back::new(Identity { user: Bytes::from_static(b"u"), password }, 64).introducing(&client)
    }

    #[test]
    fn who_the_client_is_comes_before_its_name_whether_the_upstream_likes_it_or_not() {
        for (reply, snub) in [
            ("+OK\r\n", None),
            ("-ERR what?\r\n", Some(Snub::Pop3Xclient)),
            ("+OK You are not from trusted IP - ignoring\r\n", Some(Snub::Pop3Xclient)),
        ] {
            Transcript::of(introduced)
                .trades("+OK ready\r\n", INTRODUCTION)
                .inspects(|back| assert_eq!(back.action(), Action::SendingXclient))
                .trades(reply, "USER u\r\n")
                .inspects(move |back| assert_eq!(back.snub(), snub))
                .trades("+OK\r\n", "PASS p\r\n")
                .sends("+OK in\r\n")
                .asks(Outcome::LoggedIn { reply: Bytes::from_static(b"+OK in\r\n") })
                .check();
        }
    }

    #[test]
    fn what_is_no_answer_to_xclient_ends_the_login() {
        for reply in ["* BYE\r\n", "\r\n", "-err\r\n"] {
            Transcript::of(introduced)
                .trades("+OK ready\r\n", INTRODUCTION)
                .sends(reply)
                .asks(refused(reply))
                .check();
        }
    }

    #[test]
    fn who_the_client_is_is_said_inside_tls() {
        Transcript::of(|| introduced().with_starttls())
            .trades("+OK ready\r\n", "STLS\r\n")
            .sends("+OK begin\r\n")
            .upgrades()
            .receives(INTRODUCTION)
            .trades("+OK\r\n", "USER u\r\n")
            .check();
    }

    #[test]
    fn what_comes_behind_the_last_reply_is_the_clients_whatever_its_size() {
        let flood: Bytes = ["+OK in\r\n", &"x".repeat(100)].concat().into();
        back(b"u", b"p")
            .trades("+OK\r\n", "USER u\r\n")
            .trades("+OK\r\n", "PASS p\r\n")
            .sends(&flood)
            .asks(Outcome::LoggedIn { reply: flood })
            .check_uncut();
    }

    #[test]
    fn a_line_ends_in_crlf_only() {
        back(b"u", b"p").sends("+OK\n").trades("\r\n", "USER u\r\n").check();
    }

    #[test]
    fn a_reply_beyond_the_limit_is_too_long() {
        let reply: Bytes = ["+OK ", &"x".repeat(60)].concat().into();
        back(b"u", b"p").sends(&reply).asks(Outcome::TooLong { reply }).check();
        let fits = ["+OK ", &"x".repeat(58), "\r\n"].concat();
        back(b"u", b"p").trades(fits, "USER u\r\n").check();
    }

    #[test]
    fn what_would_be_another_command_is_not_sent() {
        for (user, password) in [
            (&b"u\r\nDELE 1"[..], &b"p"[..]),
            (b"u\nDELE 1", b"p"),
            (b"u\rx", b"p"),
            (b"u\0", b"p"),
            (b"u", b"p\r\nX"),
            (b"u", b"p\n"),
            (b"u", b"\0"),
        ] {
            back(user, password).sends("+OK\r\n").asks(Outcome::Unsendable).check();
        }
    }

    #[test]
    fn without_a_password_nothing_is_sent() {
        let nobody = || Identity { user: Bytes::from_static(b"u"), password: None };
        Transcript::of(move || Back::new(nobody(), 64)).sends("+OK\r\n").asks(Outcome::NoPassword).check();
    }
}
