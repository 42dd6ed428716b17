//! gatepost: the process around the mail proxy.
//!
//! What happens, in order: the command line is understood, the configuration read and checked, everything opened that
//! needs privileges, a worker started that gives them up and serves, signals obeyed until it ends.

mod activation;
mod bundle;
mod channel;
mod check;
mod cli;
mod console;
mod defaults;
mod demo;
mod help;
mod launch;
mod logs;
mod lookup;
mod master;
mod memory;
mod notify;
mod pidfile;
mod prepare;
mod serve;
mod serving;
mod settings;
mod signals;
mod single;
mod sockets;
mod start;
mod ticket_keys;
mod title;
mod watch;
mod worker;

use std::env;
use std::path::Path;
use std::process::ExitCode;

use mail::flavour::Flavour;
use mail::settings::log::Level;
use nix::sys::signal::{self, Signal};

use crate::cli::{Invocation, Options, Task, UsageError};
use crate::console::Console;
use crate::launch::Launch;
use crate::pidfile::PidFile;
use crate::prepare::Program;
use crate::settings::Loaded;
use crate::start::Reason;

fn main() -> ExitCode {
    if worker::is_worker() {
        return worker::main();
    }
    if lookup::is_lookup() {
        return lookup::main();
    }
    #[expect(clippy::disallowed_methods, reason = "this is where they are read, before there is a title")]
    let launch = Launch::this(env::args_os());
    let flavour = Flavour::from_program(Path::new(&launch.name));
    match cli::parse(flavour, launch.arguments.clone()) {
        Err(error) => misused(flavour, &error),
        Ok(Invocation::Help) => {
            console::print_text(&help::help(flavour));
            ExitCode::SUCCESS
        }
        Ok(Invocation::Demo) => demo::main(),
        Ok(Invocation::Run(options)) => run(flavour, launch, &options),
    }
}

fn misused(flavour: Flavour, error: &UsageError) -> ExitCode {
    console::print(flavour, error);
    if error.shows_help(flavour) {
        console::print_text(&help::usage(flavour));
    }
    ExitCode::FAILURE
}

fn run(flavour: Flavour, launch: Launch, options: &Options) -> ExitCode {
    if !launch.stays() {
        show(flavour, options);
    }
    let task = options.task();
    if task == Task::Exit {
        return ExitCode::SUCCESS;
    }
    let level = options.level.unwrap_or(Level::Notice);
    let console = Console::open(flavour, &options.error_log(flavour), level);
    let program = Program::new(flavour, options);
    let loaded = program.load();
    match task {
        Task::Test => {
            exit_code(check::test(&loaded, &options.configuration(flavour), options, flavour, &console))
        }
        Task::Serve => serve::main(loaded, program, launch, &console),
        Task::Exit | Task::ListModules => exit_code(list_modules(&loaded, &console)),
        Task::Signal(signal) => exit_code(send(signal, &loaded, &console)),
    }
}

fn exit_code(good: bool) -> ExitCode {
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// What `-v`, `-V`, `-m` and `--build-env` ask for.
fn show(flavour: Flavour, options: &Options) {
    let show = options.show;
    if show.build {
        console::print_text(&help::build(flavour));
    } else if show.version {
        console::print_text(&help::version(flavour));
    }
    if show.modules {
        console::print_text(&help::modules());
    }
    if show.environment {
        console::print_text(&help::environment(flavour));
    }
    if show.log_filters {
        console::print_text(&help::log_filters());
    }
}

fn list_modules(loaded: &Loaded, console: &Console) -> bool {
    console.warn(&loaded.warnings);
    match &loaded.outcome {
        Ok(_) => console::print_text(&help::modules()),
        Err(rejected) => console.reject(rejected),
    }
    loaded.outcome.is_ok()
}

/// `-s`: the configuration is checked first, and says where the pid file is (as the originals).
fn send(word: cli::Signal, loaded: &Loaded, console: &Console) -> bool {
    console.warn(&loaded.warnings);
    let configuration = match &loaded.outcome {
        Ok(configuration) => configuration,
        Err(rejected) => {
            console.reject(rejected);
            return false;
        }
    };
    console.say(Level::Notice, "signal process started");
    let Some(file) = &configuration.process.pid else {
        console.say(Level::Error, "no PID file configured");
        return false;
    };
    let signal = match word {
        cli::Signal::Stop => Signal::SIGTERM,
        cli::Signal::Quit => Signal::SIGQUIT,
        cli::Signal::Reopen => Signal::SIGUSR1,
        cli::Signal::Reload => Signal::SIGHUP,
    };
    let pid = match PidFile::read(file) {
        Ok(pid) => pid,
        Err(error) => {
            console.say(Level::Error, Reason(&error));
            return false;
        }
    };
    match signal::kill(pid, signal) {
        Ok(()) => true,
        Err(error) => {
            let reason = mail::event::Errno(Some(error as i32));
            console.say(Level::Alert, format_args!("kill({pid}, {}) failed{reason}", signal as i32));
            false
        }
    }
}
