//! The exchange with the auth server: what it is asked, to the byte, and what becomes of its answers.

use std::time::Duration;

use gatepost_compat::{Peer, Protocol, Stage, both, echo};
use rig::auth_server::{allow, allow_with, answer, refuse, refuse_for};
use rig::{AuthServer, Backend, Client, Proxy, Script, backend};

/// The request line of this peer.
fn asks(peer: &Peer, target: &str) -> String {
    // HTTP/1.1 lets us keep the connection for the next question.
    format!("GET {target} {}", peer.pick("HTTP/1.0", "HTTP/1.1"))
}

/// Lets a client do this, and compares the request that follows from it.
fn asking(protocol: Protocol, settings: &str, turns: &[(&str, &str)], headers: &str) {
    both(|peer| {
        let stage = Stage::echoing(peer, protocol, settings);
        let mut client = stage.client();
        for (sent, reply) in turns {
            client.exchange(sent, reply);
        }
        let request = stage.auth.request(0);
        assert_eq!(request.line(), asks(peer, "/auth"));
        assert_eq!(request.headers(), headers);
    });
}

#[test]
fn a_login_over_imap() {
    asking(
        Protocol::Imap,
        "",
        &[("a LOGIN \"us er\" \"p%w\"\r\n", "a NO [plain|us%20er|p%25w]\r\n")],
        "Host: 127.0.0.1\r\nAuth-Method: plain\r\nAuth-User: us%20er\r\nAuth-Pass: p%25w\r\n\
         Auth-Protocol: imap\r\nAuth-Login-Attempt: 1\r\nClient-IP: 127.0.0.1\r\n\r\n",
    );
}

#[test]
fn a_login_over_smtp_names_the_client_host() {
    asking(
        Protocol::Smtp,
        "",
        &[("AUTH PLAIN AHUA\r\n", "535 5.7.0 [plain|u|]\r\n")],
        "Host: 127.0.0.1\r\nAuth-Method: plain\r\nAuth-User: u\r\nAuth-Pass: \r\n\
         Auth-Protocol: smtp\r\nAuth-Login-Attempt: 1\r\nClient-IP: 127.0.0.1\r\nClient-Host: [UNAVAILABLE]\r\n\r\n",
    );
}

#[test]
fn external_over_pop3() {
    asking(
        Protocol::Pop3,
        "pop3_auth external;",
        &[("AUTH EXTERNAL\r\n", "+ VXNlcm5hbWU6\r\n"), ("dQ==\r\n", "-ERR [external|u|]\r\n")],
        "Host: 127.0.0.1\r\nAuth-Method: external\r\nAuth-User: u\r\nAuth-Pass: \r\n\
         Auth-Protocol: pop3\r\nAuth-Login-Attempt: 1\r\nClient-IP: 127.0.0.1\r\n\r\n",
    );
}

#[test]
fn mail_without_a_login_carries_its_envelope() {
    asking(
        Protocol::Smtp,
        "smtp_auth none;",
        &[
            ("HELO x\r\n", "250 proxy.example\r\n"),
            ("mail FROM:<a@x>   SIZE=10  \r\n", "250 2.0.0 OK\r\n"),
            ("RCPT TO:<b@x> NOTIFY=NEVER\r\n", "535 5.7.0 [none||]\r\n"),
        ],
        "Host: 127.0.0.1\r\nAuth-Method: none\r\nAuth-User: \r\nAuth-Pass: \r\n\
         Auth-Protocol: smtp\r\nAuth-Login-Attempt: 1\r\nClient-IP: 127.0.0.1\r\nClient-Host: [UNAVAILABLE]\r\n\
         Auth-SMTP-Helo: x\r\nAuth-SMTP-From: mail FROM:<a@x>   SIZE=10\r\n\
         Auth-SMTP-To: RCPT TO:<b@x> NOTIFY=NEVER\r\n\r\n",
    );
}

#[test]
fn configured_headers_follow_in_their_order() {
    asking(
        Protocol::Imap,
        "auth_http_header X-KEY abc; auth_http_header x-empty \"\"; auth_http_header X-Third \"a b\";",
        &[("a LOGIN u p\r\n", "a NO [plain|u|p]\r\n")],
        "Host: 127.0.0.1\r\nAuth-Method: plain\r\nAuth-User: u\r\nAuth-Pass: p\r\n\
         Auth-Protocol: imap\r\nAuth-Login-Attempt: 1\r\nClient-IP: 127.0.0.1\r\n\
         X-KEY: abc\r\nx-empty: \r\nX-Third: a b\r\n\r\n",
    );
}

#[test]
fn apop_sends_salt_and_digest() {
    both(|peer| {
        let stage = Stage::echoing(peer, Protocol::Pop3, "pop3_auth apop;");
        let mut client = Client::connect(stage.address());
        let greeting = String::from_utf8(client.line()).expect("text");
        let salt = greeting.trim_end().strip_prefix("+OK POP3 ready ").expect("a salt");
        client.exchange("APOP u digest\r\n", "-ERR [apop|u|digest]\r\n");
        assert_eq!(
            stage.auth.request(0).headers(),
            format!(
                "Host: 127.0.0.1\r\nAuth-Method: apop\r\nAuth-User: u\r\nAuth-Pass: digest\r\nAuth-Salt: {salt}\r\n\
                 Auth-Protocol: pop3\r\nAuth-Login-Attempt: 1\r\nClient-IP: 127.0.0.1\r\n\r\n"
            )
        );
    });
}

#[test]
fn every_form_of_the_url() {
    both(|peer| {
        let directory = tempfile::tempdir().expect("directory");
        let socket = directory.path().join("auth");
        let (tcp, unix) = (AuthServer::start(echo), AuthServer::start_unix(&socket, echo));
        let (at, path) = (tcp.address(), socket.display());
        for (url, auth, host, target) in [
            (format!("{at}"), &tcp, "127.0.0.1", "/"),
            (format!("http://{at}/a/b?c=d"), &tcp, "127.0.0.1", "/a/b?c=d"),
            (format!("http://localhost:{}/", at.port()), &tcp, "localhost", "/"),
            (format!("unix:{path}"), &unix, "localhost", "/"),
            (format!("unix:{path}:/x?y"), &unix, "localhost", "/x?y"),
        ] {
            let mail = format!("server {{ listen @imap; protocol imap; auth_http {url}; }}");
            let proxy = Proxy::start(&peer.program(), &mail);
            let seen = auth.requests().len();
            let mut client = Client::connect(proxy.at("imap"));
            client.expect("* OK IMAP4 ready\r\n").exchange("a LOGIN u p\r\n", "a NO [plain|u|p]\r\n");
            let request = auth.request(seen);
            assert_eq!(
                (request.line(), request.header("Host")),
                (asks(peer, target), Some(host.to_owned())),
                "{url}"
            );
        }
    });
}

/// What an IMAP client sees after a login that the auth server answered so.
fn answered(peer: &Peer, script: Script, expected: &str) {
    let stage = Stage::answering(peer, Protocol::Imap, "auth_http_timeout 2s;", AuthServer::always(script));
    let mut client = stage.client();
    client.send("a LOGIN u p\r\n");
    assert_eq!(rig::show(&client.rest()), rig::show(expected.as_bytes()));
}

const ERROR: &str = "* BAD internal server error\r\n";

#[test]
fn answers_that_refuse() {
    both(|peer| {
        answered(peer, refuse("no such user"), "a NO no such user\r\n");
        answered(peer, answer(&["Auth-Status: ok"]), "a NO ok\r\n"); // H7
        answered(peer, answer(&["Auth-Status:"]), "a NO \r\n"); // H9
        answered(peer, answer(&["Auth-Status: no", "Auth-Status: OK"]), "a NO no\r\n"); // H10
        answered(peer, answer(&["Auth-Status: no1", "Auth-Status: no2"]), "a NO no2\r\n"); // H11
        answered(peer, answer(&["auth-STATUS:    no    "]), "a NO no\r\n"); // H6, H12
        answered(peer, answer(&["Auth-Status: no", "Auth-Wait: 1x"]), "a NO no\r\n"); // H29
        answered(peer, answer(&["Auth-Status: no", "Auth-Wait: 0"]), "a NO no\r\n");
        answered(peer, answer(&["Auth-Status: no", "Auth-Error-SASL: e30="]), "a NO no\r\n"); // H36
        answered(peer, answer(&["Auth-Status: \"no\" 50%20"]), "a NO \"no\" 50%20\r\n"); // H31
    });
}

#[test]
fn answers_that_say_nothing_useful() {
    let status = |line: &str| Script::new().say(format!("{line}\r\nContent-Length: 0\r\n\r\n")).close();
    let ok = |lines: &[&str]| answer(&[&["Auth-Status: OK"], lines].concat()).close();
    both(|peer| {
        for script in [
            status("HTTP/1.0 302 Found"), // H3
            status("HTTP/1.0 401 Unauthorized"),
            status("HTTP/1.0 500 Oops"),
            ok(&["Auth-Port: 143"]), // H16
            ok(&["Auth-Server: 127.0.0.1"]),
            ok(&["Auth-Server: 127.0.0.1 x", "Auth-Port: 143"]), // H17
            ok(&["Auth-Server: 127.0.0.1", "Auth-Port: 0"]),     // H19
            ok(&["Auth-Server: 127.0.0.1", "Auth-Port: 65536"]),
            ok(&["Auth-Server: 127.0.0.1", "Auth-Port: 14x"]),
        ] {
            answered(peer, script, ERROR);
        }
    });
}

#[test]
fn exchanges_that_fail() {
    both(|peer| {
        answered(peer, Script::new().close(), ERROR); // H23
        answered(peer, Script::new().say("HTTP/1.0 200 OK\r\nAuth-Sta").close(), ERROR); // H22
        answered(peer, Script::new().say("\x01\x02\x7f\r\n\r\n").close(), ERROR); // H24
        answered(peer, Script::new().silence(), ERROR);
        let endless = "Auth-Status: OK\r\n".repeat(10_000);
        answered(peer, Script::new().say(format!("HTTP/1.0 200 OK\r\n{endless}")).silence(), ERROR);
    });
}

#[test]
fn an_auth_server_that_is_not_there() {
    both(|peer| {
        let nobody = rig::port::free();
        let mail = format!("server {{ listen @imap; protocol imap; auth_http {nobody}; }}");
        let proxy = Proxy::start(&peer.program(), &mail);
        let mut client = Client::connect(proxy.at("imap"));
        client.expect("* OK IMAP4 ready\r\n").exchange("a LOGIN u p\r\n", ERROR).expect_end();
    });
}

/// Answers in unusual forms that all mean the same: this backend.
#[test]
fn answers_that_allow() {
    both(|peer| {
        let backend = Backend::start(backend::imap_login("a", "u", "p"));
        let (host, port) = (backend.address().ip(), backend.address().port());
        let lines = format!("Auth-Status: OK\r\nAuth-Server: {host}\r\nAuth-Port: {port}\r\n\r\n");
        let scripts = [
            Script::new().say(format!("HTTP/1.0 200 OK\r\n{lines}")).close(),
            Script::new().say(format!("HTTP/1.0 200 OK\r\n{lines}{}", "body ".repeat(1000))).close(), // H21
            Script::new().trickle(format!("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n{lines}"), Duration::ZERO), // H25
            answer(&["Auth-Wait: 5", &format!("Auth-Server: {host}"), &format!("Auth-Port: {port}")]), // H8, H30
            Script::new().say(format!("HTTP/1.0 500 Oops\r\n{lines}")).close(),                        // H2
        ];
        let count = scripts.len();
        let stage = Stage::new(peer, Protocol::Imap, "", AuthServer::queue(scripts), backend);
        for _ in 0..count {
            stage.client().exchange("a LOGIN u p\r\n", "a OK logged in\r\n");
        }
    });
}

#[test]
fn the_answer_may_replace_user_and_password() {
    both(|peer| {
        let lines = ["Auth-User: new user%20", "Auth-Pass:  new pass "]; // H27
        let script = backend::imap_login("a", "new user%20", "new pass");
        let stage = Stage::allowing(peer, Protocol::Imap, "", script, &lines);
        stage.client().exchange("a LOGIN u p\r\n", "a OK logged in\r\n");
    });
}

#[test]
fn digests_need_a_password_from_the_auth_server() {
    both(|peer| {
        let stage = Stage::allowing(peer, Protocol::Pop3, "pop3_auth apop;", Script::new(), &[]);
        stage.client().exchange("APOP u x\r\n", "-ERR internal server error\r\n").expect_end(); // H32
        let script = backend::pop3_login("u", "clear");
        let stage = Stage::allowing(peer, Protocol::Pop3, "pop3_auth apop;", script, &["Auth-Pass: clear"]);
        stage.client().exchange("APOP u x\r\n", "+OK logged in\r\n");
    });
}

#[test]
fn a_refusal_with_a_wait_lets_the_client_try_again() {
    both(|peer| {
        let backend = Backend::start(backend::imap_login("c", "u", "good"));
        let answers = [refuse_for(1, "wrong"), allow(backend.address())];
        let stage = Stage::new(peer, Protocol::Imap, "", AuthServer::queue(answers), backend);
        let mut client = stage.client();
        // What comes while the proxy waits is kept, and answered afterwards.
        client.exchange("a LOGIN u bad\r\nb NOOP\r\n", "a NO wrong\r\nb OK completed\r\n");
        client.exchange("c LOGIN u good\r\n", "c OK logged in\r\n");
        let attempts = [0, 1].map(|number| stage.auth.request(number).header("Auth-Login-Attempt"));
        assert_eq!(attempts, [Some("1".to_owned()), Some("2".to_owned())]);
    });
}

#[test]
fn a_session_can_be_ended_while_it_waits() {
    both(|peer| {
        for (protocol, login, replies) in [
            (
                Protocol::Imap,
                "a LOGIN u p\r\nb LOGOUT\r\nc NOOP\r\n",
                "a NO no\r\n* BYE\r\nb OK completed\r\n",
            ), // I83
            (Protocol::Pop3, "USER u\r\nPASS p\r\nQUIT\r\n", "+OK\r\n-ERR no\r\n+OK\r\n"), // P56
            (Protocol::Smtp, "AUTH PLAIN AHUA\r\nQUIT\r\n", "535 5.7.0 no\r\n221 2.0.0 Bye\r\n"), // S26
        ] {
            let stage = Stage::answering(peer, protocol, "", AuthServer::always(refuse_for(1, "no")));
            stage.client().exchange(login, replies).expect_end();
        }
    });
}

#[test]
fn wait_asks_again_without_telling_the_client() {
    both(|peer| {
        let backend = Backend::start(backend::imap_login("a", "u", "p"));
        let answers = [answer(&["Auth-Status: WAIT", "Auth-Wait: 1"]), allow(backend.address())]; // H34
        let stage = Stage::new(peer, Protocol::Imap, "", AuthServer::queue(answers), backend);
        stage.client().exchange("a LOGIN u p\r\n", "a OK logged in\r\n");
        let [first, second] = [0, 1].map(|number| stage.auth.request(number).raw);
        assert_eq!(rig::show(&first), rig::show(&second));
    });
}

#[test]
fn smtp_failures_have_a_code_that_the_auth_server_may_choose() {
    both(|peer| {
        let own = answer(&["Auth-Status: later", "Auth-Error-Code: 454 4.7.0"]);
        for (script, reply) in [(refuse("no"), "535 5.7.0 no\r\n"), (own, "454 4.7.0 later\r\n")] {
            let stage = Stage::answering(peer, Protocol::Smtp, "", AuthServer::always(script));
            stage.client().exchange("AUTH PLAIN AHUA\r\n", reply).expect_end();
        }
    });
}

#[test]
fn an_empty_status_is_a_refusal_in_every_protocol() {
    both(|peer| {
        let backend = Backend::start(Script::new().say("220 smtp ready\r\n").answer_line("250 ok\r\n"));
        let auth = AuthServer::always(allow_with(backend.address(), &["Auth-Status:"]));
        let stage = Stage::new(peer, Protocol::Smtp, "xclient off;", auth, backend);
        // Q32: the originals let an SMTP client in.
        let expected = peer.pick("235 2.0.0 OK\r\n", "535 5.7.0 \r\n");
        stage.client().exchange("AUTH PLAIN AHUA\r\n", expected);
    });
}
