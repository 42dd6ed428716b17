//! What systemd hears of the service (sd_notify(3)). Says nothing where there is no systemd.
//!
//! The unit in `contrib/` is of `Type=notify-reload`: a start and a reload are over when we say so, and a program that
//! says nothing for too long is started again.

use std::convert::Infallible;
use std::time::Duration;

use mail::log::Log;
use mail::settings::log::Level;
use sd_notify::NotifyState;
use tokio::time::{MissedTickBehavior, interval};

/// How often systemd hears how many connections there are, unless its watchdog wants to hear of us more often.
const STATUS_EVERY: Duration = Duration::from_secs(10);

/// What there is to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum News {
    /// The start, or a reload, is over: clients are served.
    Ready,
    /// A reload begins. systemd wants to know when, on its own clock.
    Reloading,
    /// The end begins.
    Stopping,
    /// Another process is the main one from now on (USR2).
    MainPid(u32),
    /// How things are, in words.
    Status(String),
    /// The watchdog may go on sleeping.
    Alive,
}

/// Says `news` to systemd. If that fails the log is told: systemd will believe that something hangs.
pub(crate) fn tell(log: &Log, news: &News) {
    if let Err(error) = states(news).and_then(|states| sd_notify::notify(&states)) {
        log.failure(Level::Alert, format_args!("telling systemd failed ({news:?})"), error.raw_os_error());
    }
}

fn states(news: &News) -> std::io::Result<Vec<NotifyState<'_>>> {
    Ok(match news {
        News::Ready => vec![NotifyState::Ready],
        // RELOADING without the time counts as a failure since systemd 253.
        News::Reloading => vec![NotifyState::Reloading, NotifyState::monotonic_usec_now()?],
        News::Stopping => vec![NotifyState::Stopping],
        News::MainPid(pid) => vec![NotifyState::MainPid(*pid)],
        News::Status(text) => vec![NotifyState::Status(text)],
        News::Alive => vec![NotifyState::Watchdog],
    })
}

/// Keeps systemd informed for as long as the future lives: `connections` says how many there are.
///
/// The watchdog hears from the thread that this runs on, so that one must be the one that obeys signals.
pub(crate) async fn keep_telling(log: &Log, connections: impl Fn() -> usize) -> Infallible {
    if std::env::var_os("NOTIFY_SOCKET").is_none() {
        return std::future::pending().await;
    }
    // Half of what the watchdog allows, as sd_watchdog_enabled(3) advises.
    let watchdog = sd_notify::watchdog_enabled().map(|limit| limit / 2).filter(|period| !period.is_zero());
    let mut ticks = interval(watchdog.map_or(STATUS_EVERY, |period| period.min(STATUS_EVERY)));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        if watchdog.is_some() {
            tell(log, &News::Alive);
        }
        tell(log, &News::Status(format!("{} connections", connections())));
    }
}
