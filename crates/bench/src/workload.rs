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
    /// The dearest operation of the four, in terms of the one with the fewest sessions held.
    Growth,
    /// Operations in a second with so many workers.
    Throughput(u8),
    /// Throughput of two workers in terms of that of one.
    Scaling,
}

/// What gatepost has to reach (the ratio is to the first peer, in the same round).
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Goal {
    Ratio(f64),
    AtMost(f64),
    AtLeast(f64),
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
            Self::Growth | Self::Scaling => "",
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
        };
        serializer.serialize_str(name)
    }
}

/// Growth is measured with `--sessions` divided by each of these held.
pub(crate) const SHARES: [usize; 4] = [800, 80, 8, 1];

const P256: Option<Key> = Some(Key::P256);

/// All workloads, in the order of the tables.
pub(crate) const WORKLOADS: &[Workload] = &[
    Workload {
        name: "imap-login",
        title: "IMAP login",
        plan: Plan::Rate { job: Job::ImapLogin, clients: 32 },
        key: None,
        buffer: None,
        goals: &[(Metric::Cpu, Goal::Ratio(0.58))],
    },
    Workload {
        name: "imap-login-tls",
        title: "IMAP login over TLS, P-256",
        plan: Plan::Rate { job: Job::ImapLogin, clients: 32 },
        key: P256,
        buffer: None,
        goals: &[(Metric::Cpu, Goal::Ratio(0.50))],
    },
    Workload {
        name: "handshake-p256",
        title: "TLS handshake and greeting, P-256",
        plan: Plan::Rate { job: Job::Greet, clients: 32 },
        key: P256,
        buffer: None,
        goals: &[(Metric::Cpu, Goal::Ratio(0.55))],
    },
    Workload {
        name: "handshake-rsa",
        title: "TLS handshake and greeting, RSA-2048",
        plan: Plan::Rate { job: Job::Greet, clients: 32 },
        key: Some(Key::Rsa2048),
        buffer: None,
        goals: &[(Metric::Cpu, Goal::Ratio(0.75))],
    },
    Workload {
        name: "pop3-login",
        title: "POP3 login",
        plan: Plan::Rate { job: Job::Pop3Login, clients: 32 },
        key: None,
        buffer: None,
        goals: &[(Metric::Cpu, Goal::Ratio(0.62))],
    },
    Workload {
        name: "smtp-message",
        title: "SMTP AUTH and a message of 4 kB",
        plan: Plan::Rate { job: Job::SmtpMessage, clients: 32 },
        key: None,
        buffer: None,
        goals: &[(Metric::Cpu, Goal::Ratio(0.62)), (Metric::Median, Goal::Ratio(0.10))],
    },
    Workload {
        name: "noop",
        title: "NOOP round trip, 32 sessions",
        plan: Plan::Rate { job: Job::Noop, clients: 32 },
        key: None,
        buffer: None,
        goals: &[(Metric::Cpu, Goal::Ratio(0.87))],
    },
    Workload {
        name: "noop-tls",
        title: "NOOP round trip over TLS, 32 sessions",
        plan: Plan::Rate { job: Job::Noop, clients: 32 },
        key: P256,
        buffer: None,
        goals: &[(Metric::Cpu, Goal::Ratio(0.87))],
    },
    Workload {
        name: "download",
        title: "Download of 16 MB blocks",
        plan: Plan::Volume { clients: 4 },
        key: None,
        buffer: None,
        goals: &[(Metric::CpuPerGigabyte, Goal::Ratio(0.40))],
    },
    Workload {
        name: "download-tls",
        title: "Download of 16 MB blocks over TLS",
        plan: Plan::Volume { clients: 4 },
        key: P256,
        buffer: None,
        goals: &[(Metric::CpuPerGigabyte, Goal::Ratio(0.36))],
    },
    Workload {
        name: "download-64k",
        title: "Download of 16 MB blocks, `proxy_buffer 64k`",
        plan: Plan::Volume { clients: 4 },
        key: None,
        buffer: Some("64k"),
        goals: &[(Metric::CpuPerGigabyte, Goal::Ratio(0.80))],
    },
    Workload {
        name: "idle",
        title: "Idle sessions, logged in",
        plan: Plan::Hold { state: State::LoggedIn, part: Part::All },
        key: None,
        buffer: None,
        goals: &[(Metric::Session, Goal::Ratio(0.13)), (Metric::Idle, Goal::AtMost(0.1))],
    },
    Workload {
        name: "idle-tls",
        title: "Idle sessions over TLS, logged in",
        plan: Plan::Hold { state: State::LoggedIn, part: Part::All },
        key: P256,
        buffer: None,
        goals: &[(Metric::Session, Goal::Ratio(0.21)), (Metric::Idle, Goal::AtMost(0.1))],
    },
    Workload {
        name: "greeted",
        title: "Sessions that were greeted and say nothing",
        plan: Plan::Hold { state: State::Greeted, part: Part::Quarter },
        key: None,
        buffer: None,
        goals: &[(Metric::Session, Goal::Ratio(0.25))],
    },
    Workload {
        name: "auth-wait",
        title: "Sessions in Auth-Wait",
        plan: Plan::Hold { state: State::AuthWait, part: Part::Quarter },
        key: None,
        buffer: None,
        goals: &[(Metric::Session, Goal::Ratio(0.25))],
    },
    Workload {
        name: "growth",
        title: "IMAP login while sessions are held",
        plan: Plan::Growth { job: Job::ImapLogin, clients: 32 },
        key: None,
        buffer: None,
        goals: &[(Metric::Growth, Goal::AtMost(1.10))],
    },
    Workload {
        name: "threads",
        title: "IMAP login, throughput",
        plan: Plan::Threads { job: Job::ImapLogin, clients: 64 },
        key: None,
        buffer: None,
        goals: &[(Metric::Scaling, Goal::AtLeast(1.7))],
    },
    Workload {
        name: "threads-tls",
        title: "TLS handshake and greeting, RSA-2048, throughput",
        plan: Plan::Threads { job: Job::Greet, clients: 64 },
        key: Some(Key::Rsa2048),
        buffer: None,
        goals: &[(Metric::Scaling, Goal::AtLeast(1.7))],
    },
];
