//! The file for logrotate in `contrib/`, with logrotate itself.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use rig::{AuthServer, Client, Program, Proxy, auth_server, eventually, tool};

/// The file with the places of a package, which the test has elsewhere.
const FILE: &str = include_str!("../../../../contrib/logrotate/gatepost");

/// Rotates all logs in `directory`, though it is not time yet.
#[track_caller]
fn rotate(directory: &Path) {
    let here = directory.display().to_string();
    let places = [("/var/log/gatepost/", format!("{here}/")), ("/run/gatepost.pid", format!("{here}/pid"))];
    let file = places.iter().fold(FILE.to_owned(), |text, (package, here)| {
        assert!(text.contains(package), "{package}");
        text.replace(package, here)
    });
    let (path, state) = (directory.join("logrotate.conf"), directory.join("logrotate.state"));
    fs::write(&path, file).expect("the directory is writable");
    let said = tool::run(Command::new("logrotate").arg("-f").arg("-s").arg(state).arg(path), &[]).succeeded();
    assert_eq!(said.stderr, "");
}

/// Has a client of this name refused, which is told in one line.
#[track_caller]
fn refuse(at: SocketAddr, name: &str) {
    Client::connect(at)
        .expect("* OK IMAP4 ready\r\n")
        .exchange(format!("a LOGIN {name} x\r\n"), "a NO no\r\n");
}

/// How many clients of the name that begins so a log tells.
fn told(log: &str, name: &str) -> usize {
    log.lines().filter(|line| line.contains(&format!("login: \"{name}"))).count()
}

#[test]
fn lines_go_to_the_new_file_and_none_is_lost() {
    let auth = AuthServer::always(auth_server::refuse("no"));
    let configuration = format!(
        "user nobody nogroup; daemon off; worker_processes 2; events {{}}
         mail {{ auth_http {}; server {{ listen @imap; protocol imap; }} }}",
        auth.address()
    );
    let proxy = Proxy::start_whole(&Program::gatepost(env!("CARGO_BIN_EXE_gatepost")), &configuration);
    let (directory, at) = (proxy.directory(), proxy.at("imap"));
    let read = |file: &str| fs::read_to_string(directory.join(file)).unwrap_or_default();
    let enough = Arc::<AtomicBool>::default();
    let crowd = thread::spawn({
        let enough = Arc::clone(&enough);
        // Named so that no name is the beginning of another.
        let refuse = move |number: &usize| refuse(at, &format!("crowd-{number}-"));
        move || (0..).take_while(|_| !enough.load(Ordering::Relaxed)).inspect(refuse).count()
    });
    for round in 0..2 {
        eventually("there is something to lose", || told(&read("error.log"), "crowd-") > 0);
        rotate(directory);
        let mut tries = 0;
        eventually("the worker writes to the new file", || {
            tries += 1;
            refuse(at, &format!("late-{round}-{tries}-"));
            told(&read("error.log"), &format!("late-{round}-")) > 0
        });
    }
    enough.store(true, Ordering::Relaxed);
    let count = crowd.join().expect("every client was refused");
    let new = fs::metadata(directory.join("error.log")).expect("there is a new file");
    assert_eq!((new.mode() & 0o777, new.uid()), (0o640, 0), "as logrotate has made it");
    assert!(proxy.stop().success());
    let oldest = tool::run(Command::new("gzip").arg("-dc").arg(directory.join("error.log.2.gz")), &[]);
    assert!(told(&read("error.log.1"), "crowd-") > 0);
    let all = oldest.succeeded().text() + &read("error.log.1") + &read("error.log");
    for number in 0..count {
        assert_eq!(told(&all, &format!("crowd-{number}-")), 1, "crowd-{number}");
    }
}
