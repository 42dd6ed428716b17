//! What a scripted server saw, shared between its threads and the test that asks.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use crate::PATIENCE;
use crate::wire::Surprise;

/// One entry per connection, in the order in which they were accepted, and what went wrong on any of them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ledger(Arc<(Mutex<Entries>, Condvar)>);

#[derive(Debug, Default)]
pub(crate) struct Entries {
    pub(crate) connections: Vec<Entry>,
    pub(crate) surprises: Vec<Surprise>,
}

/// One connection as the server saw it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Entry {
    pub(crate) received: Vec<u8>,
    pub(crate) finished: bool,
}

impl Ledger {
    /// Opens the page of a new connection.
    pub(crate) fn open(&self) -> Page {
        let mut entries = self.lock();
        entries.connections.push(Entry::default());
        let number = entries.connections.len() - 1;
        self.0.1.notify_all();
        Page { ledger: self.clone(), number }
    }

    /// The entries as they are now.
    pub(crate) fn lock(&self) -> MutexGuard<'_, Entries> {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until `found` has a value; `None` if it still has none after [`PATIENCE`].
    pub(crate) fn wait<T>(&self, mut found: impl FnMut(&Entries) -> Option<T>) -> Option<T> {
        let (_, changed) = &*self.0;
        let (entries, _) = changed
            .wait_timeout_while(self.lock(), PATIENCE, |entries| found(entries).is_none())
            .unwrap_or_else(PoisonError::into_inner);
        found(&entries)
    }

    fn change(&self, change: impl FnOnce(&mut Entries)) {
        change(&mut self.lock());
        self.0.1.notify_all();
    }
}

/// The page of one connection.
#[derive(Debug)]
pub(crate) struct Page {
    ledger: Ledger,
    number: usize,
}

impl Page {
    /// The how-manieth connection this is, from 0.
    pub(crate) fn number(&self) -> usize {
        self.number
    }

    /// Adds bytes that the peer sent.
    pub(crate) fn received(&self, bytes: &[u8]) {
        self.ledger.change(|entries| entries.connections[self.number].received.extend_from_slice(bytes));
    }

    /// A second hand on the same page.
    pub(crate) fn share(&self) -> Self {
        Self { ledger: self.ledger.clone(), number: self.number }
    }

    /// Notes how the connection ended.
    pub(crate) fn finish(self, result: Result<(), Surprise>) {
        self.ledger.change(|entries| {
            entries.connections[self.number].finished = true;
            entries.surprises.extend(result.err());
        });
    }
}
