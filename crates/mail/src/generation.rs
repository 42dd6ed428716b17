//! A configuration at work: everything that its sessions share.
//!
//! A session keeps the generation that it began with; it is freed with its last session.

use std::sync::Arc;

use crate::auth::{Authenticate, Resolve};
use crate::flavour::Flavour;
use crate::log::Log;
use crate::settings;

/// All services of one configuration.
#[derive(Debug)]
pub struct Generation {
    /// In the order of [`settings::Mail::servers`].
    pub services: Vec<Arc<Service>>,
}

/// One `server {}` at work.
pub struct Service {
    /// What the configuration says.
    pub settings: Arc<settings::Server>,
    /// Who decides about logins.
    pub authority: Arc<dyn Authenticate>,
    /// Turns names of upstreams into addresses.
    pub resolver: Arc<dyn Resolve>,
    /// Where its sessions are told.
    pub log: Arc<Log>,
    /// Whose texts to use there.
    pub flavour: Flavour,
}

impl std::fmt::Debug for Service {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Service").field("settings", &self.settings).finish_non_exhaustive()
    }
}
