//! The main context: what the process is told.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use conf::{Args, Block, Count, Directive, Fault, Mistake, Notice, Once, Setting, apply, bind, doc};
use mail::settings::log::{Destination, ErrorLog, Level, LogBlock};
use mail::settings::{MailBlock, Peers, Surroundings};
use nix::unistd::{Gid, Group, Uid, User};

use super::events::{EVENTS, EventsBlock};
use super::worker::{self, Affinity, Sandbox, Variable};
use super::{Machine, Request};
use crate::defaults;

/// The most serving threads, whatever a configuration says: as many as the originals have processes.
const MAX_THREADS: usize = 1024;

/// Default of `worker_connections`.
const CONNECTIONS: u64 = 512;

/// Who serves when a superuser starts the program and `user` does not say.
const NOBODY: &str = "nobody";

/// What the process is told.
#[derive(Debug)]
pub(crate) struct Process {
    /// `daemon`: detach from the terminal.
    pub(crate) daemon: bool,
    /// `pid`: where to write the process's number.
    pub(crate) pid: Option<PathBuf>,
    /// `user`: whom to become; nobody else if not started by a superuser.
    pub(crate) account: Option<Account>,
    /// `worker_processes`: serving threads. 0 serves nobody, as in the originals.
    pub(crate) threads: usize,
    /// `worker_connections`: for each serving thread.
    pub(crate) connections: u64,
    /// `master_process`: whether the worker is a process of its own.
    pub(crate) master: bool,
    /// `sandbox`.
    pub(crate) sandbox: Sandbox,
    /// `worker_cpu_affinity`.
    pub(crate) affinity: Option<Affinity>,
    /// `worker_priority`.
    pub(crate) priority: Option<i32>,
    /// `working_directory`.
    pub(crate) directory: Option<PathBuf>,
    /// `env`.
    pub(crate) environment: Vec<Variable>,
    /// How many processors the machine has.
    pub(crate) processors: usize,
    /// `worker_rlimit_nofile`.
    pub(crate) rlimit_nofile: Option<u64>,
    /// `worker_rlimit_core`, bytes.
    pub(crate) rlimit_core: Option<u64>,
    /// `worker_shutdown_timeout`: how long sessions may go on after a graceful stop; `None`: as long as they like.
    pub(crate) shutdown_timeout: Option<Duration>,
    /// `debug_connection`: whose sessions are told at level debug.
    pub(crate) debugged: Arc<Peers>,
    /// `error_log` of the main context, or its default; never empty.
    pub(crate) error_logs: Vec<ErrorLog>,
}

/// A user of the system, and a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Account {
    /// The user's name, for supplementary groups.
    pub(crate) name: String,
    /// The user.
    pub(crate) uid: Uid,
    /// The group.
    pub(crate) gid: Gid,
}

/// The main context as written.
#[derive(Debug, Default)]
pub(super) struct MainBlock {
    superuser: bool,
    daemon: Setting<bool>,
    threads: Setting<Threads>,
    rlimit_nofile: Setting<u64>,
    rlimit_core: Setting<u64>,
    shutdown_timeout: Setting<Duration>,
    pid: Setting<Option<PathBuf>>,
    user: Setting<Option<Account>>,
    master: Setting<bool>,
    sandbox: Setting<Sandbox>,
    affinity: Setting<Affinity>,
    priority: Setting<i32>,
    directory: Setting<PathBuf>,
    environment: Vec<Variable>,
    ignored: Once,
    pub(super) log: LogBlock,
    pub(super) events: Setting<EventsBlock>,
    pub(super) mail: MailBlock,
}

/// `worker_processes`.
#[derive(Debug, Clone, Copy)]
enum Threads {
    Auto,
    Number(usize),
}

const ONE: Count = Count::Exactly(1);

/// Directives of the main context, without those about logs.
pub(super) const MAIN: &[Directive<MainBlock>] = &[
    Directive::block("events", Count::Exactly(0), doc("{ … }", "", "Connections; needed once."), events),
    Directive::block(
        "mail",
        Count::Exactly(0),
        doc("{ … }", "", "The mail proxy. Several blocks count as one."),
        |b, a, block| b.mail.read(block, a.reading()),
    ),
    Directive::block(
        "http",
        Count::Exactly(0),
        doc("{ … }", "", "Checked for its syntax and skipped with a warning: gatepost proxies mail only."),
        |_, a, block| a.reading().skip(a, block),
    ),
    Directive::block(
        "stream",
        Count::Exactly(0),
        doc("{ … }", "", "Checked for its syntax and skipped with a warning: gatepost proxies mail only."),
        |_, a, block| a.reading().skip(a, block),
    ),
    Directive::new(
        "daemon",
        ONE,
        doc("on | off", "on", "Whether the program detaches from the terminal that started it."),
        |b, a| b.daemon.set(a, Args::flag),
    ),
    Directive::new(
        "pid",
        ONE,
        doc(
            "FILE | off",
            "/run/gatepost.pid",
            "Where the process's number is written, relative to the prefix. `off` or an empty name: \
             nowhere.",
        ),
        |b, a| b.pid.set(a, |a| Ok(pid(a))),
    ),
    Directive::new(
        "user",
        Count::Between(1, 2),
        doc(
            "USER [GROUP]",
            "nobody",
            "Whom the program becomes when a superuser has started it. The group is named like the user \
             unless said.",
        ),
        |b, a| {
            let superuser = b.superuser;
            b.user.set(a, |a| user(a, superuser))
        },
    ),
    Directive::new(
        "worker_processes",
        ONE,
        doc(
            "NUMBER | auto",
            "1",
            "How many threads serve; `auto` is one for each processor. There is one process, so that all \
             threads share caches and limits.",
        ),
        |b, a| b.threads.set(a, threads),
    ),
    Directive::new(
        "worker_rlimit_nofile",
        ONE,
        doc("NUMBER", "", "How many files, connections included, the process may have open."),
        |b, a| b.rlimit_nofile.set(a, Args::number),
    ),
    Directive::new(
        "worker_rlimit_core",
        ONE,
        doc(
            "SIZE",
            "",
            "How large core files of the worker may be. Without it, neither worker nor master leaves any: they have \
             passwords and keys in memory.",
        ),
        |b, a| b.rlimit_core.set(a, Args::offset),
    ),
    Directive::new(
        "worker_shutdown_timeout",
        ONE,
        doc(
            "TIME",
            "0",
            "How long proxied sessions may go on after a graceful stop. `0`: as long as they like.",
        ),
        |b, a| b.shutdown_timeout.set(a, Args::msec),
    ),
    Directive::new(
        "master_process",
        ONE,
        doc(
            "on | off",
            "on",
            "Whether a master process with the privileges of whoever started it opens files and sockets, and a \
             worker process without privileges serves. `off`: one process does all, and cannot be \
             upgraded.",
        ),
        |b, a| b.master.set(a, Args::flag),
    ),
    Directive::new(
        "sandbox",
        ONE,
        doc(
            "on | off | auto",
            "auto",
            "Whether the worker gives up access to files and to most system calls (Landlock, seccomp). `on`: the \
             program does not start if the kernel cannot do it; `auto`: as far as it can. Only with a master \
             process.",
        ),
        |b, a| {
            b.sandbox
                .set(a, |a| a.one_of(&[("on", Sandbox::On), ("off", Sandbox::Off), ("auto", Sandbox::Auto)]))
        },
    ),
    Directive::new(
        "worker_cpu_affinity",
        Count::AtLeast(1),
        doc(
            "auto [MASK] | MASK …",
            "",
            "On which processors serving threads run: a mask of `0` and `1` for each thread, the last digit being \
             the first processor; `auto`: each on one of its own, in turn, of those in MASK.",
        ),
        |b, a| b.affinity.set(a, Affinity::parse),
    ),
    Directive::new(
        "worker_priority",
        ONE,
        doc("NUMBER", "0", "How nice the worker is to other processes: from -20 to 20, 20 is the nicest."),
        |b, a| b.priority.set(a, worker::priority),
    ),
    Directive::new(
        "working_directory",
        ONE,
        doc("DIRECTORY", "", "Where the worker works, and writes core files."),
        |b, a| b.directory.set(a, |a| Ok(a.path().to_owned())),
    ),
    Directive::new(
        "env",
        ONE,
        doc(
            "NAME[=VALUE]",
            "TZ",
            "A variable of the environment of the worker and of a new program in an upgrade, with the value that \
             it has unless said. All others are dropped. May be repeated.",
        ),
        |b, a| {
            b.environment.push(Variable::parse(a));
            Ok(())
        },
    ),
    Directive::accepted(
        "load_module",
        ONE,
        "everything is built in",
        doc("FILE", "", "A module to load."),
        |_, _| Ok(()),
    ),
    Directive::accepted(
        "lock_file",
        ONE,
        "nothing needs a lock",
        doc("FILE", "", "The prefix of lock files."),
        |b, a| b.ignored.check(a, |_| Ok(())),
    ),
    Directive::accepted(
        "timer_resolution",
        ONE,
        "reading the clock is cheap",
        doc("TIME", "0", "How often to read the clock."),
        |b, a| b.ignored.check(a, Args::msec),
    ),
    Directive::accepted(
        "debug_points",
        ONE,
        "it is for the developers of the originals",
        doc("stop | abort", "", "What to do at an internal error."),
        |b, a| b.ignored.check(a, |a| a.one_of(&[("stop", ()), ("abort", ())])),
    ),
    Directive::accepted(
        "pcre_jit",
        ONE,
        "regular expressions stand in filters of logs only, and are fast without",
        doc("on | off", "off", "Whether to compile regular expressions."),
        |b, a| b.ignored.check(a, Args::flag),
    ),
    Directive::accepted(
        "thread_pool",
        Count::Between(2, 3),
        "files are not read while serving",
        doc("NAME threads=NUMBER [max_queue=NUMBER]", "", "Threads that read files."),
        |_, _| Ok(()),
    ),
    Directive::accepted(
        "ssl_object_cache_inheritable",
        ONE,
        "certificates and keys are always read anew",
        doc("on | off", "on", "Whether unchanged certificates and keys are kept over a reload."),
        |b, a| b.ignored.check(a, Args::flag),
    ),
    Directive::accepted(
        "google_perftools_profiles",
        ONE,
        "there is no such profiler",
        doc("PREFIX", "", "The prefix of profiles."),
        |b, a| b.ignored.check(a, |_| Ok(())),
    ),
    Directive::accepted(
        "quic_bpf",
        ONE,
        "mail does not run over QUIC",
        doc("on | off", "off", "How QUIC packets find their worker."),
        |b, a| b.ignored.check(a, Args::flag),
    ),
    Directive::refused(
        "ssl_engine",
        ONE,
        "engines belong to OpenSSL, which is not used here",
        doc("NAME", "", "An engine of OpenSSL."),
    ),
];

/// What is wrong in the main context.
#[derive(Debug, thiserror::Error)]
enum MainMistake {
    #[error("getpwnam(\"{0}\") failed")]
    NoUser(String),
    #[error("getgrnam(\"{0}\") failed")]
    NoGroup(String),
}

/// A `user` that cannot be.
#[derive(Debug, thiserror::Error)]
#[error(
    "the \"user\" directive makes sense only if the master process runs with super-user privileges, ignored"
)]
struct UserIgnored;

fn events(main: &mut MainBlock, args: &Args<'_>, block: &Block) -> Result<(), Fault> {
    main.events.set(args, |args| {
        let mut events = EventsBlock::default();
        apply(block, &mut [&mut bind(EVENTS, &mut events)], args.reading())?;
        Ok(events)
    })
}

/// `off` and the empty name are no file (as in Angie; nginx would write a file named `off`).
fn pid(args: &Args<'_>) -> Option<PathBuf> {
    let name = args.first();
    (name != "off" && !name.is_empty()).then(|| args.path().to_owned())
}

fn threads(args: &Args<'_>) -> Result<Threads, Fault> {
    if args.first() == "auto" {
        return Ok(Threads::Auto);
    }
    let number = args.number().map_err(|_| args.invalid_value())?;
    Ok(Threads::Number(usize::try_from(number).map_or(MAX_THREADS, |number| number.min(MAX_THREADS))))
}

fn user(args: &Args<'_>, superuser: bool) -> Result<Option<Account>, Fault> {
    if !superuser {
        args.warn(Notice::own(UserIgnored));
        return Ok(None);
    }
    let fault = |mistake| args.fault(Mistake::own(mistake));
    let name = args.string()?;
    let user = find_user(&name).ok_or_else(|| fault(MainMistake::NoUser(name.clone())))?;
    let group = args.words().get(1).map_or(Ok(name.as_str()), |group| args.text(group))?;
    let gid = find_group(group).ok_or_else(|| fault(MainMistake::NoGroup(group.to_owned())))?;
    Ok(Some(Account { name, uid: user.uid, gid }))
}

/// A user database that cannot be asked knows nobody.
fn find_user(name: &str) -> Option<User> {
    User::from_name(name).ok().flatten()
}

fn find_group(name: &str) -> Option<Gid> {
    Group::from_name(name).ok().flatten().map(|group| group.gid)
}

/// Whom a superuser's program becomes unless told otherwise.
fn nobody() -> Result<Account, Fault> {
    let missing = || Fault::nowhere(Mistake::own(MainMistake::NoUser(NOBODY.to_owned())));
    let user = find_user(NOBODY).ok_or_else(missing)?;
    Ok(Account { name: user.name, uid: user.uid, gid: user.gid })
}

impl MainBlock {
    /// Nothing written yet, in a program started by a superuser or not.
    pub(super) fn new(superuser: bool) -> Self {
        Self { superuser, ..Self::default() }
    }

    fn thread_count(&self, machine: &Machine) -> usize {
        match self.threads.value() {
            Some(Threads::Auto) => machine.processors,
            Some(Threads::Number(number)) => *number,
            None => 1,
        }
    }

    /// What looks wrong now that all is read.
    pub(super) fn notice(&self, machine: &Machine) -> Option<Notice> {
        self.affinity.value()?.notice(self.thread_count(machine))
    }
}

impl Process {
    /// Settles what the process is told.
    pub(super) fn resolve(
        main: &MainBlock,
        events: &EventsBlock,
        request: &Request<'_>,
        around: &Surroundings,
    ) -> Result<Self, Fault> {
        let account = match main.user.value() {
            Some(account) => account.clone(),
            None if main.superuser => Some(nobody()?),
            None => None,
        };
        let pid = match main.pid.value() {
            Some(pid) => pid.as_ref().map(|pid| around.in_prefix(pid)),
            None => Some(defaults::pid(request.flavour)),
        };
        let mut error_logs = main.log.resolve(&LogBlock::default(), around)?;
        // Syslog alone does not do (as the originals): it may lose everything.
        if !error_logs.iter().any(|log| matches!(log.destination, Destination::File(_) | Destination::Stderr))
        {
            error_logs.push(ErrorLog::new(request.error_log.clone(), Level::Error, request.flavour));
        }
        Ok(Self {
            daemon: main.daemon.value().copied().unwrap_or(true),
            pid,
            account,
            threads: main.thread_count(&request.machine),
            connections: events.connections.value().copied().unwrap_or(CONNECTIONS),
            master: main.master.value().copied().unwrap_or(true),
            sandbox: main.sandbox.value().copied().unwrap_or_default(),
            affinity: main.affinity.value().cloned(),
            priority: main.priority.value().copied(),
            directory: main.directory.value().cloned(),
            environment: main.environment.clone(),
            processors: request.machine.processors,
            rlimit_nofile: main.rlimit_nofile.value().copied(),
            rlimit_core: main.rlimit_core.value().copied(),
            shutdown_timeout: main.shutdown_timeout.value().copied().filter(|time| !time.is_zero()),
            debugged: Arc::new(events.debugged.as_slice().iter().cloned().collect()),
            error_logs,
        })
    }
}
