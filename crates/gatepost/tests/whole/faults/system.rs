//! What the system refuses: names, room for logs, descriptors.

use std::fs;

use nix::sys::signal::Signal;
use rig::auth_server::answer;
use rig::{Client, eventually, port};

use super::*;
use crate::stage::{greeted, logged_in};

#[test]
fn without_dns_mail_clients_have_no_names_and_go_on() {
    let nowhere = port::free();
    let settings = format!("resolver {nowhere}; resolver_timeout 300ms;");
    let mut siege = behind(Protocol::Smtp, &settings, [Protocol::Smtp.backend()]);
    let mut client = siege.attacker();
    client.exchange(Protocol::Smtp.login(), [Protocol::Smtp.asked(), Protocol::Smtp.logged_in()].concat());
    drop(client);
    assert_eq!(siege.stage.auth.request(1).header("Client-Host").as_deref(), Some("[TEMPUNAVAIL]"));
    siege.stage.proxy.wait_for_log("could not be resolved");
    siege.is_over();
}

#[test]
fn without_dns_an_upstream_with_a_name_is_an_internal_error() {
    let backend = Backend::start(Protocol::Imap.backend().echo());
    let address = backend.address();
    let auth = AuthServer::start({
        let asked = std::sync::atomic::AtomicUsize::new(0);
        move |_| match asked.fetch_add(1, std::sync::atomic::Ordering::SeqCst) {
            0 => allow(address).close(),
            _ => answer(&["Auth-Status: OK", "Auth-Server: mail.example", "Auth-Port: 143"]).close(),
        }
    });
    let settings = format!("resolver {}; resolver_timeout 300ms;", port::free());
    let mut siege = Siege::of(Stage::new(Protocol::Imap, &settings, auth, backend));
    fails(&siege, "no DNS");
    siege.stage.proxy.wait_for_log("mail.example");
    siege.is_over();
}

#[test]
fn a_log_on_a_full_disk_is_no_reason_to_stop() {
    // Every write to it fails with ENOSPC.
    let mut siege = behind(Protocol::Imap, "error_log /dev/full debug;", [Protocol::Imap.backend().echo()]);
    for _ in 0..50 {
        let mut client = siege.attacker();
        client.exchange("x NONSENSE\r\n", "x BAD invalid command\r\n");
    }
    logged_in(siege.stage.address(), Protocol::Imap).exchange("x\r\n", "x\r\n");
    siege.is_over();
}

#[test]
fn a_log_that_cannot_be_opened_again_is_told_in_the_old_one_and_changes_nothing() {
    let logs = tempfile::tempdir().expect("a temporary directory");
    let (place, moved) = (logs.path().join("logs"), logs.path().join("moved"));
    fs::create_dir(&place).expect("the directory is writable");
    let settings = format!("error_log {}/mail.log info;", place.display());
    let mut siege = behind(Protocol::Imap, &settings, [Protocol::Imap.backend().echo()]);
    // What is there now is no directory, so there cannot be a file in it, whoever asks.
    fs::rename(&place, &moved).expect("the directory is writable");
    fs::write(&place, "").expect("the directory is writable");
    siege.stage.proxy.process().signal(Signal::SIGUSR1);
    siege.stage.proxy.wait_for_log("mail.log\" failed (20: Not a directory)");
    logged_in(siege.stage.address(), Protocol::Imap).exchange("x\r\n", "x\r\n");
    let told = || fs::read_to_string(moved.join("mail.log")).unwrap_or_default();
    eventually("the old file goes on", || told().matches("client logged in").count() == 2);
    siege.is_over();
}

#[test]
fn out_of_descriptors_clients_wait_and_sessions_go_on() {
    let backend = Backend::start(Protocol::Imap.backend().echo());
    let auth = AuthServer::always(allow(backend.address()).close());
    let proxy = rig::Proxy::start_whole(
        &crate::stage::gatepost(),
        &format!(
            "user root; daemon off; master_process off; worker_rlimit_nofile 64; events {{ worker_connections 4096; }}
             mail {{ auth_http {}; xclient off; server {{ listen @proxy; protocol imap; }} }}",
            auth.address()
        ),
    );
    let mut neighbour = logged_in(proxy.at("proxy"), Protocol::Imap);
    let before = proxy.process().descriptors();
    // More than there can be; those beyond wait in the queue of the system.
    let mut crowd: Vec<_> = (0..100).map(|_| Client::connect(proxy.at("proxy"))).collect();
    let log = proxy.wait_for_log("failed (24: Too many open files)");
    assert!(log.lines().any(|line| line.contains("accept4() failed (24: Too many open files)")), "{log}");
    assert!(log.lines().count() < 200, "a full house is told without filling the log");
    neighbour.exchange("still here\r\n", "still here\r\n");
    // Somebody inside cannot be helped, and is told.
    crowd[0].expect(Protocol::Imap.greeting()).exchange("a LOGIN u p\r\n", Protocol::Imap.internal_error());
    drop(crowd);
    eventually("all descriptors are given back", || proxy.process().descriptors() <= before);
    logged_in(proxy.at("proxy"), Protocol::Imap).exchange("x\r\n", "x\r\n");
    neighbour.exchange("still here\r\n", "still here\r\n");
    greeted(proxy.at("proxy"), Protocol::Imap);
}
