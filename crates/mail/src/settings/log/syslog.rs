//! `syslog:` as the destination of an `error_log`.

use std::net::SocketAddr;

use conf::{Args, Fault};

use super::Level;
use crate::address::Endpoint;
use crate::address::written::{self, Host, Malformed};

/// The port of syslog over UDP (RFC 5426, section 3.3).
const PORT: u16 = 514;

/// The longest tag (RFC 3164, section 4.1.3).
const LONGEST_TAG: usize = 32;

/// A syslog server, and how datagrams to it begin.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SyslogServer {
    /// UDP, or a unix datagram socket.
    pub endpoint: Endpoint,
    /// The number of the facility.
    pub facility: u8,
    /// What stands before the colon.
    pub tag: String,
    /// The name of the machine; `None` with `nohostname`.
    pub host: Option<String>,
}

/// The same as written, with the address resolved.
#[derive(Debug)]
pub(super) struct Written {
    server: Endpoint,
    facility: u8,
    tag: Option<String>,
    nohostname: bool,
}

/// Its parameters as far as they have been read.
#[derive(Debug, Default)]
struct Parameters {
    server: Option<Endpoint>,
    facility: Option<u8>,
    severity: Option<Level>,
    tag: Option<String>,
    nohostname: bool,
}

/// What can be wrong with it.
#[derive(Debug, thiserror::Error)]
enum SyslogMistake {
    #[error("no syslog server specified")]
    NoServer,
    #[error("duplicate syslog \"{0}\"")]
    Duplicate(&'static str),
    #[error("{reason} in syslog server \"{server}\"")]
    Server { reason: Malformed, server: String },
    #[error("unknown syslog facility \"{0}\"")]
    Facility(String),
    #[error("unknown syslog severity \"{0}\"")]
    Severity(String),
    #[error("syslog tag length exceeds 32")]
    LongTag,
    #[error("syslog \"tag\" only allows alphanumeric characters and underscore")]
    Tag,
    #[error("unknown syslog parameter \"{0}\"")]
    Unknown(String),
}

/// In the order of their numbers (RFC 3164, section 4.1.1; the names are those of syslog.h, and of the originals).
const FACILITIES: [&str; 24] = [
    "kern", "user", "mail", "daemon", "auth", "intern", "lpr", "news", "uucp", "clock", "authpriv", "ftp",
    "ntp", "audit", "alert", "cron", "local0", "local1", "local2", "local3", "local4", "local5", "local6",
    "local7",
];

/// `local7`.
const DEFAULT_FACILITY: u8 = 23;

/// Reads what follows `syslog:`; a name of a server is looked up at once.
pub(super) fn parse(args: &Args<'_>, text: &str) -> Result<Written, Fault> {
    let wrong = |mistake| Fault::own(mistake, args.at());
    let mut read = Parameters::default();
    for parameter in text.split(',') {
        read.add(parameter, args).map_err(wrong)?;
    }
    let Parameters { server, facility, tag, nohostname, severity: _ } = read;
    let server = server.ok_or_else(|| wrong(SyslogMistake::NoServer))?;
    Ok(Written { server, facility: facility.unwrap_or(DEFAULT_FACILITY), tag, nohostname })
}

impl Written {
    /// With what was left out filled in: the tag is that of `product`.
    pub(super) fn resolve(&self, product: &str, host: &str) -> SyslogServer {
        SyslogServer {
            endpoint: self.server.clone(),
            facility: self.facility,
            tag: self.tag.clone().unwrap_or_else(|| product.to_owned()),
            host: (!self.nohostname).then(|| host.to_ascii_lowercase()),
        }
    }
}

impl Parameters {
    fn add(&mut self, parameter: &str, args: &Args<'_>) -> Result<(), SyslogMistake> {
        match parameter.split_once('=') {
            Some(("server", server)) => set(&mut self.server, "server", || resolve(server, args)),
            Some(("facility", name)) => set(&mut self.facility, "facility", || facility(name)),
            // Checked only: a line has its own level.
            Some(("severity", name)) => set(&mut self.severity, "severity", || severity(name)),
            Some(("tag", written)) => set(&mut self.tag, "tag", || tag(written)),
            None if parameter == "nohostname" => {
                self.nohostname = true;
                Ok(())
            }
            _ => Err(SyslogMistake::Unknown(parameter.to_owned())),
        }
    }
}

fn set<T>(
    place: &mut Option<T>,
    name: &'static str,
    parse: impl FnOnce() -> Result<T, SyslogMistake>,
) -> Result<(), SyslogMistake> {
    if place.is_some() {
        return Err(SyslogMistake::Duplicate(name));
    }
    *place = Some(parse()?);
    Ok(())
}

/// The first address of `server`.
fn resolve(server: &str, args: &Args<'_>) -> Result<Endpoint, SyslogMistake> {
    let wrong = |reason| SyslogMistake::Server { reason, server: server.to_owned() };
    if let Some(path) = written::strip_unix(server) {
        return written::check_path(path).map(Endpoint::Unix).map_err(wrong);
    }
    let (host, port) = written::split_port(server).map_err(wrong)?;
    let port = port.map_or(Ok(PORT), written::parse_port).map_err(wrong)?;
    let ip = match Host::parse(host).map_err(wrong)? {
        Host::Ip(ip) => ip,
        Host::Name(name) => {
            let found = args.resolve(&name).unwrap_or_default();
            found.into_iter().next().ok_or_else(|| wrong(Malformed::NotFound))?
        }
    };
    Ok(Endpoint::Tcp(SocketAddr::new(ip, port)))
}

fn facility(name: &str) -> Result<u8, SyslogMistake> {
    let found = (0..).zip(FACILITIES).find(|(_, known)| *known == name);
    found.map(|(number, _)| number).ok_or_else(|| SyslogMistake::Facility(name.to_owned()))
}

fn severity(name: &str) -> Result<Level, SyslogMistake> {
    let found = Level::ALL.into_iter().find(|level| level.name() == name);
    found.ok_or_else(|| SyslogMistake::Severity(name.to_owned()))
}

fn tag(written: &str) -> Result<String, SyslogMistake> {
    if written.len() > LONGEST_TAG {
        return Err(SyslogMistake::LongTag);
    }
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    if written.bytes().all(allowed) { Ok(written.to_owned()) } else { Err(SyslogMistake::Tag) }
}
