//! Where a statement stands.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

/// A place in the configuration, as messages show it: `/etc/gatepost.conf:12`, or `command line`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Position {
    /// A line of a file.
    File {
        /// The file, as it was opened.
        path: Arc<Path>,
        /// Counted from 1. A statement's line is the one on which its `;` or `{` stands, as in the originals.
        line: u32,
    },
    /// The text of option `-g`.
    CommandLine,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path, line } => write!(f, "{}:{line}", path.display()),
            Self::CommandLine => f.write_str("command line"),
        }
    }
}
