//! Reload: all of a new configuration or nothing, and no session lost.

use std::net::TcpStream;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use nix::unistd::geteuid;
use rig::dns::{A, Reply};
use rig::{Client, DnsServer, eventually, port};

use crate::download::Download;
use crate::idle::{Mailboxes, Waiting};
use crate::load::Load;
use crate::proc;
use crate::stage::{PASSWORD, Setting, Stage, login, send, use_session};

/// A client that has tried to log in as `joe`, and has not looked at the answer.
#[track_caller]
fn attempt(stage: &Stage, password: &str) -> Client {
    let mut client = Client::connect(stage.pop3);
    client.expect("+OK POP3 ready\r\n").exchange("USER joe\r\n", "+OK\r\n");
    client.send(format!("PASS {password}\r\n"));
    client
}

#[test]
fn two_hundred_reloads_under_load_lose_nothing() {
    const ROUNDS: usize = 200;
    // A new client in IDLE, and mail for all of them, comes once in so many rounds.
    const PACE: usize = 10;
    let (mailboxes, imap) = (Mailboxes::start(), port::free());
    let server = format!("server {{ listen {imap}; protocol imap; }}");
    let setting = Setting::new("worker_processes 2;", &server);
    setting.write_all_users(&[("joe", setting.backend.address()), ("ann", mailboxes.address())]);
    let stage = setting.start();
    let worker = stage.worker();
    let mut sessions: Vec<Client> = (0..10).map(|_| login(stage.pop3, "joe")).collect();
    let mut silent = login(stage.pop3, "joe");
    // All of them hear of mail: the first at once, the others when they look.
    let mut listening = Waiting::start(imap, "ann", 0);
    let mut waiting = Vec::new();
    let mut download = Download::start(stage.pop3);
    let load = Load::start(2, stage.pop3);
    for round in 0..ROUNDS {
        let messages = round / PACE;
        if round % PACE == 0 {
            waiting.push(Waiting::start(imap, "ann", messages));
        }
        stage.reload();
        if round % PACE == PACE / 2 {
            mailboxes.announce(messages + 1);
            listening.hear(messages + 1);
        }
        use_session(&mut sessions[round % 10]);
        download.fetch();
    }
    let tally = load.end();
    assert!(tally.refused == 0 && tally.cut == 0, "no login has failed: {tally:?}");
    assert!(tally.good >= ROUNDS, "and there were enough of them: {tally:?}");
    sessions.iter_mut().for_each(use_session);
    use_session(&mut silent);
    download.finish();
    assert_eq!(mailboxes.waiting(), ROUNDS / PACE + 1);
    waiting.into_iter().chain([listening]).for_each(|client| client.finish(ROUNDS / PACE));
    assert_eq!(mailboxes.waiting(), 0);
    assert_eq!(stage.worker(), worker, "the same process all the time");
}

#[test]
fn a_configuration_that_nobody_uses_any_more_takes_no_memory() {
    let stage = Setting::new("worker_processes 2;", "").start();
    let memory =
        || -> u64 { proc::status(stage.worker(), "RssAnon").strip_suffix(" kB").unwrap().parse().unwrap() };
    let small = memory();
    let address = stage.backend.address();
    let user = |n| format!("user{n}:{{PLAIN}}hush::::::host={} port={}\n", address.ip(), address.port());
    let users: String = (0..10_000).map(user).collect();
    std::fs::write(stage.path("users"), users).unwrap();
    let reload_and_use = || {
        stage.reload();
        use_session(&mut login(stage.pop3, "user1"));
    };
    // The old one and the new one are there side by side for a while; what that took is used again.
    (0..3).for_each(|_| reload_and_use());
    let before = memory();
    let size = before - small;
    (0..20).for_each(|_| reload_and_use());
    let after = memory();
    assert!(after < before + 3 * size, "{small} kB, then {before}, then {after}");
}

#[test]
fn what_dns_has_said_is_known_after_a_reload() {
    let dns = DnsServer::start();
    let setting = Setting::new("", "");
    let configure = |more: &str| {
        let resolver = format!("resolver {} ipv6=off {more};", dns.addr());
        let text = std::fs::read_to_string(setting.path("conf")).unwrap();
        text.replace("mail {", &format!("mail {{ {resolver}"))
    };
    let (same, other) = (configure(""), configure("valid=1h"));
    dns.says("mail.example.org", A, Reply::addr("mail.example.org", 3600, &setting.backend_ip()));
    setting.write_users("joe", "mail.example.org");
    std::fs::write(setting.path("conf"), &same).unwrap();
    let stage = setting.start();
    for _ in 0..3 {
        use_session(&mut login(stage.pop3, "joe"));
        stage.reload();
    }
    assert_eq!(dns.asked().len(), 1, "asked once");
    std::fs::write(stage.path("conf"), other).unwrap();
    stage.reload();
    use_session(&mut login(stage.pop3, "joe"));
    assert_eq!(dns.asked().len(), 2, "a resolver with other rules begins anew");
}

#[test]
fn who_has_how_many_connections_is_known_after_a_reload() {
    let limit = "limit_conn_zone $remote_user zone=user:1m; limit_conn user 1;";
    let stage = Setting::new("", limit).start();
    let mut held = login(stage.pop3, "joe");
    stage.reload();
    attempt(&stage, PASSWORD).expect("-ERR [SYS/TEMP] Too many connections\r\n");
    use_session(&mut held);
    drop(held);
    eventually("a session of the configuration before is given back", || {
        attempt(&stage, PASSWORD).line() == b"+OK logged in\r\n"
    });
}

#[test]
fn who_guesses_passwords_is_known_after_a_reload() {
    let stage = Setting::new("", "auth_penalty on;").start();
    attempt(&stage, "guessed").expect_prefix("-ERR");
    stage.reload();
    let start = Instant::now();
    attempt(&stage, PASSWORD).expect("+OK logged in\r\n");
    assert!(start.elapsed() >= Duration::from_secs(2), "{:?}", start.elapsed());
}

#[test]
fn files_that_only_root_can_read_are_read_again() {
    let stage = Setting::new("", "").start();
    let mut before = login(stage.pop3, "joe");
    stage.write_users("ann", &stage.backend.address().ip().to_string());
    stage.reload();
    use_session(&mut login(stage.pop3, "ann"));
    use_session(&mut before);
    attempt(&stage, PASSWORD).expect_prefix("-ERR");
}

#[test]
fn a_configuration_with_a_mistake_changes_nothing() {
    let stage = Setting::new("", "").start();
    let worker = stage.worker();
    let other = port::free();
    for (main, mail, complaint) in [
        ("nonsense;", "", "[emerg] "),
        (
            "error_log /nonexistent/log;",
            "",
            "open() \"/nonexistent/log\" failed (2: No such file or directory)",
        ),
        ("", "server { listen 192.0.2.1:1; protocol imap; }", "bind() to 192.0.2.1:1 failed"),
        (
            "",
            "server { auth_user_file missing; listen 127.0.0.1:1; protocol imap; }",
            "cannot read users file",
        ),
    ] {
        let mail = format!("server {{ listen {other}; protocol imap; }} {mail}");
        stage.write_configuration(main, &mail);
        stage.signal(Signal::SIGHUP);
        stage.wait_for_log(complaint);
        assert!(TcpStream::connect(other).is_err(), "not even a part of it counts");
        use_session(&mut login(stage.pop3, "joe"));
    }
    assert_eq!(stage.count("reconfigured"), 0);
    assert_eq!(stage.worker(), worker);
    stage.write_configuration("", "");
    stage.reload();
}

#[test]
fn addresses_come_and_go() {
    let stage = Setting::new("", "").start();
    let (other, unix) = (port::free(), stage.path("socket"));
    let mail = format!(
        "server {{ listen {other}; protocol imap; }} server {{ listen unix:{}; protocol imap; }}",
        unix.display()
    );
    stage.write_configuration("", &mail);
    stage.reload();
    Client::connect(other).expect("* OK IMAP4 ready\r\n");
    Client::connect_unix(&unix).expect("* OK IMAP4 ready\r\n");
    stage.write_configuration("", "");
    stage.reload();
    eventually("nobody listens there", || TcpStream::connect(other).is_err());
    assert!(!unix.exists());
    stage.wait_for_log(&format!("[warn] {}#", stage.master()));
    stage.wait_for_log(&format!("deleting socket {}", unix.display()));
}

#[test]
fn old_sessions_end_with_the_timeout_that_they_began_with_and_new_ones_stay() {
    let stage = Setting::talkative("worker_shutdown_timeout 200ms;", "").start();
    let mut old = login(stage.pop3, "joe");
    let mut greeted = Client::connect(stage.pop3);
    greeted.expect("+OK POP3 ready\r\n");
    stage.write_configuration("", "");
    stage.reload();
    let mut new = login(stage.pop3, "joe");
    old.expect_end();
    stage.wait_for_log("shutdown timeout while proxying");
    use_session(&mut new);
    greeted.exchange("USER joe\r\n", "+OK\r\n");
    stage.reload();
    use_session(&mut new);
}

#[test]
fn another_user_gets_another_worker_and_the_old_one_leaves_with_its_last_session() {
    if !geteuid().is_root() {
        return;
    }
    let stage = Setting::new("user nobody nogroup;", "").start();
    let before = stage.worker();
    let mut session = login(stage.pop3, "joe");
    stage.write_configuration("user daemon;", "");
    stage.reload();
    eventually("there is another worker", || proc::children(stage.master()).len() == 2);
    let after = proc::children(stage.master()).into_iter().find(|pid| *pid != before).unwrap();
    assert_eq!(proc::status(after, "Uid"), "1\t1\t1\t1");
    use_session(&mut login(stage.pop3, "joe"));
    use_session(&mut session);
    drop(session);
    eventually("the old worker has gone", || proc::children(stage.master()) == [after]);
    stage.wait_for_log(&format!("worker process {before} exited with code 0"));
}

#[test]
fn the_number_of_threads_follows_the_configuration() {
    let stage = Setting::new("worker_processes 1;", "").start();
    let threads = || std::fs::read_dir(format!("/proc/{}/task", stage.worker())).unwrap().count();
    let before = threads();
    stage.write_configuration("worker_processes 4;", "");
    stage.reload();
    eventually("there are three more", || threads() == before + 3);
    use_session(&mut login(stage.pop3, "joe"));
}

#[test]
fn the_pid_file_goes_where_the_configuration_says() {
    let stage = Setting::new("", "").start();
    let text = stage.read("conf").replace("/pid;", "/other.pid;");
    std::fs::write(stage.path("conf"), text).unwrap();
    stage.reload();
    assert_eq!(stage.read("other.pid"), format!("{}\n", stage.master()));
    assert!(!stage.path("pid").exists());
}

#[test]
fn a_single_process_reloads_in_place() {
    // As whom the test runs: without privileges the file could not be read again.
    let user = if geteuid().is_root() { "user root;" } else { "" };
    let stage = Setting::new(&format!("master_process off; {user}"), "").start();
    let mut session = login(stage.pop3, "joe");
    stage.write_users("ann", &stage.backend.address().ip().to_string());
    stage.reload();
    use_session(&mut login(stage.pop3, "ann"));
    use_session(&mut session);
    assert!(proc::children(stage.master()).is_empty());
}

/// Begins a reload that the worker of `stage` knows nothing of yet, since it sleeps; its number.
#[track_caller]
fn begin_reload(stage: &Stage) -> u32 {
    let worker = stage.worker();
    send(worker, Signal::SIGSTOP);
    stage.signal(Signal::SIGHUP);
    // Told of when what came before it is done.
    stage.signal(Signal::SIGWINCH);
    stage.wait_for_log("SIGWINCH");
    worker
}

#[test]
fn a_worker_that_dies_while_it_should_leave_takes_its_reload_along() {
    let stage = Setting::new("", "").start();
    let worker = begin_reload(&stage);
    stage.signal(Signal::SIGQUIT);
    stage.wait_for_log("(SIGQUIT) received");
    send(worker, Signal::SIGKILL);
    assert!(stage.process().end().success());
    assert_eq!(stage.count("reconfiguring failed: the worker has died"), 1);
}

#[test]
fn whoever_leaves_does_not_reload_again() {
    let stage = Setting::new("", "").start();
    let worker = begin_reload(&stage);
    stage.signal(Signal::SIGHUP);
    eventually("it has heard that twice", || stage.count("(SIGHUP) received") == 2);
    stage.signal(Signal::SIGQUIT);
    stage.wait_for_log("(SIGQUIT) received");
    send(worker, Signal::SIGCONT);
    assert!(stage.process().end().success());
    assert_eq!(stage.count(": reconfiguring"), 1, "{}", stage.log());
}

#[test]
fn a_reload_that_was_asked_for_meanwhile_follows_one_whose_worker_has_died() {
    let stage = Setting::new("", "").start();
    let master = stage.master();
    stage.write_configuration("working_directory /nonexistent;", "");
    stage.signal(Signal::SIGHUP);
    eventually("there is another worker", || stage.count("start worker process ") == 2);
    // So that it hears of the end of its worker after it was told to reload again.
    send(master, Signal::SIGSTOP);
    stage.write_configuration("", "");
    send(master, Signal::SIGHUP);
    send(master, Signal::SIGCONT);
    stage.wait_for_log("reconfiguring failed: its worker has died");
    stage.wait_for_log("reconfigured");
}

#[test]
fn logs_that_are_reopened_during_a_reload_are_so_behind_it() {
    let stage = Setting::new("", "").start();
    let worker = begin_reload(&stage);
    std::fs::rename(stage.path("error.log"), stage.path("old.log")).unwrap();
    stage.signal(Signal::SIGUSR1);
    eventually("the log is there again", || stage.path("error.log").exists());
    send(worker, Signal::SIGCONT);
    eventually("it has reloaded", || (stage.log() + &stage.read("old.log")).contains("reconfigured"));
    stage.wait_for_log("reconfigured");
}

#[test]
fn sessions_of_a_configuration_before_write_to_reopened_logs() {
    for main in ["", "master_process off;"] {
        let stage = Setting::talkative(&as_tester(main), "").start();
        let session = login(stage.pop3, "joe");
        stage.reload();
        std::fs::rename(stage.path("error.log"), stage.path("old.log")).unwrap();
        stage.signal(Signal::SIGUSR1);
        eventually("the log is there again", || stage.path("error.log").exists());
        // The worker hears of it a little later than the master.
        eventually("new sessions are told of there", || {
            drop(Client::connect(stage.pop3));
            stage.count("client 127.") + stage.count("client: \"127.") > 0
        });
        drop(session);
        stage.wait_for_log("proxied session done");
    }
}

/// So that a single process can read its files again.
fn as_tester(main: &str) -> String {
    let user = if geteuid().is_root() { "user root;" } else { "" };
    format!("{main} {user}")
}

#[test]
fn unix_sockets_of_a_reload_that_failed_are_not_in_the_way_of_the_next() {
    let stage = Setting::new("", "").start();
    let unix = stage.path("socket");
    let server = format!("server {{ listen unix:{}; protocol imap; }}", unix.display());
    stage.write_configuration("", &format!("{server} server {{ listen 192.0.2.1:1; protocol imap; }}"));
    stage.signal(Signal::SIGHUP);
    stage.wait_for_log("bind() to 192.0.2.1:1 failed");
    eventually("it has cleared up", || !unix.exists());
    stage.write_configuration("", &server);
    std::fs::write(stage.path("conf"), stage.read("conf").replace("/pid;", "/missing/pid;")).unwrap();
    stage.signal(Signal::SIGHUP);
    stage.wait_for_log("/missing/pid\" failed");
    eventually("it has cleared up", || !unix.exists());
    stage.write_configuration("", &server);
    stage.reload();
    Client::connect_unix(&unix).expect("* OK IMAP4 ready\r\n");
}

#[test]
fn unix_sockets_of_a_start_that_failed_are_not_in_the_way_of_the_next() {
    for master in ["", "master_process off;"] {
        let (setting, directory) = (Setting::new("", ""), tempfile::tempdir().unwrap());
        let unix = directory.path().join("socket");
        let server = format!("server {{ listen unix:{}; protocol imap; }}", unix.display());
        setting.write_configuration(master, &server);
        let conf = setting.path("conf");
        let text = std::fs::read_to_string(&conf).unwrap();
        std::fs::write(&conf, text.replace("/pid;", "/missing/pid;")).unwrap();
        assert!(setting.try_start().is_err());
        assert!(!unix.exists(), "{master}");
    }
}

#[test]
fn nobody_keeps_a_log_that_was_put_away() {
    // In the background a log is standard error too.
    for stage in [Setting::new("", "").start(), Setting::new("", "").start_in_background()] {
        stage.reload();
        let old = stage.path("old.log");
        std::fs::rename(stage.path("error.log"), &old).unwrap();
        stage.signal(Signal::SIGUSR1);
        for pid in [stage.master(), stage.worker()] {
            eventually("it has let go of it", || !proc::open_files(pid).contains(&old));
        }
    }
}
