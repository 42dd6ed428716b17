//! The core module: names and limits.

use std::sync::Arc;
use std::time::Duration;

use conf::{Args, Count, Directive, Setting, doc};
use proto::Limits;

use super::{ErrorLog, Surroundings};

/// Settings that every protocol has.
#[derive(Debug, Clone)]
pub struct Core {
    /// `server_name`; the machine's host name unless set.
    pub server_name: String,
    /// `timeout`: an absolute limit for each phase before proxying.
    pub timeout: Duration,
    /// `max_errors`.
    pub max_errors: u64,
    /// `max_commands`.
    pub max_commands: u64,
    /// `error_log` of the innermost context that has any; empty: those of the main context.
    pub error_logs: Vec<ErrorLog>,
    /// `error_log_user_tag`.
    pub log_tags: Arc<[Box<str>]>,
}

/// Where sessions are told, and with which tags.
#[derive(Debug, Clone)]
pub struct Logging {
    /// `error_log`.
    pub error_logs: Vec<ErrorLog>,
    /// `error_log_user_tag`.
    pub tags: Arc<[Box<str>]>,
}

/// The core module as written.
#[derive(Debug, Default)]
pub struct CoreBlock {
    server_name: Setting<String>,
    timeout: Setting<Duration>,
    max_errors: Setting<u64>,
    max_commands: Setting<u64>,
}

/// Directives of the core module.
pub const CORE: &[Directive<CoreBlock>] = &[
    Directive::new(
        "server_name",
        Count::Exactly(1),
        doc(
            "NAME",
            "the machine's host name",
            "The name that gatepost gives itself: in greetings and replies of POP3 and SMTP, in APOP and \
             CRAM-MD5 challenges, and in the EHLO to SMTP upstreams. An empty name means the default.",
        ),
        |b, a| b.server_name.set(a, Args::string),
    ),
    Directive::new(
        "timeout",
        Count::Exactly(1),
        doc(
            "TIME",
            "60s",
            "How long each phase before proxying may take: from the greeting to the login, and the dialogue \
             with the upstream. Commands do not restart it. `0` ends a session when it first has to wait.",
        ),
        |b, a| b.timeout.set(a, Args::msec),
    ),
    Directive::new(
        "max_errors",
        Count::Exactly(1),
        doc("NUMBER", "5", "A client is disconnected with this many malformed commands. `0` acts as `1`."),
        |b, a| b.max_errors.set(a, Args::number),
    ),
    Directive::new(
        "max_commands",
        Count::Exactly(1),
        doc(
            "NUMBER",
            "1000",
            "A client is disconnected when it sends more commands than this before it has logged in.",
        ),
        |b, a| b.max_commands.set(a, Args::number),
    ),
];

impl Core {
    /// Settles the core of a server.
    pub fn resolve(server: &CoreBlock, mail: &CoreBlock, logging: Logging, around: &Surroundings) -> Self {
        let name = server.server_name.or(&mail.server_name, String::new());
        Self {
            server_name: if name.is_empty() { around.host_name.to_ascii_lowercase() } else { name },
            timeout: server.timeout.or(&mail.timeout, Duration::from_mins(1)),
            max_errors: server.max_errors.or(&mail.max_errors, 5),
            max_commands: server.max_commands.or(&mail.max_commands, 1000),
            error_logs: logging.error_logs,
            log_tags: logging.tags,
        }
    }

    /// The limits of a dialogue whose commands may have `line` bytes.
    pub(crate) fn limits(&self, line: u64) -> Limits {
        Limits {
            line: usize::try_from(line).unwrap_or(usize::MAX),
            errors: self.max_errors,
            commands: self.max_commands,
        }
    }
}
