//! Waiting for what nobody announces: a file that appears, a descriptor that is given back.

use std::time::{Duration, Instant};

use crate::{Gate, PATIENCE};

/// How often a condition is looked at.
const PACE: Duration = Duration::from_millis(3);

/// Waits until `condition` holds; `what` it was appears in the report of a failure.
#[track_caller]
pub fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    let never = Gate::shut();
    while !condition() {
        assert!(Instant::now() < deadline, "not so after {PATIENCE:?}: {what}");
        never.wait_for(PACE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_condition_is_looked_at_until_it_holds() {
        let mut looks = 0;
        eventually("three looks", || {
            looks += 1;
            looks == 3
        });
        assert_eq!(looks, 3);
    }
}
