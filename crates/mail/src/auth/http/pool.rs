//! Idle connections to one auth server, kept for the next login.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::{self, ThreadId};
use std::time::Duration;

use tokio::time::Instant;

use super::connection::Connection;

/// How long an idle connection may be used again. Shorter than what servers usually grant, so that it is
/// rarely found closed.
pub(super) const IDLE_LIMIT: Duration = Duration::from_secs(30);

/// Most idle connections of one thread. More logins at once than this open connections that are not kept.
pub(super) const IDLE_PER_THREAD: usize = 16;

/// The idle connections to one server.
///
/// A connection stays with the serving thread that opened it, since its runtime drives it. The pool goes with
/// the authority that owns it, and the connections go with the pool.
#[derive(Default)]
pub(super) struct Pool {
    idle: Mutex<Vec<Idle>>,
}

struct Idle {
    connection: Connection,
    thread: ThreadId,
    since: Instant,
}

impl Pool {
    /// The connection of this thread that was used last. Those past use are dropped on the way.
    pub(super) fn take(&self) -> Option<Connection> {
        let thread = thread::current().id();
        let mut idle = self.lock_fresh(Instant::now());
        while let Some(last) = idle.iter().rposition(|idle| idle.thread == thread) {
            let mut connection = idle.remove(last).connection;
            if connection.is_quiet() {
                return Some(connection);
            }
        }
        None
    }

    /// Keeps `connection`, unless this thread has enough of them.
    pub(super) fn put(&self, connection: Connection) {
        let thread = thread::current().id();
        let since = Instant::now();
        let mut idle = self.lock_fresh(since);
        if idle.iter().filter(|idle| idle.thread == thread).count() < IDLE_PER_THREAD {
            idle.push(Idle { connection, thread, since });
        }
    }

    /// Those that have not been idle for too long.
    fn lock_fresh(&self, now: Instant) -> MutexGuard<'_, Vec<Idle>> {
        let mut idle = self.lock();
        idle.retain(|idle| now.saturating_duration_since(idle.since) < IDLE_LIMIT);
        idle
    }

    /// How many connections are idle, for tests.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.lock().len()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Idle>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
