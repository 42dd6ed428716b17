//! Which thread serves a client: sessions live for days, so that threads must not be left with unequal numbers.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::{Notify, mpsc};

use super::thread::Task;

/// A thread as the others see it: how much it has to do, and a way to give it more.
#[derive(Debug, Clone)]
pub(super) struct Seat {
    inbox: mpsc::UnboundedSender<Task>,
    load: Arc<Load>,
}

/// How many sessions a thread has.
#[derive(Debug, Default)]
pub(super) struct Load {
    sessions: AtomicUsize,
    /// Told when the last session has ended.
    empty: Notify,
}

/// Held by a session for as long as it lives.
#[derive(Debug)]
pub struct Presence(Arc<Load>);

/// How much more a thread may have than the least busy one: a sixteenth, and two.
///
/// Handing a client over costs a few microseconds; an imbalance of this size costs nothing.
const fn tolerated(least: usize) -> usize {
    least + least / 16 + 2
}

impl Seat {
    /// A thread without sessions, and where it finds what it is told.
    pub(super) fn new() -> (Self, mpsc::UnboundedReceiver<Task>) {
        let (inbox, tasks) = mpsc::unbounded_channel();
        (Self { inbox, load: Arc::default() }, tasks)
    }

    pub(super) fn sessions(&self) -> usize {
        self.load.sessions.load(Ordering::Relaxed)
    }

    /// Counts one more session.
    pub(super) fn sit(&self) -> Presence {
        self.load.sessions.fetch_add(1, Ordering::Relaxed);
        Presence(Arc::clone(&self.load))
    }

    /// Gives the thread something to do; a thread that is about to end takes nothing and gives it back.
    pub(super) fn offer(&self, task: Task) -> Result<(), Task> {
        self.inbox.send(task).map_err(|back| back.0)
    }

    /// As [`Self::offer`], for what does not matter to a thread that is about to end.
    pub(super) fn tell(&self, task: Task) {
        let _ = self.inbox.send(task);
    }

    /// Waits until there are no sessions.
    pub(super) async fn empty(&self) {
        loop {
            let notified = self.load.empty.notified();
            if self.sessions() == 0 {
                return;
            }
            notified.await;
        }
    }
}

#[cfg(test)]
impl Presence {
    /// The only session of a thread that is none.
    pub(crate) fn alone() -> Self {
        Seat::new().0.sit()
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        if self.0.sessions.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.0.empty.notify_waiters();
        }
    }
}

/// Which of `seats` should serve a client that thread `own` has accepted.
pub(super) fn choose(seats: &[Seat], own: usize) -> usize {
    let least = (0..seats.len()).min_by_key(|at| seats[*at].sessions());
    match least {
        Some(least) if seats[own].sessions() > tolerated(seats[least].sessions()) => least,
        _ => own,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_keeps_its_client_until_another_has_clearly_less_to_do() {
        let seats: Vec<Seat> = (0..3).map(|_| Seat::new().0).collect();
        let mut held = Vec::new();
        for _ in 0..300 {
            let chosen = choose(&seats, 0);
            held.push(seats[chosen].sit());
        }
        let sessions: Vec<usize> = seats.iter().map(Seat::sessions).collect();
        let (least, most) = (sessions.iter().min().unwrap(), sessions.iter().max().unwrap());
        assert!(*most <= tolerated(*least) + 1, "{sessions:?}");
        drop(held);
        assert!(seats.iter().all(|seat| seat.sessions() == 0));
    }
}
