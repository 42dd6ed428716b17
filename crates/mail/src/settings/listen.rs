//! Where a server listens, and what it speaks there: `listen` and `protocol`.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use conf::{Args, Count, Directive, Fault, Mistake, Notice, Position, Word, doc, value};
use proto::Protocol;

use crate::address::Endpoint;
use crate::address::written::{Listening, Malformed};

/// One socket to listen on, and which server each of its addresses belongs to.
#[derive(Debug, Clone)]
pub struct Listen {
    /// Where to bind.
    pub endpoint: Endpoint,
    /// What is behind it, for connections that no exact address matches.
    pub door: Door,
    /// Addresses of the same port without a socket of their own, by the local address of the connection.
    pub exact: Vec<(std::net::SocketAddr, Door)>,
    /// Options of the socket.
    pub options: SocketOptions,
}

impl Listen {
    /// Whether clients may have to speak before they are greeted.
    pub fn speaks_first(&self) -> bool {
        let mut doors = self.exact.iter().map(|(_, door)| door).chain([&self.door]);
        doors.any(|door| door.ssl || door.proxy_protocol)
    }
}

/// What is behind an address: a server, and what comes before its greeting. The flags belong to the address, not to
/// the server, which may have others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Door {
    /// Index of the server in [`super::Mail::servers`].
    pub server: usize,
    /// `ssl`: TLS from the first byte on.
    pub ssl: bool,
    /// `proxy_protocol`: a PROXY header comes first.
    pub proxy_protocol: bool,
}

/// Parameters of `listen` that are options of the socket.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SocketOptions {
    /// `backlog=`; 511 unless set.
    pub backlog: Option<i32>,
    /// `rcvbuf=`, bytes.
    pub rcvbuf: Option<usize>,
    /// `sndbuf=`, bytes.
    pub sndbuf: Option<usize>,
    /// `ipv6only=`; on unless set.
    pub ipv6only: Option<bool>,
    /// `so_keepalive=`.
    pub keepalive: Option<Keepalive>,
    /// `reuseport`: a socket of its own for each serving thread.
    pub reuseport: bool,
    /// `multipath`: MPTCP.
    pub multipath: bool,
}

/// `so_keepalive=` of `listen`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keepalive {
    /// `off`.
    Off,
    /// `on`, or with its numbers; `None` leaves the system's.
    On {
        /// Silence before the first probe.
        idle: Option<Duration>,
        /// Between probes.
        interval: Option<Duration>,
        /// Probes without answer that end the connection.
        count: Option<u32>,
    },
}

/// What the servers have written about listening, in the order of the text.
#[derive(Debug, Default)]
pub struct ListenBlock {
    /// Index of the server that is being read.
    server: usize,
    /// Its protocol, as far as it is known.
    pub(super) protocol: Option<Protocol>,
    /// The sockets of all servers.
    sockets: Vec<Written>,
    /// The last `listen … ssl` of the server that is being read.
    pub(super) ssl: Option<Position>,
    taken: HashSet<Endpoint>,
}

/// One address of a `listen`.
#[derive(Debug)]
struct Written {
    endpoint: Endpoint,
    server: usize,
    parameters: Parameters,
}

/// Directives about listening, for servers.
pub const LISTEN: &[Directive<ListenBlock>] = &[
    Directive::new(
        "listen",
        Count::AtLeast(1),
        doc(
            "ADDRESS [bind] [reuseport] [backlog=NUMBER] [rcvbuf=SIZE] [sndbuf=SIZE] [ipv6only=on | off]\n    \
             [so_keepalive=on | off | [IDLE]:[INTERVAL]:[COUNT]] [multipath] [ssl] [proxy_protocol]",
            "",
            "Where a server accepts clients; needed at least once. ADDRESS is `ADDR:PORT`, `*:PORT`, \
             `PORT`, `[IPv6]:PORT`, `NAME:PORT` (all addresses of the name) or `unix:PATH`; PORT may be a \
             range such as `9143-9145`. Without a port the system chooses one. An address whose port is \
             also bound by the wildcard of its family gets no socket of its own, unless it has `bind` or a \
             parameter about the socket. `reuseport` gives each serving thread its own socket. With `ssl` \
             clients of this address speak TLS from the first byte on; the well-known ports of TLS do not \
             imply it. With `proxy_protocol` each connection begins with a PROXY header, of version 1 or \
             2, before TLS.",
        ),
        listen,
    ),
    Directive::new(
        "protocol",
        Count::Exactly(1),
        doc(
            "imap | pop3 | smtp",
            "by port",
            "What the server speaks. Unless it is said, the first `listen` with a well-known port decides: \
             143 and 993 are IMAP, 110 and 995 POP3, 25, 465 and 587 SMTP. The last `protocol` of a server \
             wins.",
        ),
        protocol,
    ),
];

/// What is wrong with a `listen` or `protocol`.
#[derive(Debug, thiserror::Error)]
enum ListenMistake {
    #[error("{malformed} in \"{address}\" of the \"listen\" directive")]
    Address { malformed: Malformed, address: String },
    #[error("duplicate \"{0}\" address and port pair")]
    Duplicate(String),
    #[error("invalid backlog \"{0}\"")]
    Backlog(Word),
    #[error("invalid rcvbuf \"{0}\"")]
    Rcvbuf(Word),
    #[error("invalid sndbuf \"{0}\"")]
    Sndbuf(Word),
    #[error("invalid ipv6only flags \"{0}\"")]
    Ipv6only(String),
    #[error("invalid so_keepalive value: \"{0}\"")]
    Keepalive(String),
    #[error("unknown protocol \"{0}\"")]
    Protocol(Word),
}

/// A `listen` that is rarely meant.
#[derive(Debug, thiserror::Error)]
#[error("no port in \"{0}\" of the \"listen\" directive, the system will choose one")]
struct NoPort(String);

fn protocol(block: &mut ListenBlock, args: &Args<'_>) -> Result<(), Fault> {
    let name = args.first();
    let protocol = [Protocol::Imap, Protocol::Pop3, Protocol::Smtp].into_iter().find(|p| name == p.name());
    let unknown = || Fault::own(ListenMistake::Protocol(name.clone()), args.at());
    block.protocol = Some(protocol.ok_or_else(unknown)?);
    Ok(())
}

/// The protocol of a well-known port. The ports of implicit TLS say nothing about TLS.
const fn protocol_of_port(port: u16) -> Option<Protocol> {
    match port {
        143 | 993 => Some(Protocol::Imap),
        110 | 995 => Some(Protocol::Pop3),
        25 | 465 | 587 => Some(Protocol::Smtp),
        _ => None,
    }
}

fn listen(block: &mut ListenBlock, args: &Args<'_>) -> Result<(), Fault> {
    let word = args.first();
    let address = args.text(&word)?;
    let bad_address =
        |malformed| Fault::own(ListenMistake::Address { malformed, address: address.to_owned() }, args.at());
    let listening = Listening::parse(address).map_err(bad_address)?;
    let endpoints = listening.endpoints(|name| args.resolve(name)).map_err(bad_address)?;
    let port = listening.first_port();
    block.protocol = block.protocol.or_else(|| port.and_then(protocol_of_port));
    let parameters = Parameters::parse(args)?;
    if parameters.ssl {
        block.ssl = Some(args.at().clone());
    }
    for endpoint in endpoints {
        if !block.taken.insert(endpoint.clone()) {
            let shown = match endpoint {
                Endpoint::Tcp(addr) => addr.to_string(),
                Endpoint::Unix(_) => address.to_owned(),
            };
            return Err(Fault::own(ListenMistake::Duplicate(shown), args.at()));
        }
        let parameters = parameters.clone();
        block.sockets.push(Written { endpoint, server: block.server, parameters });
    }
    if port.is_none() && matches!(listening, Listening::Tcp { .. }) {
        args.warn(Notice::own(NoPort(address.to_owned())));
    }
    Ok(())
}

/// Everything behind the address.
#[derive(Debug, Clone, Default)]
struct Parameters {
    options: SocketOptions,
    bind: bool,
    ssl: bool,
    proxy_protocol: bool,
}

impl Parameters {
    fn parse(args: &Args<'_>) -> Result<Self, Fault> {
        let mut parameters = Self::default();
        for word in args.words().iter().skip(1) {
            parameters.set(word, args)?;
        }
        Ok(parameters)
    }

    /// Whether the address has a socket of its own even beside a wildcard.
    fn binds(&self) -> bool {
        self.bind || self.options != SocketOptions::default()
    }

    fn set(&mut self, word: &Word, args: &Args<'_>) -> Result<(), Fault> {
        let text = args.text(word)?;
        let (name, value) = text.split_once('=').map_or((text, None), |(name, value)| (name, Some(value)));
        let options = &mut self.options;
        let wrong = |mistake| Fault::own(mistake, args.at());
        match (name, value) {
            ("bind", None) => self.bind = true,
            ("reuseport", None) => options.reuseport = true,
            ("multipath", None) => options.multipath = true,
            ("ssl", None) => self.ssl = true,
            ("proxy_protocol", None) => self.proxy_protocol = true,
            ("backlog", Some(value)) => {
                let backlog = parse_backlog(value);
                options.backlog = Some(backlog.ok_or_else(|| wrong(ListenMistake::Backlog(word.clone())))?);
            }
            ("rcvbuf", Some(value)) => {
                let size = parse_size(value);
                options.rcvbuf = Some(size.ok_or_else(|| wrong(ListenMistake::Rcvbuf(word.clone())))?);
            }
            ("sndbuf", Some(value)) => {
                let size = parse_size(value);
                options.sndbuf = Some(size.ok_or_else(|| wrong(ListenMistake::Sndbuf(word.clone())))?);
            }
            ("ipv6only", Some("on")) => options.ipv6only = Some(true),
            ("ipv6only", Some("off")) => options.ipv6only = Some(false),
            // The originals look at the first letter before they look at the word.
            ("ipv6only", Some(flags)) if flags.starts_with('o') => {
                return Err(wrong(ListenMistake::Ipv6only(flags.to_owned())));
            }
            ("so_keepalive", Some(value)) => {
                let keepalive = Keepalive::parse(value);
                let invalid = || wrong(ListenMistake::Keepalive(value.to_owned()));
                options.keepalive = Some(keepalive.ok_or_else(invalid)?);
            }
            _ => return Err(args.fault(Mistake::InvalidParameter(word.clone()))),
        }
        Ok(())
    }
}

fn parse_backlog(text: &str) -> Option<i32> {
    value::number(text.as_bytes()).and_then(|n| i32::try_from(n).ok()).filter(|n| *n > 0)
}

/// A size that the system can be told: it takes an int.
fn parse_size(text: &str) -> Option<usize> {
    value::size(text.as_bytes())
        .filter(|size| i32::try_from(*size).is_ok())
        .and_then(|size| size.try_into().ok())
}

impl Keepalive {
    /// `on`, `off` or `IDLE:INTERVAL:COUNT`, of which parts may be empty, but not all.
    fn parse(text: &str) -> Option<Self> {
        match text {
            "off" => return Some(Self::Off),
            "on" => return Some(Self::On { idle: None, interval: None, count: None }),
            _ => {}
        }
        let mut parts = text.split(':');
        let idle = parse_seconds(parts.next()?)?;
        let interval = parse_seconds(parts.next().unwrap_or_default())?;
        let count = match parts.next().unwrap_or_default() {
            "" => 0,
            count => u32::try_from(value::number(count.as_bytes())?).ok()?,
        };
        let nothing = idle.is_zero() && interval.is_zero() && count == 0;
        let set = |time: Duration| Some(time).filter(|time| !time.is_zero());
        (parts.next().is_none() && !nothing).then_some(Self::On {
            idle: set(idle),
            interval: set(interval),
            count: Some(count).filter(|count| *count > 0),
        })
    }
}

/// Empty is zero, and zero leaves the system's own.
fn parse_seconds(text: &str) -> Option<Duration> {
    if text.is_empty() { Some(Duration::ZERO) } else { value::seconds(text.as_bytes()) }
}

impl ListenBlock {
    /// The next `listen` is of the server with this index.
    pub(super) fn begin(&mut self, server: usize) {
        self.server = server;
        self.protocol = None;
        self.ssl = None;
    }

    /// Whether the server that is being read listens anywhere.
    pub(super) fn listens(&self) -> bool {
        self.sockets.last().is_some_and(|socket| socket.server == self.server)
    }

    /// The sockets to open: addresses beside a wildcard of their port and family are served by the wildcard's
    /// socket, unless they are to have their own.
    pub fn resolve(&self) -> Vec<Listen> {
        let wildcards: HashSet<_> =
            self.sockets.iter().filter_map(|socket| wildcard(&socket.endpoint)).collect();
        let shares = |socket: &&Written| {
            let family = family(&socket.endpoint);
            !socket.parameters.binds()
                && wildcard(&socket.endpoint).is_none()
                && family.is_some_and(|family| wildcards.contains(&family))
        };
        let (guests, own): (Vec<_>, Vec<_>) = self.sockets.iter().partition(shares);
        let mut listens: Vec<Listen> = own.into_iter().map(Written::open).collect();
        let by_family: HashMap<_, _> =
            listens.iter().enumerate().filter_map(|(at, l)| Some((wildcard(&l.endpoint)?, at))).collect();
        for socket in guests {
            let at = family(&socket.endpoint).and_then(|family| by_family.get(&family));
            if let (Some(at), Endpoint::Tcp(addr)) = (at, &socket.endpoint) {
                listens[*at].exact.push((*addr, socket.door()));
            }
        }
        listens
    }
}

impl Written {
    fn open(&self) -> Listen {
        Listen {
            endpoint: self.endpoint.clone(),
            door: self.door(),
            exact: Vec::new(),
            options: self.parameters.options.clone(),
        }
    }

    const fn door(&self) -> Door {
        let Parameters { ssl, proxy_protocol, .. } = self.parameters;
        Door { server: self.server, ssl, proxy_protocol }
    }
}

/// Family and port: what a wildcard covers. A port that the system chooses is covered by none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Family {
    ipv6: bool,
    port: u16,
}

fn family(endpoint: &Endpoint) -> Option<Family> {
    match endpoint {
        Endpoint::Tcp(addr) if addr.port() != 0 => Some(Family { ipv6: addr.is_ipv6(), port: addr.port() }),
        _ => None,
    }
}

/// What `endpoint` covers, if it is a wildcard.
fn wildcard(endpoint: &Endpoint) -> Option<Family> {
    match endpoint {
        Endpoint::Tcp(addr) if addr.ip().is_unspecified() => family(endpoint),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keepalive_numbers_may_be_missing_but_not_all() {
        let secs = |n| Some(Duration::from_secs(n));
        let on = |idle, interval, count| Some(Keepalive::On { idle, interval, count });
        for (text, expected) in [
            ("on", on(None, None, None)),
            ("off", Some(Keepalive::Off)),
            ("30m::10", on(secs(1800), None, Some(10))),
            ("30", on(secs(30), None, None)),
            (":5", on(None, secs(5), None)),
            ("::3", on(None, None, Some(3))),
            ("1:2:3", on(secs(1), secs(2), Some(3))),
            ("0:2", on(None, secs(2), None)),
            ("", None),
            ("::", None),
            ("0:0:0", None),
            ("ON", None),
            ("1:2:3:4", None),
            ("1ms", None),
            ("::x", None),
        ] {
            assert_eq!(Keepalive::parse(text), expected, "{text}");
        }
    }
}
