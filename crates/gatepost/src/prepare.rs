//! From a configuration that was read to everything opened that it names: what a start and a reload have in common.

use std::fmt::Display;
use std::path::PathBuf;

use conf::{Names, Severity, Sources};
use mail::files::Files;
use mail::flavour::Flavour;
use mail::listener::Bound;
use mail::log::Log;
use mail::settings::log::Level;
use tokio::task::spawn_blocking;

use crate::cli::Options;
use crate::logs::Logs;
use crate::lookup;
use crate::settings::{self, Configuration, Loaded, Machine, Rejected, Request};
use crate::sockets;
use crate::start::{self, OpenLogs, Say, StartError};

/// Where the configuration is, and what it depends on.
#[derive(Debug, Clone)]
pub(crate) struct Program {
    /// Whose texts to use.
    pub(crate) flavour: Flavour,
    file: PathBuf,
    prefix: PathBuf,
    options: Options,
}

impl Program {
    /// As `options` say.
    pub(crate) fn new(flavour: Flavour, options: &Options) -> Self {
        Self {
            flavour,
            file: options.configuration(flavour),
            prefix: options.prefix(flavour),
            options: options.clone(),
        }
    }

    /// How the configuration is asked for.
    pub(crate) fn request(&self) -> Request<'_> {
        Request {
            flavour: self.flavour,
            file: &self.file,
            prefix: &self.prefix,
            directives: self.options.directives.as_deref(),
            error_log: self.options.error_log(self.flavour),
            machine: Machine::this(),
        }
    }

    /// Reads the configuration; host names in it are looked up by the system, and wait for it.
    pub(crate) fn load(&self) -> Loaded {
        settings::load(&self.request(), lookup::names())
    }

    /// Reads the configuration while this thread goes on: systemd's watchdog would not wait for names.
    pub(crate) async fn load_beside(&self) -> Result<Loaded, StartError> {
        let program = self.clone();
        let loaded = spawn_blocking(move || program.load()).await;
        loaded.map_err(StartError::call("reading the configuration"))
    }
}

/// A configuration with everything opened that it names.
#[derive(Debug)]
pub(crate) struct Prepared {
    /// What it says.
    pub(crate) configuration: Configuration,
    /// Its logs.
    pub(crate) logs: OpenLogs,
    /// Its sockets, in its order.
    pub(crate) bounds: Vec<Bound>,
    /// Every file that it names.
    pub(crate) files: Files,
    /// What it consists of.
    pub(crate) sources: Sources,
    /// The host names in it.
    pub(crate) names: Names,
}

/// Why a configuration cannot be put to work.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PrepareError {
    /// It is wrong.
    #[error("{}", .0.fault)]
    Rejected(Box<Rejected>),
    /// What it names cannot be opened.
    #[error(transparent)]
    Start(#[from] StartError),
}

impl Prepared {
    /// Opens all that `loaded` names, but sockets of `open` that it names too; its logs are found in `logs`. Warnings and
    /// failures go to `say`.
    pub(crate) async fn new(
        loaded: Loaded,
        logs: Logs,
        open: &[&[Bound]],
        say: Say<'_>,
    ) -> Result<Self, PrepareError> {
        let Loaded { outcome, warnings, sources, names, files } = loaded;
        for warning in &warnings {
            say(Level::Warn, warning);
        }
        let configuration = outcome.map_err(|rejected| PrepareError::Rejected(Box::new(rejected)))?;
        let Configuration { process, mail } = &configuration;
        let logs = OpenLogs::within(logs, process, mail).map_err(StartError::from)?;
        let makings = start::rehearsal().map_err(StartError::Threads)?;
        let warn = |warning: &dyn Display| say(Level::Warn, warning);
        start::build(mail, &logs, &makings, &files, warn).map_err(StartError::from)?;
        let bounds = sockets::open(&mail.listens, process.threads, open, say).await?;
        Ok(Self { configuration, logs, bounds, files, sources, names })
    }
}

impl PrepareError {
    /// How severe it is.
    pub(crate) fn level(&self) -> Level {
        match self {
            Self::Rejected(rejected) => match rejected.fault.severity() {
                Severity::Emerg => Level::Emerg,
                Severity::Crit => Level::Crit,
                Severity::Warn => Level::Warn,
            },
            Self::Start(_) => Level::Emerg,
        }
    }
}

impl PrepareError {
    /// At a start, a configuration that is wrong has been found out before.
    pub(crate) fn into_start(self) -> StartError {
        match self {
            Self::Start(error) => error,
            Self::Rejected(rejected) => StartError::Rejected(rejected),
        }
    }
}

/// Says things in `log`.
pub(crate) fn to_log(log: &Log) -> impl Fn(Level, &dyn Display) {
    |level, message| log.line(level, None, message)
}
