//! The texts of the current second: formatting a local time costs more than the rest of a line.

use std::cell::RefCell;
use std::sync::LazyLock;

use jiff::Timestamp;
use jiff::tz::TimeZone;

/// The machine's time zone, read once: a worker that may open no file could not look at it again.
static ZONE: LazyLock<TimeZone> = LazyLock::new(TimeZone::system);

/// Reads what lines need of the machine, while files can be read.
pub fn settle() {
    LazyLock::force(&ZONE);
}

/// The current second as the formats write it.
#[derive(Debug)]
pub(super) struct Clock {
    second: i64,
    /// Local time of plain lines: `2026/11/20 06:18:36`.
    pub(super) plain: String,
    /// Local time of syslog datagrams: `Nov 20 06:18:36`.
    pub(super) syslog: String,
    /// UTC of JSON, without what is less than a second: `2026-11-20T06:18:36`.
    pub(super) utc: String,
}

impl Clock {
    const fn unset() -> Self {
        Self { second: i64::MIN, plain: String::new(), syslog: String::new(), utc: String::new() }
    }

    /// Lets `with` read the clock; the number is the milliseconds of the second.
    pub(super) fn now<R>(with: impl FnOnce(&Self, i32) -> R) -> R {
        thread_local! {
            static CLOCK: RefCell<Clock> = const { RefCell::new(Clock::unset()) };
        }
        CLOCK.with_borrow_mut(|clock| {
            let now = Timestamp::now();
            if now.as_second() != clock.second {
                *clock = Self::at(now);
            }
            with(clock, now.subsec_millisecond())
        })
    }

    fn at(now: Timestamp) -> Self {
        let local = now.to_zoned(ZONE.clone());
        Self {
            second: now.as_second(),
            plain: local.strftime("%Y/%m/%d %H:%M:%S").to_string(),
            syslog: local.strftime("%b %e %H:%M:%S").to_string(),
            utc: now.to_zoned(TimeZone::UTC).strftime("%Y-%m-%dT%H:%M:%S").to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_has_three_texts() {
        // 2026-11-05 06:08:36 UTC.
        let clock = Clock::at(Timestamp::from_second(1_793_858_916).unwrap());
        assert_eq!(clock.utc, "2026-11-05T06:08:36");
        assert_eq!(clock.plain.len(), "2026/11/20 06:18:36".len());
        assert!(clock.syslog.starts_with("Nov  "), "{}", clock.syslog);
    }
}
