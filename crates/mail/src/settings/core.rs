//! The core module: names, time limits, logs.

use std::time::Duration;

use super::ErrorLog;

/// Settings that every protocol has.
#[derive(Debug, Clone)]
pub struct Core {
    /// `server_name`; the machine's host name unless set.
    pub server_name: String,
    /// `timeout`: an absolute limit for each phase before proxying.
    pub timeout: Duration,
    /// `error_log` of the innermost context that has any; empty: those of the main context.
    pub error_logs: Vec<ErrorLog>,
}
