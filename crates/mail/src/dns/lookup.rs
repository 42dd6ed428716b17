//! One look-up: questions until there is an end of the chain of aliases, and what that is worth.

use std::time::Duration;

use hickory_proto::rr::Name;

use super::Failure;
use super::exchange::Exchange;
use super::message::{Answer, Datum, Kind, Question};
use crate::auth::resolve::FAILURE_TIME;

/// Most aliases between a name and its records (as the originals).
const MOST_ALIASES: usize = 50;

/// Most questions for one name. A server that resolves follows aliases itself, so one is the rule.
const MOST_QUESTIONS: usize = 8;

/// Most records that are kept of an answer. Whoever owns a zone can send thousands, which all would be remembered.
pub(super) const MOST_RECORDS: usize = 128;

/// How long it is remembered at the most that there is nothing, whatever the zone says.
const NEGATIVE_TIME: Duration = Duration::from_secs(30);

/// Records of a name, at least one, and how long they count.
pub(super) struct Found {
    pub(super) data: Vec<Datum>,
    pub(super) lifetime: Duration,
}

/// Why there are none, and how long that counts.
#[derive(Debug, Clone, Copy)]
pub(super) struct Missing {
    pub(super) failure: Failure,
    pub(super) lifetime: Duration,
}

impl From<Failure> for Missing {
    fn from(failure: Failure) -> Self {
        Self { failure, lifetime: FAILURE_TIME }
    }
}

/// How long answers count.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lifetimes {
    /// `valid=`, in place of every TTL.
    pub(super) valid: Option<Duration>,
}

impl Lifetimes {
    fn found(self, ttl: u32) -> Duration {
        self.valid.unwrap_or(Duration::from_secs(ttl.into()))
    }

    /// `valid=` says how long an answer counts; that there is none counts no longer than that.
    fn nothing(self, ttl: Option<u32>) -> Duration {
        let said = ttl.map_or(FAILURE_TIME, |ttl| Duration::from_secs(ttl.into()));
        said.min(NEGATIVE_TIME).min(self.valid.unwrap_or(NEGATIVE_TIME))
    }
}

/// The records of `name`, or of the name that it is an alias of.
pub(super) async fn look_up(
    exchange: &Exchange,
    lifetimes: Lifetimes,
    name: Name,
    kind: Kind,
) -> Result<Found, Missing> {
    let mut question = Question { name, kind };
    let (mut aliases, mut shortest) = (0, u32::MAX);
    for _ in 0..MOST_QUESTIONS {
        match exchange.ask(&question).await? {
            Answer::Found { mut data, ttl } => {
                data.truncate(MOST_RECORDS);
                return Ok(Found { data, lifetime: lifetimes.found(ttl.min(shortest)) });
            }
            Answer::Nothing { ttl } => {
                return Err(Missing { failure: Failure::NotFound, lifetime: lifetimes.nothing(ttl) });
            }
            Answer::Alias { name, steps, ttl } => {
                (question.name, aliases, shortest) = (name, aliases + steps, shortest.min(ttl));
                if aliases > MOST_ALIASES {
                    break;
                }
            }
        }
    }
    Err(Missing { failure: Failure::NotFound, lifetime: lifetimes.nothing(Some(shortest)) })
}
