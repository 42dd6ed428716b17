//! Runs the proxy: in the background or not, as master and worker or as one process.

use std::process::ExitCode;

use tokio::runtime;

use crate::activation::Activated;
use crate::console::Console;
use crate::launch::{self, Launch};
use crate::logs::Logs;
use crate::master::upgrade;
use crate::prepare::{PrepareError, Prepared, Program};
use crate::settings::Loaded;
use crate::signals::Signals;
use crate::start::{Reason, StartError};
use crate::title::Role;
use crate::{master, single};

/// Serves with what was loaded; after another start if the process has to be in the background, or needs room for a
/// title.
pub(crate) fn main(loaded: Loaded, program: Program, launch: Launch, console: &Console) -> ExitCode {
    let Ok(configuration) = &loaded.outcome else {
        console.warn(&loaded.warnings);
        if let Err(rejected) = &loaded.outcome {
            console.reject(rejected);
        }
        return ExitCode::FAILURE;
    };
    let process = &configuration.process;
    // A new program in an upgrade is where the one before it is (as the originals).
    let background = process.daemon && !upgrade::inherits(program.flavour);
    let role = if process.master { Role::Master } else { Role::Single };
    let ended = if launch.stays() {
        stay(loaded, program, launch, role, console).map(|()| ExitCode::SUCCESS)
    } else if background {
        // The second process reads the same configuration and says what looks wrong in it.
        launch.to_background(program.flavour, role).map_err(StartError::call("starting in the background"))
    } else {
        let failed = role.has_title(program.flavour).then(|| launch.in_place(program.flavour, role));
        match failed {
            Some(error) if role == Role::Master => Err(StartError::call("execve()")(error)),
            // One process alone can do without a title.
            _ => stay(loaded, program, launch, role, console).map(|()| ExitCode::SUCCESS),
        }
    };
    ended.unwrap_or_else(|error| {
        console.say(mail::settings::log::Level::Emerg, Reason(&error));
        ExitCode::FAILURE
    })
}

/// Serves in this process, or lets a worker of this process serve.
fn stay(
    loaded: Loaded,
    program: Program,
    mut launch: Launch,
    role: Role,
    console: &Console,
) -> Result<(), StartError> {
    if launch.is_background() {
        launch::detach().map_err(StartError::call("setsid()"))?;
    }
    // `ps` and `top` would show the name of the file otherwise.
    let _ = nix::sys::prctl::set_name(&crate::worker::program_name(program.flavour));
    let mut title = launch.title(program.flavour);
    title.show(role, 1);
    let signals = Signals::block().map_err(StartError::call("signalfd()"))?;
    let runtime = runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(StartError::call("starting the runtime"))?;
    let ended = runtime.block_on(async {
        let signals = signals.read().map_err(StartError::call("signalfd()"))?;
        let say = |level, message: &dyn std::fmt::Display| console.say(level, message);
        let inherited = upgrade::inherited(program.flavour, &say);
        launch.activated = Activated::take(&launch, &say);
        let prepared =
            Prepared::new(loaded, Logs::default(), &[&inherited, launch.activated.bounds()], &say).await;
        let prepared = prepared.map_err(PrepareError::into_start)?;
        // Those that the configuration does not name are closed.
        drop(inherited);
        launch.activated.introduce(&prepared.bounds, &prepared.logs.main);
        if role == Role::Single {
            single::run(program, launch, title, prepared, signals).await
        } else {
            master::run(program, launch, title, prepared, signals).await
        }
    });
    // A lookup that hangs must not keep the process from ending.
    runtime.shutdown_background();
    ended
}
