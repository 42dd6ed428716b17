//! Who looks up names: never a process of root.

use std::io::{Read as _, Write as _};
use std::process::{Command, Stdio};

use nix::unistd::geteuid;
use rig::{PATIENCE, Process, eventually};

use crate::proc;
use crate::stage::{NOBODY, PROGRAM, Setting, login, use_session};

/// Page faults of the children that a process has waited for (proc(5), `cminflt`): none, if there were none.
fn faults_of_children(pid: u32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    stat.rsplit(") ").next().unwrap().split(' ').nth(8).unwrap().parse().unwrap()
}

#[test]
fn a_master_of_root_lets_a_child_look_up_names_and_any_other_asks_itself() {
    for as_root in [geteuid().is_root(), false] {
        let setting = Setting::new("", "");
        setting.write_users("joe", "localhost");
        let stage = if as_root { setting.start() } else { setting.start_as_nobody() };
        let before = faults_of_children(stage.master());
        assert_eq!(before, 0, "its worker is there");
        use_session(&mut login(stage.pop3, "joe"));
        // The child is waited for when it has answered.
        eventually("the child has gone", || (faults_of_children(stage.master()) > 0) == as_root);
        assert_eq!(proc::children(stage.master()).len(), 1, "the worker");
        assert_eq!(stage.count("SIGCHLD"), 0, "nothing to tell of");
    }
}

#[test]
fn names_in_the_configuration_are_looked_up_so_too() {
    if !geteuid().is_root() {
        return;
    }
    let setting = Setting::new("", "");
    let server =
        |name: &str| format!("server {{ listen {name}:{}; protocol pop3; }}", rig::port::free().port());
    setting.write_configuration("", &server("localhost"));
    let stage = setting.start();
    assert!(faults_of_children(stage.master()) > 0);
    stage.write_configuration("", &server("no-such-host.invalid"));
    stage.signal(nix::sys::signal::Signal::SIGHUP);
    stage.wait_for_log("host not found in \"no-such-host.invalid:");
    assert_eq!(stage.count("SIGCHLD"), 0);
    use_session(&mut login(stage.pop3, "joe"));
}

#[test]
fn who_looks_up_a_name_has_no_privileges_before_it_knows_the_name() {
    let (reader, mut name) = std::io::pipe().unwrap();
    let (mut answer, writer) = std::io::pipe().unwrap();
    let mut command = Command::new(PROGRAM);
    command.env_clear().env("GATEPOST_LOOKUP", "1").stdin(reader).stdout(writer).stderr(Stdio::null());
    let child = Process::start(&mut command);
    drop(command);
    eventually("it waits for the name", || proc::status(child.id(), "NoNewPrivs") == "1");
    eventually("it has no capabilities", || proc::status(child.id(), "CapPrm") == "0000000000000000");
    assert_eq!(proc::status(child.id(), "CapEff"), "0000000000000000");
    if geteuid().is_root() {
        let nobody = format!("{NOBODY}\t{NOBODY}\t{NOBODY}\t{NOBODY}");
        assert_eq!(
            (proc::status(child.id(), "Uid"), proc::status(child.id(), "Gid")),
            (nobody.clone(), nobody)
        );
        assert_eq!(proc::status(child.id(), "Groups"), "");
    }
    name.write_all(b"127.0.0.1").unwrap();
    drop(name);
    let mut said = Vec::new();
    answer.read_to_end(&mut said).unwrap();
    assert!(child.ends_within(PATIENCE).unwrap().success());
    let found: Result<Vec<std::net::IpAddr>, String> = postcard::from_bytes(&said).unwrap();
    assert_eq!(found.unwrap(), [std::net::IpAddr::from([127, 0, 0, 1])]);
}
