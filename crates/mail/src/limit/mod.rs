//! `limit_conn`: how many connections may have the same address, user, or whatever else a key is made of.
//!
//! Keys that need no login are counted when a client arrives, before anything is done for it; the others when the
//! authority has let it in, before its upstream is connected to. freenginx counts all of them then, but a flood that
//! never logs in is what an address is limited for.

mod key;
mod zone;

use std::sync::Arc;

use proto::LoginAnswer;
use tokio::time::timeout;

use crate::auth::Client;
use crate::event::Event;
use crate::generation::Service;
use crate::link::Link;
use crate::login::Authorised;
use crate::preface::Credit;
use crate::session::{Parting, Word};
use crate::settings::ConnLimits;
use crate::settings::log::Level;
use crate::teller::Teller;

pub use self::key::{Facts, Key, KeyMistake, Value};
pub use self::zone::{Excess, Hold, Zone, ZoneSettings, Zones};

/// The limits of one server.
#[derive(Debug, Default)]
pub struct Limits {
    each: Vec<Limit>,
    /// Connections are counted, and let through all the same.
    dry_run: bool,
    level: Level,
}

/// One `limit_conn`.
#[derive(Debug)]
struct Limit {
    zone: Arc<Zone>,
    most: u32,
}

/// The zones that count a session, for as long as this is held.
#[derive(Debug, Default)]
pub struct Counted(Vec<Hold>);

impl Counted {
    /// Whether no zone does.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// A limit that is reached.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("limiting connections{} by zone \"{zone}\"", if *.dry_run { ", dry run," } else { "" })]
pub struct Limited {
    /// The zone.
    pub zone: String,
    /// Whether the client is let through all the same.
    pub dry_run: bool,
    /// `limit_conn_log_level`.
    pub level: Level,
}

/// When connections are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Moment {
    /// A client has arrived that speaks for itself.
    Arrival,
    /// It is let in.
    Login,
    /// It is let in, and said by then who it is: it came through a proxy.
    Both,
}

impl Limits {
    /// Those of `settings`, counting in `zones`.
    pub fn new(settings: &ConnLimits, zones: &Zones) -> Self {
        let limit =
            |limit: &crate::settings::ConnLimit| Limit { zone: zones.zone(&limit.zone), most: limit.most };
        Self {
            each: settings.limits.iter().map(limit).collect(),
            dry_run: settings.dry_run,
            level: settings.level,
        }
    }

    /// Counts a connection wherever it is to be counted at this `moment`.
    fn count(
        &self,
        moment: Moment,
        facts: &Facts<'_>,
        counted: &mut Counted,
        teller: &Teller,
    ) -> Result<(), Limited> {
        let due = |limit: &&Limit| match moment {
            Moment::Arrival => !limit.zone.key().needs_login(),
            Moment::Login => limit.zone.key().needs_login(),
            Moment::Both => true,
        };
        for Limit { zone, most } in self.each.iter().filter(due) {
            if let Ok(hold) = zone.count(facts, *most, self.dry_run) {
                counted.0.extend(hold);
                continue;
            }
            let limited = Limited { zone: zone.name().to_owned(), dry_run: self.dry_run, level: self.level };
            if !self.dry_run {
                return Err(limited);
            }
            teller.tell(&Event::Limited(&limited));
        }
        Ok(())
    }
}

/// Counts a client that has arrived, or turns it away.
///
/// `tls`: TLS comes first here. A client is not worth a handshake that it hears only a refusal in, so it hears none.
pub async fn arrive(
    client: &Client,
    credit: Credit,
    (link, tls): (&mut Link, bool),
    service: &Service,
    teller: &Teller,
) -> Result<Counted, Limited> {
    let mut counted = Counted::default();
    // A proxy has all its clients' connections; whose they are it says later.
    if credit == Credit::Everything {
        return Ok(counted);
    }
    let facts = Facts { addr: client.addr, user: b"", said: &[] };
    let due = service.limits.count(Moment::Arrival, &facts, &mut counted, teller);
    if due.is_err() && !tls {
        // The first bytes always fit into the send buffer. They are not waited for beyond that: those who are turned
        // away must not take up room.
        let words = client.protocol.too_many_connections();
        let _ = timeout(service.settings.core.timeout, link.write_all(words)).await;
    }
    due.map(|()| counted)
}

/// Counts a client that is let in, or turns it away.
pub fn admit(mut authorised: Box<Authorised>, teller: &Teller) -> Result<Box<Authorised>, Box<Parting>> {
    let Authorised { prefaced, route, .. } = &mut *authorised;
    let facts = Facts { addr: prefaced.client.addr, user: &route.identity.user, said: &route.said };
    let moment = if prefaced.credit == Credit::Everything { Moment::Both } else { Moment::Login };
    let limits = &prefaced.service.limits;
    match limits.count(moment, &facts, &mut prefaced.counted, teller) {
        Ok(()) => Ok(authorised),
        Err(limited) => {
            let word = Word::Answer(authorised, LoginAnswer::Limited);
            Err(Box::new(Parting { trouble: limited.into(), word }))
        }
    }
}
