//! Idle connections to one auth server, kept for the next login.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, Waker};
use std::thread::{self, ThreadId};
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::connection::Connection;

/// How long an idle connection may be used again. Shorter than what servers usually grant, so that it is
/// rarely found closed.
pub(super) const IDLE_LIMIT: Duration = Duration::from_secs(30);

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
    /// The [sweepers](Pool::sweep_on) of threads that have or had some.
    sweepers: Vec<(ThreadId, Waker)>,
}

struct Idle {
    connection: Connection,
    thread: ThreadId,
    since: Instant,
}

impl Idle {
    fn is_fresh(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.since) < IDLE_LIMIT
    }
}

impl Pool {
    /// The connection of this thread that was used last. Those past use are dropped on the way.
    pub(super) fn take(&self) -> Option<Connection> {
        let thread = thread::current().id();
        let (mut kept, now) = (self.lock(), Instant::now());
        while let Some(last) = kept.idle.iter().rposition(|idle| idle.thread == thread) {
            let mut idle = kept.idle.remove(last);
            if idle.is_fresh(now) && idle.connection.is_quiet() {
                return Some(idle.connection);
            }
        }
        None
    }

    /// Keeps `connection`, unless this thread has enough of them.
    pub(super) fn put(self: &Arc<Self>, mut connection: Connection) {
        let thread = thread::current().id();
        let mut kept = self.lock();
        let sweeper = kept.sweepers.iter().find(|(swept, _)| *swept == thread);
        if let Some((_, sweeper)) = sweeper {
            if !connection.stays_quiet(&mut Context::from_waker(sweeper)) {
                return;
            }
        } else {
            kept.sweepers.push((thread, Waker::noop().clone()));
            tokio::spawn(Self::sweep_on(Arc::downgrade(self), thread));
        }
        if kept.idle.iter().filter(|idle| idle.thread == thread).count() < IDLE_PER_THREAD {
            kept.idle.push(Idle { connection, thread, since: Instant::now() });
        }
    }

    /// Drops the connections of `thread`, the one that this runs on, as soon as they are of no more use: their descriptors
    /// are too dear to keep. Goes when there are none and have been none for a while.
    async fn sweep_on(pool: Weak<Self>, thread: ThreadId) {
        let mut clock = pin!(sleep(IDLE_LIMIT));
        poll_fn(|cx| {
            while let Some(pool) = pool.upgrade() {
                let next = pool.sweep(thread, cx);
                match (clock.as_mut().poll(cx), next) {
                    (Poll::Pending, _) => return Poll::Pending,
                    (Poll::Ready(()), Some(next)) => clock.as_mut().reset(next),
                    (Poll::Ready(()), None) => {
                        pool.lock().sweepers.retain(|(swept, _)| *swept != thread);
                        break;
                    }
                }
            }
            Poll::Ready(())
        })
        .await;
    }

    /// Drops what is of no more use, and has the task woken for what will be. Returns when the first of those that are left
    /// will have been idle for too long.
    fn sweep(&self, thread: ThreadId, cx: &mut Context<'_>) -> Option<Instant> {
        let (mut kept, now) = (self.lock(), Instant::now());
        if let Some((_, sweeper)) = kept.sweepers.iter_mut().find(|(swept, _)| *swept == thread) {
            sweeper.clone_from(cx.waker());
        }
        kept.idle.retain_mut(|idle| {
            idle.thread != thread || idle.is_fresh(now) && idle.connection.stays_quiet(cx)
        });
        let mut own = kept.idle.iter().filter(|idle| idle.thread == thread);
        own.next().map(|oldest| oldest.since + IDLE_LIMIT)
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
