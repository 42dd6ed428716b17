//! Test peers: the other ends of every connection that the proxy has.
//!
//! A [`Client`] and the scripted servers [`Backend`] and [`AuthServer`] say and expect bytes that the test spells out.
//! They know no protocol and use none of our crates, so a wrong idea cannot hide at both ends. [`Proxy`] starts gatepost
//! or the original from the same configuration text, [`real`] starts Dovecot and Postfix, [`pki`] makes
//! certificates, [`tool`] runs other people's clients. [`DnsServer`] answers, or lies, over DNS.
//!
//! Rules that hold for all of them:
//!
//! - Every wait is bounded by [`PATIENCE`]. A hang is a failed test that shows what was exchanged so far.
//! - Nothing has a fixed port or a fixed path, and two test processes cannot meet (see [`port`]).
//! - Whatever was started is ended by its own process id when its value is dropped.
//! - No password that a test uses stands in a log of gatepost, also at level debug (see [`secrets`]).
//! - A scripted server that met something else than its script fails the test when it is dropped, even if the test never
//!   asks.
//!
//! Not for production code: peers panic, because that is how a test fails.

#![expect(clippy::panic, reason = "an expectation that does not hold has to fail the test that states it")]

use std::time::Duration;

pub mod auth_server;
pub mod backend;
mod bytes;
pub mod client;
mod cuts;
pub mod dns;
mod eventually;
mod gate;
mod ledger;
pub mod pki;
pub mod port;
mod process;
pub mod proxy;
pub mod real;
mod script;
pub mod secrets;
mod server;
mod socket;
pub mod tool;
mod wire;

pub use auth_server::{AuthServer, Request};
pub use backend::Backend;
pub use bytes::show;
pub use client::Client;
pub use cuts::Cuts;
pub use dns::DnsServer;
pub use eventually::eventually;
pub use gate::Gate;
pub use process::Process;
pub use proxy::{Program, Proxy};
pub use script::Script;

/// The longest that any peer waits for one thing.
///
/// Far longer than anything takes on a busy machine, far shorter than the patience of a developer.
pub const PATIENCE: Duration = Duration::from_secs(10);
