//! The file of `conf` of `resolver` changes while the program serves.

use std::fmt::Write as _;
use std::fs;
use std::ops::RangeFrom;

use nix::sys::signal::Signal;
use rig::dns::{A, Reply};
use rig::{DnsServer, eventually};

use crate::stage::{Setting, Stage, login, send};

/// How many users there are, each at an upstream of a name of its own.
const USERS: usize = 300;

/// Gatepost with a file that names the first of two DNS servers, which know the same names.
struct Row {
    stage: Stage,
    first: DnsServer,
    second: DnsServer,
    fresh: RangeFrom<usize>,
}

impl Row {
    #[track_caller]
    fn start(main: &str) -> Self {
        let [first, second] = [DnsServer::start(), DnsServer::start()];
        let setting = Setting::new(main, "");
        let mut users = String::new();
        for number in 0..USERS {
            let (name, backend) = (name(number), setting.backend.address());
            writeln!(users, "u{number}:{{PLAIN}}hush::::::host={name} port={}", backend.port()).unwrap();
            for server in [&first, &second] {
                server.says(&name, A, Reply::addr(&name, 3600, &backend.ip().to_string()));
            }
        }
        fs::write(setting.path("users"), users).unwrap();
        let file = setting.path("resolv.conf");
        fs::write(&file, naming(&first)).unwrap();
        setting.write_configuration(main, &format!("resolver conf={} ipv6=off;", file.display()));
        Self { stage: setting.start(), first, second, fresh: 0.. }
    }

    /// Logs in somebody who has not been there yet, so that somebody is asked.
    #[track_caller]
    fn log_in(&mut self) {
        let number = self.fresh.next().unwrap();
        login(self.stage.pop3, &format!("u{number}"));
    }

    /// Writes the file and waits for this in the log.
    #[track_caller]
    fn write(&self, contents: &str, logged: &str) {
        let new = self.stage.path("new");
        fs::write(&new, contents).unwrap();
        fs::rename(new, self.stage.path("resolv.conf")).unwrap();
        self.stage.wait_for_log(logged);
    }

    /// Waits until it is the second server that is asked.
    #[track_caller]
    fn asks_second(&mut self) {
        let before = self.second.asked().len();
        eventually("the second server is asked", || {
            self.log_in();
            self.second.asked().len() > before
        });
        let asked = self.first.asked().len();
        self.log_in();
        assert_eq!(self.first.asked().len(), asked, "and the first is not any more");
    }
}

fn name(number: usize) -> String {
    format!("h{number}.example")
}

fn naming(server: &DnsServer) -> String {
    format!("nameserver [{}]:{}\n", server.addr().ip(), server.addr().port())
}

#[test]
fn a_file_that_changes_is_followed_and_what_is_known_stays_known() {
    for main in ["", "master_process off;"] {
        let mut row = Row::start(main);
        row.log_in();
        assert_eq!((row.first.count(&name(0), A), row.second.asked().len()), (1, 0));
        row.write(&naming(&row.second), "/resolv.conf\" has changed, name servers in it: 1");
        row.asks_second();
        login(row.stage.pop3, "u0");
        assert_eq!((row.first.count(&name(0), A), row.second.count(&name(0), A)), (1, 0));
    }
}

#[test]
fn a_file_that_does_not_do_is_said_once_and_the_servers_stay() {
    let mut row = Row::start("");
    row.write("nameserver dns\n", "[error] ");
    row.stage.wait_for_log("cannot parse IP address (dns) from ");
    row.log_in();
    fs::remove_file(row.stage.path("resolv.conf")).unwrap();
    row.stage.wait_for_log("/resolv.conf\" failed (2: No such file or directory)");
    row.log_in();
    assert_eq!(row.first.asked().len(), 2);
    row.write(&naming(&row.second), "has changed");
    row.asks_second();
    assert_eq!(row.stage.count("cannot parse") + row.stage.count("stat()"), 2);
}

#[test]
fn a_new_worker_asks_those_that_are_in_the_file_now() {
    let mut row = Row::start("");
    row.write(&naming(&row.second), "has changed");
    row.asks_second();
    let worker = row.stage.worker();
    send(worker, Signal::SIGKILL);
    row.stage.wait_for_log("exited on signal 9");
    row.asks_second();
}

#[test]
fn after_a_reload_the_file_is_followed_too() {
    let mut row = Row::start("");
    row.stage.reload();
    row.log_in();
    assert_eq!(row.first.asked().len(), 1);
    row.write(&naming(&row.second), "has changed");
    row.asks_second();
}
