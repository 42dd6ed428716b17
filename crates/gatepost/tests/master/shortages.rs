//! What the system has no more of.

use nix::sys::signal::Signal;
use rig::{Client, eventually};

use crate::stage::{Setting, login, use_session};

#[test]
fn without_descriptors_nobody_is_accepted_for_a_while_and_nobody_is_lost() {
    const DESCRIPTORS: usize = 60;
    let stage = Setting::new(&format!("worker_rlimit_nofile {DESCRIPTORS};"), "").start();
    let mut session = login(stage.pop3, "joe");
    let mut crowd: Vec<Client> = (0..DESCRIPTORS).map(|_| Client::connect(stage.pop3)).collect();
    stage.wait_for_log("[crit] ");
    stage.wait_for_log("accept4() failed (24: Too many open files) while accepting new connection");
    use_session(&mut session);
    // Those who were not accepted wait, and are as soon as others leave.
    let mut last = crowd.pop().unwrap();
    drop(crowd);
    last.expect("+OK POP3 ready\r\n");
    use_session(&mut login(stage.pop3, "joe"));
    use_session(&mut session);
    let lines = stage.count("accept4() failed");
    assert!(lines < 30, "accepting pauses in between: {lines} lines");
}

#[test]
fn without_descriptors_a_reload_fails_and_logs_stay_but_nobody_is_turned_away_for_good() {
    const DESCRIPTORS: usize = 60;
    let stage = Setting::new(&format!("worker_rlimit_nofile {DESCRIPTORS};"), "").start();
    let worker = stage.worker();
    let mut session = login(stage.pop3, "joe");
    let crowd: Vec<Client> = (0..DESCRIPTORS).map(|_| Client::connect(stage.pop3)).collect();
    stage.wait_for_log("accept4() failed (24: Too many open files)");
    stage.signal(Signal::SIGUSR1);
    stage.wait_for_log(&format!("[emerg] {worker}#{worker}: the master's descriptors did not arrive"));
    stage.signal(Signal::SIGHUP);
    stage.wait_for_log("reconfiguring failed: the master's descriptors did not arrive");
    use_session(&mut session);
    drop(crowd);
    use_session(&mut login(stage.pop3, "joe"));
    stage.reload();
    assert_eq!(stage.worker(), worker, "the same all the time");
    use_session(&mut session);
}

#[test]
fn a_full_disk_is_no_reason_not_to_serve() {
    let stage = Setting::new("error_log /dev/full info;", "").start();
    for _ in 0..10 {
        use_session(&mut login(stage.pop3, "joe"));
    }
    stage.reload();
    use_session(&mut login(stage.pop3, "joe"));
    eventually("it ends in peace", || stage.process().stop().success());
}
