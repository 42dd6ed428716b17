//! Where things are if nothing says otherwise: what the originals fix when they are built.
//!
//! The layout is that of the originals' own packages, so that a program called `nginx` finds the configuration
//! that the nginx before it had.

use std::path::PathBuf;

use mail::flavour::Flavour;

/// The prefix that relative names are based on; ends in `/`.
pub(crate) fn prefix(flavour: Flavour) -> PathBuf {
    format!("/etc/{}/", flavour.program()).into()
}

/// The configuration file, relative to the prefix.
pub(crate) fn configuration(flavour: Flavour) -> PathBuf {
    format!("{}.conf", flavour.program()).into()
}

/// The error log.
pub(crate) fn error_log(flavour: Flavour) -> PathBuf {
    format!("/var/log/{}/error.log", flavour.program()).into()
}

/// The pid file.
pub(crate) fn pid(flavour: Flavour) -> PathBuf {
    format!("/run/{}.pid", flavour.program()).into()
}
