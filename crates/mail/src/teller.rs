//! Tells the log what happened to one session: adds who, where and while doing what.

use std::sync::Arc;

use bytes::Bytes;
use proto::back;

use crate::address::{ClientAddr, Endpoint};
use crate::event::{Event, Step};
use crate::log::{Context, Field, Log, Record};

/// What a session is doing, as log lines say it behind ` while `.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Nothing that needs saying.
    None,
    /// A client was accepted (the originals: Angie only).
    Initializing,
    /// Waiting for the PROXY header.
    ReadingHeader,
    /// TLS from the first byte on.
    Handshaking,
    /// TLS behind STARTTLS.
    Starttls,
    /// Looking up the name of the client's address.
    ResolvingAddress,
    /// Looking up the addresses of that name.
    ResolvingName,
    /// From the greeting to the first command.
    Greeting,
    /// `smtp_greeting_delay`.
    GreetingDelay,
    /// Commands before login.
    Auth,
    /// Asking the authority.
    HttpAuth,
    /// Connecting to the upstream.
    Connecting,
    /// Sending it a PROXY header.
    SendingHeader,
    /// TLS with it.
    UpstreamHandshake,
    /// Logging in there.
    Upstream(back::Action),
    /// Moving bytes.
    Proxying,
    /// Moving bytes, reading from the client.
    ReadingClient,
    /// Moving bytes, writing to the client.
    SendingClient,
    /// Moving bytes, reading from the upstream.
    ReadingUpstream,
    /// Moving bytes, writing to the upstream.
    SendingUpstream,
}

impl Action {
    /// The words behind ` while `; empty for [`Action::None`].
    pub const fn text(self) -> &'static str {
        match self {
            Self::None => "",
            Self::Initializing => "initializing session",
            Self::ReadingHeader => "reading PROXY protocol",
            Self::Handshaking => "SSL handshaking",
            Self::Starttls => "in starttls state",
            Self::ResolvingAddress => "in resolving client address",
            Self::ResolvingName => "in resolving client hostname",
            Self::Greeting => "sending client greeting line",
            Self::GreetingDelay => "in delay pipelining state",
            Self::Auth => "in auth state",
            Self::HttpAuth => "in http auth state",
            Self::Connecting => "connecting to upstream",
            Self::SendingHeader => "sending PROXY protocol header to upstream",
            Self::UpstreamHandshake => "SSL handshaking to upstream",
            Self::Upstream(action) => upstream_text(action),
            Self::Proxying => "proxying",
            Self::ReadingClient => "proxying and reading from client",
            Self::SendingClient => "proxying and sending to client",
            Self::ReadingUpstream => "proxying and reading from upstream",
            Self::SendingUpstream => "proxying and sending to upstream",
        }
    }
}

const fn upstream_text(action: back::Action) -> &'static str {
    match action {
        back::Action::Connecting => "connecting to upstream",
        back::Action::ReadingResponse => "reading response from upstream",
        back::Action::SendingStarttls => "sending STARTTLS to upstream",
        back::Action::SendingId => "sending ID command to upstream",
        back::Action::SendingLogin => "sending LOGIN command to upstream",
        back::Action::SendingUser => "sending user name to upstream",
        back::Action::SendingPassword => "sending password to upstream",
        back::Action::SendingHelo => "sending HELO/EHLO to upstream",
        back::Action::SendingXclient => "sending XCLIENT to upstream",
        back::Action::SendingClientHelo => "sending client HELO/EHLO to upstream",
        back::Action::SendingAuth => "sending AUTH to upstream",
        back::Action::SendingMail => "sending MAIL FROM to upstream",
        back::Action::SendingRcpt => "sending RCPT TO to upstream",
    }
}

/// The log of one session.
#[derive(Debug)]
pub struct Teller {
    log: Arc<Log>,
    connection: u64,
    /// The client, by the address that it has or is believed to have.
    pub client: ClientAddr,
    /// The listening address as configured, not the local address of the connection.
    pub server: Endpoint,
    /// What the session is doing now.
    action: Action,
    /// Whether STARTTLS was given.
    pub starttls: bool,
    /// The user's name, as soon as there is one.
    pub login: Option<Bytes>,
    /// The upstream, from the start of connecting.
    pub upstream: Option<Endpoint>,
}

impl Teller {
    /// The log of the session that came in as number `connection`.
    pub fn new(log: Arc<Log>, connection: u64, client: ClientAddr, server: Endpoint) -> Self {
        let action = Action::None;
        Self { log, connection, client, server, action, starttls: false, login: None, upstream: None }
    }

    /// The session's number and the address that it came to.
    pub fn into_origin(self) -> (u64, Endpoint) {
        (self.connection, self.server)
    }

    /// Whether it knows nothing of the session but that it came from `client` and is told to `log`.
    pub fn is_new(&self, log: &Arc<Log>, client: ClientAddr) -> bool {
        Arc::ptr_eq(&self.log, log) && self.client == client && !self.starttls && self.login.is_none()
    }

    /// The session does `action` as before a rest.
    pub fn resume(&mut self, action: Action) {
        self.action = action;
    }

    /// Keeps nothing in memory beyond what it needs: the name of a user may be a part of something larger.
    pub fn settle(&mut self) {
        self.login = self.login.take().map(|login| Bytes::copy_from_slice(&login));
    }

    /// What the session is doing.
    pub const fn action(&self) -> Action {
        self.action
    }

    /// From now on the session is doing `action`.
    pub fn begin(&mut self, action: Action) {
        if self.action != action {
            self.action = action;
            self.tell(&Event::Step(Step::Begins(action)));
        }
    }

    /// Says that `event` happened while the session is doing what it [began](Self::begin) last.
    pub fn tell(&self, event: &Event<'_>) {
        self.tell_while(self.action, event);
    }

    /// Says that `event` happened while the session was doing `action`.
    pub fn tell_while(&self, action: Action, event: &Event<'_>) {
        let Some(level) = event.level().filter(|level| self.log.takes(*level)) else { return };
        let fields = self.fields();
        let connected = format_args!("client {} connected to {}", self.client, self.server);
        self.log.record(&Record {
            level,
            connection: Some(self.connection),
            message: event,
            errno: event.errno(),
            context: Context { subsystem: Some("mail"), action: action.text(), fields: &fields },
            nginx: matches!(event, Event::Connected).then_some(&connected),
        });
    }

    /// What is known of the session, in the order of log lines.
    fn fields(&self) -> Vec<Field<'_>> {
        let known = [
            Some(Field::Client(self.client)),
            Some(Field::Server(&self.server)),
            self.starttls.then_some(Field::Starttls),
            self.login.as_deref().map(Field::Login),
            self.upstream.as_ref().map(Field::Upstream),
        ];
        known.into_iter().flatten().collect()
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::net::SocketAddr;

    use proto::{Mechanism, Violation};

    use super::*;
    use crate::auth::{Failure, Remark};
    use crate::flavour::Flavour;
    use crate::log::tests::Memory;
    use crate::settings::ErrorLog;
    use crate::settings::log::{Destination, Level};
    use crate::trouble::{Call, Trouble, UpstreamTrouble};

    fn teller(memory: &Memory, flavour: Flavour) -> Teller {
        let client = ClientAddr::Tcp("127.0.0.1:49980".parse::<SocketAddr>().unwrap());
        let server = Endpoint::Tcp("127.0.0.1:31005".parse().unwrap());
        let settings = ErrorLog::new(Destination::Stderr, Level::Info, flavour);
        Teller::new(Arc::new(memory.log_as(&settings)), 24, client, server)
    }

    /// The message and context of what is told, without time and process.
    fn told(flavour: Flavour, tell: impl FnOnce(&mut Teller)) -> String {
        let memory = Memory::default();
        tell(&mut teller(&memory, flavour));
        let text = memory.text();
        let (head, message) = text.split_once(": *24 ").unwrap();
        let level = head.split(' ').nth(2).unwrap();
        format!("{level} {}", message.trim_end())
    }

    fn proxied(teller: &mut Teller, event: &Event<'_>) {
        teller.login = Some(Bytes::from_static(b"u"));
        teller.upstream = Some(Endpoint::Tcp("127.0.0.1:30143".parse().unwrap()));
        teller.tell(event);
    }

    #[test]
    fn a_session_is_told_as_angie_tells_it() {
        let context = r#"client: "127.0.0.1:49980", server: "127.0.0.1:31005""#;
        let connected = |t: &mut Teller| t.tell_while(Action::Initializing, &Event::Connected);
        for flavour in [Flavour::Gatepost, Flavour::Angie] {
            assert_eq!(
                told(flavour, connected),
                format!("[info] client connected while initializing session, {context}")
            );
            assert_eq!(
                told(flavour, |t| proxied(t, &Event::LoggedIn)),
                format!(r#"[info] client logged in, {context}, login: "u", upstream: "127.0.0.1:30143""#)
            );
            assert_eq!(
                told(flavour, |t| proxied(t, &Event::Done)),
                format!(r#"[info] proxied session done, {context}, login: "u", upstream: "127.0.0.1:30143""#)
            );
        }
    }

    #[test]
    fn a_session_is_told_as_nginx_tells_it_when_called_nginx() {
        let connected = |t: &mut Teller| t.tell_while(Action::Initializing, &Event::Connected);
        assert_eq!(
            told(Flavour::Nginx, connected),
            "[info] client 127.0.0.1:49980 connected to 127.0.0.1:31005"
        );
        assert_eq!(
            told(Flavour::Nginx, |t| proxied(t, &Event::LoggedIn)),
            "[info] client logged in, client: 127.0.0.1, server: 127.0.0.1:31005, login: \"u\", \
             upstream: 127.0.0.1:30143"
        );
    }

    /// What is told while in auth state, without the context.
    fn line(event: &Event<'_>) -> String {
        let line = told(Flavour::Angie, |t| t.tell_while(Action::Auth, event));
        let (message, context) = line.split_once(", client: ").unwrap();
        assert_eq!(context, r#""127.0.0.1:49980", server: "127.0.0.1:31005""#);
        message.to_owned()
    }

    #[test]
    fn troubles_have_the_originals_words_and_levels() {
        let io = |errno| io::Error::from_raw_os_error(errno);
        let upstream = |trouble: UpstreamTrouble| line(&Event::Trouble(&trouble.into()));
        assert_eq!(
            line(&Event::Trouble(&Trouble::ClientTimedOut)),
            "[info] client timed out (110: Connection timed out) while in auth state"
        );
        assert_eq!(
            line(&Event::Trouble(&Trouble::Client { call: Call::Recv, source: io(104) })),
            "[info] recv() failed (104: Connection reset by peer) while in auth state"
        );
        assert_eq!(
            line(&Event::Trouble(&Trouble::Client { call: Call::Send, source: io(22) })),
            "[alert] send() failed (22: Invalid argument) while in auth state"
        );
        assert_eq!(
            line(&Event::Trouble(&Trouble::EarlyTalker { said: b"EHLO a\r\nNOOP\r\n".to_vec() })),
            "[info] client was rejected before greeting: \"EHLO a__NOOP__\" while in auth state"
        );
        assert_eq!(
            upstream(UpstreamTrouble::TimedOut),
            "[info] upstream timed out (110: Connection timed out) while in auth state"
        );
        assert_eq!(
            upstream(UpstreamTrouble::Refused { reply: b"-ERR \"no\"".to_vec(), passed: false }),
            r#"[error] upstream sent invalid response: "-ERR \x22no\x22" while in auth state"#
        );
        assert_eq!(
            upstream(UpstreamTrouble::Refused { reply: b"-ERR no".to_vec(), passed: true }),
            r#"[info] upstream sent invalid response: "-ERR no" while in auth state"#
        );
        assert_eq!(
            upstream(UpstreamTrouble::Connect {
                endpoint: Endpoint::Tcp("[::1]:143".parse().unwrap()),
                source: io(111)
            }),
            "[error] connect() to [::1]:143 failed (111: Connection refused) while in auth state"
        );
        assert_eq!(
            upstream(UpstreamTrouble::NoPassword),
            "[error] no password available while in auth state"
        );
    }

    #[test]
    fn a_client_that_simply_goes_is_not_told() {
        let memory = Memory::default();
        teller(&memory, Flavour::Angie).tell(&Event::Trouble(&Trouble::ClientGone));
        assert_eq!(memory.text(), "");
    }

    #[test]
    fn violations_have_the_originals_words_and_no_secrets() {
        let violation = |violation| line(&Event::Violation(&violation));
        assert_eq!(
            violation(Violation::InvalidBase64(Mechanism::CramMd5)),
            "[info] client sent invalid base64 encoding in AUTH CRAM-MD5 command while in auth state"
        );
        assert_eq!(
            violation(Violation::InvalidHash),
            "[info] client sent invalid CRAM-MD5 hash in AUTH CRAM-MD5 command while in auth state"
        );
        assert_eq!(
            violation(Violation::InvalidToken(Mechanism::Xoauth2)),
            "[info] client sent invalid token in AUTH XOAUTH2 command while in auth state"
        );
        assert_eq!(
            violation(Violation::TooLong { seen: 4096, start: Bytes::from_static(b"a LOGIN") }),
            r#"[info] client sent too long command "a LOGIN...", 4096 bytes while in auth state"#
        );
        assert_eq!(
            violation(Violation::Unauthenticated(Bytes::from_static(b"MAIL FROM:<a>\r\n"))),
            r#"[info] client was rejected: "MAIL FROM:<a>__" while in auth state"#
        );
    }

    #[test]
    fn what_an_authority_says_is_told_on_one_line() {
        let server = || "127.0.0.1:9000".to_owned();
        assert_eq!(
            line(&Event::LoginDenied { text: b"no\nway" }),
            r#"[info] client login failed: "no\x0Away" while in auth state"#
        );
        assert_eq!(
            line(&Event::AuthFailed(&Failure::TimedOut { server: server() })),
            "[error] auth http server 127.0.0.1:9000 timed out (110: Connection timed out) while in auth state"
        );
        assert_eq!(
            line(&Event::AuthFailed(&Failure::NoServerOrPort { server: server(), status: 404 })),
            "[error] auth http server 127.0.0.1:9000 did not send server or port (HTTP status 404) \
             while in auth state"
        );
        assert_eq!(
            line(&Event::AuthFailed(&Failure::InvalidAddress {
                server: server(),
                address: "a\"\r\nb".into()
            })),
            r#"[error] auth http server 127.0.0.1:9000 sent invalid server address:"a\x22\x0D\x0Ab" while in auth state"#
        );
        assert_eq!(
            line(&Event::AuthRemark(&Remark::NoStatus { server: server() })),
            "[warn] auth http server 127.0.0.1:9000 did not send Auth-Status, taken for OK while in auth state"
        );
    }

    #[test]
    fn starttls_is_told_where_each_original_tells_it() {
        let starttls = |t: &mut Teller| {
            t.starttls = true;
            t.tell_while(Action::Auth, &Event::Trouble(&Trouble::ShutdownTimeout));
        };
        assert_eq!(
            told(Flavour::Angie, starttls),
            r#"[info] shutdown timeout while in auth state, client: "127.0.0.1:49980", server: "127.0.0.1:31005", starttls: "true""#
        );
        assert_eq!(
            told(Flavour::Nginx, starttls),
            "[info] shutdown timeout while in auth state, client: 127.0.0.1 using starttls, server: 127.0.0.1:31005"
        );
    }

    #[test]
    fn steps_are_told_at_level_debug_without_context() {
        let memory = Memory::default();
        let client = ClientAddr::Unix;
        let server = Endpoint::Tcp("127.0.0.1:31005".parse().unwrap());
        let mut teller = Teller::new(Arc::new(memory.log(Level::Debug)), 7, client, server);
        teller.begin(Action::Auth);
        teller.begin(Action::Auth);
        teller.tell(&Event::Step(Step::Asks(proto::Method::Plain)));
        let target = crate::address::Target::new("imap.example.org", 143);
        teller.tell(&Event::Step(Step::Granted { target: &target }));
        let text = memory.text();
        let messages: Vec<&str> = text
            .lines()
            .map(|line| line.split_once(" [debug] ").unwrap().1.split_once(": ").unwrap().1)
            .collect();
        assert_eq!(
            messages,
            [
                "*7 state: in auth state",
                "*7 asking about a login, method plain",
                "*7 login granted, upstream imap.example.org:143"
            ]
        );
    }

    #[test]
    fn an_ipv6_upstream_is_shown_without_brackets() {
        let line = told(Flavour::Angie, |t| {
            t.upstream = Some(Endpoint::Tcp("[::1]:143".parse().unwrap()));
            t.tell(&Event::Done);
        });
        assert!(line.ends_with(r#", upstream: "::1:143""#), "{line}");
    }
}
