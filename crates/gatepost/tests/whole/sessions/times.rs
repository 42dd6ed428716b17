//! Time limits: what ends when, and what restarts a clock.

use std::time::Duration;

use rig::auth_server::allow;
use rig::{AuthServer, Backend, Client, Gate, Script, eventually};

use crate::stage::{Protocol, Stage};

const PACE: Duration = Duration::from_millis(50);

/// An auth server that is not asked.
fn nobody() -> AuthServer {
    AuthServer::always(Script::new().close())
}

#[test]
fn silence_before_login_ends_at_timeout_without_a_word() {
    for protocol in Protocol::ALL {
        let stage = Stage::answering(protocol, "timeout 200ms;", nobody());
        stage.client().expect_end();
        let mut half = stage.client();
        half.send("hal");
        half.expect_end();
        stage.proxy.wait_for_log("client timed out (110: Connection timed out) while in auth state");
    }
}

#[test]
fn commands_do_not_prolong_timeout() {
    let stage = Stage::answering(Protocol::Smtp, "timeout 400ms;", nobody());
    let mut client = stage.client();
    client.play(&Script::new().trickle("NOOP\r\n".repeat(10), PACE));
    let answers = client.rest();
    assert!(answers.len() < "250 2.0.0 OK\r\n".len() * 9, "{}", rig::show(&answers));
    stage.proxy.wait_for_log("client timed out (110: Connection timed out) while in auth state");
}

#[test]
fn a_refused_login_with_a_wait_starts_timeout_anew() {
    let auth = AuthServer::always(rig::auth_server::refuse_for(1, "no"));
    let stage = Stage::answering(Protocol::Imap, "timeout 700ms;", auth);
    let mut client = stage.client();
    client.exchange("a LOGIN u p\r\n", "a NO no\r\n").exchange("b NOOP\r\n", "b OK completed\r\n");
    client.expect_end();
}

#[test]
fn an_upstream_that_says_nothing_is_given_up_at_timeout() {
    for protocol in Protocol::ALL {
        let stage = Stage::allowing(protocol, "timeout 300ms;", Script::new().silence());
        let mut client = stage.client();
        client.send(protocol.login());
        let expected = [protocol.asked(), protocol.internal_error()].concat();
        assert_eq!(rig::show(&client.rest()), rig::show(expected.as_bytes()));
        assert_eq!(stage.backend.finished(0), b"");
        stage.proxy.wait_for_log("upstream timed out (110: Connection timed out) while ");
    }
}

#[test]
fn an_upstream_that_trickles_has_no_more_time_than_a_silent_one() {
    let slow = Script::new().trickle("* OK this greeting takes longer than it may\r\n", PACE);
    let stage = Stage::allowing(Protocol::Imap, "timeout 400ms;", slow);
    let mut client = stage.client();
    client.send("a LOGIN u p\r\n");
    assert_eq!(client.rest(), b"* BAD internal server error\r\n");
}

#[test]
fn an_upstream_may_greet_late() {
    let gate = Gate::shut();
    let backend = Backend::start(Script::new().wait(&gate).chain(Protocol::Imap.backend()).echo());
    let stage = Stage::new(Protocol::Imap, "", AuthServer::always(allow(backend.address())), backend);
    let mut client = stage.client();
    client.send("a LOGIN u p\r\nb NOOP\r\n");
    eventually("the upstream is connected to", || stage.backend.connections() == 1);
    gate.open();
    client.expect("a OK logged in\r\nb NOOP\r\n");
}

#[test]
fn a_quiet_session_ends_at_proxy_timeout() {
    let stage = Stage::allowing(Protocol::Imap, "proxy_timeout 300ms;", Protocol::Imap.backend());
    let mut client = stage.logged_in();
    client.expect_end();
    stage.backend.finished(0);
    let log = stage.proxy.wait_for_log("client timed out (110: Connection timed out) while proxying, ");
    assert!(!log.contains("proxied session done"), "{log}");
}

#[test]
fn bytes_of_the_upstream_alone_keep_a_session_alive() {
    let news = "* 1 EXISTS\r\n".repeat(2);
    let script = Protocol::Imap.backend().expect("b\r\n").trickle(&news, PACE).close();
    let stage = Stage::allowing(Protocol::Imap, "proxy_timeout 600ms;", script);
    let mut client = stage.logged_in();
    assert_eq!(client.send("b\r\n").rest(), news.as_bytes());
    assert!(stage.proxy.wait_for_log("proxied session done").contains("client logged in"));
}

#[test]
fn bytes_of_the_client_alone_keep_a_session_alive() {
    let message = "a line of a message\r\n";
    let stage = Stage::allowing(Protocol::Smtp, "proxy_timeout 600ms;", Protocol::Smtp.backend());
    let mut client = stage.logged_in();
    client.play(&Script::new().trickle(message, PACE));
    client.half_close();
    assert!(stage.backend.finished(0).ends_with(message.as_bytes()));
}

#[test]
fn a_delayed_greeting_comes_to_those_who_wait() {
    let stage = Stage::answering(Protocol::Smtp, "smtp_greeting_delay 200ms;", nobody());
    stage.client().exchange("QUIT\r\n", "221 2.0.0 Bye\r\n").expect_end();
}

// S52.
#[test]
fn whoever_talks_before_a_delayed_greeting_is_sent_away() {
    let stage = Stage::answering(Protocol::Smtp, "smtp_greeting_delay 1h;", nobody());
    let mut client = Client::connect(stage.address());
    client.send("EHLO a\r\nNOOP\r\n");
    assert_eq!(client.rest(), b"503 5.5.0 Improper use of SMTP command pipelining\r\n");
    stage.proxy.wait_for_log(
        "client was rejected before greeting: \"EHLO a__NOOP__\" while in delay pipelining state, ",
    );
}

// S53.
#[test]
fn whoever_leaves_before_a_delayed_greeting_is_forgotten() {
    let stage = Stage::answering(Protocol::Smtp, "smtp_greeting_delay 1h;", nobody());
    let before = stage.descriptors();
    let mut client = Client::connect(stage.address());
    client.half_close().expect_end();
    eventually("its descriptor is given back", || stage.proxy.process().descriptors() <= before);
}
