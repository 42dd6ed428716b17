//! Clients that leave in the middle of their login: nobody is logged in who is not there.

use rig::auth_server::{allow, refuse_for};
use rig::{AuthServer, Backend, Script, eventually};

use crate::stage::{Protocol, Stage};

/// The proxy is as it was before its first client.
#[track_caller]
fn forgets_it(stage: &Stage, before: usize) {
    eventually("all descriptors are given back", || stage.proxy.process().descriptors() <= before);
}

#[test]
fn during_the_auth_request_the_question_is_withdrawn() {
    for protocol in Protocol::ALL {
        let stage = Stage::answering(protocol, "", AuthServer::always(Script::new().silence()));
        let before = stage.descriptors();
        let mut client = stage.client();
        client.send(protocol.login()).expect(protocol.asked());
        stage.auth.request(0);
        drop(client);
        stage.auth.finished(0);
        forgets_it(&stage, before);
        assert_eq!(stage.backend.connections(), 0);
        assert!(!stage.proxy.whole_log().contains("client logged in"));
    }
}

#[test]
fn by_a_reset_with_commands_pipelined_the_question_is_withdrawn_too() {
    let stage = Stage::answering(Protocol::Imap, "", AuthServer::always(Script::new().silence()));
    let mut client = stage.client();
    client.send("a LOGIN u p\r\nb SELECT INBOX\r\n");
    stage.auth.request(0);
    client.reset();
    stage.auth.finished(0);
}

#[test]
fn during_auth_wait_the_session_ends_at_once() {
    let stage = Stage::answering(Protocol::Imap, "", AuthServer::always(refuse_for(3600, "no").close()));
    let before = stage.descriptors();
    let mut client = stage.client();
    client.send("a LOGIN u p\r\n");
    stage.proxy.wait_for_log("client login failed: \"no\"");
    drop(client);
    forgets_it(&stage, before);
}

#[test]
fn during_the_upstreams_dialogue_the_upstream_is_left_without_a_login() {
    for protocol in Protocol::ALL {
        let backend = Backend::start(Script::new().silence());
        let auth = AuthServer::always(allow(backend.address()).close());
        let stage = Stage::new(protocol, "", auth, backend);
        let before = stage.descriptors();
        let mut client = stage.client();
        client.send(protocol.login()).expect(protocol.asked());
        stage.backend.expect_received(0, "");
        drop(client);
        assert_eq!(stage.backend.finished(0), b"");
        forgets_it(&stage, before);
        assert!(!stage.proxy.whole_log().contains("client logged in"));
    }
}

#[test]
fn a_client_that_leaves_before_its_password_is_sent_is_not_logged_in() {
    let script = Script::new().say("* OK ready\r\n").answer("a LOGIN {1}\r\n", "+ go\r\n");
    let stage = Stage::allowing(Protocol::Imap, "", script.expect("u {1}\r\n"));
    let mut client = stage.client();
    client.send("a LOGIN u p\r\n");
    stage.backend.expect_received(0, "a LOGIN {1}\r\nu {1}\r\n");
    drop(client);
    assert_eq!(stage.backend.finished(0), b"a LOGIN {1}\r\nu {1}\r\n");
}

#[test]
fn a_client_that_hangs_up_while_proxied_ends_the_upstreams_session() {
    for protocol in Protocol::ALL {
        let stage = Stage::allowing(protocol, "", protocol.backend());
        let before = stage.descriptors();
        drop(stage.logged_in());
        stage.backend.finished(0);
        stage.proxy.wait_for_log("proxied session done");
        // The auth server's connection is kept for the next login.
        forgets_it(&stage, before + 1);
        stage.logged_in().reset();
        stage.backend.finished(1);
        forgets_it(&stage, before + 1);
    }
}
