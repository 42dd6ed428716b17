//! Counting for `status_zone`.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use status::resolver;

use super::Failure;
use super::message::Kind;

/// The zones of all resolvers, by name. They outlive configurations.
#[derive(Debug, Default)]
pub struct Zones(Mutex<BTreeMap<String, Arc<Counters>>>);

impl Zones {
    /// The counters of a zone. Resolvers that name the same zone count together; those without one count for nobody.
    pub fn zone(&self, name: Option<&str>) -> Arc<Counters> {
        let Some(name) = name else { return Arc::default() };
        let mut zones = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(zones.entry(name.to_owned()).or_default())
    }

    /// All zones at this moment, by name.
    pub fn snapshot(&self) -> BTreeMap<String, resolver::Resolver> {
        let zones = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        zones.iter().map(|(name, counters)| (name.clone(), counters.snapshot())).collect()
    }
}

/// What resolvers of one zone did.
#[derive(Debug, Default)]
pub struct Counters {
    names: AtomicU64,
    addrs: AtomicU64,
    a: AtomicU64,
    aaaa: AtomicU64,
    ptr: AtomicU64,
    success: AtomicU64,
    timed_out: AtomicU64,
    format_error: AtomicU64,
    server_failure: AtomicU64,
    not_found: AtomicU64,
    unimplemented: AtomicU64,
    refused: AtomicU64,
    other: AtomicU64,
}

impl Counters {
    pub(super) fn wanted_name(&self) {
        add(&self.names);
    }

    pub(super) fn wanted_addr(&self) {
        add(&self.addrs);
    }

    pub(super) fn sent(&self, kind: Kind) {
        add(match kind {
            Kind::A => &self.a,
            Kind::Aaaa => &self.aaaa,
            Kind::Ptr => &self.ptr,
        });
    }

    pub(super) fn ended(&self, failure: Option<Failure>) {
        add(match failure {
            None => &self.success,
            Some(Failure::TimedOut) => &self.timed_out,
            Some(Failure::FormatError) => &self.format_error,
            Some(Failure::ServerFailure) => &self.server_failure,
            Some(Failure::NotFound) => &self.not_found,
            Some(Failure::Unimplemented) => &self.unimplemented,
            Some(Failure::Refused) => &self.refused,
            Some(Failure::Other(_)) => &self.other,
        });
    }

    /// All counters at this moment.
    pub fn snapshot(&self) -> resolver::Resolver {
        resolver::Resolver {
            queries: resolver::Queries { name: value(&self.names), srv: 0, addr: value(&self.addrs) },
            sent: resolver::Sent {
                a: value(&self.a),
                aaaa: value(&self.aaaa),
                srv: 0,
                ptr: value(&self.ptr),
            },
            responses: resolver::Responses {
                success: value(&self.success),
                timedout: value(&self.timed_out),
                format_error: value(&self.format_error),
                server_failure: value(&self.server_failure),
                not_found: value(&self.not_found),
                unimplemented: value(&self.unimplemented),
                refused: value(&self.refused),
                other: value(&self.other),
            },
        }
    }
}

fn add(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

fn value(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}
