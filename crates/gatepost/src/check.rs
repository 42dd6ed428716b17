//! `-t` and `-T`: whether the program would start with a configuration.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;

use conf::Sources;
use mail::address::Endpoint;
use mail::files::Files;
use mail::flavour::Flavour;
use mail::listener::Bound;
use mail::settings::Listen;
use mail::settings::log::Level;
use nix::errno::Errno;

use crate::cli::Options;
use crate::console::Console;
use crate::settings::{Configuration, Loaded, Phase};
use crate::start::{self, OpenLogs, Reason, StartError};

/// Tests what was loaded from `file`; whether it is good.
///
/// As with the originals that opens what the configuration names: logs, the pid file, listening sockets. An address
/// that is in use is fine.
pub(crate) fn test(
    loaded: &Loaded,
    file: &Path,
    options: &Options,
    flavour: Flavour,
    console: &Console,
) -> bool {
    console.warn(&loaded.warnings);
    let shown = file.display();
    let syntax_is_ok = || {
        if !options.quiet {
            console.print(format_args!("the configuration file {shown} syntax is ok"));
        }
    };
    let good = match &loaded.outcome {
        Err(rejected) => {
            if rejected.phase == Phase::Meaning && flavour != Flavour::Nginx {
                syntax_is_ok();
            }
            console.reject(rejected);
            false
        }
        Ok(configuration) => {
            syntax_is_ok();
            let tried = rehearse(configuration, &loaded.files, console);
            if let Err(error) = &tried {
                console.say(Level::Emerg, Reason(error));
            }
            tried.is_ok()
        }
    };
    if !good {
        console.print(format_args!("configuration file {shown} test failed"));
    } else if !options.quiet {
        console.print(format_args!("configuration file {shown} test is successful"));
    }
    if good && options.dump {
        // Nobody is left to tell if standard output is closed.
        let _ = dump(&loaded.sources, &mut io::stdout().lock());
    }
    good
}

/// Does what a start does, and undoes what would be in its way.
fn rehearse(configuration: &Configuration, files: &Files, console: &Console) -> Result<(), StartError> {
    let Configuration { process, mail } = configuration;
    let logs = OpenLogs::open(process, mail)?;
    if let Some(pid) = &process.pid {
        touch(pid).map_err(StartError::call(format!("open() \"{}\"", pid.display())))?;
    }
    for listen in &mail.listens {
        rehearse_listen(listen)?;
    }
    let makings = start::rehearsal().map_err(StartError::Threads)?;
    start::build(mail, &logs, &makings, files, |warning| console.say(Level::Warn, warning))?;
    Ok(())
}

/// A missing pid file is created empty, an existing one is left as it is (as the originals).
fn touch(path: &Path) -> io::Result<()> {
    OpenOptions::new().append(true).create(true).mode(0o644).open(path).map(drop)
}

fn rehearse_listen(listen: &Listen) -> Result<(), StartError> {
    match Bound::open(Arc::new(alone(listen)), 1) {
        Ok(_) => {
            if let Endpoint::Unix(path) = &listen.endpoint {
                // It was not there a moment ago, or binding would have failed.
                let _ = std::fs::remove_file(path);
            }
            Ok(())
        }
        Err(error) if error.source.raw_os_error() == Some(Errno::EADDRINUSE as i32) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// `listen` for a socket that is beside no other: one beside those of a running program would be given some of its
/// clients, and end them.
fn alone(listen: &Listen) -> Listen {
    let mut alone = listen.clone();
    alone.options.reuseport = false;
    alone
}

/// All files of the configuration, each behind a comment with its name (`-T`).
fn dump(sources: &Sources, out: &mut impl Write) -> io::Result<()> {
    for source in sources.files() {
        writeln!(out, "# configuration file {}:", source.path.display())?;
        out.write_all(&source.contents)?;
        writeln!(out)?;
    }
    out.flush()
}

#[cfg(test)]
mod tests {
    use mail::settings::Door;
    use mail::settings::listen::SocketOptions;

    use super::*;

    #[test]
    fn a_rehearsal_takes_no_client_away() {
        let listen = |endpoint| {
            let options = SocketOptions { reuseport: true, ..SocketOptions::default() };
            let door = Door { server: 0, ssl: false, proxy_protocol: false };
            Listen { endpoint, door, exact: Vec::new(), options }
        };
        let any = listen(Endpoint::Tcp("127.0.0.1:0".parse().unwrap()));
        let running = Bound::open(Arc::new(any), 1).unwrap();
        let same = listen(running.local_addr().unwrap());
        assert!(Bound::open(Arc::new(same.clone()), 1).is_ok(), "so another thread has its own");
        let error = Bound::open(Arc::new(alone(&same)), 1).unwrap_err();
        assert_eq!(error.source.raw_os_error(), Some(Errno::EADDRINUSE as i32));
        assert!(rehearse_listen(&same).is_ok());
    }
}
