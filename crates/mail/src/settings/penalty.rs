//! Penalties for guessing passwords: `auth_penalty`. Not in the originals.

use conf::{Args, Count, Directive, Fault, List, Mistake, Setting, doc};

use super::peers::{Peers, Written};
use super::zone::{self, Declared, Sizes};

/// The table of servers that name none.
const DEFAULT: (&str, usize) = ("auth_penalty", 1024 * 1024);

/// How guessing is answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PenaltySettings {
    /// The table that remembers; all servers that name the same share it.
    pub zone: String,
    /// How much memory it may take, bytes.
    pub size: usize,
    /// Whose failures are not looked at.
    pub exempt: Peers,
}

/// Penalties as written.
#[derive(Debug, Default)]
pub struct PenaltyBlock {
    /// `None`: `off`.
    penalty: Setting<Option<Declared>>,
    exempt: List<Written>,
    /// Those that all servers have declared so far.
    zones: Sizes,
}

impl PenaltyBlock {
    /// Nothing written yet, in a configuration that has declared `zones`.
    pub(super) fn new(zones: Sizes) -> Self {
        Self { zones, ..Self::default() }
    }
}

/// Directives of penalties.
pub const PENALTY: &[Directive<PenaltyBlock>] = &[
    Directive::new(
        "auth_penalty",
        Count::Between(1, 2),
        doc(
            "off | on [zone=NAME:SIZE]",
            "off",
            "Holds answers to logins back, good and bad ones alike, where passwords are being guessed: for 2, 4, 8 \
             and then 15 seconds, by the different wrong passwords of the user that came from the same network \
             (/24 of IPv4, /56 of IPv6) in the last 15 minutes; those of other users there count a quarter, and so \
             do those of the user from everywhere, except in the last eight networks in which the user has logged \
             in well within 30 days. The same wrong password counts once. A good login forgets the user's failures \
             in its network. When the zone is full, networks and users with the fewest failures are forgotten \
             first; without `zone=` it is one of 1m that all servers share. Not in the originals.",
        ),
        set,
    ),
    Directive::new(
        "auth_penalty_exempt",
        Count::AtLeast(1),
        doc(
            "ADDRESS | CIDR | unix: | NAME …",
            "",
            "Clients whose failures are not counted and whose answers are not held back, such as a webmail that logs \
             in for its users. Those of `set_real_ip_from` never are. The directive may be repeated; a server that \
             has any does not use those of `mail`. Not in the originals.",
        ),
        |b, a| {
            for word in a.words() {
                b.exempt.push(Written::parse(a, word)?);
            }
            Ok(())
        },
    ),
];

fn set(block: &mut PenaltyBlock, args: &Args<'_>) -> Result<(), Fault> {
    let PenaltyBlock { penalty, zones, .. } = block;
    penalty.set(args, |args| {
        let declared = match args.words().get(1) {
            None => None,
            Some(word) => {
                let invalid = || args.fault(Mistake::InvalidParameter(word.clone()));
                Some(zone::parse(args, word)?.ok_or_else(invalid)?)
            }
        };
        let (name, size) = DEFAULT;
        let declared = declared.unwrap_or_else(|| Declared { name: name.to_owned(), size });
        if !args.flag()? {
            return Ok(None);
        }
        zones.declare(&declared.name, declared.size).map_err(|mistake| Fault::own(mistake, args.at()))?;
        Ok(Some(declared))
    })
}

/// The penalties of a server, if it has any.
pub fn resolve(server: &PenaltyBlock, mail: &PenaltyBlock) -> Option<PenaltySettings> {
    let Declared { name, size } = server.penalty.inherit(&mail.penalty).value()?.clone()?;
    Some(PenaltySettings {
        zone: name,
        size,
        exempt: server.exempt.or(&mail.exempt).iter().cloned().collect(),
    })
}
