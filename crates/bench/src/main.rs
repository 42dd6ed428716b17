//! A side-by-side benchmark of mail proxies.
//!
//! It starts stub mail servers and an auth service, a load generator, and in turn every proxy that it compares, all on
//! this machine and in this run, and measures from outside: CPU time and memory as the kernel counts them, latency as
//! clients see it. It uses none of gatepost's crates, so that it cannot be wrong in the same way; only `bare`, which is to
//! have gatepost's means, has its ring.
//!
//! `compare` is the run, `workload` the table of what is measured, `measure` how; `stub` and `load` are the other
//! processes, `bare` is a peer. docs/performance.md is the manual.

mod bare;
mod certificates;
mod child;
mod cli;
mod clock;
mod compare;
mod failure;
mod figures;
mod load;
mod machine;
mod measure;
mod peer;
mod pin;
mod report;
mod stub;
mod usage;
mod wire;
mod workload;

use std::io::{self, Write};
use std::process::ExitCode;

use nix::sys::resource::{Resource, getrlimit, setrlimit};

use cli::{Command, Options};
use compare::{compare, tell};
use failure::Failure;
use machine::Machine;
use measure::Bench;
use peer::Peer;
use pin::Pin;
use report::{Named, Results, Terms};
use workload::WORKLOADS;

fn main() -> ExitCode {
    #[expect(clippy::disallowed_methods, reason = "this program sets no title")]
    let words = std::env::args_os().skip(1);
    let done = match cli::parse(words) {
        Ok(Command::Compare(options)) => run(&options),
        Ok(Command::Help) => say(cli::HELP),
        Ok(Command::List) => list(),
        Ok(Command::Stub) => stub::serve().map(|()| ExitCode::SUCCESS).map_err(Failure::from),
        Ok(Command::Bare) => bare::serve().map(|()| ExitCode::SUCCESS).map_err(Failure::from),
        Ok(Command::Load) => load::serve().map(|()| ExitCode::SUCCESS).map_err(Failure::from),
        Err(error) => {
            // Nobody is left to be told that standard error is closed.
            let _ = tell(&format!("bench: {error}"));
            return ExitCode::from(2);
        }
    };
    done.unwrap_or_else(|failure| {
        let _ = tell(&format!("bench: {failure}"));
        ExitCode::FAILURE
    })
}

/// The whole comparison. Fails if a peer failed, for then a table has holes.
fn run(options: &Options) -> Result<ExitCode, Failure> {
    let machine = Machine::look();
    let peers = peers(options)?;
    raise_descriptor_limit(options.extent.sessions)?;
    let pin = if options.pin { Pin::On } else { Pin::Off };
    let bench = Bench::set_up(options.extent, pin)?;
    let compared = compare(&bench, &peers, &options.workloads, options.rounds)?;
    let results = Results {
        machine,
        peers: peers.iter().map(Named::new).collect(),
        compared,
        terms: Terms {
            rounds: options.rounds,
            span: options.extent.span,
            sessions: options.extent.sessions,
            pinned: options.pin,
        },
    };
    results.write(options.form, &mut io::stdout().lock())?;
    if let Some(file) = &options.update {
        report::update(file, &results)?;
    }
    Ok(if results.complete() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// nginx first, for all others are compared with it.
fn peers(options: &Options) -> Result<Vec<Peer>, Failure> {
    let beside = std::env::current_exe()?.with_file_name("gatepost");
    let mut peers = vec![Peer::nginx(&options.nginx)];
    match &options.gatepost {
        Some(program) => peers.push(Peer::new("gatepost", program)),
        None if beside.exists() => peers.push(Peer::new("gatepost", &beside)),
        None => tell(&format!("bench: no {}, so gatepost is not compared", beside.display()))?,
    }
    if options.bare {
        peers.push(Peer::bare(&std::env::current_exe()?));
    }
    peers.extend(options.others.iter().map(|(name, program)| Peer::new(name, program)));
    Ok(peers)
}

/// Raises this process's limit of descriptors as far as it may. Every process started from here inherits it.
///
/// A proxy needs two for each session.
fn raise_descriptor_limit(sessions: usize) -> Result<(), Failure> {
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE).map_err(io::Error::from)?;
    setrlimit(Resource::RLIMIT_NOFILE, most, most).map_err(io::Error::from)?;
    let needed = sessions as u64 * 2 + 500;
    if most < needed {
        return Err(Failure::Descriptors { sessions, needed, most });
    }
    Ok(())
}

fn list() -> Result<ExitCode, Failure> {
    let lines: Vec<_> =
        WORKLOADS.iter().map(|workload| format!("{:<16} {}\n", workload.name, workload.title)).collect();
    say(&lines.concat())
}

fn say(text: &str) -> Result<ExitCode, Failure> {
    io::stdout().lock().write_all(text.as_bytes())?;
    Ok(ExitCode::SUCCESS)
}
