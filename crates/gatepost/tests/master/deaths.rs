//! Processes that die.

use std::io::Write as _;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use nix::unistd::geteuid;
use rig::eventually;
use rustix::process::{Resource, Rlimit, prlimit};

use crate::load::Load;
use crate::proc;
use crate::stage::{Setting, login, send, use_session};

#[test]
fn no_connection_is_refused_while_the_worker_is_killed_under_load() {
    let stage = Setting::new("worker_processes 2;", "").start();
    let load = Load::start(3, stage.pop3);
    for _ in 0..3 {
        let worker = stage.worker();
        use_session(&mut login(stage.pop3, "joe"));
        send(worker, Signal::SIGKILL);
        eventually("there is another worker", || {
            proc::children(stage.master()).iter().any(|pid| *pid != worker) && !proc::is_alive(worker)
        });
        // Served although it may come before the new worker serves.
        use_session(&mut login(stage.pop3, "joe"));
    }
    let tally = load.end();
    assert!(tally.good > 0 && tally.refused == 0, "{tally:?}");
    assert_eq!(stage.count("exited on signal 9"), 3);
}

#[test]
fn workers_that_die_in_a_row_are_replaced_ever_later_and_nobody_is_refused() {
    let stage = Setting::new("", "").start();
    use_session(&mut login(stage.pop3, "joe"));
    let mut worker = stage.worker();
    for pause in [0, 100, 200, 400] {
        let killed = Instant::now();
        send(worker, Signal::SIGKILL);
        TcpStream::connect(stage.pop3).expect("nobody has closed the socket");
        let another = || proc::children(stage.master()).into_iter().find(|pid| *pid != worker);
        eventually("there is another worker", || another().is_some());
        let took = killed.elapsed();
        assert!(took >= Duration::from_millis(pause), "{took:?} instead of {pause} ms");
        worker = another().expect("it was there");
    }
    use_session(&mut login(stage.pop3, "joe"));
}

#[test]
fn a_new_worker_serves_the_last_good_configuration() {
    let stage = Setting::new("", "").start();
    stage.write_users("ann", &stage.backend.address().ip().to_string());
    stage.reload();
    stage.write_configuration("nonsense;", "");
    stage.write_users("bob", "192.0.2.1");
    send(stage.worker(), Signal::SIGKILL);
    use_session(&mut login(stage.pop3, "ann"));
}

#[test]
fn a_worker_that_gets_no_more_memory_is_replaced_and_nobody_is_refused() {
    // Limits can be set from outside by the same user.
    let user = if geteuid().is_root() { "user root;" } else { "" };
    let stage = Setting::new(user, "").start();
    use_session(&mut login(stage.pop3, "joe"));
    let worker = stage.worker();
    // Not its address space, most of which is kept for threads and never used.
    let kilobytes = proc::status(worker, "VmData");
    let size: u64 = kilobytes.split(' ').next().and_then(|number| number.parse().ok()).unwrap();
    let limit = Some(size * 1024);
    let pid = rustix::process::Pid::from_raw(worker.try_into().unwrap());
    prlimit(pid, Resource::Data, Rlimit { current: limit, maximum: limit }).unwrap();
    // Nobody of them is turned away for being many, and who has begun to speak takes some room.
    let crowd: Vec<_> = (0..1000)
        .map(|_| {
            let mut client = TcpStream::connect(stage.pop3).unwrap();
            // It may be cut off while it speaks.
            let _ = client.write_all(b"CAPA");
            client
        })
        .collect();
    stage.wait_for_log("exited on signal");
    drop(crowd);
    use_session(&mut login(stage.pop3, "joe"));
    assert_ne!(stage.worker(), worker);
}

#[test]
fn a_worker_that_cannot_be_started_is_tried_again_later() {
    let stage = Setting::new("", "").start();
    let worker = stage.worker();
    let master = rustix::process::Pid::from_raw(stage.master().try_into().unwrap());
    let limit = rustix::process::getrlimit(Resource::Nofile);
    prlimit(master, Resource::Nofile, Rlimit { current: Some(1), ..limit }).unwrap();
    send(worker, Signal::SIGKILL);
    stage.wait_for_log("fork() failed (24: Too many open files)");
    prlimit(master, Resource::Nofile, limit).unwrap();
    use_session(&mut login(stage.pop3, "joe"));
}

#[test]
fn a_worker_that_panics_tells_where_and_is_replaced() {
    let stage = Setting::new("env GATEPOST_PANIC=1;", "").start();
    use_session(&mut login(stage.pop3, "joe"));
    let worker = stage.worker();
    send(worker, Signal::SIGALRM);
    stage.wait_for_log(&format!(
        "[alert] {worker}#{worker}: internal error at crates/gatepost/src/worker/probe.rs:"
    ));
    stage.wait_for_log(&format!("worker process {worker} exited on signal 6"));
    assert_eq!(stage.count("not for the log"), 0, "{}", stage.log());
    use_session(&mut login(stage.pop3, "joe"));
    assert_ne!(stage.worker(), worker);
}

#[test]
fn a_worker_whose_master_is_killed_serves_its_sessions_and_makes_room() {
    let stage = Setting::new("", "").start();
    let worker = stage.worker();
    let mut session = login(stage.pop3, "joe");
    stage.process().signal(Signal::SIGKILL);
    stage.wait_for_log("the master process is gone");
    eventually("nobody listens any more", || TcpStream::connect(stage.pop3).is_err());
    use_session(&mut session);
    drop(session);
    eventually("the worker has gone", || !proc::is_alive(worker));
}

#[test]
fn a_sandbox_that_has_to_be_there_and_cannot_is_a_start_that_fails() {
    // Whether this kernel has one is seen in a worker that takes what there is.
    let stage = Setting::new("", "").start();
    stage.wait_for_log("sandbox: ");
    let complete = stage.log().contains("sandbox: landlock on, seccomp on");
    drop(stage);
    let outcome = Setting::new("sandbox on;", "").try_start();
    assert_eq!(outcome.is_ok(), complete);
}
