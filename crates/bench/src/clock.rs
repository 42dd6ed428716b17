//! Waiting, on purpose: a measurement needs time to pass, and foreign programs do not say when they are ready.

use std::io;
use std::time::{Duration, Instant};

/// How often something is looked at that does not tell.
const STEP: Duration = Duration::from_millis(5);

/// Lets time pass.
#[expect(clippy::disallowed_methods, reason = "the passing of time is what is waited for")]
pub(crate) fn pass(span: Duration) {
    std::thread::sleep(span);
}

/// Waits until `ready` says so; whether it did before `deadline`.
pub(crate) fn wait_until(deadline: Instant, mut ready: impl FnMut() -> io::Result<bool>) -> io::Result<bool> {
    while Instant::now() < deadline {
        if ready()? {
            return Ok(true);
        }
        pass(STEP);
    }
    Ok(false)
}
