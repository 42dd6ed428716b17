//! Commands that do not wait for answers, cuts anywhere, and clients that end their direction early.

use rig::auth_server::allow;
use rig::{AuthServer, Backend, Script};

use crate::stage::{Protocol, Stage};

/// A whole session in one piece: what the client sends, what it hears, and the backend's part behind the login.
fn session(protocol: Protocol) -> (String, String, Script) {
    let (before, mail, answers, bye) = match protocol {
        Protocol::Imap => {
            ("n NOOP\r\n", "b SELECT INBOX\r\n", "* 0 EXISTS\r\nb OK selected\r\n", "* BYE\r\n")
        }
        Protocol::Pop3 => ("NOOP\r\n", "STAT\r\n", "+OK 0 0\r\n", "+OK bye\r\n"),
        Protocol::Smtp => ("NOOP\r\n", "MAIL FROM:<a>\r\n", "250 sender\r\n", "221 bye\r\n"),
    };
    let said = [before, protocol.login(), mail, "LAST\r\n"].concat();
    let heard =
        [protocol.greeting(), protocol.noop().1, protocol.asked(), protocol.logged_in(), answers, bye]
            .concat();
    let backend = protocol.backend().answer(mail, answers).answer("LAST\r\n", bye).close();
    (said, heard, backend)
}

// P39, P40, S23.
#[test]
fn a_session_may_come_in_one_segment() {
    for protocol in Protocol::ALL {
        let (said, heard, backend) = session(protocol);
        let stage = Stage::allowing(protocol, "", backend);
        let mut client = rig::Client::connect(stage.address());
        client.send(&said);
        assert_eq!(rig::show(&client.rest()), rig::show(heard.as_bytes()));
    }
}

#[test]
fn a_session_may_come_in_one_segment_with_the_clients_end() {
    for protocol in Protocol::ALL {
        let (said, heard, backend) = session(protocol);
        let stage = Stage::allowing(protocol, "", backend);
        let mut client = rig::Client::connect(stage.address());
        client.send(&said).half_close();
        assert_eq!(rig::show(&client.rest()), rig::show(heard.as_bytes()));
        assert!(stage.backend.finished(0).ends_with(b"LAST\r\n"));
    }
}

// P41.
#[test]
fn how_a_session_is_cut_changes_nothing() {
    for protocol in Protocol::ALL {
        let (said, heard, backend) = session(protocol);
        let stage = Stage::allowing(protocol, "", backend);
        let mut client = rig::Client::connect(stage.address());
        client.send_bytewise(&said);
        assert_eq!(rig::show(&client.rest()), rig::show(heard.as_bytes()), "bytewise");
        for cut in (1..said.len()).step_by(5) {
            let mut client = rig::Client::connect(stage.address());
            client.send_cut(&said, &[cut]);
            assert_eq!(rig::show(&client.rest()), rig::show(heard.as_bytes()), "cut at {cut}");
        }
    }
}

// I84.
#[test]
fn everything_before_an_early_end_is_answered() {
    let stage = Stage::answering(Protocol::Imap, "", AuthServer::always(Script::new().close()));
    let mut client = stage.client();
    client.send("a NOOP\r\nb NOOP\r\nc CAPABILITY\r\nd NO").half_close();
    let expected = "a OK completed\r\nb OK completed\r\n\
         * CAPABILITY IMAP4 IMAP4rev1 UIDPLUS AUTH=PLAIN\r\nc OK completed\r\n";
    assert_eq!(rig::show(&client.rest()), rig::show(expected.as_bytes()));
}

#[test]
fn an_upstream_that_ends_its_direction_first_is_delivered_to_the_last_byte() {
    let mail = "x".repeat(3_000_000);
    let script = Protocol::Pop3.backend().answer("RETR 1\r\n", &mail).half_close();
    let stage = Stage::allowing(Protocol::Pop3, "", script);
    let mut client = stage.logged_in();
    let heard = client.send("RETR 1\r\n").rest();
    assert!(heard == mail.as_bytes(), "{} of {} bytes", heard.len(), mail.len());
}

#[test]
fn megabytes_pass_unchanged_in_both_directions_at_once() {
    let backend = Backend::start(Protocol::Imap.backend().echo());
    let stage = Stage::new(Protocol::Imap, "", AuthServer::always(allow(backend.address())), backend);
    let mut client = stage.logged_in();
    // Every value of a byte, in an order that has no period of a power of two.
    let block: Vec<u8> =
        (0_u32..65_521).map(|n| u8::try_from(n * 31 % 251).expect("less than 251")).collect();
    for _ in 0..50 {
        client.exchange(&block, &block);
    }
    client.half_close().expect_end();
}
