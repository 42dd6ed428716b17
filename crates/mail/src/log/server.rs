//! The log of a server, and for some of its clients the same at level debug.

use std::sync::Arc;

use super::Log;
use crate::address::ClientAddr;
use crate::settings::Peers;

/// Where the sessions of a server are told.
#[derive(Debug, Clone)]
pub struct ServerLog {
    usual: Arc<Log>,
    /// `debug_connection`; `None` where nobody is named, so that nothing is looked for.
    debugged: Option<Debugged>,
}

#[derive(Debug, Clone)]
struct Debugged {
    clients: Arc<Peers>,
    log: Arc<Log>,
}

impl ServerLog {
    /// `usual`, but for sessions of `debugged` all its outputs take everything.
    pub fn new(usual: Arc<Log>, debugged: &Arc<Peers>) -> Self {
        let more = || Debugged { clients: Arc::clone(debugged), log: Arc::new(usual.at_debug()) };
        Self { debugged: (!debugged.are_none()).then(more), usual }
    }

    /// What belongs to no session.
    pub const fn usual(&self) -> &Arc<Log> {
        &self.usual
    }

    /// The log of a session of `client`, by the address that it has connected from: what a PROXY header says comes later
    /// (as in the originals).
    pub fn of(&self, client: ClientAddr) -> &Arc<Log> {
        match &self.debugged {
            Some(debugged) if debugged.clients.contain(client) => &debugged.log,
            _ => &self.usual,
        }
    }
}

impl From<Log> for ServerLog {
    fn from(log: Log) -> Self {
        Self { usual: Arc::new(log), debugged: None }
    }
}
