//! Idle connections to one auth server, kept for the next login.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread::{self, ThreadId};
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::connection::Connection;

/// How long an idle connection may be used again. Shorter than what servers usually grant, so that it is
/// rarely found closed.
pub(super) const IDLE_LIMIT: Duration = Duration::from_secs(30);

/// How often a thread looks whether servers have closed idle connections. Its descriptors are too dear to keep for that
/// long what nobody can use.
const SWEEP: Duration = Duration::from_secs(1);

/// Most idle connections of one thread. More logins at once than this open connections that are not kept, which costs a
/// login a quarter more. Requests of a thread go out together, so that many logins ask at once.
pub(super) const IDLE_PER_THREAD: usize = 64;

/// The idle connections to one server.
///
/// A connection stays with the serving thread that opened it, since its runtime drives it. The pool goes with
/// the authority that owns it, and the connections go with the pool.
#[derive(Default)]
pub(super) struct Pool(Mutex<Shelf>);

#[derive(Default)]
struct Shelf {
    idle: Vec<Idle>,
    /// Threads that have a [sweeper](Pool::sweep_on).
    swept: Vec<ThreadId>,
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
        let mut kept = self.lock_fresh(Instant::now());
        while let Some(last) = kept.idle.iter().rposition(|idle| idle.thread == thread) {
            let mut connection = kept.idle.remove(last).connection;
            if connection.is_quiet() {
                return Some(connection);
            }
        }
        None
    }

    /// Keeps `connection`, unless this thread has enough of them.
    pub(super) fn put(self: &Arc<Self>, connection: Connection) {
        let thread = thread::current().id();
        let since = Instant::now();
        let mut kept = self.lock_fresh(since);
        if kept.idle.iter().filter(|idle| idle.thread == thread).count() < IDLE_PER_THREAD {
            kept.idle.push(Idle { connection, thread, since });
        }
        if !kept.swept.contains(&thread) {
            kept.swept.push(thread);
            tokio::spawn(Self::sweep_on(Arc::downgrade(self), thread));
        }
    }

    /// Drops the connections of `thread`, the one that this runs on, as soon as they are of no more use, until it has
    /// none.
    async fn sweep_on(pool: Weak<Self>, thread: ThreadId) {
        loop {
            sleep(SWEEP).await;
            let Some(pool) = pool.upgrade() else { return };
            let mut kept = pool.lock_fresh(Instant::now());
            kept.idle.retain_mut(|idle| idle.thread != thread || idle.connection.is_quiet());
            if !kept.idle.iter().any(|idle| idle.thread == thread) {
                kept.swept.retain(|swept| *swept != thread);
                return;
            }
        }
    }

    /// Without those that have been idle for too long.
    fn lock_fresh(&self, now: Instant) -> MutexGuard<'_, Shelf> {
        let mut kept = self.lock();
        kept.idle.retain(|idle| now.saturating_duration_since(idle.since) < IDLE_LIMIT);
        kept
    }

    /// How many connections are idle, for tests.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.lock().idle.len()
    }

    fn lock(&self) -> MutexGuard<'_, Shelf> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
