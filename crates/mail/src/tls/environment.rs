//! What making a configuration of rustls needs besides settings.

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::time_provider::{DefaultTimeProvider, TimeProvider};
use zeroize::Zeroizing;

use super::mistake::{Mistake, Remark, Why};
use super::sessions::SessionCaches;
use super::settings::Source;
use super::tickets::Keyring;

/// Where files come from, and what lives on from one configuration to the next.
#[derive(Clone, Copy)]
pub struct Environment<'a> {
    /// Reads a whole file.
    pub read: &'a dyn Fn(&Path) -> io::Result<Vec<u8>>,
    /// The certificates that the system trusts; asked only where a setting says nothing else.
    pub system_roots: &'a dyn Fn() -> Vec<CertificateDer<'static>>,
    /// What outlives a configuration.
    pub lasting: &'a Lasting,
}

impl Environment<'_> {
    /// The content of `source`; wiped when dropped, as it may be a key.
    pub(super) fn content(&self, source: &Source) -> Result<Zeroizing<Vec<u8>>, Why> {
        let content = match source {
            Source::File(path) => (self.read)(path).map_err(|error| Why::System((&error).into()))?,
            Source::Data(data) => data.expose().to_vec(),
            Source::Engine(_) | Source::Store(_) => return Err(Why::Key),
        };
        Ok(Zeroizing::new(content))
    }
}

/// What outlives a configuration, so that a reload does not end sessions: one in the life of a process.
#[derive(Debug, Clone)]
pub struct Lasting {
    /// The time, for tickets, sessions and certificates.
    pub clock: Arc<dyn TimeProvider>,
    /// Keys of tickets, where no files hold any.
    pub keyring: Arc<Keyring>,
    /// Session caches, by name.
    pub caches: Arc<SessionCaches>,
}

impl Lasting {
    /// Fresh keys and empty caches, by the system's clock.
    pub fn new() -> Self {
        Self::with_clock(Arc::new(DefaultTimeProvider))
    }

    /// These keys and empty caches, by the system's clock.
    pub fn with_keys(keyring: Keyring) -> Self {
        Self { keyring: Arc::new(keyring), ..Self::new() }
    }

    /// What can be made before the first client comes, for servers that have been built.
    pub fn begin(&self) {
        self.keyring.begin(seconds(&*self.clock));
    }

    /// Fresh keys and empty caches, by `clock`.
    pub fn with_clock(clock: Arc<dyn TimeProvider>) -> Self {
        Self { clock, keyring: Arc::new(Keyring::new()), caches: Arc::new(SessionCaches::default()) }
    }
}

impl Default for Lasting {
    fn default() -> Self {
        Self::new()
    }
}

/// The time, seconds since 1970. A clock that fails is in the distant future, where nothing is valid any more.
pub(super) fn seconds(clock: &dyn TimeProvider) -> u64 {
    clock.current_time().map_or(u64::MAX, |now| now.as_secs())
}

/// How far the clocks of machines with the same keys may be apart, seconds.
pub(super) const SKEW: u64 = 60;

/// Whether the time of `then` is yet to come. What was made then was made by a clock that was ahead, so that nothing says
/// how old it is; it must not live until that time has come.
pub(super) const fn is_to_come(then: u64, now: u64) -> bool {
    then > now.saturating_add(SKEW)
}

/// Something made from settings.
#[derive(Debug)]
pub struct Built<T> {
    /// What was made.
    pub made: T,
    /// What the operator should know.
    pub remarks: Vec<Remark>,
}

/// `why` this file does not do, in the words that the originals have for certificates and keys.
pub(super) fn cannot_load(
    what: &'static str,
    source: &dyn fmt::Display,
    step: &'static str,
) -> impl FnOnce(Why) -> Mistake + use<> {
    let source_name = source.to_string();
    move |why| Mistake::Load {
        what,
        source_name,
        step: if matches!(why, Why::System(_)) { "BIO_new_file()" } else { step },
        why,
    }
}
