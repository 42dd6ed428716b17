//! Runs the proxy: opens what needs privileges, gives them up, serves until told to stop.

use std::io;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use mail::address::Endpoint;
use mail::flavour::Flavour;
use mail::serve::Workers;
use mail::settings::Listen;
use mail::settings::log::{Destination, Level};
use mail::slots::Slots;
use tokio::runtime;

use crate::console::Console;
use crate::control::{Control, Signals};
use crate::notify::{self, News};
use crate::pidfile::PidFile;
use crate::settings::{Configuration, Loaded, Process};
use crate::start::{self, OpenLogs, Reason, StartError};
use crate::{daemon, help};

/// Serves with what was loaded; in the background, by a process of its own, if the configuration says so.
pub(crate) fn main(loaded: Loaded, flavour: Flavour, console: &Console) -> ExitCode {
    let configuration = match loaded.outcome {
        Ok(configuration) => configuration,
        Err(rejected) => {
            console.warn(&loaded.warnings);
            console.reject(&rejected);
            return ExitCode::FAILURE;
        }
    };
    let background = daemon::is_background();
    let ended = if configuration.process.daemon && !background {
        // The second process reads the same configuration and says what looks wrong in it.
        daemon::launch().map_err(StartError::call("starting in the background"))
    } else {
        console.warn(&loaded.warnings);
        stay(&configuration, flavour, background, console).map(|()| ExitCode::SUCCESS)
    };
    ended.unwrap_or_else(|error| {
        console.say(Level::Emerg, Reason(&error));
        ExitCode::FAILURE
    })
}

/// Serves in this process.
fn stay(
    configuration: &Configuration,
    flavour: Flavour,
    background: bool,
    console: &Console,
) -> Result<(), StartError> {
    if background {
        daemon::detach().map_err(StartError::call("setsid()"))?;
    }
    let runtime = runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(StartError::call("starting the runtime"))?;
    runtime.block_on(serve(configuration, flavour, background, console))
}

async fn serve(
    configuration: &Configuration,
    flavour: Flavour,
    background: bool,
    console: &Console,
) -> Result<(), StartError> {
    let Configuration { process, mail } = configuration;
    let logs = OpenLogs::open(process, mail)?;
    logs.logs.survive_panic(&logs.main);
    let generation =
        start::build(mail, &logs, &start::makings(flavour).map_err(StartError::Threads)?, console)?;
    start::limit(process, &logs.main);
    // Before anybody can find us: a signal would otherwise leave sockets and the pid file behind.
    let signals = Signals::new().map_err(StartError::call("sigaction()"))?;
    let bound = start::listen(&mail.listens, process.threads, console).await?;
    let _files = UnixSockets(&mail.listens);
    let _pid = write_pid(process)?;
    if let Some(account) = &process.account {
        logs.logs.give_to(account.uid);
        start::become_user(account)?;
    }
    introduce(&logs, flavour);
    let limit = usize::try_from(process.connections).unwrap_or(usize::MAX);
    let slots = Slots::new(limit.saturating_mul(process.threads.max(1)));
    let workers = Workers::start(generation, bound, process.threads, Arc::clone(&slots));
    let workers = workers.map_err(StartError::call("starting threads"))?;
    if background {
        if !logs.logs.use_stderr() {
            daemon::leave_stderr(log_file(process)).map_err(StartError::call("dup2()"))?;
        }
        daemon::ready().map_err(StartError::call("telling the first process"))?;
    }
    let control = Control {
        workers: &workers,
        log: &logs.main,
        logs: &logs.logs,
        shutdown_timeout: process.shutdown_timeout,
    };
    notify::tell(&logs.main, &News::Ready);
    tokio::select! {
        () = control.run(signals) => {}
        never = notify::keep_telling(&logs.main, || slots.used()) => match never {},
    }
    workers.join();
    logs.main.line(Level::Notice, None, "exit");
    Ok(())
}

fn write_pid(process: &Process) -> Result<Option<PidFile>, StartError> {
    let Some(path) = &process.pid else { return Ok(None) };
    let written = PidFile::write(path);
    written.map(Some).map_err(StartError::call(format!("open() \"{}\"", path.display())))
}

/// The first file of the main context's logs.
fn log_file(process: &Process) -> Option<&Path> {
    process.error_logs.iter().find_map(|log| match &log.destination {
        Destination::File(path) => Some(path.as_path()),
        Destination::Stderr | Destination::Syslog(_) => None,
    })
}

/// The lines that tell a start in a log.
fn introduce(logs: &OpenLogs, flavour: Flavour) {
    let notice = |message: &str| logs.main.line(Level::Notice, None, message);
    notice("using the \"epoll\" event method");
    notice(&help::name_and_version(flavour));
    if let Ok(system) = nix::sys::utsname::uname() {
        let name = system.sysname().to_string_lossy();
        notice(&format!("OS: {name} {}", system.release().to_string_lossy()));
    }
    let (soft, hard) =
        nix::sys::resource::getrlimit(nix::sys::resource::Resource::RLIMIT_NOFILE).unwrap_or_default();
    notice(&format!("getrlimit(RLIMIT_NOFILE): {soft}:{hard}"));
    notice("start serving threads");
}

/// The files of unix sockets, which are removed at the end.
struct UnixSockets<'a>(&'a [Listen]);

impl Drop for UnixSockets<'_> {
    fn drop(&mut self) {
        for listen in self.0 {
            if let Endpoint::Unix(path) = &listen.endpoint {
                // Without privileges the directory may be closed to us; then the file stays, as after a crash.
                let _: io::Result<()> = std::fs::remove_file(path);
            }
        }
    }
}
