//! From a checked configuration to everything that serving needs: logs, sockets, limits, authorities.

use std::fmt;
use std::io;
use std::sync::Arc;

use mail::auth::resolve::{CachedResolver, SystemResolver};
use mail::auth::users::Pool;
use mail::event::Errno;
use mail::files::Files;
use mail::flavour::Flavour;
use mail::generation::{BuildError, Generation, Makings};
use mail::listener::OpenError;
use mail::log::{Log, ServerLog};
use mail::settings::log::Level;
use mail::settings::{Core, ErrorLog, Mail};
use mail::tls::Lasting;
use nix::sys::prctl;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::unistd::{initgroups, setgid, setuid};

use crate::help;
use crate::logs::{self, Logs};
use crate::settings::{Account, Process, Rejected};

/// Takes what is to be said: to the console at a start, to the log later.
pub(crate) type Say<'a> = &'a dyn Fn(Level, &dyn fmt::Display);

/// Why the program does not start although its configuration is right.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StartError {
    /// The configuration is wrong.
    #[error("{}", .0.fault)]
    Rejected(Box<Rejected>),
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
    /// The first worker has said why in the log.
    #[error("the worker process cannot work")]
    Worker,
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
#[derive(Debug)]
pub(crate) struct OpenLogs {
    /// For USR1.
    pub(crate) logs: Logs,
    /// The log of the main context.
    pub(crate) main: Arc<Log>,
    /// Those of the servers, in their order.
    pub(crate) servers: Vec<ServerLog>,
}

impl OpenLogs {
    /// Opens every log; a server without any of its own uses that of the main context.
    pub(crate) fn open(process: &Process, mail: &Mail) -> Result<Self, logs::OpenError> {
        Self::within(Logs::default(), process, mail)
    }

    /// Finds every log in `logs`.
    pub(crate) fn within(mut logs: Logs, process: &Process, mail: &Mail) -> Result<Self, logs::OpenError> {
        let outer = logs.open(&process.error_logs)?;
        let mut server = |core: &Core| -> Result<ServerLog, logs::OpenError> {
            let own = match core.error_logs.as_slice() {
                [] => outer.clone(),
                own => logs.open(own)?,
            };
            let usual = Arc::new(own.tagged(Arc::clone(&core.log_tags)));
            Ok(ServerLog::new(usual, &process.debugged))
        };
        let servers = mail.servers.iter().map(|it| server(&it.core)).collect::<Result<_, _>>()?;
        logs.settle();
        let opened = Self { logs, main: Arc::new(outer), servers };
        opened.logs.complain_to(&opened.main);
        Ok(opened)
    }
}

/// What all generations of this process are made with.
pub(crate) fn makings() -> io::Result<Makings> {
    let resolver = Arc::new(CachedResolver::new(SystemResolver));
    Ok(Makings::new(resolver, Lasting::new(), Arc::new(Pool::with_all_cores()?)))
}

/// Makings for a generation that serves nobody: to see whether it can be made.
pub(crate) fn rehearsal() -> io::Result<Makings> {
    let verifiers = Pool::new(std::num::NonZero::<usize>::MIN)?;
    Ok(Makings::new(Arc::new(SystemResolver), Lasting::new(), Arc::new(verifiers)))
}

/// Puts the servers to work; `warn` hears of what looks wrong in users files.
pub(crate) fn build(
    mail: &Mail,
    logs: &OpenLogs,
    makings: &Makings,
    files: &Files,
    warn: impl Fn(&dyn fmt::Display),
) -> Result<Generation, BuildError> {
    let mut servers = logs.servers.iter();
    let log = |_: &[ErrorLog]| servers.next().cloned().expect("every server has a log");
    Generation::build(&mail.servers, makings, files, log, |warning| warn(warning))
}

/// Sets the limits of this process. What the system does not allow is said, and no reason to stay away.
pub(crate) fn limit(process: &Process, say: Say<'_>) {
    let limits = [
        (Resource::RLIMIT_NOFILE, "RLIMIT_NOFILE", process.rlimit_nofile),
        (Resource::RLIMIT_CORE, "RLIMIT_CORE", process.rlimit_core),
    ];
    for (resource, name, limit) in limits {
        let Some(limit) = limit else { continue };
        if let Err(error) = setrlimit(resource, limit, limit) {
            let reason = Errno(Some(error as i32));
            say(Level::Alert, &format_args!("setrlimit({name}, {limit}) failed{reason}"));
        }
    }
}

/// Lets nobody look into this process, which serves or has what others need for that. A core file has everybody's passwords
/// or keys in it: only those get one who ask for it with `worker_rlimit_core`. To be called once it is the user that it stays.
pub(crate) fn guard_memory(process: &Process, say: Say<'_>) {
    if let Err(error) = prctl::set_dumpable(process.rlimit_core.is_some()) {
        let reason = Errno(Some(error as i32));
        say(Level::Alert, &format_args!("prctl(PR_SET_DUMPABLE) failed{reason}"));
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

/// The lines that tell a start in a log.
pub(crate) fn introduce(logs: &OpenLogs, flavour: Flavour) {
    let notice = |message: &str| logs.main.line(Level::Notice, None, message);
    notice("using the \"epoll\" event method");
    notice(&help::name_and_version(flavour));
    if let Ok(system) = nix::sys::utsname::uname() {
        let name = system.sysname().to_string_lossy();
        notice(&format!("OS: {name} {}", system.release().to_string_lossy()));
    }
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap_or_default();
    notice(&format!("getrlimit(RLIMIT_NOFILE): {soft}:{hard}"));
}
