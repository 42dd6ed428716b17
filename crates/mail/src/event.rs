//! What can happen, in the originals' words.
//!
//! Code says what happened; this file alone knows wording and level. Nothing secret has a place in an event.

use std::net::IpAddr;
use std::time::Duration;
use std::{fmt, io};

use proto::{Mechanism, Method, Snub, Violation};

use crate::address::Target;
use crate::auth::{Failure, Remark};
use crate::dns::{self, Nameless};
use crate::limit::Limited;
use crate::listener;
use crate::log::{Context, Escaped, Field, Log, Record};
use crate::settings::Listen;
use crate::settings::log::Level;
use crate::teller::Action;
use crate::trouble::{self, Trouble, UpstreamTrouble};

/// Something that happened to a session.
#[derive(Debug)]
pub enum Event<'a> {
    /// A client connected.
    Connected,
    /// DNS did not tell who it is.
    Nameless {
        /// Its address.
        ip: IpAddr,
        /// Why.
        why: &'a Nameless,
    },
    /// It broke a rule.
    Violation(&'a Violation),
    /// The authority refused it.
    LoginDenied {
        /// In these words.
        text: &'a [u8],
    },
    /// Its network is suspected of guessing, and waits for the answer.
    HeldBack(Duration),
    /// The authority could not be asked.
    AuthFailed(&'a Failure),
    /// The authority's answer deserves a look.
    AuthRemark(&'a Remark),
    /// There are more connections like it than there may be, and it goes on all the same.
    Limited(&'a Limited),
    /// A proxy says that it has passed as many proxies as it may.
    TooManyHops,
    /// The upstream did not want to hear who it is.
    Snubbed(Snub),
    /// The upstream accepted it.
    LoggedIn,
    /// It ended well.
    Done,
    /// It ended otherwise, or is about to.
    Trouble(&'a Trouble),
    /// It goes its way.
    Step(Step<'a>),
}

/// A step of a session, for those who look for a fault. Said at level debug.
#[derive(Debug, Clone, Copy)]
pub enum Step<'a> {
    /// It does something else from now on.
    Begins(Action),
    /// The authority is asked about a login.
    Asks(Method),
    /// The authority has let it in.
    Granted {
        /// To this upstream.
        target: &'a Target,
    },
}

impl Event<'_> {
    /// How severe it is; `None`: not worth a line.
    pub fn level(&self) -> Option<Level> {
        match self {
            Self::Connected | Self::LoginDenied { .. } | Self::HeldBack(_) | Self::LoggedIn | Self::Done => {
                Some(Level::Info)
            }
            Self::Violation(_) => Some(trouble::VIOLATION_LEVEL),
            Self::Nameless { why, .. } => nameless_level(why),
            Self::AuthRemark(_) | Self::Snubbed(_) => Some(Level::Warn),
            Self::AuthFailed(_) | Self::TooManyHops => Some(Level::Error),
            Self::Limited(limited) => Some(limited.level),
            Self::Trouble(trouble) => trouble.level(),
            Self::Step(_) => Some(Level::Debug),
        }
    }

    /// The system error that belongs to it.
    pub fn errno(&self) -> Option<i32> {
        match self {
            Self::Trouble(trouble) => trouble.errno(),
            Self::AuthFailed(failure) => match failure {
                Failure::TimedOut { .. } => Some(nix::libc::ETIMEDOUT),
                Failure::Connect { source, .. }
                | Failure::Resolve { source, .. }
                | Failure::Broken { source, .. } => source.raw_os_error(),
                _ => None,
            },
            _ => None,
        }
    }
}

/// The message alone.
impl fmt::Display for Event<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connected => f.write_str("client connected"),
            Self::Nameless { ip, why } => write_nameless(*ip, why, f),
            Self::Violation(violation) => write_violation(violation, f),
            Self::LoginDenied { text } => write!(f, "client login failed: \"{}\"", Escaped(text)),
            Self::HeldBack(wait) => {
                write!(
                    f,
                    "answer to login is held back for {}s: failed logins in this network",
                    wait.as_secs()
                )
            }
            Self::AuthFailed(failure) => write!(f, "{failure}"),
            Self::AuthRemark(Remark::NoStatus { server }) => {
                write!(f, "auth http server {server} did not send Auth-Status, taken for OK")
            }
            Self::AuthRemark(Remark::ServerRests { server, failure }) => {
                write!(f, "auth http server {server} is not asked for 10s: {failure}")
            }
            Self::Limited(limited) => write!(f, "{limited}"),
            Self::TooManyHops => f.write_str("client has passed too many proxies, they seem to loop"),
            Self::Snubbed(snub) => f.write_str(snub_text(*snub)),
            Self::LoggedIn => f.write_str("client logged in"),
            Self::Done => f.write_str("proxied session done"),
            Self::Trouble(trouble) => write_trouble(trouble, f),
            Self::Step(step) => write_step(step, f),
        }
    }
}

fn write_step(step: &Step<'_>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match step {
        Step::Begins(action) => write!(f, "state: {}", action.text()),
        Step::Asks(method) => write!(f, "asking about a login, method {}", method.name()),
        Step::Granted { target } => write!(f, "login granted, upstream {target}"),
    }
}

/// That an address has no name, or a name no address, is what DNS is asked for and nothing to complain about.
fn nameless_level(why: &Nameless) -> Option<Level> {
    match why {
        Nameless::Unresolved(failure) | Nameless::NameUnresolved { failure, .. } => {
            (*failure != dns::Failure::NotFound).then_some(Level::Error)
        }
        Nameless::Invalid(_) => Some(Level::Error),
        Nameless::NoResolver | Nameless::UnixSocket | Nameless::Unconfirmed(_) => None,
    }
}

fn write_nameless(ip: IpAddr, why: &Nameless, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match why {
        Nameless::Unresolved(failure) => {
            write!(f, "{ip} could not be resolved ({}: {failure})", failure.code())
        }
        Nameless::NameUnresolved { name, failure } => {
            write!(f, "\"{name}\" could not be resolved ({}: {failure})", failure.code())
        }
        Nameless::Invalid(name) => {
            write!(f, "{ip} resolved to invalid host name \"{}\"", Escaped(&name.0))
        }
        Nameless::NoResolver | Nameless::UnixSocket | Nameless::Unconfirmed(_) => Ok(()),
    }
}

/// What is refused there, and what most likely has to be changed.
const fn snub_text(snub: Snub) -> &'static str {
    match snub {
        Snub::Xclient => {
            "upstream refused XCLIENT, which it did not announce: allow it there or set \"xclient off\""
        }
        Snub::Pop3Xclient => {
            "upstream refused XCLIENT and is not told who the client is: trust this proxy there or set \
             \"proxy_pop3_xclient off\""
        }
        Snub::ImapId => {
            "upstream refused ID and is not told who the client is: allow it there or set \"proxy_imap_id off\""
        }
    }
}

fn write_violation(violation: &Violation, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    if let Some((what, mechanism)) = trouble::sasl_fault(violation) {
        return write!(f, "client sent invalid {what} in AUTH {} command", mechanism_name(mechanism));
    }
    match violation {
        Violation::TooLong { seen, start } => {
            write!(f, "client sent too long command \"{}...\", {seen} bytes", Escaped(start))
        }
        Violation::TooManyErrors => f.write_str("client sent too many invalid commands"),
        Violation::TooManyCommands => f.write_str("client sent too many commands"),
        Violation::Unauthenticated(said) => write!(f, "client was rejected: \"{}\"", Flat(said)),
        _ => Ok(()),
    }
}

fn write_trouble(trouble: &Trouble, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match trouble {
        Trouble::EarlyTalker { said } => write!(f, "{trouble}: \"{}\"", Flat(said)),
        Trouble::Upstream(
            UpstreamTrouble::TooLong { reply }
            | UpstreamTrouble::NoTls { reply }
            | UpstreamTrouble::Refused { reply, .. },
        ) => {
            write!(f, "{trouble}: \"{}\"", Escaped(reply))
        }
        _ => write!(f, "{trouble}"),
    }
}

/// What a client said, on one line: CR and LF become `_`, as the originals show it.
struct Flat<'a>(&'a [u8]);

impl fmt::Display for Flat<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let flat: Vec<u8> =
            self.0.iter().map(|&b| if matches!(b, b'\r' | b'\n') { b'_' } else { b }).collect();
        fmt::Display::fmt(&Escaped(&flat), f)
    }
}

const fn mechanism_name(mechanism: Mechanism) -> &'static str {
    match mechanism {
        Mechanism::Plain => "PLAIN",
        Mechanism::Login => "LOGIN",
        Mechanism::Apop => "APOP",
        Mechanism::CramMd5 => "CRAM-MD5",
        Mechanism::External => "EXTERNAL",
        Mechanism::Xoauth2 => "XOAUTH2",
        Mechanism::Oauthbearer => "OAUTHBEARER",
        Mechanism::None => "NONE",
    }
}

/// Something that happened outside any session.
#[derive(Debug)]
pub enum ProcessEvent<'a> {
    /// A client could not be accepted.
    AcceptFailed {
        /// The system's reason.
        error: &'a io::Error,
        /// The listening socket.
        listen: &'a Listen,
    },
    /// All connection slots are taken; a client was turned away.
    NoSlot {
        /// How many there are.
        limit: usize,
    },
}

impl ProcessEvent<'_> {
    /// Writes it to `log`.
    pub fn tell(&self, log: &Log) {
        let level = self.level();
        match self {
            Self::AcceptFailed { error, listen } => {
                let fields = [Field::ListenAddr(&listen.endpoint)];
                let context =
                    Context { subsystem: None, action: "accepting new connection", fields: &fields };
                let errno = error.raw_os_error();
                log.record(&Record { errno, context, ..Record::new(level, &"accept4() failed") });
            }
            Self::NoSlot { limit } => {
                log.line(level, None, format_args!("{limit} worker_connections are not enough"));
            }
        }
    }

    fn level(&self) -> Level {
        match self {
            Self::AcceptFailed { error, .. } if listener::is_shortage(error) => Level::Crit,
            Self::AcceptFailed { error, .. } if error.kind() == io::ErrorKind::ConnectionAborted => {
                Level::Error
            }
            Self::AcceptFailed { .. } | Self::NoSlot { .. } => Level::Alert,
        }
    }
}

/// A system error behind a message: ` (110: Connection timed out)`, or nothing.
pub struct Errno(pub Option<i32>);

impl fmt::Display for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(errno) => write!(f, " ({errno}: {})", nix::errno::Errno::from_raw(errno).desc()),
            None => Ok(()),
        }
    }
}
