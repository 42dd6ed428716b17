//! What a front of any protocol knows of its client, whatever the state of the dialogue.

use std::sync::Arc;

use bytes::Bytes;

use crate::counters::Counters;
use crate::forwarded::Hearsay;
use crate::{Credentials, Login, Method, Salt, Settings, Starttls};

/// The part of a front that outlives its states.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) settings: Arc<Settings>,
    pub(crate) counters: Counters,
    salt: Salt,
    secured: bool,
    heard: bool,
    trusted: bool,
    /// What it says of the client that it is a proxy for.
    pub(crate) forwarded: Hearsay,
    name: Option<Bytes>,
}

impl Client {
    /// A client that was not heard yet. `secured`: TLS is already up.
    pub(crate) fn new(settings: Arc<Settings>, secured: bool, salt: Salt) -> Self {
        Self {
            settings,
            counters: Counters::default(),
            salt,
            secured,
            heard: false,
            trusted: false,
            forwarded: Hearsay::default(),
            name: None,
        }
    }

    /// Notes whether the client has sent anything.
    pub(crate) fn hear(&mut self, input: &[u8]) {
        self.heard |= !input.is_empty();
    }

    /// Whether the client has sent something.
    pub(crate) const fn heard(&self) -> bool {
        self.heard
    }

    /// Listens to what the client says of others: it is a proxy.
    pub(crate) const fn trust(&mut self) {
        self.trusted = true;
    }

    /// Whether the client may speak for others.
    pub(crate) const fn trusted(&self) -> bool {
        self.trusted
    }

    /// TLS is up from here on. What was said in clear of somebody else may have been said by anybody.
    pub(crate) fn secure(&mut self) {
        self.secured = true;
        self.forwarded = Hearsay::default();
    }

    /// Whether STARTTLS is offered and accepted now.
    pub(crate) fn may_upgrade(&self) -> bool {
        !self.secured && self.settings.starttls != Starttls::Off
    }

    /// Whether STARTTLS has to come before anything that authenticates.
    pub(crate) fn must_upgrade(&self) -> bool {
        !self.secured && self.settings.starttls == Starttls::Only
    }

    /// The text that a digest of this session is made over. It stays the same for the whole session.
    pub(crate) fn challenge(&self) -> Bytes {
        self.salt.challenge(&self.settings.server_name).into()
    }

    /// The user's name as far as it is known, for the log.
    pub(crate) fn name(&self) -> Option<&[u8]> {
        self.name.as_deref()
    }

    /// Remembers or forgets the user's name for the log.
    pub(crate) fn set_name(&mut self, name: Option<Bytes>) {
        self.name = name;
    }

    /// Makes the next login attempt of these credentials.
    pub(crate) fn login(&mut self, credentials: Credentials) -> Login {
        self.name = (credentials.method != Method::None).then(|| credentials.user.clone());
        Login {
            challenge: credentials.method.is_digest().then(|| self.challenge()),
            attempt: self.counters.attempt(),
            helo: Bytes::new(),
            envelope: None,
            credentials,
        }
    }
}
