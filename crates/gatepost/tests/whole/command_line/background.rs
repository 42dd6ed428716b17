//! `daemon on`: the first process leaves when the second one serves.

use rig::{Client, eventually, port};

use super::Prefix;
use crate::stage::{Protocol, greeted};

/// A configuration that goes to the background; the process is stopped at the latest when this is dropped.
struct Background {
    prefix: Prefix,
    address: std::net::SocketAddr,
}

impl Background {
    fn new(more: &str) -> Self {
        let address = port::free();
        let prefix = Prefix::new(&format!(
            "user root; {more} events {{}}
             mail {{ auth_http 127.0.0.1:9; server {{ listen {address}; protocol imap; }} }}"
        ));
        Self { prefix, address }
    }

    /// The number in the pid file.
    fn pid(&self) -> Option<String> {
        let text = self.prefix.read("pid");
        let number = text.strip_suffix('\n')?;
        number.parse::<u32>().is_ok().then(|| number.to_owned())
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        if self.pid().is_some() {
            let _ = self.prefix.command(&["-s", "stop"]).status();
        }
    }
}

#[test]
fn a_start_ends_with_0_once_the_second_process_serves() {
    let background = Background::new("");
    // That this returns shows that the second process has let go of the first one's output.
    let ran = background.prefix.run(&[]).succeeded();
    assert_eq!((ran.text(), ran.stderr), (String::new(), String::new()));
    greeted(background.address, Protocol::Imap);
    let pid = background.pid().expect("the pid file is written");
    assert!(background.prefix.read("error.log").contains(&format!(" {pid}#")));
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let session = stat.rsplit(") ").next().unwrap().split(' ').nth(3).unwrap();
    assert_eq!(session, pid, "it leads a session of its own");

    background.prefix.run(&["-s", "stop"]).succeeded();
    eventually("the pid file is gone", || !background.prefix.path("pid").exists());
    assert!(std::net::TcpStream::connect(background.address).is_err());
}

#[test]
fn whoever_reads_what_a_start_says_is_not_kept_waiting() {
    let background = Background::new("");
    // `output` reads until nobody holds the pipes any more.
    let ran = background.prefix.command(&[]).stdin(std::process::Stdio::null()).output().unwrap();
    assert!(ran.status.success());
    assert_eq!((ran.stdout, ran.stderr), (Vec::new(), Vec::new()));
    greeted(background.address, Protocol::Imap);
}

#[test]
fn a_start_that_fails_in_the_second_process_ends_with_1_and_says_why() {
    let background = Background::new("");
    let taken = std::net::TcpListener::bind(background.address).unwrap();
    let ran = background.prefix.run(&[]);
    assert_eq!(ran.status.code(), Some(1));
    let expected = format!(
        "gatepost: [emerg] bind() to {} failed (98: Address already in use)\n",
        taken.local_addr().unwrap()
    );
    assert_eq!(ran.stderr, expected.repeat(5) + "gatepost: [emerg] still could not bind()\n");
    assert!(!background.prefix.path("pid").exists());
}

#[test]
fn warnings_of_a_start_are_said_once() {
    let background = Background::new("http { server { listen 80; } }");
    let ran = background.prefix.run(&[]).succeeded();
    assert_eq!(ran.stderr.matches("[warn]").count(), 1, "{}", ran.stderr);
}

#[test]
fn a_background_process_keeps_serving_when_its_starter_is_long_gone() {
    let background = Background::new("worker_processes 2;");
    background.prefix.run(&[]).succeeded();
    background.prefix.run(&["-s", "reopen"]).succeeded();
    for _ in 0..10 {
        let mut client: Client = greeted(background.address, Protocol::Imap);
        client.exchange("a LOGOUT\r\n", "* BYE\r\na OK completed\r\n").expect_end();
    }
    background.prefix.run(&["-s", "quit"]).succeeded();
    eventually("the pid file is gone", || !background.prefix.path("pid").exists());
}
