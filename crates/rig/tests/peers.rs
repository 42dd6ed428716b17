//! The scripted peers against each other: they must see what is wrong, and say so.

use std::time::Duration;

use gatepost_rig::{AuthServer, Backend, Client, Gate, Script, auth_server, backend};

#[test]
fn a_script_is_played_step_by_step() {
    let backend = Backend::start(backend::pop3_login("u", "p").echo());
    let mut client = Client::connect(backend.address());
    client.expect("+OK pop3 ready\r\n").exchange("USER u\r\n", "+OK password\r\n");
    client.exchange("PASS p\r\n", "+OK logged in\r\n").exchange("anything", "anything");
    client.half_close().expect_end();
    assert_eq!(backend.finished(0), b"USER u\r\nPASS p\r\nanything");
    assert_eq!(backend.connections(), 1);
}

#[test]
fn scripts_follow_each_other_and_the_last_one_stays() {
    let backend = Backend::start_each(["one", "two"].map(|word| Script::new().say(word).close()));
    for expected in ["one", "two", "two"] {
        assert_eq!(Client::connect(backend.address()).rest(), expected.as_bytes());
    }
}

#[test]
#[should_panic(expected = r"expected: USER u\r\n
received: USER v\r\n
because:  other bytes came")]
fn a_backend_that_meets_other_bytes_fails_the_test() {
    let backend = Backend::start(backend::pop3_login("u", "p"));
    let mut client = Client::connect(backend.address());
    client.expect("+OK pop3 ready\r\n").send("USER v\r\n").expect_end();
    backend.finished(0);
}

#[test]
#[should_panic(expected = "because:  the peer ended")]
fn a_peer_that_ends_too_early_fails_the_test() {
    let backend = Backend::start(Script::new().say("* OK").close());
    Client::connect(backend.address()).expect("* OK ready\r\n");
}

#[test]
#[should_panic(expected = "expected the end, got more")]
fn bytes_before_the_end_fail_the_test() {
    let backend = Backend::start(Script::new().say("more").close());
    Client::connect(backend.address()).expect_end();
}

#[test]
fn both_sides_can_end_one_direction_only() {
    let backend = Backend::start(Script::new().say("bye").half_close().expect_line());
    let mut client = Client::connect(backend.address());
    assert_eq!(client.rest(), b"bye");
    client.send("still here\r\n").half_close();
    assert_eq!(backend.finished(0), b"still here\r\n");
}

#[test]
fn where_a_client_cuts_changes_nothing_for_the_backend() {
    let line = "a line in pieces\r\n";
    let backend = Backend::start(Script::new().answer(line, "1").answer(line, "2"));
    let mut client = Client::connect(backend.address());
    client.send_cut(line, &[1, 5, 17]).expect("1").send_bytewise(line).expect("2");
}

#[test]
fn a_gate_holds_a_peer_until_it_is_opened() {
    let gate = Gate::shut();
    let backend = Backend::start(Script::new().say("a").wait(&gate).say("b"));
    let mut client = Client::connect(backend.address());
    client.expect("a").expect_nothing_unread();
    gate.open();
    client.expect("b");
}

#[test]
fn a_flood_stops_when_the_peer_hangs_up() {
    let backend = Backend::start(Script::new().expect_line().reset());
    let sent = Client::connect(backend.address()).flood(b"a line\r\n", 1 << 30);
    assert!(sent < 1 << 30, "{sent}");
}

#[test]
fn a_reset_ends_the_peer() {
    let backend = Backend::start(Script::new().say("hi"));
    let mut client = Client::connect(backend.address());
    client.expect("hi");
    client.reset();
    assert_eq!(backend.finished(0), b"");
}

#[test]
fn unix_sockets_do_as_well() {
    let directory = tempfile::tempdir().expect("directory");
    let path = directory.path().join("socket");
    let backend = Backend::start_unix(&path, Script::new().answer_line("pong\r\n"));
    Client::connect_unix(&backend.path()).exchange("ping\r\n", "pong\r\n");
}

#[test]
fn an_auth_server_answers_one_request_after_another_on_one_connection() {
    let auth = AuthServer::queue([auth_server::refuse("one"), auth_server::refuse_for(3, "two")]);
    let mut client = Client::connect(auth.address());
    for (number, text) in ["one", "two"].into_iter().enumerate() {
        client.send(format!("GET /auth?n={number} HTTP/1.1\r\nHost: x\r\nAuth-User: \r\n\r\n"));
        let answer = String::from_utf8(client.until("\r\n\r\n")).expect("text");
        assert!(answer.contains(&format!("\r\nAuth-Status: {text}\r\n")), "{answer}");
    }
    let second = auth.request(1);
    assert_eq!((second.line().as_str(), second.connection), ("GET /auth?n=1 HTTP/1.1", 0));
    assert_eq!(second.headers(), "Host: x\r\nAuth-User: \r\n\r\n");
    assert_eq!((second.header("Auth-User"), second.header("Auth-Pass")), (Some(String::new()), None));
    assert_eq!((auth.requests().len(), auth.connections()), (2, 1));
    drop(client);
    auth.finished(0);
}

#[test]
fn a_trickled_answer_arrives_whole() {
    let slow = Script::new().trickle("HTTP/1.0 200 OK\r\n\r\n", Duration::ZERO).close();
    let auth = AuthServer::always(slow);
    let mut client = Client::connect(auth.address());
    client.send("GET / HTTP/1.0\r\n\r\n");
    assert_eq!(client.rest(), b"HTTP/1.0 200 OK\r\n\r\n");
}
