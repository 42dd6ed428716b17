//! A whole session through the original: proves that the harness itself works.

use gatepost_rig::{AuthServer, Backend, Client, Program, Proxy, auth_server, backend};

#[test]
fn a_login_passes_through_the_original() {
    let backend = Backend::start(backend::imap_login("a", "user", "pa ss").echo());
    let auth = AuthServer::always(auth_server::allow(backend.address()));
    let proxy = Proxy::start(
        &Program::nginx(),
        &format!("auth_http {}/auth?x=1; server {{ listen @imap; protocol imap; }}", auth.address()),
    );
    let mut client = Client::connect(proxy.at("imap"));
    client.expect("* OK IMAP4 ready\r\n").exchange("a LOGIN {4}\r\n", "+ OK\r\n");
    client.exchange("user \"pa ss\"\r\n", "a OK logged in\r\n").exchange("b NOOP\r\n", "b NOOP\r\n");
    drop(client);
    backend.finished(0);

    let request = auth.request(0);
    assert_eq!(request.line(), "GET /auth?x=1 HTTP/1.0");
    assert_eq!(request.header("Auth-Pass").as_deref(), Some("pa%20ss"));
    proxy.wait_for_log("proxied session done");
    assert!(proxy.stop().success());
}

#[test]
#[should_panic(expected = "unknown directive \"imaginary\"")]
fn a_proxy_that_does_not_start_fails_the_test_with_its_own_words() {
    Proxy::start(&Program::nginx(), "server { listen @imap; imaginary on; }");
}
