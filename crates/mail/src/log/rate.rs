//! The leaky bucket behind `rate=`: no peer can fill a disk.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::settings::log::Level;

/// How finely the bucket measures: parts of a message.
const PARTS: u64 = 1000;

/// How many messages an output has had lately. It drains at its rate; a message of level L may fill it up to
/// (level of the output − L + 1) seconds' worth, so that severe messages get through longer (as in Angie).
#[derive(Debug)]
pub struct Bucket {
    /// Messages per second; 0: no limit.
    rate: u64,
    /// The level of the output.
    level: Level,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// In [`PARTS`] of a message.
    fill: u64,
    since: Instant,
    /// Messages are being left out, and it has been said.
    limiting: bool,
}

/// What becomes of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// It is written.
    Pass,
    /// It is left out.
    Drop,
    /// It is the first that is left out, which is said in its place.
    DropAndSay,
}

impl Bucket {
    /// For an output of `level` that takes `rate` messages per second; 0: all.
    pub fn new(rate: u64, level: Level, now: Instant) -> Self {
        Self { rate, level, state: Mutex::new(State { fill: 0, since: now, limiting: false }) }
    }

    /// Whether a message of `level` may pass. Outputs of level debug have no limit.
    pub fn admit(&self, level: Level, now: Instant) -> Admission {
        if self.rate == 0 || self.level == Level::Debug {
            return Admission::Pass;
        }
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.drain(self.rate, now);
        // "Once" is once until the least severe message would pass again; otherwise every severe one that passes in
        // between would make room for one more notice.
        state.limiting &= state.fill + PARTS > self.limit(self.level);
        if state.fill + PARTS <= self.limit(level) {
            state.fill += PARTS;
            Admission::Pass
        } else if std::mem::replace(&mut state.limiting, true) {
            Admission::Drop
        } else {
            Admission::DropAndSay
        }
    }

    /// How far a message of `level` may fill the bucket.
    fn limit(&self, level: Level) -> u64 {
        let seconds = (self.level as u64).saturating_sub(level as u64) + 1;
        self.rate.saturating_mul(PARTS).saturating_mul(seconds)
    }
}

impl State {
    fn drain(&mut self, rate: u64, now: Instant) {
        let millis = u64::try_from(now.saturating_duration_since(self.since).as_millis()).unwrap_or(u64::MAX);
        if millis > 0 {
            self.fill = self.fill.saturating_sub(millis.saturating_mul(rate));
            // What is less than a millisecond counts the next time.
            self.since = self.since.checked_add(Duration::from_millis(millis)).unwrap_or(now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many messages of `level` pass at `now`, and how many notices there are, out of a hundred.
    fn storm(bucket: &Bucket, level: Level, now: Instant) -> (usize, usize) {
        let admissions: Vec<_> = (0..100).map(|_| bucket.admit(level, now)).collect();
        let count = |wanted| admissions.iter().filter(|admission| **admission == wanted).count();
        (count(Admission::Pass), count(Admission::DropAndSay))
    }

    #[test]
    fn as_many_pass_in_a_second_as_the_rate_says_and_the_rest_is_said_once() {
        let start = Instant::now();
        let bucket = Bucket::new(10, Level::Info, start);
        assert_eq!(storm(&bucket, Level::Info, start), (10, 1));
        assert_eq!(storm(&bucket, Level::Info, start), (0, 0));
        assert_eq!(storm(&bucket, Level::Info, start + Duration::from_millis(300)), (3, 1));
        assert_eq!(storm(&bucket, Level::Info, start + Duration::from_mins(1)), (10, 1));
    }

    #[test]
    fn severe_messages_get_through_longer() {
        let start = Instant::now();
        let bucket = Bucket::new(10, Level::Info, start);
        assert_eq!(storm(&bucket, Level::Info, start), (10, 1));
        assert_eq!(storm(&bucket, Level::Notice, start), (10, 0));
        assert_eq!(storm(&bucket, Level::Error, start), (20, 0));
        assert_eq!(storm(&bucket, Level::Emerg, start), (30, 0));
        // The bucket holds seven seconds' worth: after six there is no room for the least severe yet.
        assert_eq!(storm(&bucket, Level::Info, start + Duration::from_secs(6)), (0, 0));
        assert_eq!(storm(&bucket, Level::Info, start + Duration::from_secs(7)), (10, 1));
    }

    #[test]
    fn fewer_messages_than_the_rate_says_pass_however_they_come() {
        let start = Instant::now();
        let bucket = Bucket::new(600, Level::Info, start);
        // 526 in a second.
        let lost = (0_u32..5000).find(|number| {
            let now = start + Duration::from_micros(1900) * *number;
            bucket.admit(Level::Info, now) != Admission::Pass
        });
        assert_eq!(lost, None);
    }

    #[test]
    fn there_is_no_limit_for_rate_zero_and_for_logs_at_debug() {
        let start = Instant::now();
        assert_eq!(storm(&Bucket::new(0, Level::Info, start), Level::Info, start), (100, 0));
        assert_eq!(storm(&Bucket::new(1, Level::Debug, start), Level::Info, start), (100, 0));
        assert_eq!(storm(&Bucket::new(u64::MAX, Level::Info, start), Level::Info, start), (100, 0));
    }
}
