//! Compatibility scenarios: what they run against, and how.
//!
//! A scenario is a function over a [`Peer`]. [`both`] plays it against the original first, which proves the scenario, then
//! against gatepost, which proves the compatibility. A known difference is an `if peer.is_original()` in the scenario, or
//! [`Row::original`] in a table, always with its reason.
//!
//! The original is Debian's nginx 1.22. It is older than the behaviour that gatepost follows, so some differences are
//! between old and new originals and not between them and us; the reason says which.
//!
//! gatepost is the program that the environment variable `GATEPOST_BIN` names (`./test` sets it).

mod row;
mod stage;

use std::path::PathBuf;

use rig::Program;

pub use row::{After, Floor, Row, Turn, row};
pub use stage::{Protocol, SERVER_NAME, Stage, echo};

/// Who is under test.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Peer {
    /// Debian's nginx.
    Original,
    /// gatepost, at this path.
    Ours(PathBuf),
}

impl Peer {
    /// Is this the original?
    pub fn is_original(&self) -> bool {
        *self == Self::Original
    }

    /// One of two values: the original's, or ours.
    pub fn pick<T>(&self, original: T, ours: T) -> T {
        if self.is_original() { original } else { ours }
    }

    /// The program to start.
    pub fn program(&self) -> Program {
        match self {
            Self::Original => Program::nginx(),
            Self::Ours(path) => Program::gatepost(path),
        }
    }
}

/// Plays the scenario against the original, then against gatepost.
pub fn both(scenario: impl Fn(&Peer)) {
    let ours = std::env::var_os("GATEPOST_BIN").expect("GATEPOST_BIN names the gatepost to test");
    for peer in [Peer::Original, Peer::Ours(ours.into())] {
        let _named = Named(format!("against {peer:?}"));
        scenario(&peer);
    }
}

/// Says where a test was when it failed.
struct Named(String);

impl Drop for Named {
    #[expect(clippy::print_stderr, reason = "part of the report of a failed test")]
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.0);
        }
    }
}
