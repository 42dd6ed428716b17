//! Why a measurement did not come about.

use std::io;
use std::time::Duration;

use thiserror::Error;

/// What went wrong, and where.
#[derive(Debug, Error)]
pub(crate) enum Failure {
    /// The proxy read its configuration and would not have it.
    #[error("refused: {0}")]
    Refused(String),
    /// The proxy was there and then was not.
    #[error("ended: {0}")]
    Ended(String),
    /// Its error log is not empty.
    #[error("logged an error: {0}")]
    Complained(String),
    #[error("does not listen after {0:?}")]
    Silent(Duration),
    #[error("the program {program} cannot be started: {source}")]
    Start { program: String, source: io::Error },
    /// A client did not get what it should.
    #[error("a client failed: {0}")]
    Client(String),
    /// A process of the benchmark itself is gone.
    #[error("the benchmark's own {0} process ended")]
    Lost(&'static str),
    #[error("{sessions} sessions need {needed} descriptors and {most} are allowed (ulimit -n, --sessions)")]
    Descriptors { sessions: usize, needed: u64, most: u64 },
    #[error("{0}")]
    Io(#[from] io::Error),
}
