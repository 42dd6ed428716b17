//! From a checked configuration to everything that serving needs: logs, sockets, limits, authorities.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use mail::auth::resolve::{CachedResolver, SystemResolver};
use mail::auth::users::Pool;
use mail::dns::Zones;
use mail::event::Errno;
use mail::flavour::Flavour;
use mail::generation::{BuildError, Generation, Makings};
use mail::listener::{Bound, OpenError};
use mail::log::Log;
use mail::settings::log::Level;
use mail::settings::{Core, ErrorLog, Listen, Mail};
use mail::tls::Lasting;
use nix::errno::Errno as SystemErrno;
use nix::sys::resource::{Resource, setrlimit};
use nix::unistd::{initgroups, setgid, setuid};
use tokio::time::sleep;

use crate::console::Console;
use crate::logs::{self, Logs};
use crate::settings::{Account, Process};

/// How often a socket is tried to be bound, and how long to wait in between (as the originals).
const TRIES: usize = 5;
const PAUSE: Duration = Duration::from_millis(500);

/// Why the program does not start although its configuration is right.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StartError {
    /// A log cannot be opened.
    #[error(transparent)]
    Log(#[from] logs::OpenError),
    /// A socket cannot be opened.
    #[error(transparent)]
    Listen(#[from] OpenError),
    /// Somebody else has an address, and keeps it.
    #[error("still could not bind()")]
    StillInUse,
    /// A users file or an auth server cannot be used.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// The threads that verify passwords do not start.
    #[error("starting threads failed")]
    Threads(#[source] io::Error),
    /// A system call failed.
    #[error("{call} failed")]
    Call {
        /// Which.
        call: String,
        /// The system's reason.
        source: io::Error,
    },
}

impl StartError {
    /// A failed call, by name.
    pub(crate) fn call<E: Into<io::Error>>(call: impl Into<String>) -> impl FnOnce(E) -> Self {
        let call = call.into();
        move |source| Self::Call { call, source: source.into() }
    }
}

/// The error with the system's reason, as log lines show it.
pub(crate) struct Reason<'a>(pub(crate) &'a (dyn std::error::Error + 'static));

impl fmt::Display for Reason<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let source = self.0.source().and_then(|source| source.downcast_ref::<io::Error>());
        write!(f, "{}{}", self.0, Errno(source.and_then(io::Error::raw_os_error)))
    }
}

/// All logs of a configuration, opened.
pub(crate) struct OpenLogs {
    /// For USR1.
    pub(crate) logs: Logs,
    /// The log of the main context.
    pub(crate) main: Arc<Log>,
    /// Those of the servers, in their order.
    pub(crate) servers: Vec<Arc<Log>>,
}

impl OpenLogs {
    /// Opens every log; a server without any of its own uses that of the main context.
    pub(crate) fn open(process: &Process, mail: &Mail) -> Result<Self, logs::OpenError> {
        let mut logs = Logs::default();
        let outer = logs.open(&process.error_logs)?;
        let mut server = |core: &Core| -> Result<Arc<Log>, logs::OpenError> {
            let own = match core.error_logs.as_slice() {
                [] => outer.clone(),
                own => logs.open(own)?,
            };
            Ok(Arc::new(own.tagged(Arc::clone(&core.log_tags))))
        };
        let servers = mail.servers.iter().map(|it| server(&it.core)).collect::<Result<_, _>>()?;
        let opened = Self { logs, main: Arc::new(outer), servers };
        opened.logs.complain_to(&opened.main);
        Ok(opened)
    }
}

/// What all generations of this process are made with.
pub(crate) fn makings(flavour: Flavour) -> io::Result<Makings> {
    Ok(Makings {
        flavour,
        resolver: Arc::new(CachedResolver::new(SystemResolver)),
        zones: Zones::default(),
        lasting: Lasting::new(),
        verifiers: Arc::new(Pool::with_all_cores()?),
    })
}

/// Puts the servers to work, with what looks wrong in users files said on `console`.
pub(crate) fn build(
    mail: &Mail,
    logs: &OpenLogs,
    makings: &Makings,
    console: &Console,
) -> Result<Generation, BuildError> {
    let mut servers = logs.servers.iter();
    let log = |_: &[ErrorLog]| servers.next().map_or_else(|| Arc::clone(&logs.main), Arc::clone);
    Generation::build(&mail.servers, makings, log, |warning| console.say(Level::Warn, warning))
}

/// Opens all listening sockets; an address in use is tried again for two seconds (as the originals).
pub(crate) async fn listen(
    listens: &[Listen],
    threads: usize,
    console: &Console,
) -> Result<Vec<Bound>, StartError> {
    let listens: Vec<_> = listens.iter().cloned().map(Arc::new).collect();
    let mut bound: Vec<Option<Bound>> = listens.iter().map(|_| None).collect();
    for attempt in 1..=TRIES {
        let mut in_use = false;
        for (listen, place) in listens.iter().zip(&mut bound).filter(|(_, place)| place.is_none()) {
            match Bound::open(Arc::clone(listen), threads) {
                Ok(socket) => *place = Some(socket),
                Err(error) if error.source.raw_os_error() == Some(SystemErrno::EADDRINUSE as i32) => {
                    console.say(Level::Emerg, Reason(&error));
                    in_use = true;
                }
                Err(error) => return Err(error.into()),
            }
        }
        if !in_use {
            return Ok(bound.into_iter().flatten().collect());
        }
        if attempt < TRIES {
            console.say(Level::Notice, "try again to bind() after 500ms");
            sleep(PAUSE).await;
        }
    }
    Err(StartError::StillInUse)
}

/// Sets the limits of this process. What the system does not allow is said, and no reason to stay away.
pub(crate) fn limit(process: &Process, log: &Log) {
    let limits = [
        (Resource::RLIMIT_NOFILE, "RLIMIT_NOFILE", process.rlimit_nofile),
        (Resource::RLIMIT_CORE, "RLIMIT_CORE", process.rlimit_core),
    ];
    for (resource, name, limit) in limits {
        let Some(limit) = limit else { continue };
        if let Err(error) = setrlimit(resource, limit, limit) {
            let message = format_args!("setrlimit({name}, {limit}) failed");
            log.failure(Level::Alert, message, Some(error as i32));
        }
    }
}

/// Becomes `account`, in all threads and for good: the groups first, since a user without privileges cannot.
pub(crate) fn become_user(account: &Account) -> Result<(), StartError> {
    let Account { name, uid, gid } = account;
    let c_name = std::ffi::CString::new(name.as_str()).unwrap_or_default();
    setgid(*gid).map_err(StartError::call(format!("setgid({gid})")))?;
    initgroups(&c_name, *gid).map_err(StartError::call(format!("initgroups({name}, {gid})")))?;
    setuid(*uid).map_err(StartError::call(format!("setuid({uid})")))
}
