//! Connection slots: `worker_connections` bounds what all sessions together may hold.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A counted number of slots, shared by all threads.
#[derive(Debug)]
pub struct Slots {
    used: AtomicUsize,
    limit: AtomicUsize,
}

/// One slot, given back when dropped.
#[derive(Debug)]
pub struct Slot(Arc<Slots>);

impl Slots {
    /// `limit` free slots.
    pub fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self { used: AtomicUsize::new(0), limit: AtomicUsize::new(limit) })
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
        self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, below).ok()?;
        Some(Slot(Arc::clone(self)))
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
        self.0.used.fetch_sub(1, Ordering::Relaxed);
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
