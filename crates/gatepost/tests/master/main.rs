//! Master and worker as processes: what each may do, signals, reload, death, upgrade.
//!
//! Every test starts a program of its own. Run as root they also show what happens to privileges; without root the same
//! tests run as whoever runs them.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "what does not hold has to fail the test, wherever it is found out"
)]

mod activation;
mod backend;
mod deaths;
mod download;
mod idle;
mod load;
mod lookups;
mod name_servers;
mod ordinary;
mod privileges;
mod proc;
mod reload;
mod shortages;
mod signals;
mod stage;
mod surroundings;
mod syslog;
mod titles;
mod upgrade;
