//! The limit_conn module: how many connections there may be with the same key.

use std::collections::BTreeMap;

use conf::{Args, Count, Directive, Fault, List, Mistake, Position, Setting, Word, doc, value};

use super::log::Level;
use super::zone::{self, Declared};
use crate::limit::{Key, KeyMistake, ZoneSettings};

/// The most connections that a limit can allow (as the originals).
const MOST: u64 = 65_535;

/// Limits of connections.
#[derive(Debug, Clone, Default)]
pub struct ConnLimits {
    /// `limit_conn`, in their order.
    pub limits: Vec<ConnLimit>,
    /// `limit_conn_dry_run`.
    pub dry_run: bool,
    /// `limit_conn_log_level`.
    pub level: Level,
}

/// One `limit_conn`.
#[derive(Debug, Clone)]
pub struct ConnLimit {
    /// What it counts in.
    pub zone: ZoneSettings,
    /// How many connections may have the same key.
    pub most: u32,
}

impl ConnLimits {
    /// The headers that an auth server's answer is searched for.
    pub fn headers(&self) -> impl Iterator<Item = &str> {
        self.limits.iter().flat_map(|limit| limit.zone.key.headers())
    }
}

/// The zones as written: `mail` only.
#[derive(Debug, Default)]
pub struct ZonesBlock(BTreeMap<String, ZoneSettings>);

/// Limits as written.
#[derive(Debug, Default)]
pub struct LimitBlock {
    limits: List<Written>,
    dry_run: Setting<bool>,
    level: Setting<Level>,
}

/// A `limit_conn` as written. Its zone may be declared further down.
#[derive(Debug)]
struct Written {
    zone: String,
    most: u32,
    at: Position,
}

/// The directive that declares zones.
pub const LIMIT_ZONES: &[Directive<ZonesBlock>] = &[Directive::new(
    "limit_conn_zone",
    Count::Exactly(2),
    doc(
        "KEY zone=NAME:SIZE",
        "",
        "A zone that counts the connections of each KEY: text and the variables `$remote_addr` \
         (`$binary_remote_addr` is the same), `$remote_net` (the /24 of an IPv4 or the /56 of an IPv6 address; not \
         in freenginx), `$remote_user` (the name that the auth server has given) and `$auth_http_NAME` (a header \
         of the auth server's answer: in lower case, with underscores for dashes). A megabyte is enough for \
         about ten thousand keys that have connections. Connections whose key is empty are not counted. Zones \
         are shared by all servers and threads, and go on counting through a reload unless key or size change.",
    ),
    declare,
)];

/// Directives of the limit_conn module that stand in both contexts.
pub const LIMIT: &[Directive<LimitBlock>] = &[
    Directive::new(
        "limit_conn",
        Count::Exactly(2),
        doc(
            "ZONE NUMBER",
            "",
            "The most connections with the same key of the zone; one more is told `Too many connections` and \
             closed, and so is one with a new key when the zone is full. Keys of addresses are counted when a \
             client arrives (with `listen … ssl` it is closed without a word, before the handshake), keys that \
             need a login when the auth server has let it in. The directive may be repeated; a server that has any \
             does not use those of `mail`.",
        ),
        limit,
    ),
    Directive::new(
        "limit_conn_dry_run",
        Count::Exactly(1),
        doc("on | off", "off", "Counts and tells, but turns nobody away."),
        |b, a| b.dry_run.set(a, Args::flag),
    ),
    Directive::new(
        "limit_conn_log_level",
        Count::Exactly(1),
        doc("info | notice | warn | error", "error", "How loud it is to turn a connection away."),
        |b, a| b.level.set(a, |a| a.one_of(LEVELS)),
    ),
];

const LEVELS: &[(&str, Level)] =
    &[("info", Level::Info), ("notice", Level::Notice), ("warn", Level::Warn), ("error", Level::Error)];

/// What is wrong with a limit, in the originals' words as far as they have any.
#[derive(Debug, thiserror::Error)]
enum LimitMistake {
    #[error(transparent)]
    Key(#[from] KeyMistake),
    #[error("limit_conn_zone \"{zone}\" is already bound to key \"{key}\"")]
    Bound { zone: String, key: Key },
    #[error("invalid number of connections \"{0}\"")]
    Number(Word),
    #[error("connection limit must be less 65536")]
    TooMany,
    #[error("unknown limit_conn_zone \"{0}\"")]
    Unknown(String),
}

fn declare(block: &mut ZonesBlock, args: &Args<'_>) -> Result<(), Fault> {
    let own = |mistake: LimitMistake| Fault::own(mistake, args.at());
    let [key, parameter] = args.words() else { return Err(args.invalid_value()) };
    let key = Key::parse(args.text(key)?).map_err(|mistake| own(mistake.into()))?;
    let Some(Declared { name, size }) = zone::parse(args, parameter)? else {
        return Err(args.fault(Mistake::InvalidParameter(parameter.clone())));
    };
    if let Some(bound) = block.0.get(&name) {
        return Err(own(LimitMistake::Bound { zone: name, key: bound.key.clone() }));
    }
    block.0.insert(name.clone(), ZoneSettings { name, key, size });
    Ok(())
}

fn limit(block: &mut LimitBlock, args: &Args<'_>) -> Result<(), Fault> {
    let own = |mistake| Err(Fault::own(mistake, args.at()));
    let [zone, number] = args.words() else { return Err(args.invalid_value()) };
    let zone = args.text(zone)?;
    if block.limits.as_slice().iter().any(|limit| limit.zone == zone) {
        return Err(args.fault(Mistake::Duplicate(args.name())));
    }
    let most = match value::number(number.as_bytes()) {
        None | Some(0) => return own(LimitMistake::Number(number.clone())),
        Some(most) if most > MOST => return own(LimitMistake::TooMany),
        Some(most) => u32::try_from(most).unwrap_or(u32::MAX),
    };
    block.limits.push(Written { zone: zone.to_owned(), most, at: args.at().clone() });
    Ok(())
}

/// The limits of a server.
///
/// # Errors
/// A zone that is declared nowhere.
pub fn resolve(server: &LimitBlock, mail: &LimitBlock, zones: &ZonesBlock) -> Result<ConnLimits, Fault> {
    let limit = |written: &Written| {
        let zone = zones.0.get(&written.zone).cloned();
        let unknown = || Fault::own(LimitMistake::Unknown(written.zone.clone()), &written.at);
        Ok(ConnLimit { zone: zone.ok_or_else(unknown)?, most: written.most })
    };
    Ok(ConnLimits {
        limits: server.limits.or(&mail.limits).iter().map(limit).collect::<Result<_, Fault>>()?,
        dry_run: server.dry_run.or(&mail.dry_run, false),
        level: server.level.or(&mail.level, Level::Error),
    })
}
