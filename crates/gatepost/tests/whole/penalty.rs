//! `auth_penalty`: whose answers are held back, and who is left alone.

use std::time::{Duration, Instant};

use rig::auth_server::{allow, answer, refuse};
use rig::{AuthServer, Backend, Client, eventually};

use crate::stage::{Protocol, Stage};

const HELD_BACK: &str = "answer to login is held back for";

/// A stage at which `p` is the password of everybody.
#[track_caller]
fn guarded(protocol: Protocol, listen: &str, settings: &str) -> Stage {
    let backend = Backend::start(protocol.backend().echo());
    let home = backend.address();
    let auth = AuthServer::start(move |request| match request.header("Auth-Pass").as_deref() {
        Some("p") => allow(home),
        Some("busy") => answer(&["Auth-Status: no", "Auth-Error-Code: 451 4.3.0"]),
        _ => refuse("no"),
    });
    Stage::listening(protocol, listen, &format!("auth_penalty on; {settings}"), auth, backend)
}

/// A login as `u` with another password.
fn guess(protocol: Protocol, password: &str) -> String {
    match protocol {
        Protocol::Imap => format!("a LOGIN u {password}\r\n"),
        Protocol::Pop3 => format!("USER u\r\nPASS {password}\r\n"),
        Protocol::Smtp => unreachable!("its logins are in base64"),
    }
}

#[test]
fn after_a_wrong_password_good_and_bad_answers_come_later_until_a_good_one_has_come() {
    let stage = guarded(Protocol::Pop3, "", "");
    let refused = b"+OK\r\n-ERR no\r\n";
    assert_eq!(stage.client().send(guess(Protocol::Pop3, "x")).rest(), refused);
    assert!(!stage.proxy.log().contains(HELD_BACK), "the first is free");
    let start = Instant::now();
    assert_eq!(stage.client().send(guess(Protocol::Pop3, "x")).rest(), refused);
    assert!(start.elapsed() >= Duration::from_secs(2), "{:?}", start.elapsed());
    stage.logged_in();
    assert!(start.elapsed() >= Duration::from_secs(4), "{:?}", start.elapsed());
    stage.logged_in();
    assert_eq!(stage.proxy.whole_log().matches(HELD_BACK).count(), 2);
}

#[test]
fn whoever_hangs_up_while_an_answer_is_held_back_is_not_waited_for() {
    let stage = guarded(Protocol::Imap, "", "");
    let own = stage.descriptors();
    let guessers: Vec<Client> = (0..20)
        .map(|number| {
            let mut client = stage.client();
            client.send(guess(Protocol::Imap, &number.to_string()));
            client
        })
        .collect();
    stage.proxy.wait_for_log("answer to login is held back for 15s");
    eventually("all are asked about", || stage.auth.requests().len() == guessers.len());
    drop(guessers);
    // One connection may be kept for the auth server for each that asked at the same time.
    let kept = stage.auth.connections();
    eventually("all is given back, long before the answers", || {
        stage.proxy.process().descriptors() <= own + kept
    });
}

/// A client of IMAP whose address is in a PROXY header; it has been greeted.
#[track_caller]
fn from(stage: &Stage, address: &str) -> Client {
    let mut client = Client::connect(stage.address());
    client.send(format!("PROXY TCP4 {address} 198.51.100.99 4711 143\r\n"));
    client.expect(Protocol::Imap.greeting());
    client
}

#[test]
fn a_network_is_known_by_its_real_address() {
    let stage = guarded(Protocol::Imap, "proxy_protocol", "set_real_ip_from 127.0.0.1;");
    let from = |address: &str| from(&stage, address);
    assert_eq!(from("192.0.2.1").send(guess(Protocol::Imap, "x")).rest(), b"a NO no\r\n");
    from("198.51.100.1").exchange("a LOGIN u p\r\n", "a OK logged in\r\n");
    assert!(!stage.proxy.log().contains(HELD_BACK));
    from("192.0.2.200").exchange("a LOGIN u p\r\n", "a OK logged in\r\n");
    stage.proxy.wait_for_log("answer to login is held back for 2s");
}

#[test]
fn a_user_who_is_guessed_at_from_many_networks_is_slow_everywhere_but_at_home() {
    let stage = guarded(Protocol::Imap, "proxy_protocol", "set_real_ip_from 127.0.0.1;");
    let (home, away) = ("192.0.2.1", "203.0.113.1");
    from(&stage, home).exchange("a LOGIN u p\r\n", "a OK logged in\r\n");
    // No two in the same network, and none tries more than once.
    let guessers: Vec<Client> = (0..20)
        .map(|number| {
            let mut client = from(&stage, &format!("198.18.{number}.1"));
            client.send(guess(Protocol::Imap, &number.to_string()));
            stage.auth.request(number + 1);
            client
        })
        .collect();
    stage.proxy.wait_for_log("answer to login is held back for 15s");
    let start = Instant::now();
    from(&stage, "192.0.2.200").exchange("a LOGIN u p\r\n", "a OK logged in\r\n");
    assert_eq!(from(&stage, away).send("a LOGIN v x\r\n").rest(), b"a NO no\r\n");
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    let mut travelling = from(&stage, away);
    travelling.send("a LOGIN u p\r\n");
    let told = |line: &str| line.contains("held back for 15s") && line.contains(away);
    eventually("abroad the right password waits too", || stage.proxy.log().lines().any(told));
    // Four times each of 0, 2, 4 and 8 seconds, and then 15.
    let log = stage.proxy.log();
    let counts = [2, 4, 8, 15].map(|seconds| log.matches(&format!("held back for {seconds}s")).count());
    assert_eq!(counts, [4, 4, 4, 5], "{log}");
    assert!(!log.lines().any(|line| line.contains(HELD_BACK) && line.contains(home)));
    drop(guessers);
}

#[test]
fn nobody_waits_who_is_exempt_or_trusted_to_speak_for_others() {
    for settings in ["auth_penalty_exempt 127.0.0.0/8;", "set_real_ip_from 127.0.0.1;"] {
        let stage = guarded(Protocol::Imap, "", settings);
        for password in ["x", "y", "z"] {
            assert_eq!(stage.client().send(guess(Protocol::Imap, password)).rest(), b"a NO no\r\n");
        }
        stage.logged_in();
        assert!(!stage.proxy.log().contains(HELD_BACK), "{settings}");
    }
}

#[test]
fn what_is_no_guess_is_not_held_against_anybody() {
    // The authority is busy.
    let stage = guarded(Protocol::Pop3, "", "");
    assert_eq!(stage.client().send(guess(Protocol::Pop3, "busy")).rest(), b"+OK\r\n-ERR no\r\n");
    stage.logged_in();
    assert!(!stage.proxy.log().contains(HELD_BACK));
    // There is no password in it.
    let stage = guarded(Protocol::Smtp, "", "smtp_auth none;");
    for sender in ["a", "b"] {
        let mut client = stage.client();
        let reply = "250 proxy.example\r\n250 2.0.0 OK\r\n535 5.7.0 no\r\n";
        client.send(format!("HELO c\r\nMAIL FROM:<{sender}@x>\r\nRCPT TO:<c@x>\r\n"));
        assert_eq!(rig::show(&client.rest()), rig::show(reply.as_bytes()));
    }
    assert!(!stage.proxy.log().contains(HELD_BACK));
}
