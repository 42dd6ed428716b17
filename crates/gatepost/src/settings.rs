//! The whole configuration: from the text of `-g` and the main file to what the process and the proxy are told.
//!
//! Directives of the main context and of `events` live here, because they are about the process; those of `mail`
//! live in the mail crate. Nothing here opens a socket or a log.

mod events;
mod process;
mod reference;
mod worker;

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use conf::{
    Block, Disk, Fault, Mistake, Names, Notice, Reading, Sources, Vocabulary, Warning, Warnings, apply, bind,
};
use mail::files::Files;
use mail::flavour::Flavour;
use mail::settings::log::{Destination, LOG};
use mail::settings::{Mail, Surroundings};

use self::process::{MAIN, MainBlock};

pub(crate) use self::process::{Account, Process};
pub(crate) use self::worker::{Affinity, OF_SYSTEMD, Sandbox, Variable};

/// What a configuration says, with every question settled.
#[derive(Debug)]
pub(crate) struct Configuration {
    /// What the process is told.
    pub(crate) process: Process,
    /// What the proxy is told.
    pub(crate) mail: Mail,
}

/// Where a configuration is, and what its words depend on.
#[derive(Debug, Clone)]
pub(crate) struct Request<'a> {
    /// Whose texts and default file names to use.
    pub(crate) flavour: Flavour,
    /// The main file.
    pub(crate) file: &'a Path,
    /// `-p`.
    pub(crate) prefix: &'a Path,
    /// `-g`: directives that come before the file.
    pub(crate) directives: Option<&'a OsStr>,
    /// The log of the main context if that has none: `-e` or the default.
    pub(crate) error_log: Destination,
    /// The machine.
    pub(crate) machine: Machine,
}

/// Facts about the machine and the user that a configuration is checked against.
#[derive(Debug, Clone)]
pub(crate) struct Machine {
    /// Default of `server_name`.
    pub(crate) host_name: String,
    /// Whether this process may become another user.
    pub(crate) superuser: bool,
    /// How many files this process may have open.
    pub(crate) open_files: u64,
    /// How many processors there are for `worker_processes auto`.
    pub(crate) processors: usize,
}

impl Machine {
    /// This one.
    pub(crate) fn this() -> Self {
        use nix::sys::resource::{Resource, getrlimit};
        let name = nix::unistd::gethostname().unwrap_or_default();
        Self {
            host_name: name.to_string_lossy().into_owned(),
            superuser: nix::unistd::geteuid().is_root(),
            open_files: getrlimit(Resource::RLIMIT_NOFILE).map_or(u64::MAX, |(soft, _)| soft),
            processors: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
        }
    }
}

/// What came of reading a configuration.
#[derive(Debug)]
pub(crate) struct Loaded {
    /// What it says, or why it cannot be used.
    pub(crate) outcome: Result<Configuration, Rejected>,
    /// What looks wrong in it, in the order in which it was found; to be shown before a fault.
    pub(crate) warnings: Vec<Warning>,
    /// The files that it consists of, in the order in which they were first read.
    pub(crate) sources: Sources,
    /// The host names in it.
    pub(crate) names: Names,
    /// The files that directives name, as far as they have been read.
    pub(crate) files: Files,
}

/// A configuration that cannot be used.
#[derive(Debug)]
pub(crate) struct Rejected {
    /// Why.
    pub(crate) fault: Fault,
    /// When it was found; Angie says "syntax is ok" before faults of the second phase.
    pub(crate) phase: Phase,
}

/// The two phases of checking a configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Reading it.
    Syntax,
    /// Filling in what is inherited, and seeing whether all fits together.
    Meaning,
}

/// What is wrong with a configuration as a whole.
#[derive(Debug, thiserror::Error)]
enum WholeMistake {
    #[error("no \"events\" section in configuration")]
    NoEvents,
    #[error("{connections} worker_connections are not enough for {sockets} listening sockets")]
    TooFewConnections { connections: u64, sockets: usize },
}

/// More connections than descriptors.
#[derive(Debug, thiserror::Error)]
#[error("{connections} worker_connections exceed open file resource limit: {limit}")]
struct TooFewFiles {
    connections: u64,
    limit: u64,
}

/// Reads and checks a configuration, whose host names mean what `names` says.
pub(crate) fn load(request: &Request<'_>, names: Names) -> Loaded {
    load_from(request, Sources::new(), names, Files::on_disk())
}

/// Reads and checks a configuration that consists of `sources`, with the names and files of `names` and `files`.
pub(crate) fn load_from(request: &Request<'_>, mut sources: Sources, names: Names, files: Files) -> Loaded {
    let warnings = Warnings::new();
    let around = request.surroundings();
    let outcome =
        read(request, &around, &mut sources, &World { warnings: &warnings, names: &names, files: &files })
            .map_err(|fault| Rejected { fault, phase: Phase::Syntax })
            .and_then(|main| {
                resolve(&main, request, &around, &warnings)
                    .map_err(|fault| Rejected { fault, phase: Phase::Meaning })
            });
    Loaded { outcome, warnings: warnings.into_vec(), sources, names, files }
}

/// What statements meet when they are applied.
struct World<'a> {
    warnings: &'a Warnings,
    names: &'a Names,
    files: &'a Files,
}

/// The first phase: the text of `-g`, then the file.
fn read(
    request: &Request<'_>,
    around: &Surroundings,
    sources: &mut Sources,
    world: &World<'_>,
) -> Result<MainBlock, Fault> {
    let vocabulary = vocabulary();
    let read = |path: &Path| Ok(world.files.read(path)?.to_vec());
    let disk = Disk { directory: &around.directory, read: &read };
    let reading = Reading { vocabulary: &vocabulary, warnings: world.warnings, names: world.names, disk };
    let mut main = MainBlock::new(request.machine.superuser);
    if let Some(text) = request.directives {
        main.read(&conf::parse_text(text.as_bytes(), &around.directory, sources), &reading)?;
    }
    main.read(&conf::parse_file(request.file, sources), &reading)?;
    Ok(main)
}

/// The second phase, in the order of the originals' modules.
fn resolve(
    written: &MainBlock,
    request: &Request<'_>,
    around: &Surroundings,
    warnings: &Warnings,
) -> Result<Configuration, Fault> {
    let whole = |mistake| Fault::nowhere(Mistake::own(mistake));
    let events = written.events.value().ok_or_else(|| whole(WholeMistake::NoEvents))?;
    let process = Process::resolve(written, events, request, around)?;
    let mail = written.mail.resolve(around)?;
    if let Some(notice) = written.notice(&request.machine) {
        warnings.add(notice, None);
    }
    let connections = process.connections;
    // Angie makes its mail sockets later and so does not count them.
    let sockets = if request.flavour == Flavour::Nginx { mail.listens.len() } else { 0 };
    if connections == 0 || usize::try_from(connections).is_ok_and(|connections| connections < sockets) {
        return Err(whole(WholeMistake::TooFewConnections { connections, sockets }));
    }
    let limit = process.rlimit_nofile.unwrap_or(0).max(request.machine.open_files);
    if connections > limit {
        let limit = process.rlimit_nofile.unwrap_or(request.machine.open_files);
        warnings.add(Notice::own(TooFewFiles { connections, limit }), None);
    }
    Ok(Configuration { process, mail })
}

/// Every directive that there is.
fn vocabulary() -> Vocabulary {
    let vocabulary = Vocabulary::new().and(MAIN).and(events::EVENTS);
    mail::settings::vocabulary(vocabulary)
}

impl MainBlock {
    fn read(&mut self, block: &Block, reading: &Reading<'_>) -> Result<(), Fault> {
        // The two owners of this context are borrowed side by side.
        let mut log = std::mem::take(&mut self.log);
        let result = apply(block, &mut [&mut bind(MAIN, self), &mut bind(LOG, &mut log)], reading);
        self.log = log;
        result
    }
}

impl Request<'_> {
    fn surroundings(&self) -> Surroundings {
        Surroundings {
            directory: self.file.parent().map_or_else(PathBuf::new, Path::to_owned),
            prefix: self.prefix.to_owned(),
            host_name: self.machine.host_name.clone(),
            flavour: self.flavour,
        }
    }
}

#[cfg(test)]
mod tests;
