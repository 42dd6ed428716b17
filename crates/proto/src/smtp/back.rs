//! SMTP towards upstreams: greeting, HELO or EHLO, then XCLIENT, AUTH or the transaction, as configured.
//!
//! The upstream's capabilities are not consulted: what is configured is sent, as in the originals. Only what the
//! originals do not know depends on them: further attributes of XCLIENT.

use std::convert::Infallible;
use std::net::SocketAddr;

use bytes::{Bytes, BytesMut};

use super::reply;
use super::xclient::{self, Announced};
use crate::back::{Reading, Snub, is_go_ahead};
use crate::forwarded::Fields;
use crate::line::write;
use crate::{Action, Dialogue, Envelope, Identity, Outcome, Protocol, Want, sasl};

/// All that a login at an SMTP upstream depends on.
#[derive(Debug, Clone)]
pub struct Facts {
    /// Our own name, for HELO and EHLO (`server_name`).
    pub server_name: String,
    /// The client's address; `None` for a unix socket.
    pub client: Option<SocketAddr>,
    /// Where the client has connected to; `None` for a unix socket.
    pub server: Option<SocketAddr>,
    /// The name of the session at all proxies.
    pub session: Option<Bytes>,
    /// How many proxies the client may still pass.
    pub ttl: Option<u8>,
    /// What upstreams want to know beside.
    pub fields: Fields,
    /// The client's host name, or `[UNAVAILABLE]` or `[TEMPUNAVAIL]`.
    pub host: String,
    /// The argument of the client's last HELO or EHLO; empty if there was none.
    pub helo: Bytes,
    /// Whether the client has ever said EHLO.
    pub esmtp: bool,
    /// Who to be at the upstream.
    pub identity: Identity,
    /// The transaction of a session without login; nothing is authenticated then.
    pub envelope: Option<Envelope>,
    /// Whether to send XCLIENT (`xclient`).
    pub xclient: bool,
    /// Whether to send AUTH (`proxy_smtp_auth`).
    pub auth: bool,
}

/// The dialogue with an SMTP server, from its greeting to the reply that makes the session.
///
/// With the [`Outcome`] the dialogue is over.
#[derive(Debug)]
pub struct Back {
    facts: Facts,
    limit: usize,
    /// TLS is still to begin.
    starttls: bool,
    /// What the upstream's reply to EHLO says of XCLIENT.
    announced: Option<Announced>,
    snub: Option<Snub>,
    action: Action,
    state: State,
}

/// What the reply that is waited for answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Connect,
    Helo,
    Starttls,
    /// TLS is to begin, and no reply is waited for.
    Securing,
    /// TLS is up, and no reply is waited for.
    Secured,
    Xclient,
    ClientHelo,
    Auth,
    Mail,
    Rcpt,
    Over,
}

impl Back {
    /// Logs in by these facts. `limit`: longest reply, in bytes (`proxy_buffer`).
    pub const fn new(facts: Facts, limit: usize) -> Self {
        Self {
            facts,
            limit,
            starttls: false,
            announced: None,
            snub: None,
            action: Action::Connecting,
            state: State::Connect,
        }
    }

    /// Begins TLS with STARTTLS (RFC 3207) right behind EHLO, and does nothing without it.
    pub fn with_starttls(mut self) -> Self {
        self.starttls = true;
        self
    }

    /// Whether the upstream has refused to hear who the client is, which it has not announced either.
    pub const fn snub(&self) -> Option<Snub> {
        self.snub
    }

    /// What is being done, for the log.
    pub const fn action(&self) -> Action {
        self.action
    }

    /// All of `input` is the reply to the last command.
    fn reply(&mut self, input: &mut BytesMut, output: &mut BytesMut) -> Want<Outcome> {
        let in_clear = self.starttls;
        // What comes behind a reply in clear was not said in answer to anything.
        if !self.state.accepts(input) || in_clear && !is_one_reply(input) {
            let unannounced = self.state == State::Xclient && self.announced.is_none();
            self.snub = unannounced.then_some(Snub::Xclient);
            self.state = State::Over;
            return Want::Answer(if in_clear { Outcome::no_tls(input) } else { Outcome::refused(input) });
        }
        let reply = input.split().freeze();
        match self.state {
            State::Connect => self.helo(output),
            State::Helo if self.starttls => {
                write(output, &[b"STARTTLS"]);
                self.sent(Action::SendingStarttls, State::Starttls)
            }
            State::Starttls => {
                self.action = Action::SendingStarttls;
                self.state = State::Securing;
                Want::Tls
            }
            State::Helo if self.facts.xclient => self.xclient(&reply, output),
            State::Xclient if !self.facts.helo.is_empty() => self.client_helo(output),
            State::Helo | State::Xclient | State::ClientHelo => self.introduced(output),
            State::Mail => self.rcpt(output),
            State::Auth => self.over(Outcome::LoggedIn { reply: Bytes::from_static(reply::AUTHENTICATED) }),
            State::Rcpt => self.over(Outcome::LoggedIn { reply }),
            State::Securing | State::Secured | State::Over => Want::Close,
        }
    }

    /// EHLO wherever what comes later may be an extension.
    fn helo(&mut self, output: &mut BytesMut) -> Want<Outcome> {
        let extended = self.facts.xclient || self.facts.esmtp || self.starttls;
        write(output, &[verb(extended), self.facts.server_name.as_bytes()]);
        self.sent(Action::SendingHelo, State::Helo)
    }

    fn xclient(&mut self, reply: &Bytes, output: &mut BytesMut) -> Want<Outcome> {
        self.announced = Announced::in_reply(reply);
        xclient::command(&self.facts, self.announced.as_ref(), output);
        self.sent(Action::SendingXclient, State::Xclient)
    }

    fn client_helo(&mut self, output: &mut BytesMut) -> Want<Outcome> {
        write(output, &[verb(self.facts.esmtp), &self.facts.helo]);
        self.sent(Action::SendingClientHelo, State::ClientHelo)
    }

    /// The upstream knows who we are, and of whom we speak.
    fn introduced(&mut self, output: &mut BytesMut) -> Want<Outcome> {
        match (&self.facts.envelope, self.facts.auth) {
            (Some(envelope), _) => {
                write(output, &[&envelope.mail]);
                self.sent(Action::SendingMail, State::Mail)
            }
            (None, true) => self.auth(output),
            (None, false) => self.over(Outcome::LoggedIn { reply: Bytes::from_static(reply::AUTHENTICATED) }),
        }
    }

    /// AUTH PLAIN with an initial response (RFC 4954, section 4).
    fn auth(&mut self, output: &mut BytesMut) -> Want<Outcome> {
        self.action = Action::SendingAuth;
        let Identity { user, password } = &self.facts.identity;
        let Some(password) = password else { return self.over(Outcome::NoPassword) };
        // NUL ends the user name (RFC 4616, section 2): with one inside, another user would log in.
        if user.contains(&0) {
            return self.over(Outcome::Unsendable);
        }
        write(output, &[b"AUTH PLAIN ", sasl::plain_response(user, password).expose()]);
        self.sent(Action::SendingAuth, State::Auth)
    }

    fn rcpt(&mut self, output: &mut BytesMut) -> Want<Outcome> {
        let rcpt = self.facts.envelope.as_ref().map(|envelope| envelope.rcpt.clone()).unwrap_or_default();
        write(output, &[&rcpt]);
        self.sent(Action::SendingRcpt, State::Rcpt)
    }

    fn sent(&mut self, action: Action, state: State) -> Want<Outcome> {
        self.action = action;
        self.state = state;
        Want::Input
    }

    fn over(&mut self, outcome: Outcome) -> Want<Outcome> {
        self.state = State::Over;
        Want::Answer(outcome)
    }
}

impl State {
    /// Whether the reply begins with a code that lets the login go on. Any reply to RCPT is for the client.
    fn accepts(self, reply: &[u8]) -> bool {
        let codes: &[&[u8]] = match self {
            Self::Starttls => return is_go_ahead(reply, b"220"),
            Self::Connect => &[b"220"],
            Self::Helo | Self::ClientHelo | Self::Mail => &[b"250"],
            Self::Xclient => &[b"220", b"250"],
            Self::Auth => &[b"235"],
            Self::Rcpt | Self::Securing | Self::Secured | Self::Over => return true,
        };
        codes.iter().any(|code| reply.starts_with(code))
    }
}

impl Dialogue for Back {
    type Question = Outcome;
    type Answer = Infallible;

    fn step(&mut self, input: &mut BytesMut, output: &mut BytesMut) -> Want<Outcome> {
        match self.state {
            State::Over => return Want::Close,
            State::Securing => return Want::Tls,
            State::Secured => return self.helo(output),
            _ => {}
        }
        if !input.is_empty() {
            self.action = Action::ReadingResponse;
        }
        let reading = match self.state {
            State::Rcpt => Reading::of_last(input, self.limit, Protocol::Smtp),
            _ => Reading::of_lines(input, self.limit),
        };
        match reading {
            Reading::Partial => Want::Input,
            Reading::Complete => self.reply(input, output),
            Reading::TooLong => self.over(Outcome::too_long(input, self.limit)),
        }
    }

    fn answer(&mut self, answer: Infallible) {
        match answer {}
    }

    fn secured(&mut self) {
        if self.state == State::Securing {
            self.starttls = false;
            self.state = State::Secured;
        }
    }
}

/// Whether `reply` is one reply (RFC 5321, section 4.2.1) and not several.
fn is_one_reply(reply: &[u8]) -> bool {
    let ends = |line: &[u8]| line.get(3) != Some(&b'-');
    let lines = reply.strip_suffix(b"\r\n").unwrap_or(reply).split(|&byte| byte == b'\n');
    lines.filter(|line| ends(line)).count() == 1
}

const fn verb(extended: bool) -> &'static [u8] {
    if extended { b"EHLO " } else { b"HELO " }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Secret;
    use crate::transcript::Transcript;

    /// A login by EHLO of `u` with the password `p`, told by XCLIENT only, for a client that said `EHLO c`.
    fn facts() -> Facts {
        Facts {
            server_name: "mx.example".to_owned(),
            client: Some(SocketAddr::from(([192, 0, 2, 1], 4711))),
            server: Some(SocketAddr::from(([198, 51, 100, 2], 25))),
            session: Some(Bytes::from_static(b"s+1")),
            ttl: Some(4),
            fields: Fields::default(),
            host: "[UNAVAILABLE]".to_owned(),
            helo: Bytes::from_static(b"c"),
            esmtp: true,
            identity: Identity { user: Bytes::from_static(b"u"), password: Some(Secret::from(&b"p"[..])) },
            envelope: None,
            xclient: true,
            auth: false,
        }
    }

    fn transaction() -> Facts {
        let envelope = Envelope {
            mail: Bytes::from_static(b"MAIL FROM:<a@x>   SIZE=10"),
            rcpt: Bytes::from_static(b"RCPT TO:<b@x>"),
        };
        let identity = Identity { user: Bytes::new(), password: Some(Secret::default()) };
        Facts { envelope: Some(envelope), identity, ..facts() }
    }

    fn back(facts: Facts) -> Transcript<Back> {
        Transcript::of(move || Back::new(facts.clone(), 128)).holds_less_than(128)
    }

    /// Behind greeting and EHLO.
    fn greeted(facts: Facts) -> Transcript<Back> {
        back(facts).trades("220 ready\r\n", "EHLO mx.example\r\n").sends("250-be\r\n250 XCLIENT\r\n")
    }

    fn authenticated() -> Outcome {
        Outcome::LoggedIn { reply: Bytes::from_static(b"235 2.0.0 OK\r\n") }
    }

    fn refused(reply: &'static str) -> Outcome {
        Outcome::Refused { reply: Bytes::from_static(reply.as_bytes()), shown_from: 0 }
    }

    #[test]
    fn xclient_names_the_client_and_the_user_and_then_the_client_says_hello() {
        back(facts())
            .inspects(|back| assert_eq!(back.action(), Action::Connecting))
            .trades("220-one\r\n220 two\r\n", "EHLO mx.example\r\n")
            .inspects(|back| assert_eq!(back.action(), Action::SendingHelo))
            .trades("250-be\r\n250 XCLIENT\r\n", "XCLIENT ADDR=192.0.2.1 LOGIN=u NAME=[UNAVAILABLE]\r\n")
            .inspects(|back| assert_eq!(back.action(), Action::SendingXclient))
            .trades("220 xc\r\n", "EHLO c\r\n")
            .inspects(|back| assert_eq!(back.action(), Action::SendingClientHelo))
            .sends("250-be\r\n250 XCLIENT\r\n")
            .asks(authenticated())
            .check();
    }

    fn securing() -> Transcript<Back> {
        let facts = Facts { auth: true, xclient: false, esmtp: false, ..facts() };
        Transcript::of(move || Back::new(facts.clone(), 128).with_starttls()).holds_less_than(128)
    }

    #[test]
    fn tls_is_begun_behind_ehlo_and_all_is_said_anew_inside() {
        securing()
            .trades("220 ready\r\n", "EHLO mx.example\r\n")
            .trades("250-be\r\n250 STARTTLS\r\n", "STARTTLS\r\n")
            .inspects(|back| assert_eq!(back.action(), Action::SendingStarttls))
            .sends("220 go\r\n")
            .upgrades()
            .receives("HELO mx.example\r\n")
            .trades("250 be\r\n", "AUTH PLAIN AHUAcA==\r\n")
            .sends("235 in\r\n")
            .asks(authenticated())
            .check();
    }

    #[test]
    fn without_tls_nothing_is_said_and_nothing_is_passed_on() {
        let no_tls = |reply: &'static str| Outcome::NoTls { reply: Bytes::from_static(reply.as_bytes()) };
        let greeted = || securing().trades("220 ready\r\n", "EHLO mx.example\r\n");
        let asked = || greeted().trades("250 be\r\n", "STARTTLS\r\n");
        securing().sends("554 no\r\n").asks(no_tls("554 no\r\n")).check();
        greeted().sends("502 no\r\n").asks(no_tls("502 no\r\n")).check();
        asked().sends("454 later\r\n").asks(no_tls("454 later\r\n")).check();
        asked().sends("235 in\r\n").asks(no_tls("235 in\r\n")).check();
        asked().sends("2200 go\r\n").asks(no_tls("2200 go\r\n")).check();
        let injected = "220 go\r\n250 be\r\n";
        securing().sends(injected).asks(no_tls(injected)).check_uncut();
        let injected = "250-be\r\n250 STARTTLS\r\n220 go\r\n";
        greeted().sends(injected).asks(no_tls(injected)).check_uncut();
        let injected = "220 go\r\n250 be\r\n";
        asked().sends(injected).asks(no_tls(injected)).check_uncut();
    }

    #[test]
    fn a_client_that_said_no_hello_says_none_to_the_upstream() {
        greeted(Facts { helo: Bytes::new(), esmtp: false, ..facts() })
            .receives("XCLIENT ADDR=192.0.2.1 LOGIN=u NAME=[UNAVAILABLE]\r\n")
            .sends("250 ok\r\n")
            .asks(authenticated())
            .check();
    }

    #[test]
    fn a_client_that_said_helo_says_helo() {
        greeted(Facts { esmtp: false, ..facts() })
            .receives("XCLIENT ADDR=192.0.2.1 LOGIN=u NAME=[UNAVAILABLE]\r\n")
            .trades("220 ok\r\n", "HELO c\r\n")
            .sends("250 ok\r\n")
            .asks(authenticated())
            .check();
    }

    #[test]
    fn xclient_values_cannot_leave_their_place() {
        let user = Bytes::from_static(b"u\xff\n=+ \r\0%\x7f");
        let host = "a b\r\nc".to_owned();
        let v6 = "[2001:db8::1]:4711".parse().ok();
        for (client, host, line) in [
            (None, "h", "XCLIENT ADDR=unix: LOGIN=u+FF+0A+3D+2B+20+0D+00%+7F NAME=h\r\n"),
            (
                v6,
                &host,
                "XCLIENT ADDR=IPV6:2001:db8::1 LOGIN=u+FF+0A+3D+2B+20+0D+00%+7F NAME=a+20b+0D+0Ac\r\n",
            ),
        ] {
            let identity = Identity { user: user.clone(), password: None };
            greeted(Facts { client, host: host.to_owned(), identity, ..facts() }).receives(line).check();
        }
    }

    /// The line that an upstream gets which has announced this.
    fn told(announced: &str, facts: Facts, line: &str) {
        Transcript::of(move || Back::new(facts.clone(), 512))
            .trades("220 ready\r\n", "EHLO mx.example\r\n")
            .trades(format!("250-be\r\n{announced}\r\n250 SIZE\r\n"), line)
            .check();
    }

    #[test]
    fn what_the_originals_do_not_send_goes_out_if_it_was_announced() {
        let plain = "XCLIENT ADDR=192.0.2.1 LOGIN=u NAME=[UNAVAILABLE]";
        for (announced, further) in [
            ("250-XCLIENT", ""),
            ("250-XCLIENT NAME ADDR LOGIN REVERSE_NAME", ""),
            ("250-XCLIENT TTL SESSION", " SESSION=s+2B1 TTL=4"),
            ("250-XCLIENT FORWARD", ""),
            ("250-XCLIENTS PORT", ""),
            ("250-X PORT", ""),
            ("250-XCLIENT NAME ADDR PORT", " PORT=4711"),
            ("250-xclient proto", " PROTO=ESMTP"),
            ("250-XCLIENT DESTPORT HELO", " HELO=c DESTPORT=25"),
            (
                "250-XCLIENT DESTADDR NAME ADDR PORT PROTO HELO LOGIN DESTPORT",
                " PORT=4711 PROTO=ESMTP HELO=c DESTADDR=198.51.100.2 DESTPORT=25",
            ),
        ] {
            told(announced, facts(), &format!("{plain}{further}\r\n"));
        }
    }

    #[test]
    fn fields_for_upstreams_go_out_as_one_if_that_was_announced() {
        let mut fields = Fields::default();
        fields.read_forward(b"YT1i");
        let facts = Facts { fields, ..facts() };
        let line = "XCLIENT ADDR=192.0.2.1 LOGIN=u NAME=[UNAVAILABLE]";
        told("250-XCLIENT FORWARD", facts.clone(), &format!("{line} FORWARD=YT1i\r\n"));
        told("250-XCLIENT NAME", facts.clone(), &format!("{line}\r\n"));
        let mut facts = facts;
        facts.fields.read_forward(b"YT0+YWI9Pg==");
        told("250-XCLIENT FORWARD", facts, &format!("{line} FORWARD=YT0+2BYWI9Pg+3D+3D\r\n"));
    }

    #[test]
    fn what_is_not_known_is_not_in_xclient() {
        let all = "250-XCLIENT NAME ADDR PORT PROTO HELO LOGIN DESTADDR DESTPORT";
        let unix = Facts { client: None, server: None, helo: Bytes::new(), esmtp: false, ..facts() };
        told(all, unix, "XCLIENT ADDR=unix: LOGIN=u NAME=[UNAVAILABLE] PROTO=SMTP\r\n");
        let endless = Facts { helo: "x".repeat(256).into(), ..facts() };
        let line = "XCLIENT ADDR=192.0.2.1 LOGIN=u NAME=[UNAVAILABLE] PORT=4711\r\n";
        told("250-XCLIENT HELO PORT", endless, line);
    }

    #[test]
    fn announced_values_are_encoded_too() {
        let server = "[2001:db8::2]:25".parse().ok();
        let facts = Facts { server, helo: Bytes::from_static(b"a=b\xff ADDR"), ..facts() };
        let line = "XCLIENT ADDR=192.0.2.1 LOGIN=u NAME=[UNAVAILABLE] \
                    HELO=a+3Db+FF+20ADDR DESTADDR=IPV6:2001:db8::2\r\n";
        told("250-XCLIENT HELO DESTADDR", facts, line);
    }

    #[test]
    fn what_was_announced_in_clear_does_not_count_inside_tls() {
        Transcript::of(|| Back::new(facts(), 128).with_starttls())
            .trades("220 ready\r\n", "EHLO mx.example\r\n")
            .trades("250-XCLIENT PORT\r\n250 STARTTLS\r\n", "STARTTLS\r\n")
            .sends("220 go\r\n")
            .upgrades()
            .receives("EHLO mx.example\r\n")
            .trades("250 XCLIENT NAME\r\n", "XCLIENT ADDR=192.0.2.1 LOGIN=u NAME=[UNAVAILABLE]\r\n")
            .check();
    }

    #[test]
    fn a_refusal_of_what_was_not_announced_has_an_obvious_reason() {
        for (announced, snub) in [("250 be\r\n", Some(Snub::Xclient)), ("250 XCLIENT NAME\r\n", None)] {
            back(facts())
                .trades("220 ready\r\n", "EHLO mx.example\r\n")
                .trades(announced, "XCLIENT ADDR=192.0.2.1 LOGIN=u NAME=[UNAVAILABLE]\r\n")
                .sends("550 no\r\n")
                .asks(refused("550 no\r\n"))
                .inspects(move |back| assert_eq!(back.snub(), snub))
                .check();
        }
        back(facts())
            .sends("554 no\r\n")
            .asks(refused("554 no\r\n"))
            .inspects(|back| assert_eq!(back.snub(), None))
            .check();
    }

    #[test]
    fn with_auth_the_user_is_not_in_xclient() {
        greeted(Facts { auth: true, ..facts() })
            .receives("XCLIENT ADDR=192.0.2.1 NAME=[UNAVAILABLE]\r\n")
            .trades("250 ok\r\n", "EHLO c\r\n")
            .trades("250 be\r\n", "AUTH PLAIN AHUAcA==\r\n")
            .inspects(|back| assert_eq!(back.action(), Action::SendingAuth))
            .sends("235-foo\r\n235 bar\r\n")
            .asks(authenticated())
            .check();
    }

    #[test]
    fn without_xclient_the_clients_hello_is_not_passed_on() {
        for (esmtp, hello) in [(true, "EHLO mx.example\r\n"), (false, "HELO mx.example\r\n")] {
            back(Facts { xclient: false, esmtp, ..facts() })
                .trades("220 ready\r\n", hello)
                .sends("250 be\r\n")
                .asks(authenticated())
                .check();
            back(Facts { xclient: false, esmtp, auth: true, ..facts() })
                .trades("220 ready\r\n", hello)
                .trades("250 be\r\n", "AUTH PLAIN AHUAcA==\r\n")
                .sends("235 ok\r\n")
                .asks(authenticated())
                .check();
        }
    }

    #[test]
    fn a_transaction_is_repeated_and_never_authenticated() {
        for reply in ["250 rcpt ok\r\n", "550-no\r\n550 no\r\n"] {
            greeted(Facts { auth: true, ..transaction() })
                .receives("XCLIENT ADDR=192.0.2.1 NAME=[UNAVAILABLE]\r\n")
                .trades("220 ok\r\n", "EHLO c\r\n")
                .trades("250 ok\r\n", "MAIL FROM:<a@x>   SIZE=10\r\n")
                .inspects(|back| assert_eq!(back.action(), Action::SendingMail))
                .trades("250 ok\r\n", "RCPT TO:<b@x>\r\n")
                .inspects(|back| assert_eq!(back.action(), Action::SendingRcpt))
                .sends(reply)
                .asks(Outcome::LoggedIn { reply: Bytes::from_static(reply.as_bytes()) })
                .check();
        }
    }

    #[test]
    fn a_refusal_at_any_step_is_handed_on_as_it_came() {
        let replies = ["554 no\r\n", "4\r\n", "\r\n", "251-a\r\n251 b\r\n", "25\r\n"];
        let dialogue = |facts: Facts, before: &[&'static str]| {
            for reply in replies {
                let script = before.iter().fold(
                    Transcript::of({
                        let facts = facts.clone();
                        move || Back::new(facts.clone(), 128)
                    }),
                    |script, step| {
                        let (sent, received) = step.split_once('|').expect("both sides");
                        script.trades(format!("{sent}\r\n"), format!("{received}\r\n"))
                    },
                );
                script.sends(reply).asks(refused(reply)).check();
            }
        };
        let direct = Facts { xclient: false, auth: true, ..facts() };
        dialogue(direct.clone(), &[]);
        dialogue(direct.clone(), &["220 ok|EHLO mx.example"]);
        dialogue(direct, &["220 ok|EHLO mx.example", "250 ok|AUTH PLAIN AHUAcA=="]);
        let xclient = "250 ok|XCLIENT ADDR=192.0.2.1 NAME=[UNAVAILABLE]";
        let mail = "250 ok|MAIL FROM:<a@x>   SIZE=10";
        dialogue(transaction(), &["220 ok|EHLO mx.example", xclient]);
        dialogue(transaction(), &["220 ok|EHLO mx.example", xclient, "220 ok|EHLO c"]);
        dialogue(transaction(), &["220 ok|EHLO mx.example", xclient, "220 ok|EHLO c", mail]);
    }

    #[test]
    fn a_reply_is_waited_for_to_its_last_line() {
        back(facts())
            .sends("220-one\r\n")
            .sends("220-two\r\n")
            .trades("220 three\r\n", "EHLO mx.example\r\n")
            .check();
    }

    #[test]
    fn replies_that_come_too_early_answer_nothing() {
        back(facts())
            .trades("220 ready\r\n250 early\r\n250 early\r\n", "EHLO mx.example\r\n")
            .sends("502 no\r\n")
            .asks(refused("502 no\r\n"))
            .check_uncut();
    }

    #[test]
    fn a_reply_beyond_the_limit_is_too_long() {
        let reply: Bytes = "220-x\r\n".repeat(18).into_bytes().into();
        let seen: Bytes = [&reply[..], b"22"].concat().into();
        back(facts()).sends(&seen).asks(Outcome::TooLong { reply: seen.clone() }).check();
        let whole: Bytes = [&reply[..], &reply].concat().into();
        let outcome = Outcome::TooLong { reply: whole.slice(..128) };
        back(facts()).sends(&whole).asks(outcome).check();
    }

    #[test]
    fn without_a_password_auth_is_not_possible() {
        let identity = Identity { password: None, ..facts().identity };
        back(Facts { xclient: false, auth: true, identity: identity.clone(), ..facts() })
            .trades("220 ready\r\n", "EHLO mx.example\r\n")
            .sends("250 ok\r\n")
            .asks(Outcome::NoPassword)
            .inspects(|back| assert_eq!(back.action(), Action::SendingAuth))
            .check();
        back(Facts { xclient: false, identity, ..facts() })
            .trades("220 ready\r\n", "EHLO mx.example\r\n")
            .sends("250 ok\r\n")
            .asks(authenticated())
            .check();
    }

    #[test]
    fn a_user_name_with_nul_is_not_sent() {
        let identity = Identity { user: Bytes::from_static(b"a\0b"), ..facts().identity };
        back(Facts { xclient: false, auth: true, identity, ..facts() })
            .trades("220 ready\r\n", "EHLO mx.example\r\n")
            .sends("250 ok\r\n")
            .asks(Outcome::Unsendable)
            .check();
    }
}
