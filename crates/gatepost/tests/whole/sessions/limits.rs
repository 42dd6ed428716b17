//! How much one client may do, and how many there may be.

use rig::{AuthServer, Client, Script, eventually};

use crate::stage::{Protocol, Stage, gatepost, greeted};

fn nobody() -> AuthServer {
    AuthServer::always(Script::new().close())
}

// I90.
#[test]
fn the_last_allowed_error_closes() {
    let replies = ["* BAD invalid command\r\n", "-ERR invalid command\r\n", "500 5.5.1 Invalid command\r\n"];
    for (protocol, reply) in Protocol::ALL.into_iter().zip(replies) {
        let stage = Stage::answering(protocol, "max_errors 3;", nobody());
        let mut client = stage.client();
        client.send("\r\n".repeat(10));
        assert_eq!(rig::show(&client.rest()), rig::show(reply.repeat(3).as_bytes()));
        stage.proxy.wait_for_log("client sent too many invalid commands while in auth state");
    }
}

#[test]
fn one_command_too_many_closes() {
    for protocol in Protocol::ALL {
        let (noop, reply) = protocol.noop();
        let stage = Stage::answering(protocol, "max_commands 3;", nobody());
        let mut client = stage.client();
        client.send(noop.repeat(10));
        let answers = String::from_utf8(client.rest()).expect("replies are ASCII");
        assert!(answers.starts_with(&reply.repeat(3)), "{answers}");
        assert!(answers[3 * reply.len()..].to_lowercase().contains("invalid command\r\n"), "{answers}");
        stage.proxy.wait_for_log("client sent too many commands while in auth state");
    }
}

#[test]
fn clients_beyond_worker_connections_are_closed_without_a_byte() {
    let proxy = rig::Proxy::start_whole(
        &gatepost(),
        "user root; daemon off; events { worker_connections 3; }
         mail { auth_http 127.0.0.1:9; server { listen @proxy; protocol imap; } }",
    );
    let inside: Vec<_> = (0..3).map(|_| greeted(proxy.at("proxy"), Protocol::Imap)).collect();
    Client::connect(proxy.at("proxy")).expect_end();
    let log = proxy.wait_for_log("worker_connections are not enough");
    assert!(log.contains("[alert]") && log.contains(": 3 worker_connections are not enough"), "{log}");
    drop(inside);
    eventually("a place is free again", || {
        let mut client = Client::connect(proxy.at("proxy"));
        client.half_close();
        client.rest() == Protocol::Imap.greeting().as_bytes()
    });
}

#[test]
fn a_session_needs_a_second_place_for_its_upstream() {
    let backend = rig::Backend::start(Protocol::Imap.backend());
    let auth = AuthServer::always(rig::auth_server::allow(backend.address()));
    let proxy = rig::Proxy::start_whole(
        &gatepost(),
        &format!(
            "user root; daemon off; events {{ worker_connections 1; }}
             mail {{ auth_http {}; server {{ listen @proxy; protocol imap; }} }}",
            auth.address()
        ),
    );
    let mut client = greeted(proxy.at("proxy"), Protocol::Imap);
    client.send("a LOGIN u p\r\n");
    assert_eq!(client.rest(), b"* BAD internal server error\r\n");
    proxy.wait_for_log("worker_connections are not enough while ");
    assert_eq!(backend.connections(), 0);
}
