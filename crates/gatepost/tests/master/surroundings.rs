//! What directives of the main context make of the worker, as the system shows it.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;

use nix::unistd::geteuid;
use rig::eventually;

use crate::proc;
use crate::stage::{Setting, login, use_session};

/// The names and numbers of the threads of a process.
fn threads(pid: u32) -> Vec<(String, u32)> {
    let entries = fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    let thread = |number: u32| (proc::status(number, "Name"), number);
    entries.map(|entry| thread(entry.unwrap().file_name().to_str().unwrap().parse().unwrap())).collect()
}

/// The first of the processors that this test may run on.
fn processor() -> usize {
    let allowed = proc::status(std::process::id(), "Cpus_allowed_list");
    allowed.split([',', '-']).next().unwrap().parse().unwrap()
}

/// The soft and the hard limit of this name.
fn limits(pid: u32, name: &str) -> [String; 2] {
    let text = fs::read_to_string(format!("/proc/{pid}/limits")).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap().to_owned();
    let mut words = line.split_whitespace().map(str::to_owned);
    [words.next().unwrap(), words.next().unwrap()]
}

/// How nice a process or thread is (proc(5), `nice`).
fn niceness(pid: u32) -> i32 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    stat.rsplit(") ").next().unwrap().split(' ').nth(16).unwrap().parse().unwrap()
}

#[test]
fn serving_threads_run_on_the_processors_that_they_are_given() {
    let processor = processor();
    let mask = format!("1{}", "0".repeat(processor));
    let setting = Setting::new(&format!("worker_processes 2; worker_cpu_affinity {mask} {mask};"), "");
    let stage = setting.start();
    let worker = stage.worker();
    for name in ["serve-0", "serve-1"] {
        // The second one may still be about to start.
        eventually(&format!("{name} is where it belongs"), || {
            let threads = threads(worker);
            let thread = threads.iter().find(|(of, _)| of == name);
            thread.is_some_and(|(_, number)| {
                proc::status(*number, "Cpus_allowed_list") == processor.to_string()
            })
        });
    }
    let here = proc::status(std::process::id(), "Cpus_allowed_list");
    assert_eq!(proc::status(stage.master(), "Cpus_allowed_list"), here, "the master runs anywhere");
    use_session(&mut login(stage.pop3, "joe"));
}

#[test]
fn every_thread_of_the_worker_is_as_nice_as_wished_and_the_master_is_not() {
    let stage = Setting::new("worker_processes 2; worker_priority 7;", "").start();
    let before = niceness(std::process::id());
    for (name, thread) in threads(stage.worker()) {
        assert_eq!(niceness(thread), 7, "{name}");
    }
    assert_eq!(niceness(stage.master()), before);
}

#[test]
fn limits_are_the_workers_and_a_change_brings_another_worker() {
    let stage = Setting::new("worker_rlimit_nofile 300; worker_rlimit_core 1m;", "").start();
    let first = stage.worker();
    assert_eq!(limits(first, "Max open files"), ["300", "300"]);
    assert_eq!(limits(first, "Max core file size"), ["1048576", "1048576"]);
    assert_eq!(limits(stage.master(), "Max open files"), limits(std::process::id(), "Max open files"));
    let mut session = login(stage.pop3, "joe");
    stage.write_configuration("worker_rlimit_nofile 200;", "");
    stage.reload();
    use_session(&mut login(stage.pop3, "joe"));
    use_session(&mut session);
    drop(session);
    eventually("the first worker has gone", || !proc::is_alive(first));
    assert_eq!(limits(stage.worker(), "Max open files"), ["200", "200"]);
}

#[test]
fn a_limit_that_the_system_does_not_allow_is_told_and_no_reason_to_stay_away() {
    // No process may have more open than the kernel has room for (fs.nr_open), whoever it is.
    let stage = Setting::new("worker_rlimit_nofile 4000000000;", "").start();
    stage.wait_for_log("[alert] ");
    stage.wait_for_log("setrlimit(RLIMIT_NOFILE, 4000000000) failed (1: Operation not permitted)");
    use_session(&mut login(stage.pop3, "joe"));
}

#[test]
fn only_a_worker_that_may_leave_a_core_can_be_looked_into() {
    if !geteuid().is_root() {
        // Whom the files belong to shows only where the worker is somebody else.
        return;
    }
    let owner = |main: &str| {
        let stage = Setting::new(main, "").start();
        fs::metadata(format!("/proc/{}/maps", stage.worker())).unwrap().uid()
    };
    // What cannot be dumped belongs to root (proc(5)).
    assert_eq!(owner(""), 0);
    assert_ne!(owner("worker_rlimit_core 1m;"), 0);
}

#[test]
fn the_worker_works_where_it_is_told_to() {
    if !geteuid().is_root() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    fs::set_permissions(directory.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let works_in = |pid: u32| -> PathBuf { fs::read_link(format!("/proc/{pid}/cwd")).unwrap() };
    let stage = Setting::new(&format!("working_directory {};", directory.path().display()), "").start();
    assert_eq!(works_in(stage.worker()), directory.path());
    assert_eq!(works_in(stage.master()), std::env::current_dir().unwrap());
}

#[test]
fn a_place_where_the_worker_cannot_work_is_a_start_that_fails() {
    let directory = tempfile::tempdir().unwrap();
    let log = directory.path().join("log");
    let main = format!("working_directory /nonexistent; error_log {} notice;", log.display());
    let outcome = Setting::new(&main, "").try_start();
    assert_eq!(outcome.err().and_then(|status| status.code()), Some(1));
    let log = fs::read_to_string(&log).unwrap();
    assert!(log.contains("chdir(\"/nonexistent\") failed (2: No such file or directory)"), "{log}");
    assert!(log.contains("exited with fatal code 2 and cannot be respawned"), "{log}");
}

#[test]
fn the_worker_sees_of_the_environment_what_is_named() {
    if !geteuid().is_root() {
        return;
    }
    let setting =
        Setting::new("env GATEPOST_TEST=said; env GATEPOST_TEST_GIVEN; env GATEPOST_TEST_MISSING;", "");
    let given = [("GATEPOST_TEST_GIVEN", "given"), ("GATEPOST_TEST_OTHER", "x"), ("TZ", "UTC")];
    let stage = setting.start_with_environment(&given);
    let text = String::from_utf8(fs::read(format!("/proc/{}/environ", stage.worker())).unwrap()).unwrap();
    let mut seen: Vec<&str> = text.split_terminator('\0').collect();
    seen.sort_unstable();
    assert_eq!(seen, ["GATEPOST_TEST=said", "GATEPOST_TEST_GIVEN=given", "GATEPOST_WORKER=1", "TZ=UTC"]);
}

#[test]
fn a_lock_file_is_never_made() {
    let setting = Setting::new("", "");
    let lock = setting.path("lock");
    setting.write_configuration(&format!("lock_file {};", lock.display()), "");
    let stage = setting.start();
    use_session(&mut login(stage.pop3, "joe"));
    stage.reload();
    let files = fs::read_dir(stage.directory.path()).unwrap().map(|entry| entry.unwrap().file_name());
    let named: Vec<_> = files.filter(|name| name.to_string_lossy().starts_with("lock")).collect();
    assert!(named.is_empty(), "{named:?}");
}
