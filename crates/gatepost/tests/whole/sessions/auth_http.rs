//! The auth server: ways to it, its answers over time, mechanisms that only it can judge.

use rig::auth_server::{allow, allow_with, answer, refuse, refuse_for};
use rig::{AuthServer, Backend, Gate, Script, backend, port};

use crate::stage::{Protocol, Stage, greeted, logged_in, proxy};

#[test]
fn xoauth2_and_oauthbearer_bring_a_token_to_the_auth_server() {
    let settings = "imap_auth plain xoauth2 oauthbearer; pop3_auth plain xoauth2 oauthbearer;
         smtp_auth plain xoauth2 oauthbearer;";
    let commands = ["a AUTHENTICATE", "AUTH", "AUTH"];
    // user=u^Aauth=Bearer t^A^A and n,a=u,^Aauth=Bearer t^A^A
    let responses = [
        ("XOAUTH2", "dXNlcj11AWF1dGg9QmVhcmVyIHQBAQ=="),
        ("OAUTHBEARER", "bixhPXUsAWF1dGg9QmVhcmVyIHQBAQ=="),
    ];
    for (protocol, command) in Protocol::ALL.into_iter().zip(commands) {
        let stage = Stage::allowing_with(protocol, settings, protocol.backend(), &["Auth-Pass: p"]);
        for (number, (mechanism, response)) in responses.into_iter().enumerate() {
            let hello = if protocol == Protocol::Smtp { "EHLO c\r\n" } else { "" };
            let mut client = stage.client();
            client.send(format!("{hello}{command} {mechanism} {response}\r\n"));
            let heard = client.until(protocol.logged_in());
            assert!(heard.ends_with(protocol.logged_in().as_bytes()));
            let request = stage.auth.request(number);
            let header = |name| request.header(name).unwrap_or_default();
            assert_eq!(header("Auth-Method"), mechanism.to_lowercase());
            assert_eq!((header("Auth-User"), header("Auth-Pass")), ("u".to_owned(), "t".to_owned()));
        }
    }
}

#[test]
fn a_refused_token_is_challenged_before_the_refusal() {
    let auth = AuthServer::always(answer(&["Auth-Status: no", "Auth-Error-SASL: e30="]));
    let stage = Stage::answering(Protocol::Imap, "imap_auth xoauth2;", auth);
    let mut client = stage.client();
    client.exchange("a AUTHENTICATE XOAUTH2 dXNlcj11AWF1dGg9QmVhcmVyIHQBAQ==\r\n", "+ e30=\r\n");
    client.send("\r\n");
    assert_eq!(client.rest(), b"a NO no\r\n");
}

#[test]
fn a_client_may_try_again_after_auth_wait() {
    for protocol in Protocol::ALL {
        let backend = Backend::start(protocol.backend());
        let auth = AuthServer::queue([refuse_for(1, "no"), allow(backend.address())]);
        let stage = Stage::new(protocol, "", auth, backend);
        let mut client = stage.client();
        client.exchange(protocol.login(), [protocol.asked(), protocol.refused()].concat());
        client.exchange(protocol.noop().0, protocol.noop().1);
        client.exchange(protocol.login(), [protocol.asked(), protocol.logged_in()].concat());
        let attempts = [0, 1].map(|number| stage.auth.request(number).header("Auth-Login-Attempt"));
        assert_eq!(attempts, ["1", "2"].map(|text| Some(text.to_owned())));
    }
}

#[test]
fn what_is_pipelined_behind_a_refused_login_is_answered_after_the_wait() {
    let stage = Stage::answering(Protocol::Imap, "", AuthServer::always(refuse_for(1, "no")));
    let mut client = stage.client();
    client.send("a LOGIN u p\r\nb NOOP\r\nc LOGOUT\r\nd NOOP\r\n");
    assert_eq!(client.rest(), b"a NO no\r\nb OK completed\r\n* BYE\r\nc OK completed\r\n");
}

#[test]
fn one_kept_connection_serves_many_logins() {
    let stage = Stage::allowing(Protocol::Pop3, "", Protocol::Pop3.backend());
    for _ in 0..20 {
        stage.logged_in();
    }
    assert_eq!((stage.auth.requests().len(), stage.auth.connections()), (20, 1));
}

#[test]
fn an_auth_server_that_closes_is_connected_to_each_time() {
    let backend = Backend::start(Protocol::Imap.backend());
    let closing = allow(backend.address()).close();
    let stage = Stage::new(Protocol::Imap, "", AuthServer::always(closing), backend);
    for number in 0..5 {
        stage.logged_in();
        stage.auth.finished(number);
    }
    assert_eq!((stage.auth.requests().len(), stage.auth.connections()), (5, 5));
}

#[test]
fn an_answer_of_http_1_0_is_understood_and_its_connection_not_kept() {
    let backend = Backend::start(Protocol::Imap.backend());
    let text = format!(
        "HTTP/1.0 200 OK\r\nAuth-Status: OK\r\nAuth-Server: 127.0.0.1\r\nAuth-Port: {}\r\n\r\n",
        backend.address().port()
    );
    let stage = Stage::new(Protocol::Imap, "", AuthServer::always(Script::new().say(text).close()), backend);
    for _ in 0..3 {
        stage.logged_in();
    }
    assert_eq!(stage.auth.connections(), 3);
}

#[test]
fn a_dead_auth_server_is_passed_over() {
    let backend = Backend::start(Protocol::Imap.backend());
    let auth = AuthServer::always(allow(backend.address()));
    let dead = port::free();
    let proxy = proxy(&format!(
        "auth_http http://{dead}/a http://{}/b; server {{ listen @proxy; protocol imap; }}",
        auth.address()
    ));
    for _ in 0..3 {
        logged_in(proxy.at("proxy"), Protocol::Imap);
    }
    assert_eq!(auth.request(2).line(), "GET /b HTTP/1.1");
    let log = proxy.wait_for_log("is not asked for 10s");
    assert_eq!(log.matches("is not asked for 10s").count(), 1, "a server that rests is not tried\n{log}");
}

#[test]
fn a_login_fails_when_all_auth_servers_are_dead() {
    let (one, two) = (port::free(), port::free());
    let proxy = proxy(&format!("auth_http {one} {two}; server {{ listen @proxy; protocol imap; }}"));
    for _ in 0..2 {
        let mut client = greeted(proxy.at("proxy"), Protocol::Imap);
        client.send("a LOGIN u p\r\n");
        assert_eq!(client.rest(), b"* BAD internal server error\r\n");
    }
    proxy.wait_for_log("(111: Connection refused) while in http auth state");
}

#[test]
fn auth_server_and_upstream_may_be_unix_sockets() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let (asks, serves) = (directory.path().join("auth"), directory.path().join("imap"));
    let upstream = Backend::start_unix(&serves, backend::imap_login("a", "u", "p").echo());
    let place = format!("Auth-Server: unix:{}", serves.display());
    let _auth = AuthServer::start_unix(&asks, move |_| answer(&["Auth-Status: OK", &place, "Auth-Port: 1"]));
    let proxy = proxy(&format!(
        "auth_http unix:{}:/auth; server {{ listen @proxy; protocol imap; }}",
        asks.display()
    ));
    logged_in(proxy.at("proxy"), Protocol::Imap).exchange("x\r\n", "x\r\n");
    let log = proxy.wait_for_log("client logged in");
    assert!(log.contains(&format!("upstream: \"unix:{}\"", upstream.path().display())), "{log}");
}

#[test]
fn a_slow_answer_is_an_error_at_auth_http_timeout() {
    let gate = Gate::shut();
    let auth = AuthServer::always(Script::new().say("HTTP/1.1 200 OK\r\nAuth-").wait(&gate));
    let stage = Stage::answering(Protocol::Pop3, "auth_http_timeout 300ms;", auth);
    let mut client = stage.client();
    client.send(Protocol::Pop3.login());
    assert_eq!(client.rest(), b"+OK\r\n-ERR internal server error\r\n");
    stage.proxy.wait_for_log("timed out (110: Connection timed out) while in http auth state");
    gate.open();
}

#[test]
fn the_auth_server_may_change_name_password_and_code() {
    let backend = Backend::start(backend::imap_login("a", "real", "secret"));
    let lines = ["Auth-User: real", "Auth-Pass: secret"];
    let auth = AuthServer::always(allow_with(backend.address(), &lines));
    let stage = Stage::new(Protocol::Imap, "", auth, backend);
    stage.client().exchange("a LOGIN u p\r\n", "a OK logged in\r\n");

    let auth = AuthServer::always(answer(&["Auth-Status: later", "Auth-Error-Code: 454 4.7.0"]));
    let stage = Stage::answering(Protocol::Smtp, "", auth);
    let mut client = stage.client();
    client.send("AUTH PLAIN AHUAcA==\r\n");
    assert_eq!(client.rest(), b"454 4.7.0 later\r\n");
}

#[test]
fn an_answer_cannot_add_lines_to_what_the_client_hears() {
    // A bare CR is all that can hide in a header value.
    let auth = AuthServer::always(refuse("no\rway"));
    let stage = Stage::answering(Protocol::Imap, "", auth);
    let mut client = stage.client();
    client.send("a LOGIN u p\r\n");
    let heard = client.rest();
    assert!(!heard[..heard.len() - 2].contains(&b'\r'), "{}", rig::show(&heard));
}

#[test]
fn what_an_auth_server_says_unasked_answers_nobody() {
    // Behind the answer in one piece, and while the connection is idle.
    for later in [false, true] {
        let backend = Backend::start(Protocol::Imap.backend().echo());
        let (home, gate) = (backend.address(), Gate::shut());
        let auth = AuthServer::start({
            let gate = gate.clone();
            move |request| match request.header("Auth-Pass").as_deref() {
                Some("p") if later => allow(home).wait(&gate).chain(allow(home)),
                Some("p") => {
                    let one = format!(
                        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nAuth-Status: OK\r\nAuth-Server: {}\r\nAuth-Port: {}\r\n\r\n",
                        home.ip(),
                        home.port()
                    );
                    Script::new().say(one.repeat(2))
                }
                _ => refuse("no"),
            }
        });
        let stage = Stage::new(Protocol::Imap, "", auth, backend);
        stage.logged_in().exchange("x\r\n", "x\r\n");
        gate.open();
        stage.auth.finished(0);
        let mut client = stage.client();
        client.send("a LOGIN u wrong\r\n");
        assert_eq!(client.rest(), b"a NO no\r\n");
        assert_eq!(stage.auth.request(1).connection, 1, "later: {later}");
        assert_eq!(stage.backend.connections(), 1, "nobody else was let in");
    }
}
