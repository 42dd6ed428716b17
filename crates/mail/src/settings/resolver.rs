//! The resolver: which name servers to ask, and how.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use conf::{Args, Count, Directive, Fault, Notice, Setting, Word, doc, value};

use crate::address::written::{self, Host, Malformed};
use crate::dns::{self, ConfFile, Settings};

/// The port of DNS.
const PORT: u16 = 53;

/// What `conf` without a path means.
const RESOLV_CONF: &str = "/etc/resolv.conf";

/// How long a look-up may take unless `resolver_timeout` says otherwise.
const TIMEOUT: Duration = Duration::from_secs(30);

/// The resolver as written.
#[derive(Debug, Default)]
pub struct ResolverBlock {
    /// `None`: `off`.
    settings: Setting<Option<Settings>>,
    timeout: Setting<Duration>,
}

/// Directives of the resolver.
pub const RESOLVER: &[Directive<ResolverBlock>] = &[
    Directive::new(
        "resolver",
        Count::AtLeast(1),
        doc(
            "off | [ADDRESS …] [conf[=FILE]] [valid=TIME] [ipv4=on | off] [ipv6=on | off] [status_zone=NAME]",
            "off",
            "Which name servers find the name of an SMTP client, and the addresses of auth servers and \
             upstreams. ADDRESS is `ADDR[:PORT]` or `NAME[:PORT]` (all addresses of the name); IPv6 addresses \
             are in brackets. `conf` adds the name servers of `/etc/resolv.conf` or FILE, where `[ADDR]:PORT` may \
             stand too; a change of the file counts within a second or two. `valid=` replaces the times that answers are valid for, `ipv4=` and `ipv6=` say which addresses are asked for, and \
             `status_zone=` names the counters. With `off` the system resolves names, and SMTP upstreams are \
             told `[UNAVAILABLE]` for the client's. Servers that inherit a resolver share what it knows.",
        ),
        |b, a| b.settings.set(a, settings),
    ),
    Directive::new(
        "resolver_timeout",
        Count::Exactly(1),
        doc("TIME", "30s", "How long a look-up of `resolver` may take. `0`: as long as it takes."),
        |b, a| b.timeout.set(a, Args::msec),
    ),
];

/// What is wrong with a `resolver`.
#[derive(Debug, thiserror::Error)]
enum ResolverMistake {
    #[error("{malformed} in resolver \"{address}\"")]
    Address { malformed: Malformed, address: String },
    #[error("invalid parameter: {0}")]
    Parameter(Word),
    #[error("\"ipv4\" and \"ipv6\" cannot both be \"off\"")]
    NoFamily,
    #[error("no name servers defined")]
    NoServers,
}

/// `off`, after which everything is ignored (as in the originals), or the servers and their parameters in any order.
fn settings(args: &Args<'_>) -> Result<Option<Settings>, Fault> {
    if args.first() == "off" {
        return Ok(None);
    }
    let mut written = Written::new();
    for word in args.words() {
        written.add(word, args)?;
    }
    let Written { settings, names_servers } = written;
    if !settings.ipv4 && !settings.ipv6 {
        return Err(Fault::own(ResolverMistake::NoFamily, args.at()));
    }
    if !names_servers {
        return Err(Fault::own(ResolverMistake::NoServers, args.at()));
    }
    Ok(Some(settings))
}

/// A `resolver` as far as it has been read.
struct Written {
    settings: Settings,
    /// An address or `conf` was among the words.
    names_servers: bool,
}

impl Written {
    const fn new() -> Self {
        let settings = Settings {
            servers: Vec::new(),
            conf: Vec::new(),
            valid: None,
            ipv4: true,
            ipv6: true,
            timeout: Some(TIMEOUT),
            status_zone: None,
        };
        Self { settings, names_servers: false }
    }

    fn add(&mut self, word: &Word, args: &Args<'_>) -> Result<(), Fault> {
        let text = args.text(word)?;
        let invalid = || Fault::own(ResolverMistake::Parameter(word.clone()), args.at());
        let settings = &mut self.settings;
        match text.split_once('=') {
            Some(("valid", time)) => {
                let time = value::seconds(time.as_bytes()).ok_or_else(invalid)?;
                settings.valid = Some(time).filter(|time| !time.is_zero());
            }
            Some(("ipv4", flag)) => settings.ipv4 = parse_flag(flag).ok_or_else(invalid)?,
            Some(("ipv6", flag)) => settings.ipv6 = parse_flag(flag).ok_or_else(invalid)?,
            Some(("status_zone" | "conf", "")) => return Err(invalid()),
            Some(("status_zone", zone)) => settings.status_zone = Some(zone.to_owned()),
            Some(("conf", path)) => self.conf(path, args),
            None if text == "conf" => self.conf(RESOLV_CONF, args),
            _ => {
                let address = |malformed| ResolverMistake::Address { malformed, address: text.to_owned() };
                let found = addresses(text, args).map_err(|m| Fault::own(address(m), args.at()))?;
                settings.servers.extend(found);
                self.names_servers = true;
            }
        }
        Ok(())
    }

    /// The name servers of a file. A file that does not do is not a fault (as in the originals): it may change.
    fn conf(&mut self, path: &str, args: &Args<'_>) {
        self.names_servers = true;
        let servers = match args.read(Path::new(path)) {
            Ok(contents) => {
                let (servers, faults) = dns::name_servers(path, &contents);
                for fault in faults {
                    args.warn(Notice::own(fault));
                }
                servers
            }
            Err(fault) => {
                args.warn(Notice::own(fault.mistake));
                Vec::new()
            }
        };
        self.settings.conf.push(ConfFile { path: path.to_owned(), servers });
    }
}

/// `on` or `off`, in lower case only (as in the originals).
fn parse_flag(text: &str) -> Option<bool> {
    match text {
        "on" => Some(true),
        "off" => Some(false),
        _ => None,
    }
}

fn addresses(text: &str, args: &Args<'_>) -> Result<Vec<SocketAddr>, Malformed> {
    if text.contains(['/', '?']) || written::strip_unix(text).is_some() {
        return Err(Malformed::Host);
    }
    let (host, port) = written::split_port(text)?;
    let port = port.map_or(Ok(PORT), written::parse_port)?;
    let addrs: Vec<IpAddr> = match Host::parse(host)? {
        Host::Ip(ip) => vec![ip],
        Host::Name(name) => args.resolve(&name).map_err(|_| Malformed::NotFound)?,
    };
    if addrs.is_empty() {
        return Err(Malformed::NotFound);
    }
    Ok(addrs.into_iter().map(|ip| SocketAddr::new(ip, port)).collect())
}

/// The resolver of what `mail` says, for all servers that inherit it as it is.
pub fn shared(mail: &ResolverBlock) -> Option<Arc<Settings>> {
    settle(mail, mail).map(Arc::new)
}

/// The resolver of a server. One that is inherited is the same value for all, since they share what it knows; one with
/// a `resolver_timeout` of the server's own is not.
pub fn resolve(
    server: &ResolverBlock,
    mail: &ResolverBlock,
    shared: Option<&Arc<Settings>>,
) -> Option<Arc<Settings>> {
    let settings = settle(server, mail)?;
    let inherited = shared.filter(|shared| server.settings.value().is_none() && ***shared == settings);
    Some(inherited.map_or_else(|| Arc::new(settings), Arc::clone))
}

fn settle(server: &ResolverBlock, mail: &ResolverBlock) -> Option<Settings> {
    let written = server.settings.inherit(&mail.settings).value()?.clone()?;
    let timeout = server.timeout.or(&mail.timeout, TIMEOUT);
    Some(Settings { timeout: Some(timeout).filter(|timeout| !timeout.is_zero()), ..written })
}
