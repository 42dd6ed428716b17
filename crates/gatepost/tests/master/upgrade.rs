//! A new program in the place of the old one, and back.

use nix::sys::signal::Signal;

use rig::eventually;

use crate::load::Load;
use crate::proc;
use crate::stage::{Setting, Stage, login, read_pid, send, use_session};

/// Starts a second program beside that of `stage`; the numbers of the old and the new one.
pub(crate) fn upgrade(stage: &Stage) -> (u32, u32) {
    let old = stage.master();
    send(old, Signal::SIGUSR2);
    eventually("there is a new program", || read_pid(&stage.path("pid")).is_some_and(|pid| pid != old));
    let new = stage.master();
    assert_eq!(read_pid(&stage.path("pid.oldbin")), Some(old));
    eventually("it has a worker", || !proc::children(new).is_empty());
    (old, new)
}

/// The workers of `master`, which may have started another program too.
fn workers(master: u32) -> Vec<u32> {
    let is_worker = |pid: &u32| proc::title(*pid).contains("worker process");
    proc::children(master).into_iter().filter(is_worker).collect()
}

#[test]
fn an_upgrade_under_load_refuses_nobody() {
    let stage = Setting::new("", "").start_in_background();
    let mut session = login(stage.pop3, "joe");
    let load = Load::start(3, stage.pop3);
    let (old, new) = upgrade(&stage);
    stage.wait_for_log("using inherited sockets from \"");
    send(old, Signal::SIGWINCH);
    use_session(&mut login(stage.pop3, "joe"));
    send(old, Signal::SIGQUIT);
    use_session(&mut session);
    drop(session);
    eventually("the old program has gone", || !proc::is_alive(old));
    assert!(!stage.path("pid.oldbin").exists());
    use_session(&mut login(stage.pop3, "joe"));
    let tally = load.end();
    assert!(tally.good > 0 && tally.refused == 0 && tally.cut == 0, "{tally:?}");
    assert_eq!(stage.master(), new);
    let next = upgrade(&stage).1;
    assert_ne!(next, new, "and it can be upgraded itself");
    send(new, Signal::SIGQUIT);
    eventually("it has gone", || !proc::is_alive(new));
}

#[test]
fn an_upgrade_can_be_taken_back_under_load() {
    let stage = Setting::new("", "").start_in_background();
    let load = Load::start(3, stage.pop3);
    let (old, new) = upgrade(&stage);
    send(old, Signal::SIGUSR2);
    stage.wait_for_log("the changing binary signal is ignored");
    send(old, Signal::SIGWINCH);
    stage.wait_for_log("(SIGWINCH) received from");
    eventually("the old worker has gone", || workers(old).is_empty());
    use_session(&mut login(stage.pop3, "joe"));
    send(old, Signal::SIGHUP);
    eventually("it is back", || workers(old).len() == 1);
    send(new, Signal::SIGQUIT);
    eventually("the new program has gone", || !proc::is_alive(new));
    eventually("the old one has its file back", || read_pid(&stage.path("pid")) == Some(old));
    use_session(&mut login(stage.pop3, "joe"));
    let tally = load.end();
    assert!(tally.good > 0 && tally.refused == 0 && tally.cut == 0, "{tally:?}");
}

#[test]
fn the_variable_that_names_the_sockets_is_that_of_the_original() {
    for (name, variable) in [("nginx", "NGINX"), ("angie", "ANGIE"), ("gatepost", "GATEPOST")] {
        let (stage, _) = Setting::new("", "").start_by_name(name, true);
        let (_, new) = upgrade(&stage);
        let environment = std::fs::read(format!("/proc/{new}/environ")).unwrap();
        let environment = String::from_utf8_lossy(&environment).into_owned();
        let sockets = environment.split('\0').find_map(|it| it.strip_prefix(variable)?.strip_prefix('='));
        let number = sockets.and_then(|numbers| numbers.strip_suffix(';')).expect(&environment);
        assert!(number.parse::<u32>().is_ok(), "one socket: {environment}");
        stage.wait_for_log(&format!("using inherited sockets from \"{number};\""));
        use_session(&mut login(stage.pop3, "joe"));
    }
}

#[test]
fn a_new_program_that_fails_leaves_all_as_it_was() {
    let stage = Setting::new("", "").start_in_background();
    let old = stage.master();
    let good = stage.read("conf");
    std::fs::write(stage.path("conf"), "nonsense;").unwrap();
    send(old, Signal::SIGUSR2);
    stage.wait_for_log("start new binary process ");
    eventually("the old one has its file back", || read_pid(&stage.path("pid")) == Some(old));
    std::fs::write(stage.path("conf"), good).unwrap();
    use_session(&mut login(stage.pop3, "joe"));
    stage.reload();
    assert_eq!(workers(old).len(), 1);
}

#[test]
fn unix_sockets_survive_the_program_that_made_them() {
    let setting = Setting::new("", "");
    let unix = setting.path("socket");
    setting.write_configuration("", &format!("server {{ listen unix:{}; protocol pop3; }}", unix.display()));
    let stage = setting.start_in_background();
    let (old, _) = upgrade(&stage);
    send(old, Signal::SIGQUIT);
    eventually("the old program has gone", || !proc::is_alive(old));
    rig::Client::connect_unix(&unix).expect("+OK POP3 ready\r\n");
}
