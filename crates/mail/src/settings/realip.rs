//! The realip module: whose PROXY headers to believe. For a later release.

use conf::{Count, Directive, doc};

/// The realip module as written: nothing can be.
#[derive(Debug, Default)]
pub struct RealipBlock;

/// Directives of the realip module.
pub const REALIP: &[Directive<RealipBlock>] = &[Directive::not_yet(
    "set_real_ip_from",
    Count::Exactly(1),
    "PROXY headers from clients",
    doc("ADDRESS | CIDR | unix: | NAME", "", "Whose PROXY headers replace the client's address."),
)];
