//! Signals to a process in the foreground, and `-s`, which sends them.

use std::fs;
use std::net::TcpStream;
use std::process::ExitStatus;

use nix::sys::signal::Signal;
use rig::{Client, Process, Script, eventually};

use super::Prefix;
use crate::stage::{Protocol, Stage, greeted};

/// A session that goes on until its client says otherwise.
fn stage(settings: &str) -> Stage {
    Stage::allowing(Protocol::Imap, settings, Protocol::Imap.backend().echo())
}

#[test]
fn term_and_int_end_everything_at_once() {
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let stage = stage("");
        let mut proxied = stage.logged_in();
        let mut waiting = stage.client();
        stage.proxy.process().signal(signal);
        assert!(stage.proxy.process().end().success());
        proxied.expect_end();
        waiting.expect_end();
        assert!(!stage.proxy.directory().join("pid").exists());
        let log = stage.proxy.log();
        let expected = format!("signal {} ({signal}) received", signal as i32);
        assert!(log.contains(&expected) && log.contains(", exiting\n"), "{log}");
        assert!(log.trim_end().ends_with(": exit"), "{log}");
    }
}

#[test]
fn quit_lets_sessions_finish_and_accepts_no_more() {
    let stage = stage("");
    let (mut proxied, mut waiting) = (stage.logged_in(), stage.client());
    stage.proxy.process().signal(Signal::SIGQUIT);
    stage.proxy.wait_for_log("gracefully shutting down");
    eventually("nobody is accepted any more", || TcpStream::connect(stage.address()).is_err());
    proxied.exchange("still here\r\n", "still here\r\n");
    // Who was greeted before may still log in.
    waiting.exchange(Protocol::Imap.login(), Protocol::Imap.logged_in()).exchange("x\r\n", "x\r\n");
    proxied.half_close().expect_end();
    waiting.exchange("y\r\n", "y\r\n");
    waiting.half_close().expect_end();
    assert!(stage.proxy.process().end().success());
    assert!(!stage.proxy.directory().join("pid").exists());
}

#[test]
fn term_after_quit_waits_for_nobody() {
    let stage = stage("");
    let mut proxied = stage.logged_in();
    stage.proxy.process().signal(Signal::SIGQUIT);
    stage.proxy.wait_for_log("gracefully shutting down");
    assert!(stage.proxy.stop().success());
    proxied.expect_end();
}

#[test]
fn worker_shutdown_timeout_ends_what_is_proxied() {
    let backend = rig::Backend::start(Protocol::Imap.backend().echo());
    let auth = rig::AuthServer::always(rig::auth_server::allow(backend.address()));
    let proxy = rig::Proxy::start_whole(
        &crate::stage::gatepost(),
        &format!(
            "user root; daemon off; worker_shutdown_timeout 300ms; events {{}}
             mail {{ auth_http {}; server {{ listen @proxy; protocol imap; }} }}",
            auth.address()
        ),
    );
    let mut proxied = crate::stage::logged_in(proxy.at("proxy"), Protocol::Imap);
    let mut waiting = greeted(proxy.at("proxy"), Protocol::Imap);
    proxy.process().signal(Signal::SIGQUIT);
    proxied.expect_end();
    let log = proxy.wait_for_log("shutdown timeout while proxying, ");
    assert!(log.contains("closing active connections due to worker shutdown timeout"), "{log}");
    // Nobody is cut off before login.
    waiting.exchange("a LOGOUT\r\n", "* BYE\r\na OK completed\r\n").expect_end();
    drop((proxied, waiting));
    assert!(proxy.process().end().success());
}

#[test]
fn hup_usr2_and_winch_change_nothing() {
    let stage = stage("");
    let mut proxied = stage.logged_in();
    for (signal, told) in [
        (Signal::SIGHUP, "signal 1 (SIGHUP) received"),
        (Signal::SIGUSR2, "signal 12 (SIGUSR2) received"),
        (Signal::SIGWINCH, "signal 28 (SIGWINCH) received"),
    ] {
        stage.proxy.process().signal(signal);
        stage.proxy.wait_for_log(told);
    }
    proxied.exchange("x\r\n", "x\r\n");
    drop(stage.client());
    assert!(stage.proxy.stop().success());
}

#[test]
fn usr1_opens_a_log_again_that_was_moved_away() {
    let stage = stage("");
    let (log, moved) =
        (stage.proxy.directory().join("error.log"), stage.proxy.directory().join("error.log.1"));
    drop(stage.client());
    fs::rename(&log, &moved).unwrap();
    stage.client().exchange("a LOGOUT\r\n", "* BYE\r\na OK completed\r\n");
    assert!(!log.exists());
    stage.proxy.process().signal(Signal::SIGUSR1);
    eventually("the log is there again", || log.exists());
    stage.client().exchange("a LOGOUT\r\n", "* BYE\r\na OK completed\r\n");
    stage.proxy.wait_for_log("client connected");
    let old = fs::read_to_string(moved).unwrap();
    assert_eq!(old.matches("client connected").count(), 2, "{old}");
    assert!(old.contains("reopening logs"), "{old}");
}

/// A process in the foreground with a configuration that `-s` can read too.
struct Running {
    prefix: Prefix,
    process: Process,
    address: std::net::SocketAddr,
}

impl Running {
    #[track_caller]
    fn start() -> Self {
        let address = rig::port::free();
        let prefix = Prefix::new(&format!(
            "user root; daemon off; events {{}}
             mail {{ auth_http 127.0.0.1:9; server {{ listen {address}; protocol imap; }} }}"
        ));
        let process = Process::start(&mut prefix.command(&[]));
        eventually("it has started", || prefix.read("error.log").contains("start worker process "));
        Self { prefix, process, address }
    }

    #[track_caller]
    fn send(&self, word: &str) {
        let ran = self.prefix.run(&["-s", word]).succeeded();
        assert_eq!(ran.stderr, "");
    }

    #[track_caller]
    fn ended(&self) -> ExitStatus {
        let status = self.process.end();
        assert!(!self.prefix.path("pid").exists());
        status
    }
}

#[test]
fn stop_and_quit_end_the_process_of_the_pid_file() {
    let running = Running::start();
    assert_eq!(running.prefix.read("pid"), format!("{}\n", running.process.id()));
    running.send("stop");
    assert!(running.ended().success());
    assert!(running.prefix.read("start.log").contains("[notice] "), "{}", running.prefix.read("start.log"));

    let running = Running::start();
    let mut client = greeted(running.address, Protocol::Imap);
    running.send("quit");
    client.exchange("a LOGOUT\r\n", "* BYE\r\na OK completed\r\n").expect_end();
    drop(client);
    assert!(running.ended().success());
}

#[test]
fn reopen_and_reload_are_sent_too() {
    let running = Running::start();
    fs::remove_file(running.prefix.path("error.log")).unwrap();
    running.send("reopen");
    eventually("the log is there again", || running.prefix.path("error.log").exists());
    running.send("reload");
    eventually("it is told", || running.prefix.read("error.log").contains("(SIGHUP) received"));
    Client::connect(running.address).expect(Protocol::Imap.greeting());
}

#[test]
fn a_process_that_is_told_to_stop_as_soon_as_it_can_be_found_stops_in_order() {
    for _ in 0..10 {
        let address = rig::port::free();
        let prefix = Prefix::new(&format!(
            "user root; daemon off; events {{}}
             mail {{ auth_http 127.0.0.1:9; server {{ listen {address}; protocol imap; }} }}"
        ));
        let process = Process::start(&mut prefix.command(&[]));
        while prefix.read("pid").is_empty() {
            std::hint::spin_loop();
        }
        process.signal(Signal::SIGTERM);
        let status = process.end();
        assert!(status.success(), "{status}: the signal came before anybody listened to it");
        assert!(!prefix.path("pid").exists());
    }
}

#[test]
fn nobody_to_send_to_is_told_and_ends_with_1() {
    let text = "events {}\nmail { auth_http 127.0.0.1:9; server { listen 127.0.0.1:9143; protocol imap; } }";
    let prefix = Prefix::new(text);
    let told = |prefix: &Prefix| {
        let ran = prefix.run(&["-s", "stop"]);
        assert_eq!(ran.status.code(), Some(1));
        prefix.short(&ran.stderr)
    };
    let missing = "gatepost: [error] open() \"pid\" failed (2: No such file or directory)\n";
    assert_eq!(told(&prefix), missing);
    for text in ["", "nonsense", "-1", "0"] {
        prefix.write("pid", text);
        assert_eq!(told(&prefix), format!("gatepost: [error] invalid PID number \"{text}\" in \"pid\"\n"));
    }
    // More than there can be (PID_MAX_LIMIT of Linux).
    prefix.write("pid", "4194305\n");
    assert_eq!(told(&prefix), "gatepost: [alert] kill(4194305, 15) failed (3: No such process)\n");
    prefix.write("conf", &format!("pid off; error_log error.log;\n{text}"));
    assert_eq!(told(&prefix), "gatepost: [error] no PID file configured\n");
    prefix.write("conf", "nonsense;");
    assert_eq!(told(&prefix), "gatepost: [emerg] unknown directive \"nonsense\" in conf:1\n");
}

#[test]
fn a_session_under_way_is_not_needed_for_the_process_to_end() {
    // An auth server that never answers: TERM waits for no request either.
    let stage = Stage::answering(Protocol::Imap, "", rig::AuthServer::always(Script::new().silence()));
    let mut client = stage.client();
    client.send("a LOGIN u p\r\n");
    stage.auth.request(0);
    assert!(stage.proxy.stop().success());
    client.expect_end();
    stage.auth.finished(0);
}
