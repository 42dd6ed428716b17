//! What signals do, and what the log says of them.

use std::fs;
use std::net::TcpStream;

use nix::sys::signal::Signal;
use rig::{Client, eventually};

use crate::proc;
use crate::stage::{PROGRAM, Setting, login, send, use_session};

#[test]
fn term_ends_everything_at_once() {
    let stage = Setting::new("", "").start();
    let (master, worker) = (stage.master(), stage.worker());
    let mut session = login(stage.pop3, "joe");
    let pid = std::process::id();
    assert!(stage.process().stop().success());
    session.expect_end();
    assert!(!proc::is_alive(worker) && !stage.path("pid").exists());
    let log = stage.log();
    for line in [
        format!("[notice] {master}#{master}: signal 15 (SIGTERM) received from {pid}, exiting"),
        format!("[notice] {worker}#{worker}: exiting"),
        format!("[notice] {master}#{master}: signal 17 (SIGCHLD) received from {worker}"),
        format!("[notice] {master}#{master}: worker process {worker} exited with code 0"),
        format!("[notice] {master}#{master}: exit"),
    ] {
        assert!(log.contains(&line), "no {line:?} in\n{log}");
    }
}

#[test]
fn int_is_term() {
    let stage = Setting::new("", "").start();
    stage.signal(Signal::SIGINT);
    assert!(stage.process().end().success());
    let pid = std::process::id();
    assert_eq!(stage.count(&format!("signal 2 (SIGINT) received from {pid}, exiting")), 1);
}

#[test]
fn signals_that_mean_nothing_end_nobody() {
    let stage = Setting::new("", "").start();
    let (master, worker) = (stage.master(), stage.worker());
    let mut session = login(stage.pop3, "joe");
    for pid in [master, worker] {
        for signal in [Signal::SIGALRM, Signal::SIGIO, Signal::SIGPIPE, Signal::SIGSYS, Signal::SIGWINCH] {
            send(pid, signal);
        }
        // In the foreground WINCH is logged, and tells of a terminal's new size.
        stage.wait_for_log(&format!(
            "{pid}#{pid}: signal 28 (SIGWINCH) received from {}\n",
            std::process::id()
        ));
    }
    use_session(&mut session);
    assert_eq!(stage.worker(), worker);
}

#[test]
fn winch_in_the_background_lets_a_worker_leave() {
    let stage = Setting::new("", "").start_in_background();
    let first = stage.worker();
    let mut session = login(stage.pop3, "joe");
    send(first, Signal::SIGWINCH);
    stage.wait_for_log(&format!("signal 28 (SIGWINCH) received from {}, shutting down", std::process::id()));
    use_session(&mut session);
    drop(session);
    eventually("there is another", || proc::children(stage.master()).iter().any(|pid| *pid != first));
    stage.signal(Signal::SIGWINCH);
    stage.wait_for_log(", stop accepting connections");
    eventually("there is none", || proc::children(stage.master()).is_empty());
}

#[test]
fn a_worker_that_does_not_stop_is_killed() {
    let stage = Setting::new("", "").start();
    let worker = stage.worker();
    send(worker, Signal::SIGSTOP);
    assert!(stage.process().stop().success());
    stage.wait_for_log(&format!("worker process {worker} exited on signal 9"));
}

#[test]
fn quit_waits_for_the_last_session() {
    let stage = Setting::new("", "").start();
    let worker = stage.worker();
    let mut session = login(stage.pop3, "joe");
    stage.signal(Signal::SIGQUIT);
    eventually("nobody listens any more", || TcpStream::connect(stage.pop3).is_err());
    use_session(&mut session);
    drop(session);
    assert!(stage.process().end().success());
    let log = stage.log();
    assert!(log.contains("signal 3 (SIGQUIT) received from "), "{log}");
    assert!(log.contains(&format!("{worker}#{worker}: gracefully shutting down")), "{log}");
}

#[test]
fn quit_ends_proxied_sessions_when_their_time_is_over() {
    let stage = Setting::talkative("worker_shutdown_timeout 100ms;", "").start();
    let mut session = login(stage.pop3, "joe");
    stage.signal(Signal::SIGQUIT);
    session.expect_end();
    assert!(stage.process().end().success());
    assert_eq!(stage.count("closing active connections due to worker shutdown timeout"), 1);
}

#[test]
fn usr1_lets_both_processes_write_to_new_files() {
    let stage = Setting::talkative("", "").start();
    for at in [stage.master(), stage.worker()] {
        fs::rename(stage.path("error.log"), stage.path("old.log")).unwrap();
        send(at, Signal::SIGUSR1);
        eventually("the log is there again", || stage.path("error.log").exists());
        let worker = stage.worker();
        eventually("the worker writes to it", || {
            drop(Client::connect(stage.pop3));
            stage.count(&format!("{worker}#")) > 0
        });
    }
}

#[test]
fn signals_to_the_worker_itself_are_obeyed_or_ignored_and_it_is_replaced() {
    let stage = Setting::new("", "").start();
    let first = stage.worker();
    for (signal, then) in [(Signal::SIGHUP, "ignoring"), (Signal::SIGUSR2, "ignoring")] {
        send(first, signal);
        stage.wait_for_log(&format!("({}) received from {}, {then}", signal.as_str(), std::process::id()));
    }
    let mut session = login(stage.pop3, "joe");
    send(first, Signal::SIGQUIT);
    stage.wait_for_log("gracefully shutting down");
    use_session(&mut session);
    drop(session);
    stage.wait_for_log(&format!("worker process {first} exited with code 0"));
    eventually("there is another", || proc::children(stage.master()).iter().any(|pid| *pid != first));
    use_session(&mut login(stage.pop3, "joe"));
}

#[test]
fn a_worker_that_is_told_to_stop_does_so_at_once_and_is_replaced() {
    let stage = Setting::new("", "").start();
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let worker = stage.worker();
        let mut session = login(stage.pop3, "joe");
        send(worker, signal);
        session.expect_end();
        let pid = std::process::id();
        stage.wait_for_log(&format!(
            "{worker}#{worker}: signal {} ({signal}) received from {pid}, exiting",
            signal as i32
        ));
        stage.wait_for_log(&format!("worker process {worker} exited with code 0"));
        use_session(&mut login(stage.pop3, "joe"));
        assert_ne!(stage.worker(), worker);
    }
}

#[test]
fn usr2_is_ignored_while_whoever_started_the_program_is_there() {
    let stage = Setting::new("", "").start();
    stage.signal(Signal::SIGUSR2);
    stage.wait_for_log("[crit] ");
    let log = stage.log();
    assert!(log.contains("(SIGUSR2) received from "), "{log}");
    assert!(
        log.contains("the changing binary signal is ignored: you should shutdown or terminate before"),
        "{log}"
    );
    use_session(&mut login(stage.pop3, "joe"));
}

#[test]
fn the_words_of_the_command_line_reach_the_master() {
    let stage = Setting::new("", "").start();
    let tell = |word: &str| {
        let mut command = std::process::Command::new(PROGRAM);
        command.arg("-p").arg(stage.directory.path()).arg("-c").arg(stage.path("conf")).args(["-s", word]);
        assert!(command.status().unwrap().success(), "{word}");
    };
    tell("reload");
    stage.wait_for_log("reconfigured");
    tell("reopen");
    stage.wait_for_log("reopening logs");
    tell("quit");
    assert!(stage.process().end().success());
}

#[test]
fn clients_that_nobody_has_room_for_are_told_of_in_the_log() {
    let stage = Setting::new("", "").start();
    let text = stage.read("conf").replace("worker_connections 4096", "worker_connections 1");
    fs::write(stage.path("conf"), text).unwrap();
    stage.reload();
    let mut first = Client::connect(stage.pop3);
    first.expect("+OK POP3 ready\r\n");
    Client::connect(stage.pop3).expect_end();
    stage.wait_for_log("1 worker_connections are not enough");
}
