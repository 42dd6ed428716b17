//! What the imap, pop3 and smtp modules have in common: what fronts are told.

use bytes::Bytes;
use conf::{Args, List};
use proto::{Mechanism, Settings, Starttls};

use super::Core;

/// What a protocol's module says, inheritance settled.
pub(super) struct Written<'a> {
    /// The longest command, bytes.
    pub(super) line: u64,
    /// Empty: the protocol's default.
    pub(super) capabilities: &'a [Bytes],
    /// In any order.
    pub(super) mechanisms: Vec<Mechanism>,
}

impl Written<'_> {
    /// The settings of the fronts of a server.
    pub(super) fn settle(self, core: &Core, starttls: Starttls, default: &[&'static str]) -> Settings {
        let capabilities = if self.capabilities.is_empty() {
            default.iter().map(|name| Bytes::from_static(name.as_bytes())).collect()
        } else {
            self.capabilities.to_vec()
        };
        Settings {
            server_name: core.server_name.clone(),
            limits: core.limits(self.line),
            capabilities,
            mechanisms: self.mechanisms.into_iter().collect(),
            starttls,
        }
    }
}

/// Adds the arguments to `list` as they are; nobody validates them, as in the originals.
pub(super) fn capabilities(list: &mut List<Bytes>, args: &Args<'_>) {
    for word in args.words() {
        list.push(Bytes::copy_from_slice(word.as_bytes()));
    }
}
