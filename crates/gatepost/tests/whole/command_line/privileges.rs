//! Who the process is. Only a superuser can see it change, so these tests do nothing for others.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;

use nix::unistd::{User, geteuid};
use rig::{Process, eventually, port};

use super::Prefix;
use crate::stage::{Protocol, greeted};

/// A prefix that everybody may enter, and an address to listen at.
fn open_prefix(more: &str) -> (Prefix, std::net::SocketAddr) {
    let address = port::free();
    let prefix = Prefix::new(&format!(
        "daemon off; master_process off; {more} events {{}}
         mail {{ auth_http 127.0.0.1:9; server {{ listen {address}; protocol imap; }} }}"
    ));
    open_to(&prefix, 0o777);
    (prefix, address)
}

/// Sets what others may do in the prefix.
fn open_to(prefix: &Prefix, mode: u32) {
    let permissions = fs::Permissions::from_mode(mode);
    fs::set_permissions(prefix.path(""), permissions).expect("the directory is ours");
}

/// The values of a line of the process's status.
fn status(process: &Process, name: &str) -> Vec<String> {
    let text = fs::read_to_string(format!("/proc/{}/status", process.id())).expect("it runs");
    let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
    line.split_whitespace().map(str::to_owned).collect()
}

/// The binary where everybody can run it: not every directory of a developer is open to others.
fn reachable(prefix: &Prefix) -> PathBuf {
    let copy = prefix.path("gatepost");
    fs::copy(env!("CARGO_BIN_EXE_gatepost"), &copy).expect("there is room for it");
    copy
}

#[test]
fn started_by_root_it_becomes_its_user_and_keeps_no_privileges() {
    if !geteuid().is_root() {
        return;
    }
    let nobody = User::from_name("nobody").unwrap().expect("there is a user nobody");
    // Its own group, whose name differs from system to system.
    let group = nix::unistd::Group::from_gid(nobody.gid).unwrap().expect("which has a group").name;
    let (prefix, address) = open_prefix(&format!("user nobody {group}; worker_processes 2;"));
    let process = Process::start(&mut prefix.command(&[]));
    eventually("it has started", || prefix.read("error.log").contains("start serving threads"));
    greeted(address, Protocol::Imap);
    assert_eq!(status(&process, "Uid:"), vec![nobody.uid.to_string(); 4]);
    assert_eq!(status(&process, "Gid:"), vec![nobody.gid.to_string(); 4]);
    assert_eq!(status(&process, "Groups:"), [nobody.gid.to_string()]);
    for set in ["CapInh:", "CapPrm:", "CapEff:", "CapAmb:"] {
        assert_eq!(status(&process, set), ["0000000000000000"], "{set}");
    }
    for task in fs::read_dir(format!("/proc/{}/task", process.id())).unwrap() {
        let text = fs::read_to_string(task.unwrap().path().join("status")).unwrap();
        let uid = text.lines().find_map(|line| line.strip_prefix("Uid:")).unwrap();
        assert!(uid.split_whitespace().all(|id| id == nobody.uid.to_string()), "every thread: {uid}");
    }
    assert!(process.stop().success());
    assert_eq!(prefix.read("pid"), "");
}

#[test]
fn the_log_can_be_opened_again_by_the_user_that_it_became() {
    if !geteuid().is_root() {
        return;
    }
    let group = nix::unistd::Group::from_gid(User::from_name("nobody").unwrap().unwrap().gid);
    let (prefix, _) = open_prefix(&format!("user nobody {};", group.unwrap().unwrap().name));
    // As a package's post-install script makes it: a directory that only root may write to.
    open_to(&prefix, 0o755);
    let process = Process::start(&mut prefix.command(&[]));
    eventually("it has started", || prefix.read("error.log").contains("start serving threads"));
    process.signal(nix::sys::signal::Signal::SIGUSR1);
    eventually("logs are opened again", || prefix.read("error.log").contains("reopening logs"));
    process.signal(nix::sys::signal::Signal::SIGHUP);
    eventually("it goes on", || prefix.read("error.log").contains("(SIGHUP) received"));
    assert!(!prefix.read("error.log").contains("[emerg]"), "{}", prefix.read("error.log"));
}

#[test]
fn a_log_that_is_a_link_gives_nothing_away() {
    if !geteuid().is_root() {
        return;
    }
    let group = nix::unistd::Group::from_gid(User::from_name("nobody").unwrap().unwrap().gid);
    let (prefix, _) = open_prefix(&format!("user nobody {};", group.unwrap().unwrap().name));
    prefix.write("secret", "");
    std::os::unix::fs::symlink(prefix.path("secret"), prefix.path("error.log")).unwrap();
    let process = Process::start(&mut prefix.command(&[]));
    eventually("it has started", || prefix.read("secret").contains("start serving threads"));
    assert_eq!(fs::metadata(prefix.path("secret")).unwrap().uid(), 0);
    assert!(process.stop().success());
}

#[test]
fn started_by_others_it_only_warns_of_the_user_directive() {
    if !geteuid().is_root() {
        return;
    }
    let (prefix, address) = open_prefix("user nobody;");
    let program = reachable(&prefix);
    let mut command = prefix.command_of(&program, &["-t"]);
    let ran = rig::tool::run(command.uid(65_534).gid(65_534), &[]).succeeded();
    let told = prefix.short(&ran.stderr);
    let expected = "gatepost: [warn] the \"user\" directive makes sense only if the master process runs with \
         super-user privileges, ignored in conf:2\n";
    assert!(told.starts_with(expected), "{told}");
    let process = Process::start(prefix.command_of(&program, &[]).uid(65_534).gid(65_534));
    eventually("it has started", || prefix.read("error.log").contains("start serving threads"));
    greeted(address, Protocol::Imap);
    assert!(process.stop().success());
    assert!(!prefix.path("pid").exists());
}
