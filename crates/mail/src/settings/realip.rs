//! The realip module: whose PROXY headers to believe.

use conf::{Count, Directive, List, doc};

use super::peers::{Peers, Written};
use crate::address::ClientAddr;

/// Whose word about the client's address is believed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RealIp(pub(super) Peers);

impl RealIp {
    /// Whether `peer` may say that a client is somebody else.
    pub fn trusts(&self, peer: ClientAddr) -> bool {
        self.0.contain(peer)
    }
}

/// The realip module as written.
#[derive(Debug, Default)]
pub struct RealipBlock {
    trusted: List<Written>,
}

/// Directives of the realip module.
pub const REALIP: &[Directive<RealipBlock>] = &[Directive::new(
    "set_real_ip_from",
    Count::Exactly(1),
    doc(
        "ADDRESS | CIDR | unix: | NAME",
        "",
        "Whose PROXY headers replace the client's address, where `listen` has `proxy_protocol`: an address or a \
         network, every peer on a unix socket, or all addresses of a name. IPv6 addresses have no brackets. \
         Where `listen` has no `proxy_protocol`, such a peer may say who the client is by the commands ID (IMAP) \
         and XCLIENT (POP3, SMTP), as `proxy_imap_id`, `proxy_pop3_xclient` and `xclient` make other proxies do: \
         list only those through which nobody else can speak. \
         The directive may be repeated; a server that has any does not use those of `mail`.",
    ),
    |b, a| {
        b.trusted.push(Written::parse(a, &a.first())?);
        Ok(())
    },
)];

/// Whom a server believes.
pub fn resolve(server: &RealipBlock, mail: &RealipBlock) -> RealIp {
    RealIp(server.trusted.or(&mail.trusted).iter().cloned().collect())
}
