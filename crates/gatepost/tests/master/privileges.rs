//! What the worker may do, and what it has open.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use nix::unistd::geteuid;

use crate::proc;
use crate::stage::{NOBODY, PASSWORD, Setting, Stage, login, use_session};

#[test]
fn the_worker_has_no_privileges_and_the_master_keeps_its_own() {
    let stage = Setting::new("", "").start();
    let (master, worker) = (stage.master(), stage.worker());
    for sets in ["CapInh", "CapPrm", "CapEff", "CapAmb"] {
        assert_eq!(proc::status(worker, sets), "0000000000000000", "{sets}");
    }
    assert_eq!(proc::status(worker, "NoNewPrivs"), "1");
    if geteuid().is_root() {
        let nobody = format!("{NOBODY}\t{NOBODY}\t{NOBODY}\t{NOBODY}");
        assert_eq!(proc::status(worker, "Uid"), nobody);
        assert_eq!(proc::status(worker, "Gid"), nobody);
        assert_eq!(proc::status(worker, "Groups"), NOBODY.to_string());
        assert_eq!(proc::status(master, "Uid"), "0\t0\t0\t0");
    }
    assert_eq!(
        (proc::status(master, "Name"), proc::status(worker, "Name")),
        ("gatepost".into(), "gatepost".into())
    );
}

#[test]
fn root_as_the_user_of_the_worker_has_no_capabilities_either() {
    if !geteuid().is_root() {
        return;
    }
    let stage = Setting::new("user root;", "").start();
    let worker = stage.worker();
    assert_eq!(proc::status(worker, "Uid"), "0\t0\t0\t0");
    assert_eq!(proc::status(worker, "CapEff"), "0000000000000000");
    use_session(&mut login(stage.pop3, "joe"));
}

#[test]
fn whoever_holds_passwords_leaves_no_core_unless_asked_to() {
    // The files of a process that may leave a core belong to its user there, those of others to root (proc(5)).
    let is_guarded = |stage: &Stage, pid| {
        use_session(&mut login(stage.pop3, "joe"));
        fs::metadata(format!("/proc/{pid}/environ")).unwrap().uid() == 0
    };
    let guarded = Setting::new("", "").start_as_nobody();
    assert!(is_guarded(&guarded, guarded.worker()));
    // It has the users file.
    assert!(is_guarded(&guarded, guarded.master()));
    let single = Setting::new("master_process off;", "").start_as_nobody();
    assert!(is_guarded(&single, single.master()));
    let debugged = Setting::new("worker_rlimit_core 1m;", "").start_as_nobody();
    assert!(!is_guarded(&debugged, debugged.worker()));
    assert!(!is_guarded(&debugged, debugged.master()));
    debugged.write_configuration("", "");
    debugged.reload();
    assert!(is_guarded(&debugged, debugged.master()));
}

#[test]
fn the_worker_is_locked_in_and_says_so() {
    let stage = Setting::new("", "").start();
    stage.wait_for_log("sandbox: ");
    let seccomp = proc::status(stage.worker(), "Seccomp") == "2";
    assert_eq!(stage.count("seccomp on"), usize::from(seccomp));
    let open = Setting::new("sandbox off;", "").start();
    assert_eq!(proc::status(open.worker(), "Seccomp"), "0");
    open.wait_for_log("sandbox: off");
}

#[test]
fn the_worker_cannot_open_a_file_that_everybody_may_read() {
    let free = Setting::new("sandbox off; env GATEPOST_PROBE=/etc/passwd;", "").start();
    free.wait_for_log("probe: opened");
    let stage = Setting::new("env GATEPOST_PROBE=/etc/passwd;", "").start();
    stage.wait_for_log("probe: ");
    if stage.count("landlock on") + stage.count("seccomp on") > 0 {
        assert_eq!(stage.count("probe: permission denied"), 1, "{}", stage.log());
    }
}

#[test]
fn the_worker_has_sockets_and_logs_open_and_no_other_file() {
    if !geteuid().is_root() {
        // The worker lets nobody look inside, not even its own user.
        return;
    }
    let stage = Setting::new("", "").start();
    use_session(&mut login(stage.pop3, "joe"));
    let (log, stderr) = (stage.path("error.log"), stage.path("stderr"));
    let files = proc::open_files(stage.worker());
    assert!(files.contains(&log), "{files:?}");
    for file in files {
        // Sockets and their like have no paths.
        let expected = !file.is_absolute() || file == log || file == stderr || file == Path::new("/dev/null");
        assert!(expected, "{}", file.display());
    }
}

#[test]
fn the_worker_learns_from_the_master_what_names_mean() {
    let setting = Setting::new("", "");
    setting.write_users("joe", "localhost");
    let stage = setting.start();
    use_session(&mut login(stage.pop3, "joe"));
    stage.write_users("joe", "no-such-host.invalid");
    stage.reload();
    let mut client = rig::Client::connect(stage.pop3);
    client
        .expect("+OK POP3 ready\r\n")
        .exchange("USER joe\r\n", "+OK\r\n")
        .send(format!("PASS {PASSWORD}\r\n"));
    client.expect_prefix("-ERR");
    stage.wait_for_log("no-such-host.invalid");
}
