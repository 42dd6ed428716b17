//! Keys of session tickets beyond the life of a worker: it tells the master of each that it makes, and the master gives
//! them to the next one. So TLS sessions are taken up again after a worker has died.

use std::collections::VecDeque;
use std::fmt;

use mail::tls::KeptKey;
use proto::Secret;
use serde::{Deserialize, Serialize};

use crate::bundle::Bytes;

/// How many are kept: one that encrypts, and those under which sessions may still be alive.
const MOST: usize = 3;

/// A key on its way.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct TicketKey {
    made: u64,
    key: Bytes,
}

/// What the master keeps.
#[derive(Debug, Clone, Default)]
pub(crate) struct TicketKeys(VecDeque<TicketKey>);

impl TicketKeys {
    /// One more; the one that has been here longest goes. What a worker says is not looked at: it is for workers.
    pub(crate) fn keep(&mut self, key: TicketKey) {
        self.0.push_back(key);
        if self.0.len() > MOST {
            self.0.pop_front();
        }
    }

    /// All, for a worker.
    pub(crate) fn all(&self) -> Vec<TicketKey> {
        self.0.iter().cloned().collect()
    }
}

impl From<KeptKey> for TicketKey {
    fn from(kept: KeptKey) -> Self {
        Self { made: kept.made, key: Bytes::new(kept.key.expose()) }
    }
}

impl From<TicketKey> for KeptKey {
    fn from(kept: TicketKey) -> Self {
        Self { made: kept.made, key: Secret::from(kept.key.expose()) }
    }
}

impl fmt::Debug for TicketKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TicketKey").field("made", &self.made).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_keys_are_kept_and_nobody_sees_them() {
        let mut keys = TicketKeys::default();
        for made in 1..=5 {
            keys.keep(KeptKey { made, key: Secret::new(b"hush".to_vec()) }.into());
        }
        let kept: Vec<KeptKey> = keys.all().into_iter().map(KeptKey::from).collect();
        assert_eq!(kept.iter().map(|kept| kept.made).collect::<Vec<_>>(), [3, 4, 5]);
        assert!(kept.iter().all(|kept| kept.key.expose() == b"hush"));
        assert!(!format!("{keys:?}").contains("hush") && !format!("{keys:?}").contains("104"));
    }
}
