//! A gate that one thread holds shut until the test opens it: the way to make a peer wait without sleeping.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Shut when made; once opened it stays open. Clones are the same gate.
#[derive(Clone, Debug, Default)]
pub struct Gate(Arc<(Mutex<bool>, Condvar)>);

impl Gate {
    /// A gate that is shut.
    pub fn shut() -> Self {
        Self::default()
    }

    /// Lets everyone through who waits now or comes later.
    pub fn open(&self) {
        let (open, changed) = &*self.0;
        *open.lock().unwrap_or_else(PoisonError::into_inner) = true;
        changed.notify_all();
    }

    /// Waits until the gate is open; false if it still was shut at `deadline`.
    pub(crate) fn wait_until(&self, deadline: Instant) -> bool {
        let (open, changed) = &*self.0;
        let guard = open.lock().unwrap_or_else(PoisonError::into_inner);
        let left = deadline.saturating_duration_since(Instant::now());
        let (guard, _) =
            changed.wait_timeout_while(guard, left, |open| !*open).unwrap_or_else(PoisonError::into_inner);
        *guard
    }

    /// Waits until the gate is open, `pace` at the longest; true if it is open.
    pub(crate) fn wait_for(&self, pace: Duration) -> bool {
        self.wait_until(Instant::now() + pace)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shut_gate_holds_until_the_deadline() {
        assert!(!Gate::shut().wait_for(Duration::from_millis(1)));
    }

    #[test]
    fn an_opened_gate_lets_a_waiting_thread_through() {
        let gate = Gate::shut();
        let waiting = std::thread::spawn({
            let gate = gate.clone();
            move || gate.wait_for(crate::PATIENCE)
        });
        gate.open();
        assert!(waiting.join().expect("the waiting thread ends"));
    }
}
