//! What an auth server answers, in one piece and cut.

use rig::auth_server::allow;
use rig::{Backend, Script};

use super::*;

/// What an IMAP client hears if this is the answer, in which `PLACE` stands for server and port.
#[track_caller]
fn heard(settings: &str, answer: &str, expected: &str) {
    let backend = Backend::start(Protocol::Imap.backend().echo());
    let (ip, port) = (backend.address().ip(), backend.address().port());
    let answer = answer.replace("PLACE", &format!("Auth-Server: {ip}\r\nAuth-Port: {port}"));
    let whole = std::sync::atomic::AtomicBool::new(true);
    let auth = AuthServer::start({
        let answer = answer.clone();
        move |_| {
            if whole.swap(false, std::sync::atomic::Ordering::SeqCst) {
                return Script::new().say(&answer).close();
            }
            // A proxy that has heard enough may hang up in the middle.
            let say = |script: Script, piece: &[u8]| script.flood(piece, piece.len() as u64);
            Cuts::new().pieces(answer.as_bytes()).into_iter().fold(Script::new(), say).close()
        }
    });
    let stage = Stage::new(Protocol::Imap, settings, auth, backend);
    for arrival in ["whole", "cut"] {
        let mut client = stage.client();
        client.send("a LOGIN u p\r\n");
        let heard = if expected == IN { client.take(IN.len()) } else { client.rest() };
        assert_eq!(rig::show(&heard), rig::show(expected.as_bytes()), "{arrival} {answer:?}");
    }
}

const IN: &str = "a OK logged in\r\n";
const ERROR: &str = "* BAD internal server error\r\n";

#[test]
fn answers_are_understood_however_they_are_framed() {
    heard("", "Auth-Status: OK\r\nPLACE\r\n\r\n", IN); // H1
    heard("", "HTTP/1.0 500 Oops\r\nAuth-Status: OK\r\nPLACE\r\n\r\n", IN); // H2
    heard("", &"HTTP/1.0 200 OK\r\nAuth-Status: OK\r\nPLACE\r\n\r\n".replace('\r', ""), IN); // H4
    heard("", "HTTP/1.0 200 OK\rX\r\nAuth-Status: OK\r\nPLACE\r\n\r\n", ERROR); // H5
    heard("", "HTTP/1.0 200 OK\r\nAUTH-STATUS:    OK  \r\nPLACE\r\nfoo\r\n\r\n", IN); // H6, H12, H15
    heard("", &format!("HTTP/1.0 200 OK\r\nAuth-Status: OK\r\nPLACE\r\nX: {}\r\n\r\n", "x".repeat(1000)), IN); // H20
    heard("", &format!("HTTP/1.0 200 OK\r\nAuth-Status: OK\r\nPLACE\r\n\r\n{}", "x".repeat(5000)), IN); // H21
    heard("", "HTTP/1.0 200 OK\r\nAuth-Status: OK\r\nPLACE\r\nAuth-Wait: 5\r\n\r\n", IN); // H30
}

#[test]
fn a_refusal_is_one_in_any_disguise() {
    for (lines, expected) in [
        ("Auth-Status: ok", "a NO ok\r\n"),                       // H7
        ("Auth-Status:", "a NO \r\n"),                            // H9
        ("Auth-Status: no\r\nAuth-Status: OK", "a NO no\r\n"),    // H10
        ("Auth-Status: no1\r\nAuth-Status: no2", "a NO no2\r\n"), // H11
        ("Auth-Status:\tOK", "a NO \tOK\r\n"),                    // H13
        ("Auth-Status : no", "a NO no\r\n"),
        ("Auth-Status: no\r\nAuth-Wait: 1x", "a NO no\r\n"), // H29
        ("Auth-Status: no\r\nAuth-Error-SASL: e30=", "a NO no\r\n"), // H36
    ] {
        heard("", &format!("HTTP/1.0 200 OK\r\n{lines}\r\nPLACE\r\n\r\n"), expected);
    }
}

#[test]
fn what_cannot_be_acted_upon_is_an_internal_error() {
    for answer in [
        "HTTP/1.0 302 Found\r\nLocation: /\r\n\r\n", // H3
        "HTTP/1.0 200 OK\r\nAuth-Status: OK\r\nPLACE\r\nfoo: x\ry\r\n\r\n", // H14
        "HTTP/1.0 200 OK\r\nAuth-Status: OK\r\nAuth-Port: 143\r\n\r\n", // H16
        "HTTP/1.0 200 OK\r\nAuth-Status: OK\r\nAuth-Server: 127.0.1\r\nAuth-Port: 143\r\n\r\n", // H17
        "HTTP/1.0 200 OK\r\nAuth-Status: OK\r\nAuth-Server: 127.0.0.1 x\r\nAuth-Port: 143\r\n\r\n",
        "HTTP/1.0 200 OK\r\nAuth-Status: OK\r\nAuth-Server: [::1]\r\nAuth-Port: 143\r\n\r\n",
        "HTTP/1.0 200 OK\r\nAuth-Status: OK\r\nAuth-Server: 127.0.0.1\r\nAuth-Port: 0\r\n\r\n", // H19
        "HTTP/1.0 200 OK\r\nAuth-Status: OK\r\nAuth-Server: 127.0.0.1\r\nAuth-Port: 65536\r\n\r\n",
        "HTTP/1.0 200 OK\r\nAuth-Status: OK\r\nAuth-Server: 127.0.0.1\r\nAuth-Port: 14x\r\n\r\n",
        "HTTP/1.0 200 OK\r\nAuth-Status: OK\r\nPLACE\r\n", // H22
        "",                                                // H23
        "\u{1}\u{2}\u{3}\r\n\r\n",                         // H24
    ] {
        heard("", answer, ERROR);
    }
}

// H26: slow but steady.
#[test]
fn an_answer_has_to_be_whole_in_time() {
    let pace = std::time::Duration::from_millis(20);
    let answer =
        Script::new().trickle("HTTP/1.1 200 OK\r\nAuth-Status: OK\r\nAuth-Server: 127.0.0.1\r\n", pace);
    let stage =
        Stage::answering(Protocol::Imap, "auth_http_timeout 300ms;", AuthServer::always(answer.close()));
    let mut client = stage.client();
    client.exchange("a LOGIN u p\r\n", ERROR).expect_end();
    stage.proxy.wait_for_log("timed out (110: Connection timed out) while in http auth state");
}

#[test]
fn an_address_may_be_written_in_several_ways() {
    // H18; listeners of IPv6 loopback are found where they are.
    for server in ["127.000.0.01", "127.0.0.1"] {
        let script = Protocol::Imap.backend().echo();
        let address = rig::port::free();
        let backend = Backend::start_at((std::net::Ipv4Addr::LOCALHOST, address.port()).into(), script);
        let port = format!("Auth-Port: {}", backend.address().port());
        let answer = rig::auth_server::answer(&["Auth-Status: OK", &format!("Auth-Server: {server}"), &port]);
        let stage = Stage::new(Protocol::Imap, "", AuthServer::always(answer), backend);
        stage.client().exchange("a LOGIN u p\r\n", IN);
    }
}

#[test]
fn name_and_password_may_be_replaced_by_nothing() {
    // H28: both are there, and empty.
    let script = Script::new()
        .say("* OK ready\r\n")
        .answer("a LOGIN {0}\r\n", "+ go\r\n")
        .answer(" {0}\r\n", "+ go\r\n")
        .answer("\r\n", "a OK logged in\r\n");
    let stage = Stage::allowing_with(Protocol::Imap, "", script, &["Auth-User:", "Auth-Pass:"]);
    stage.client().exchange("a LOGIN u p\r\n", IN);
}

#[test]
fn smtp_needs_no_password_unless_it_logs_in_at_the_upstream() {
    // H33
    for (settings, login) in
        [("", "235 2.0.0 OK\r\n"), ("proxy_smtp_auth on;", "451 4.3.2 Internal server error\r\n")]
    {
        let settings = format!("smtp_auth external; {settings}");
        let backend = Backend::start(Protocol::Smtp.backend());
        let auth = AuthServer::always(allow(backend.address()));
        let stage = Stage::new(Protocol::Smtp, &settings, auth, backend);
        let mut client = stage.client();
        client.send("EHLO c\r\n").until("250 AUTH EXTERNAL\r\n");
        client.exchange("AUTH EXTERNAL dQ==\r\n", login);
    }
}

#[test]
fn wait_without_a_time_is_not_for_ever() {
    // H35
    let auth = AuthServer::queue([
        rig::auth_server::answer(&["Auth-Status: WAIT"]),
        rig::auth_server::answer(&["Auth-Status: no"]),
    ]);
    let stage = Stage::answering(Protocol::Imap, "", auth);
    stage.client().exchange("a LOGIN u p\r\n", "a NO no\r\n").expect_end();
    assert_eq!(stage.auth.request(1).header("Auth-Login-Attempt").as_deref(), Some("1"));
}
