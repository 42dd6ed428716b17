//! The workloads: what is done, what is measured, and what gatepost has to reach.

use serde::{Serialize, Serializer};

use crate::certificates::Key;
use crate::figures::thousands;
use crate::load::{Job, State};

/// A row of measurements.
#[derive(Debug)]
pub(crate) struct Workload {
    /// As it is called on the command line.
    pub(crate) name: &'static str,
    /// As it is called in tables.
    pub(crate) title: &'static str,
    pub(crate) plan: Plan,
    /// Over TLS, with a key of this kind.
    pub(crate) key: Option<Key>,
    /// `proxy_buffer`, if not the default.
    pub(crate) buffer: Option<&'static str>,
    pub(crate) goals: &'static [(Metric, Goal)],
}

/// How a workload is carried out.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Plan {
    /// Clients do a job over and over.
    Rate { job: Job, clients: usize },
    /// Clients download blocks over and over.
    Volume { clients: usize },
    /// Sessions are opened and left alone.
    Hold { state: State, part: Part },
    /// Clients do a job while more and more other sessions are held.
    Growth { job: Job, clients: usize },
    /// Clients do a job as fast as one worker lets them, then two.
    Threads { job: Job, clients: usize },
}

/// How many of `--sessions` a workload holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    All,
    Quarter,
}

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Metric {
    /// CPU time of the proxy for an operation.
    Cpu,
    /// How long half of the operations took at most.
    Median,
    /// How long 99 of 100 operations took at most.
    Tail,
    /// CPU time of the proxy for 10^9 bytes.
    CpuPerGigabyte,
    /// Memory of the proxy that each session added.
    Session,
    /// Memory of the proxy without these sessions.
    Base,
    /// CPU time of the proxy in a second in which nobody said a word.
    Idle,
    /// CPU time for an operation with that one of [`SHARES`] held.
    CpuHolding(usize),
    /// The dearest operation of the four, in terms of the one with the fewest sessions held. Taken from medians.
    Growth,
    /// Operations in a second with so many workers.
    Throughput(u8),
    /// Throughput of two workers in terms of that of one.
    Scaling,
    /// What that could be on this machine: load and stubs take their share of its processors.
    Room,
    /// How much of that was reached.
    Reached,
}

/// What gatepost has to reach (the ratio is to the first peer, in the same round).
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Goal {
    Ratio(f64),
    AtMost(f64),
    AtLeast(f64),
}

impl Workload {
    /// In clear, with default buffers.
    const fn plain(
        name: &'static str,
        title: &'static str,
        plan: Plan,
        goals: &'static [(Metric, Goal)],
    ) -> Self {
        Self { name, title, plan, key: None, buffer: None, goals }
    }

    const fn over_tls(self, key: Key) -> Self {
        Self { key: Some(key), ..self }
    }

    const fn with_buffer(self, size: &'static str) -> Self {
        Self { buffer: Some(size), ..self }
    }
}

impl Metric {
    /// What it is, for tables; `sessions` is the number of `--sessions`.
    pub(crate) fn title(self, sessions: usize) -> String {
        match self {
            Self::Cpu => "CPU".to_owned(),
            Self::Median => "p50".to_owned(),
            Self::Tail => "p99".to_owned(),
            Self::CpuPerGigabyte => "CPU per GB".to_owned(),
            Self::Session => "memory per session".to_owned(),
            Self::Base => "memory without them".to_owned(),
            Self::Idle => "CPU while idle".to_owned(),
            Self::CpuHolding(step) => {
                format!("CPU, {} held", thousands(&(sessions / SHARES[step]).to_string()))
            }
            Self::Growth => "dearest / first".to_owned(),
            Self::Throughput(1) => "1 worker".to_owned(),
            Self::Throughput(workers) => format!("{workers} workers"),
            Self::Scaling => "2 workers / 1".to_owned(),
            Self::Room => "2 workers / 1, as far as this machine lets them".to_owned(),
            Self::Reached => "of that".to_owned(),
        }
    }

    /// In what its figures are.
    pub(crate) fn unit(self) -> &'static str {
        match self {
            Self::Cpu | Self::CpuHolding(_) | Self::Median | Self::Tail => "us",
            Self::CpuPerGigabyte => "s",
            Self::Session => "bytes",
            Self::Base => "MB",
            Self::Idle => "ms/s",
            Self::Growth | Self::Scaling | Self::Room | Self::Reached => "",
            Self::Throughput(_) => "/s",
        }
    }
}

impl Serialize for Metric {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let name = match self {
            Self::Cpu => "cpu",
            Self::Median => "p50",
            Self::Tail => "p99",
            Self::CpuPerGigabyte => "cpu_per_gigabyte",
            Self::Session => "session_memory",
            Self::Base => "base_memory",
            Self::Idle => "idle_cpu",
            Self::CpuHolding(step) => {
                return serializer.collect_str(&format_args!("cpu_holding_1/{}", SHARES[*step]));
            }
            Self::Growth => "growth",
            Self::Throughput(workers) => {
                return serializer.collect_str(&format_args!("throughput_{workers}"));
            }
            Self::Scaling => "scaling",
            Self::Room => "scaling_room",
            Self::Reached => "scaling_reached",
        };
        serializer.serialize_str(name)
    }
}

/// 1.7 times the throughput with two workers, on a machine that has room for twice.
const SCALES: &[(Metric, Goal)] = &[(Metric::Reached, Goal::AtLeast(1.7 / 2.0))];

/// Growth is measured with `--sessions` divided by each of these held.
pub(crate) const SHARES: [usize; 4] = [800, 80, 8, 1];

/// All workloads, in the order of the tables.
pub(crate) const WORKLOADS: &[Workload] = &[
    Workload::plain(
        "imap-login",
        "IMAP login",
        Plan::Rate { job: Job::ImapLogin, clients: 32 },
        &[(Metric::Cpu, Goal::Ratio(0.58))],
    ),
    Workload::plain(
        "imap-login-tls",
        "IMAP login over TLS, P-256",
        Plan::Rate { job: Job::ImapLogin, clients: 32 },
        &[(Metric::Cpu, Goal::Ratio(0.50))],
    )
    .over_tls(Key::P256),
    Workload::plain(
        "handshake-p256",
        "TLS handshake and greeting, P-256",
        Plan::Rate { job: Job::Greet, clients: 32 },
        &[(Metric::Cpu, Goal::Ratio(0.55))],
    )
    .over_tls(Key::P256),
    Workload::plain(
        "handshake-rsa",
        "TLS handshake and greeting, RSA-2048",
        Plan::Rate { job: Job::Greet, clients: 32 },
        &[(Metric::Cpu, Goal::Ratio(0.75))],
    )
    .over_tls(Key::Rsa2048),
    Workload::plain(
        "pop3-login",
        "POP3 login",
        Plan::Rate { job: Job::Pop3Login, clients: 32 },
        &[(Metric::Cpu, Goal::Ratio(0.62))],
    ),
    Workload::plain(
        "smtp-message",
        "SMTP AUTH and a message of 4 kB",
        Plan::Rate { job: Job::SmtpMessage, clients: 32 },
        &[(Metric::Cpu, Goal::Ratio(0.62)), (Metric::Median, Goal::Ratio(0.10))],
    ),
    // Few enough to leave processors idle, with any proxy: 32 that start anew as soon as they are done fill them, and then
    // wait for each other.
    Workload::plain(
        "smtp-latency",
        "SMTP AUTH and a message of 4 kB, 4 clients",
        Plan::Rate { job: Job::SmtpMessage, clients: 4 },
        &[(Metric::Median, Goal::Ratio(0.10))],
    ),
    Workload::plain(
        "noop",
        "NOOP round trip, 32 sessions",
        Plan::Rate { job: Job::Noop, clients: 32 },
        &[(Metric::Cpu, Goal::Ratio(0.87))],
    ),
    Workload::plain(
        "noop-tls",
        "NOOP round trip over TLS, 32 sessions",
        Plan::Rate { job: Job::Noop, clients: 32 },
        &[(Metric::Cpu, Goal::Ratio(0.87))],
    )
    .over_tls(Key::P256),
    Workload::plain(
        "download",
        "Download of 16 MB blocks",
        Plan::Volume { clients: 4 },
        &[(Metric::CpuPerGigabyte, Goal::Ratio(0.40))],
    ),
    Workload::plain(
        "download-tls",
        "Download of 16 MB blocks over TLS",
        Plan::Volume { clients: 4 },
        &[(Metric::CpuPerGigabyte, Goal::Ratio(0.36))],
    )
    .over_tls(Key::P256),
    Workload::plain(
        "download-64k",
        "Download of 16 MB blocks, `proxy_buffer 64k`",
        Plan::Volume { clients: 4 },
        &[(Metric::CpuPerGigabyte, Goal::Ratio(0.80))],
    )
    .with_buffer("64k"),
    Workload::plain(
        "idle",
        "Idle sessions, logged in",
        Plan::Hold { state: State::LoggedIn, part: Part::All },
        &[(Metric::Session, Goal::Ratio(0.13)), (Metric::Idle, Goal::AtMost(0.1))],
    ),
    Workload::plain(
        "idle-tls",
        "Idle sessions over TLS, logged in",
        Plan::Hold { state: State::LoggedIn, part: Part::All },
        &[(Metric::Session, Goal::Ratio(0.21)), (Metric::Idle, Goal::AtMost(0.1))],
    )
    .over_tls(Key::P256),
    Workload::plain(
        "greeted",
        "Sessions that were greeted and say nothing",
        Plan::Hold { state: State::Greeted, part: Part::Quarter },
        &[(Metric::Session, Goal::Ratio(0.25))],
    ),
    Workload::plain(
        "auth-wait",
        "Sessions in Auth-Wait",
        Plan::Hold { state: State::AuthWait, part: Part::Quarter },
        &[(Metric::Session, Goal::Ratio(0.25))],
    ),
    Workload::plain(
        "growth",
        "IMAP login while sessions are held",
        Plan::Growth { job: Job::ImapLogin, clients: 32 },
        &[(Metric::Growth, Goal::AtMost(1.10))],
    ),
    Workload::plain(
        "threads",
        "IMAP login, throughput",
        Plan::Threads { job: Job::ImapLogin, clients: 64 },
        SCALES,
    ),
    Workload::plain(
        "threads-tls",
        "TLS handshake and greeting, RSA-2048, throughput",
        Plan::Threads { job: Job::Greet, clients: 64 },
        SCALES,
    )
    .over_tls(Key::Rsa2048),
];
