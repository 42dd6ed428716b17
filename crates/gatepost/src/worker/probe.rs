//! What tests have the worker do from inside its sandbox. Not in release builds.

use std::env;
use std::fs::File;

use mail::log::Log;
use mail::settings::log::Level;
use nix::sys::signal::Signal;

/// Names the file to open.
const FILE: &str = "GATEPOST_PROBE";

/// Whether ALRM is the end.
const PANIC: &str = "GATEPOST_PANIC";

/// Tries to open the file that the environment names, and says what came of it.
pub(super) fn run(log: &Log) {
    let Some(file) = env::var_os(FILE) else { return };
    let outcome = File::open(file).map_or_else(|error| error.kind().to_string(), |_| "opened".to_owned());
    log.line(Level::Notice, None, format_args!("probe: {outcome}"));
}

/// Panics on ALRM, which means nothing else, if the environment says so.
pub(super) fn signalled(signal: Signal) {
    let is_wanted = signal == Signal::SIGALRM && env::var_os(PANIC).is_some();
    assert!(!is_wanted, "what a panic says is not for the log");
}
