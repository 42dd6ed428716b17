//! Bytes that mean something to whoever comes next: none of them is made, and none is taken, for something else.

use rig::auth_server::refuse;
use rig::{AuthServer, Backend, Client, Script, auth_server};

use crate::stage::{Protocol, SERVER_NAME, Stage};

/// What some servers take for the end of a message and others do not (CVE-2023-51764, -51765, -51766).
const FALSE_ENDS: [&str; 14] = [
    "\n.\n",
    "\n.\r",
    "\r.\n",
    "\r.\r",
    "\n.\r\n",
    "\r.\r\n",
    "\r\n.\n",
    "\r\n.\r",
    "\r\n\0.\r\n",
    "\r\n.\0\r\n",
    "\r\r\n.\r\r\n",
    "\r\n.\r\r\n",
    "\0\n.\n",
    "\r\n.\u{a0}\r\n",
];

// SMTP smuggling.
#[test]
fn no_byte_of_a_message_is_changed_and_none_is_added() {
    let stage = Stage::allowing(Protocol::Smtp, "", Protocol::Smtp.backend().echo());
    let mut client = stage.logged_in();
    for end in FALSE_ENDS {
        let message = format!("DATA\r\nSubject: x{end}MAIL FROM:<admin@x>\r\nRCPT TO:<b@x>{end}\r\n.\r\n");
        client.exchange(&message, &message);
        // Byte by byte, too.
        client.send_bytewise(&message).expect(&message);
    }
}

#[test]
fn before_a_login_a_message_is_not_taken_for_commands_that_reach_anybody() {
    for end in FALSE_ENDS {
        let backend = Backend::start(
            Script::new()
                .say("220 smtp ready\r\n")
                .answer(format!("EHLO {SERVER_NAME}\r\n"), "250 hello\r\n")
                .answer("MAIL FROM:<a@x>\r\n", "250 sender\r\n")
                .answer("RCPT TO:<b@x>\r\n", "250 recipient\r\n")
                .echo(),
        );
        let auth = AuthServer::always(auth_server::allow(backend.address()));
        let stage = Stage::new(Protocol::Smtp, "smtp_auth none;", auth, backend);
        let mut client = stage.client();
        client.exchange("EHLO c\r\n", "250 proxy.example\r\n");
        // All at once: what comes behind RCPT belongs to the upstream, to the byte.
        let message = format!("DATA\r\nx{end}MAIL FROM:<admin@x>{end}");
        client.exchange("MAIL FROM:<a@x>\r\n", "250 2.0.0 OK\r\n");
        client.exchange(format!("RCPT TO:<b@x>\r\n{message}"), format!("250 recipient\r\n{message}"));
    }
}

#[test]
fn an_envelope_with_a_line_end_in_it_is_none() {
    let stage =
        Stage::answering(Protocol::Smtp, "smtp_auth none; max_errors 100;", AuthServer::always(refuse("no")));
    let mut client = stage.client();
    for line in ["MAIL FROM:<a@x>\rRCPT TO:<b@x>\r\n", "MAIL FROM:<a\r@x>\r\n", "EHLO c\rd\r\n", "NOOP\r\r\n"]
    {
        client.exchange(line, "500 5.5.1 Invalid command\r\n");
    }
}

// CVE-2019-10691 of Dovecot: a name that is no UTF-8. CVE-2017-2669: a name with variables in it.
#[test]
fn a_name_of_any_bytes_is_a_name_and_nothing_is_expanded_in_it() {
    let names: [(&[u8], &[u8], &str); 4] = [
        (b"\xff\xfe\xc0\x80", b"\xff\xfe\xc0\x80", "\\xFF\\xFE\\xC0\\x80"),
        (b"%n%s%{pw}%%", b"%25n%25s%25{pw}%25%25", "%n%s%{pw}%%"),
        (b"$remote_addr ${x}", b"$remote_addr%20${x}", "$remote_addr ${x}"),
        (b"../../etc/passwd", b"../../etc/passwd", "../../etc/passwd"),
    ];
    for protocol in Protocol::ALL {
        let stage = Stage::answering(protocol, "", AuthServer::always(refuse("no")));
        for (number, (name, escaped, logged)) in names.into_iter().enumerate() {
            let plain = [b"\0", name, b"\0p"].concat();
            let plain = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, plain);
            let mut client = stage.client();
            match protocol {
                Protocol::Imap => {
                    client.send(format!("a LOGIN {{{}+}}\r\n", name.len())).send(name).send(" p\r\n")
                }
                Protocol::Pop3 => client.send([b"USER ", name, b"\r\nPASS p\r\n"].concat()),
                Protocol::Smtp => client.send(format!("AUTH PLAIN {plain}\r\n")),
            };
            client.until(protocol.refused());
            client.expect_end();
            assert_eq!(stage.auth.request(number).value("Auth-User"), Some(escaped));
            stage.proxy.wait_for_log(&format!("login: \"{logged}\""));
        }
    }
}

#[test]
fn a_second_proxy_header_is_no_header() {
    let auth = AuthServer::always(refuse("no"));
    let settings = "set_real_ip_from 127.0.0.0/8;";
    let stage = Stage::listening(
        Protocol::Imap,
        "proxy_protocol",
        settings,
        auth,
        Backend::start(Script::new().close()),
    );
    let mut client = Client::connect(stage.address());
    client.send(
        "PROXY TCP4 192.0.2.1 198.51.100.2 4711 143\r\nPROXY TCP4 203.0.113.9 198.51.100.2 4712 143\r\n",
    );
    client.expect("* OK IMAP4 ready\r\n").expect("PROXY BAD invalid command\r\n");
    client.exchange("a LOGIN u p\r\n", "a NO no\r\n");
    assert_eq!(stage.auth.request(0).header("Client-IP").as_deref(), Some("192.0.2.1"));
}

// The dialogue with a client whose bytes come back as another's.
#[test]
fn what_an_upstream_says_too_early_is_not_for_the_client_of_another_session() {
    // It goes on talking behind the end of its first client's session.
    let script = Protocol::Pop3.backend().say("+OK for the first only\r\n").silence();
    let stage = Stage::allowing(Protocol::Pop3, "", script);
    let mut first = stage.logged_in();
    first.expect("+OK for the first only\r\n");
    drop(first);
    let mut second = stage.client();
    second.exchange("NOOP\r\n", "+OK\r\n").expect_nothing_unread();
}
