//! When to start a worker again that has died.

use std::time::Duration;

use tokio::time::Instant;

/// A worker that has lived this long did not die of how it was started.
const HEALTHY: Duration = Duration::from_secs(10);

/// The pause after the second death in a row; each further one doubles it.
const FIRST: Duration = Duration::from_millis(100);

/// The longest pause.
const LONGEST: Duration = Duration::from_secs(5);

/// Deaths in a row: the first is followed by a new worker at once, each further one by a longer pause.
#[derive(Debug, Default)]
pub(super) struct Respawn {
    deaths: u32,
}

impl Respawn {
    /// When to start the next worker after the death of one that was started at `born`.
    pub(super) fn after(&mut self, born: Instant, now: Instant) -> Instant {
        if now.duration_since(born) >= HEALTHY {
            self.deaths = 0;
        }
        let pause = match self.deaths {
            0 => Duration::ZERO,
            deaths => LONGEST.min(FIRST * 2_u32.saturating_pow(deaths - 1).min(64)),
        };
        self.deaths = self.deaths.saturating_add(1);
        now + pause
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn deaths_in_a_row_are_followed_by_longer_pauses() {
        let mut respawn = Respawn::default();
        let born = Instant::now();
        let pauses: Vec<u128> =
            (0..9).map(|_| respawn.after(born, born).duration_since(born).as_millis()).collect();
        assert_eq!(pauses, [0, 100, 200, 400, 800, 1600, 3200, 5000, 5000]);
        let later = born + HEALTHY;
        assert_eq!(respawn.after(born, later), later, "one that lived long is replaced at once");
        assert_eq!(respawn.after(later, later), later + FIRST);
    }
}
