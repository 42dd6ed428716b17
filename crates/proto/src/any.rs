//! The dialogue of whichever protocol a server speaks.

use std::convert::Infallible;
use std::sync::Arc;

use bytes::BytesMut;

use crate::{
    Action, Dialogue, Forwarded, Login, LoginAnswer, Outcome, Protocol, Salt, Settings, Snub, Want, imap,
    pop3, smtp,
};

/// The front of any protocol.
#[derive(Debug)]
pub enum Front {
    /// IMAP.
    Imap(imap::Front),
    /// POP3.
    Pop3(pop3::Front),
    /// SMTP.
    Smtp(smtp::Front),
}

impl Front {
    /// A dialogue that begins with the greeting. `secured`: TLS is already up.
    pub fn new(protocol: Protocol, settings: Arc<Settings>, secured: bool, salt: Salt) -> Self {
        match protocol {
            Protocol::Imap => Self::Imap(imap::Front::new(settings, secured, salt)),
            Protocol::Pop3 => Self::Pop3(pop3::Front::new(settings, secured, salt)),
            Protocol::Smtp => Self::Smtp(smtp::Front::new(settings, secured, salt)),
        }
    }

    /// Listens to what the client says of others: it is a proxy.
    pub fn trusting(self) -> Self {
        match self {
            Self::Imap(front) => Self::Imap(front.trusting()),
            Self::Pop3(front) => Self::Pop3(front.trusting()),
            Self::Smtp(front) => Self::Smtp(front.trusting()),
        }
    }

    /// What the client says of the one that it is a proxy for; nothing unless it is trusted.
    pub fn forwarded(&self) -> &Forwarded {
        match self {
            Self::Imap(front) => front.forwarded(),
            Self::Pop3(front) => front.forwarded(),
            Self::Smtp(front) => front.forwarded(),
        }
    }

    /// The user's name for the log, from the moment the client has named one.
    pub fn login_name(&self) -> Option<&[u8]> {
        match self {
            Self::Imap(front) => front.login_name(),
            Self::Pop3(front) => front.login_name(),
            Self::Smtp(front) => front.login_name(),
        }
    }

    /// Whether the client has not sent a byte yet.
    pub const fn greeted_only(&self) -> bool {
        match self {
            Self::Imap(front) => front.greeted_only(),
            Self::Pop3(front) => front.greeted_only(),
            Self::Smtp(front) => front.greeted_only(),
        }
    }
}

impl Dialogue for Front {
    type Question = Login;
    type Answer = LoginAnswer;

    fn step(&mut self, input: &mut BytesMut, output: &mut BytesMut) -> Want<Login> {
        match self {
            Self::Imap(front) => front.step(input, output),
            Self::Pop3(front) => front.step(input, output),
            Self::Smtp(front) => front.step(input, output),
        }
    }

    fn answer(&mut self, answer: LoginAnswer) {
        match self {
            Self::Imap(front) => front.answer(answer),
            Self::Pop3(front) => front.answer(answer),
            Self::Smtp(front) => front.answer(answer),
        }
    }

    fn secured(&mut self) {
        match self {
            Self::Imap(front) => front.secured(),
            Self::Pop3(front) => front.secured(),
            Self::Smtp(front) => front.secured(),
        }
    }
}

/// The back of any protocol.
#[derive(Debug)]
pub enum Back {
    /// IMAP.
    Imap(imap::Back),
    /// POP3.
    Pop3(pop3::Back),
    /// SMTP; boxed because its facts are many.
    Smtp(Box<smtp::Back>),
}

impl Back {
    /// Begins TLS before anything else, and does nothing without it.
    pub fn with_starttls(self) -> Self {
        match self {
            Self::Imap(back) => Self::Imap(back.with_starttls()),
            Self::Pop3(back) => Self::Pop3(back.with_starttls()),
            Self::Smtp(back) => Self::Smtp(Box::new(back.with_starttls())),
        }
    }

    /// What is being done, for the log.
    pub const fn action(&self) -> Action {
        match self {
            Self::Imap(back) => back.action(),
            Self::Pop3(back) => back.action(),
            Self::Smtp(back) => back.action(),
        }
    }

    /// Whether the upstream has refused to hear who the client is.
    pub const fn snub(&self) -> Option<Snub> {
        match self {
            Self::Imap(back) => back.snub(),
            Self::Pop3(back) => back.snub(),
            Self::Smtp(back) => back.snub(),
        }
    }
}

impl Dialogue for Back {
    type Question = Outcome;
    type Answer = Infallible;

    fn step(&mut self, input: &mut BytesMut, output: &mut BytesMut) -> Want<Outcome> {
        match self {
            Self::Imap(back) => back.step(input, output),
            Self::Pop3(back) => back.step(input, output),
            Self::Smtp(back) => back.step(input, output),
        }
    }

    fn answer(&mut self, answer: Infallible) {
        match answer {}
    }

    fn secured(&mut self) {
        match self {
            Self::Imap(back) => back.secured(),
            Self::Pop3(back) => back.secured(),
            Self::Smtp(back) => back.secured(),
        }
    }
}
