//! What ps(1) shows of master and worker, by each name that the program can be called by.

use nix::sys::signal::Signal;
use nix::unistd::geteuid;
use rig::eventually;

use crate::proc::{self, title};
use crate::stage::{Setting, Stage, login, send, use_session};
use crate::upgrade::upgrade;

/// The names, and the versions that titles show.
const NAMES: [(&str, Option<&str>); 3] =
    [("nginx", None), ("angie", Some("1.13.0")), ("gatepost", Some(env!("CARGO_PKG_VERSION")))];

/// As whom the test runs: without privileges a single process could not read its files again.
fn single() -> &'static str {
    if geteuid().is_root() { "master_process off; user root;" } else { "master_process off;" }
}

/// The title of a process that was called with `words` and tells what it does.
fn named(name: &str, version: Option<&str>, what: &str, number: u32, words: &str) -> String {
    match version {
        Some(version) => format!("{name}: {what} v{version} #{number} [{words}]"),
        None => format!("{name}: {what} {words}"),
    }
}

/// The title of a worker.
fn working(name: &str, version: Option<&str>, number: u32) -> String {
    if version.is_some() {
        format!("{name}: worker process #{number}")
    } else {
        format!("{name}: worker process")
    }
}

/// The title of one that is to end.
fn leaving(name: &str, version: Option<&str>, number: u32) -> String {
    let what = working(name, version, number);
    what.replace("worker process", "worker process is shutting down")
}

/// Fails a reload.
#[track_caller]
fn reload_nonsense(stage: &Stage) {
    stage.write_configuration("nonsense;", "");
    stage.signal(Signal::SIGHUP);
    stage.wait_for_log("unknown directive \"nonsense\"");
}

#[test]
fn titles_follow_reloads_that_succeed_and_tell_who_is_about_to_end() {
    for (name, version) in NAMES {
        let (stage, words) = Setting::new("", "").start_by_name(name, false);
        let words = format!("{words} -g daemon off;");
        let (master, worker) = (stage.master(), stage.worker());
        let expect = |number| {
            assert_eq!(title(master), named(name, version, "master process", number, &words));
            assert_eq!(title(worker), working(name, version, number));
        };
        expect(1);
        stage.reload();
        expect(2);
        reload_nonsense(&stage);
        expect(2);
        stage.write_configuration("", "");
        // Two digits need more room than one.
        (3..=10).for_each(|_| stage.reload());
        expect(10);
        let mut session = login(stage.pop3, "joe");
        stage.signal(Signal::SIGQUIT);
        eventually("the worker is about to end", || title(worker) == leaving(name, version, 10));
        assert_eq!(title(master), named(name, version, "master process", 10, &words));
        use_session(&mut session);
        drop(session);
        assert!(stage.process().end().success());
    }
}

#[test]
fn a_worker_that_takes_the_place_of_another_tells_the_number_of_what_it_serves() {
    for (name, version) in NAMES {
        let (stage, _) = Setting::new("", "").start_by_name(name, false);
        stage.reload();
        let first = stage.worker();
        send(first, Signal::SIGKILL);
        let others =
            || proc::children(stage.master()).into_iter().filter(|pid| *pid != first).collect::<Vec<_>>();
        eventually("there is another", || !others().is_empty());
        let second = others()[0];
        eventually("it is called as the first one was", || title(second) == working(name, version, 2));
        // Another limit needs another worker; this one ends with its last session.
        let session = login(stage.pop3, "joe");
        stage.write_configuration("worker_rlimit_nofile 200;", "");
        stage.reload();
        eventually("it is about to end", || title(second) == leaving(name, version, 2));
        let third = proc::children(stage.master()).into_iter().find(|pid| *pid != second).unwrap();
        assert_eq!(title(third), working(name, version, 3));
        drop(session);
    }
}

#[test]
fn a_new_program_counts_anew_and_is_called_with_the_same_words() {
    let version = Some(env!("CARGO_PKG_VERSION"));
    let (stage, words) = Setting::new("", "").start_by_name("gatepost", true);
    let words = format!("{words} -g daemon on;");
    stage.reload();
    let session = login(stage.pop3, "joe");
    let worker = stage.worker();
    let (old, new) = upgrade(&stage);
    assert_eq!(title(old), named("gatepost", version, "master process", 2, &words));
    assert_eq!(title(new), named("gatepost", version, "master process", 1, &words));
    eventually("so does its worker", || title(stage.worker()) == working("gatepost", version, 1));
    send(old, Signal::SIGWINCH);
    eventually("its worker is about to end", || title(worker) == leaving("gatepost", version, 2));
    send(old, Signal::SIGHUP);
    let is_back = |pid: &u32| title(*pid) == working("gatepost", version, 2);
    eventually("the old program has a worker again", || proc::children(old).iter().any(is_back));
    drop(session);
}

#[test]
fn a_single_process_tells_what_it_is_unless_it_is_called_nginx() {
    for (name, version) in NAMES {
        for daemon in [false, true] {
            let (stage, words) = Setting::new(single(), "").start_by_name(name, daemon);
            let words = format!("{words} -g daemon {};", if daemon { "on" } else { "off" });
            let expect = |number| {
                let expected = match version {
                    Some(_) => named(name, version, "single process", number, &words),
                    None => words.clone(),
                };
                assert_eq!(title(stage.master()), expected);
            };
            expect(1);
            stage.reload();
            expect(2);
            reload_nonsense(&stage);
            expect(2);
        }
    }
}
