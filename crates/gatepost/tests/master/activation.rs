//! Sockets that systemd has opened.

use std::net::{SocketAddr, TcpListener};
use std::os::unix::net::{UnixDatagram, UnixListener};

use nix::sys::signal::Signal;
use rig::{Client, eventually, port};

use crate::proc;
use crate::stage::{Setting, login, send, use_session};
use crate::upgrade::upgrade;

const GREETING: &str = "+OK POP3 ready\r\n";

fn pop3(at: SocketAddr) -> String {
    format!("server {{ listen {at}; protocol pop3; }}")
}

#[test]
fn a_listen_uses_the_socket_with_its_address_and_the_log_has_its_name() {
    let setting = Setting::new("", "");
    let (ours, other) =
        (TcpListener::bind(setting.pop3()).unwrap(), TcpListener::bind(port::free()).unwrap());
    let unnamed = other.local_addr().unwrap();
    // Whoever comes before the program is there is served by it.
    let mut early = Client::connect(setting.pop3());
    let stage = setting.start_activated(vec![ours.into(), other.into()], "pop3:spare", false);
    early.expect(GREETING);
    stage.wait_for_log(&format!(
        "[notice] {0}#{0}: using socket \"pop3\" of systemd, {1}",
        stage.master(),
        stage.pop3
    ));
    stage.wait_for_log(&format!(
        "[warn] {0}#{0}: no \"listen\" names {unnamed}, a socket of systemd",
        stage.master()
    ));
    assert_eq!(stage.count("using socket"), 1);
    use_session(&mut login(stage.pop3, "joe"));
}

#[test]
fn an_address_comes_and_goes_with_reloads_while_systemd_holds_it() {
    let setting = Setting::new("", "");
    let (ours, other) =
        (TcpListener::bind(setting.pop3()).unwrap(), TcpListener::bind(port::free()).unwrap());
    // As systemd, which keeps what it has opened.
    let (kept, at) = (other.try_clone().unwrap(), other.local_addr().unwrap());
    setting.write_configuration("", &pop3(at));
    let stage = setting.start_activated(vec![ours.into(), other.into()], "a:b", false);
    let worker = stage.worker();
    let mut session = login(at, "joe");
    stage.write_configuration("", "");
    stage.reload();
    assert_eq!(stage.count(&format!("no \"listen\" names {at}")), 1);
    let mut waiting = Client::connect(at);
    stage.write_configuration("", &pop3(at));
    stage.reload();
    waiting.expect(GREETING);
    use_session(&mut login(at, "joe"));
    use_session(&mut session);
    assert_eq!(stage.worker(), worker);
    drop(kept);
}

#[test]
fn sockets_of_systemd_go_on_in_a_new_program_and_belong_to_systemd_there_too() {
    let setting = Setting::new("", "");
    let unix = setting.path("socket");
    let (ours, other) = (TcpListener::bind(setting.pop3()).unwrap(), UnixListener::bind(&unix).unwrap());
    let kept = other.try_clone().unwrap();
    let server = format!("server {{ listen unix:{}; protocol pop3; }}", unix.display());
    setting.write_configuration("", "");
    // In the background, so that it can be upgraded; systemd then names the process that it has started.
    let stage = setting.start_activated(vec![ours.into(), other.into()], "a:b", true);
    use_session(&mut login(stage.pop3, "joe"));
    stage.reload();
    let (old, new) = upgrade(&stage);
    send(old, Signal::SIGQUIT);
    eventually("the old program has gone", || !proc::is_alive(old));
    use_session(&mut login(stage.pop3, "joe"));
    stage.write_configuration("", &server);
    stage.reload();
    Client::connect_unix(&unix).expect(GREETING);
    send(new, Signal::SIGTERM);
    eventually("the new program has gone", || !proc::is_alive(new));
    assert!(unix.exists(), "its file is not ours to remove");
    Client::connect_unix(&unix);
    drop(kept);
}

#[test]
fn what_cannot_be_listened_on_is_said_and_no_worker_has_it() {
    let setting = Setting::new("", "");
    let path = setting.path("datagrams");
    let stage = setting.start_activated(vec![UnixDatagram::bind(&path).unwrap().into()], "odd", false);
    let said = stage.read("stderr");
    assert!(said.contains("#3 (\"odd\") of systemd is no listening stream socket, ignored"), "{said}");
    assert!(UnixDatagram::unbound().unwrap().send_to(b"?", &path).is_err(), "nobody has it open");
    use_session(&mut login(stage.pop3, "joe"));
}

#[test]
fn one_process_alone_uses_them_too() {
    let user = if nix::unistd::geteuid().is_root() { "user root;" } else { "" };
    let setting = Setting::new(&format!("master_process off; {user}"), "");
    let ours = TcpListener::bind(setting.pop3()).unwrap();
    let kept = ours.try_clone().unwrap();
    let stage = setting.start_activated(vec![ours.into()], "pop3", false);
    use_session(&mut login(stage.pop3, "joe"));
    stage.reload();
    use_session(&mut login(stage.pop3, "joe"));
    drop(kept);
}
