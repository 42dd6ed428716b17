//! `auth_penalty`: answers to logins get slower where passwords are being guessed.
//!
//! A network, the /24 of an IPv4 or the /56 of an IPv6 address, is remembered for its failed logins. While it is, all
//! answers to its logins wait, good ones too: if only refusals did, a guesser would take silence for one and hang up.
//! A user's own failures count whole, those of other users in the network a quarter: many people may share it, but
//! whoever tries one password on every user must not go free. A quarter also counts what is tried on the user in all
//! networks together, for guessers may have many; but not in networks in which the user has logged in well lately, or
//! anybody could slow anybody down at home.
//!
//! The same wrong password of the same user counts once, or every forgotten device would slow its owner down. A good
//! login forgets the failures of its user in its network, and makes it one of the user's.

mod failures;
mod homes;
mod table;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use proto::{Login, Method};
use tokio::time::Instant;

use crate::auth::Verdict;
use crate::preface::Prefaced;
use crate::settings::Peers;
use crate::settings::PenaltySettings;

use self::table::{Outcome, Table};

/// The tables of a process, by name. They outlive configurations.
#[derive(Debug, Default)]
pub struct Tables(Mutex<BTreeMap<String, Arc<Table>>>);

impl Tables {
    /// The table called `name`; with another size than before it is a new one.
    fn table(&self, name: &str, size: usize) -> Arc<Table> {
        let mut tables = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match tables.get(name) {
            Some(table) if table.size() == size => Arc::clone(table),
            _ => {
                let table = Arc::new(Table::new(size));
                tables.insert(name.to_owned(), Arc::clone(&table));
                table
            }
        }
    }
}

/// The penalties of one server.
#[derive(Debug)]
pub struct Penalty {
    table: Arc<Table>,
    exempt: Peers,
}

impl Penalty {
    /// As `settings` say, remembered in `tables`.
    pub fn new(settings: &PenaltySettings, tables: &Tables) -> Self {
        let table = tables.table(&settings.zone, settings.size);
        Self { table, exempt: settings.exempt.clone() }
    }
}

/// Notes what has become of a login, and says how long the answer to it is held back.
///
/// What this login has come to makes no difference for its own answer, only for later ones.
pub fn settle(prefaced: &Prefaced, login: &Login, verdict: &Verdict) -> Duration {
    let (service, client) = (&prefaced.service, &prefaced.client);
    let (Some(penalty), Some(outcome), Some(ip)) =
        (&service.penalty, outcome(login, verdict), client.addr.ip())
    else {
        return Duration::ZERO;
    };
    // Whoever may say that a client is somebody else, and does not, speaks for many.
    if service.settings.real_ip.trusts(client.addr) || penalty.exempt.contain(client.addr) {
        return Duration::ZERO;
    }
    penalty.table.settle(ip, &login.credentials, outcome, Instant::now())
}

/// What a verdict says of whoever has tried; `None` if nothing.
fn outcome(login: &Login, verdict: &Verdict) -> Option<Outcome> {
    match verdict {
        // A sender or recipient that is refused is no guess at a password.
        _ if login.credentials.method == Method::None => None,
        Verdict::Granted(_) => Some(Outcome::Succeeded),
        Verdict::Denied(denial) => {
            // RFC 5321, section 4.2.1: 4yz is not for good. The authority is busy, or the user over a limit of its.
            let is_transient = denial.refusal.code.as_ref().is_some_and(|code| code.starts_with(b"4"));
            (!is_transient).then_some(Outcome::Failed)
        }
        Verdict::Unknown | Verdict::Failed(_) => None,
    }
}
