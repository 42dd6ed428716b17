//! Files that directives name, as far as they are read while the configuration is.
//!
//! Who reads them, and how, is the caller's affair: one process may read for another.

use std::fmt;
use std::io;
use std::path::Path;

/// Where files are, and how they are read.
#[derive(Clone, Copy)]
pub struct Disk<'a> {
    /// The directory of the main configuration file.
    pub directory: &'a Path,
    /// Reads a whole file.
    pub read: &'a dyn Fn(&Path) -> io::Result<Vec<u8>>,
}

impl fmt::Debug for Disk<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Disk").field("directory", &self.directory).finish_non_exhaustive()
    }
}
