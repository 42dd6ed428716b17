//! What tests have the worker try from inside its sandbox. Not in release builds.

use std::env;
use std::fs::File;

use mail::log::Log;
use mail::settings::log::Level;

/// Names the file to open.
const FILE: &str = "GATEPOST_PROBE";

/// Tries to open the file that the environment names, and says what came of it.
pub(super) fn run(log: &Log) {
    let Some(file) = env::var_os(FILE) else { return };
    let outcome = File::open(file).map_or_else(|error| error.kind().to_string(), |_| "opened".to_owned());
    log.line(Level::Notice, None, format_args!("probe: {outcome}"));
}
