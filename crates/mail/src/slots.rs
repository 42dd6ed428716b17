//! Connection slots: `worker_connections` bounds what all sessions together may hold.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tokio::sync::Notify;

/// A counted number of slots, shared by all threads.
#[derive(Debug, Default)]
pub struct Slots {
    used: AtomicUsize,
    limit: AtomicUsize,
    /// Whether somebody waits for another number of them to be taken.
    awaited: AtomicBool,
    changed: Notify,
}

/// One slot, given back when dropped.
#[derive(Debug)]
pub struct Slot(Arc<Slots>);

impl Slots {
    /// `limit` free slots.
    pub fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self { limit: AtomicUsize::new(limit), ..Self::default() })
    }

    /// How many there are.
    pub fn limit(&self) -> usize {
        self.limit.load(Ordering::Relaxed)
    }

    /// Changes how many there are. Slots that are taken stay taken, even if they are too many now.
    pub fn set_limit(&self, limit: usize) {
        self.limit.store(limit, Ordering::Relaxed);
    }

    /// How many are taken.
    pub fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    /// A slot, unless all are taken.
    pub fn take(self: &Arc<Self>) -> Option<Slot> {
        let limit = self.limit();
        let below = |used| (used < limit).then_some(used + 1);
        self.used.fetch_update(Ordering::SeqCst, Ordering::Relaxed, below).ok()?;
        self.tell();
        Some(Slot(Arc::clone(self)))
    }

    /// Waits until not just `known` slots are taken. For one waiter at a time, who is told once, not of every slot.
    pub async fn other_than(&self, known: usize) {
        loop {
            // In this order, and [`tell`](Self::tell) in the other, one of both sees what the other has done.
            self.awaited.store(true, Ordering::SeqCst);
            if self.used.load(Ordering::SeqCst) != known {
                return;
            }
            self.changed.notified().await;
        }
    }

    fn tell(&self) {
        if self.awaited.load(Ordering::SeqCst) && self.awaited.swap(false, Ordering::SeqCst) {
            self.changed.notify_one();
        }
    }
}

impl Slot {
    /// All slots, of which this is one.
    pub fn all(&self) -> &Arc<Slots> {
        &self.0
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.used.fetch_sub(1, Ordering::SeqCst);
        self.0.tell();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_is_free_again_when_its_holder_is_gone() {
        let slots = Slots::new(2);
        let first = slots.take();
        let second = slots.take();
        assert!(first.is_some() && second.is_some() && slots.take().is_none());
        drop(first);
        assert_eq!(slots.used(), 1);
        assert!(slots.take().is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_for_another_number_hears_of_it_and_of_nothing_else() {
        let wait = async |slots: &Slots, known| {
            tokio::time::timeout(std::time::Duration::from_hours(1), slots.other_than(known)).await.is_ok()
        };
        let slots = Slots::new(2);
        assert!(!wait(&slots, 0).await);
        assert!(wait(&slots, 1).await);
        let (heard, slot) = tokio::join!(wait(&slots, 0), async { slots.take() });
        assert!(heard);
        assert!(!wait(&slots, 1).await);
        let (heard, ()) = tokio::join!(wait(&slots, 1), async { drop(slot) });
        assert!(heard);
        // One that is taken and given back while nobody waits is no news.
        drop(slots.take());
        assert!(!wait(&slots, 0).await);
    }

    #[test]
    fn fewer_slots_take_nothing_away_and_more_are_there_at_once() {
        let slots = Slots::new(2);
        let held = [slots.take(), slots.take()];
        slots.set_limit(1);
        assert!(slots.take().is_none());
        assert_eq!(slots.used(), 2);
        slots.set_limit(3);
        assert!(slots.take().is_some());
        drop(held);
    }
}
