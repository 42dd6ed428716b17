//! Peers that mean harm: each is closed within its limits, memory stays flat, and nobody else notices.

use std::io::{Read, Write};
use std::net::TcpStream;

use rig::auth_server::{allow, allow_with};
use rig::{AuthServer, Backend, Client, Script, eventually};

use crate::stage::{Protocol, Stage};

/// More than anybody should be able to send: a kernel holds some megabytes, a proxy that reads it all takes this much.
const GIGABYTE: u64 = 1 << 30;
const TAKEN: u64 = 64 << 20;

/// What a proxy may need more than before, whatever its peers do.
const GROWTH: u64 = 2 << 20;

/// What is said without end.
const XS: [u8; 16_384] = [b'x'; 16_384];

/// A stage with one honest client, and what the proxy needs for it.
pub(crate) struct Siege {
    pub(crate) stage: Stage,
    pub(crate) neighbour: Client,
    descriptors: usize,
    memory: u64,
}

impl Siege {
    #[track_caller]
    fn new(protocol: Protocol, settings: &str) -> Self {
        Self::of(Stage::allowing(protocol, settings, protocol.backend().echo()))
    }

    /// The stage has to let the first client in, and to send back what it says then.
    #[track_caller]
    pub(crate) fn of(stage: Stage) -> Self {
        let neighbour = stage.logged_in();
        let process = stage.proxy.process();
        let (descriptors, memory) = (process.descriptors(), process.memory());
        Self { stage, neighbour, descriptors, memory }
    }

    #[track_caller]
    pub(crate) fn attacker(&self) -> Client {
        self.stage.client()
    }

    /// The honest client is still served, and all that an attacker held is given back.
    #[track_caller]
    pub(crate) fn is_over(&mut self) {
        self.neighbour.exchange("still here\r\n", "still here\r\n");
        self.is_flat();
        let process = self.stage.proxy.process();
        eventually("all descriptors are given back", || process.descriptors() <= self.descriptors);
        drop(self.stage.client());
    }

    /// From here on one descriptor more is right.
    pub(crate) fn keeps_another_descriptor(&mut self) {
        self.descriptors += 1;
    }

    #[track_caller]
    fn is_flat(&self) {
        let memory = self.stage.proxy.process().memory();
        let growth = memory.saturating_sub(self.memory);
        assert!(growth <= GROWTH, "{growth} bytes more than the {} at the beginning", self.memory);
    }
}

/// Bytes without any sense, the same in every run.
fn garbage(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_u32;
    let mut next = move || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state.to_le_bytes()[1]
    };
    (0..length).map(|_| next()).collect()
}

#[test]
fn garbage_is_closed_after_a_few_lines() {
    for protocol in Protocol::ALL {
        let mut siege = Siege::new(protocol, "");
        let mut attacker = siege.attacker();
        attacker.flood(&garbage(65_536), 1 << 20);
        let heard = attacker.rest();
        assert!(heard.len() < 400, "{}", rig::show(&heard));
        drop(attacker);
        siege.is_over();
    }
}

#[test]
fn nuls_are_bytes_like_others() {
    for protocol in Protocol::ALL {
        let mut siege = Siege::new(protocol, "");
        let mut attacker = siege.attacker();
        attacker.send("\0\0\0\r\n".repeat(4)).exchange(protocol.noop().0, "");
        attacker.until(protocol.noop().1);
        drop(attacker);
        siege.is_over();
    }
}

#[test]
fn a_line_of_a_gigabyte_is_refused_at_its_beginning() {
    for protocol in Protocol::ALL {
        let mut siege = Siege::new(protocol, "");
        let taken = siege.attacker().flood(&XS, GIGABYTE);
        assert!(taken < TAKEN, "{taken} bytes were taken");
        siege.stage.proxy.wait_for_log("client sent too long command");
        siege.is_over();
    }
}

#[test]
fn a_literal_without_end_is_refused_whether_it_waits_or_not() {
    let mut siege = Siege::new(Protocol::Imap, "");
    for command in ["a LOGIN {4000000000}\r\n", "a LOGIN u {4000000000}\r\n"] {
        let mut attacker = siege.attacker();
        attacker.exchange(command, "+ OK\r\n");
        let taken = attacker.flood(&XS, GIGABYTE);
        assert!(taken < TAKEN, "{taken} bytes were taken");
        siege.is_over();
    }
    for command in ["a LOGIN {4000000000+}\r\n", "a FOO {99999999999999999999999+}\r\n"] {
        let mut attacker = siege.attacker();
        attacker.send(command);
        let taken = attacker.flood(&XS, GIGABYTE);
        assert!(taken < TAKEN, "{taken} bytes were taken");
        siege.is_over();
    }
}

#[test]
fn half_a_command_and_silence_ends_at_timeout() {
    for protocol in Protocol::ALL {
        let mut siege = Siege::new(protocol, "timeout 300ms;");
        let mut attackers: Vec<_> = (0..50).map(|_| siege.attacker()).collect();
        for attacker in &mut attackers {
            attacker.send(&protocol.noop().0[..3]);
        }
        for mut attacker in attackers {
            attacker.expect_end();
        }
        siege.is_over();
    }
}

#[test]
fn starttls_is_refused_where_there_is_none() {
    let commands = ["a STARTTLS\r\n", "STLS\r\n", "STARTTLS\r\n"];
    let replies = ["a BAD invalid command\r\n", "-ERR invalid command\r\n", "500 5.5.1 Invalid command\r\n"];
    for (protocol, (command, reply)) in Protocol::ALL.into_iter().zip(commands.into_iter().zip(replies)) {
        let mut siege = Siege::new(protocol, "");
        siege.attacker().exchange(command, reply).exchange(protocol.noop().0, protocol.noop().1);
        siege.is_over();
    }
}

#[test]
fn a_browser_is_told_nothing_of_use() {
    for protocol in Protocol::ALL {
        let mut siege = Siege::new(protocol, "");
        let mut attacker = siege.attacker();
        attacker
            .send("POST / HTTP/1.1\r\nHost: x\r\nA: b\r\nC: d\r\n\r\nUSER u\r\nPASS p\r\na LOGIN u p\r\n");
        let heard = String::from_utf8(attacker.rest()).expect("replies are ASCII");
        assert_eq!(heard.to_lowercase().matches("invalid command").count(), 5, "{heard}");
        drop(attacker);
        assert_eq!(siege.stage.auth.requests().len(), 1, "only the honest client was asked about");
        siege.is_over();
    }
}

#[test]
fn a_tls_hello_to_a_plain_port_is_waited_out() {
    // The first record of a TLS 1.3 client: header, version, and a random part without a line end.
    let hello = [b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".as_slice(), &[0xa5; 256]].concat();
    for protocol in Protocol::ALL {
        let mut siege = Siege::new(protocol, "timeout 300ms;");
        let mut attacker = siege.attacker();
        attacker.send(&hello).expect_end();
        siege.is_over();
    }
}

#[test]
fn a_hundred_thousand_commands_at_once_are_all_answered_if_so_many_are_allowed() {
    const COUNT: usize = 100_000;
    for protocol in Protocol::ALL {
        let mut siege = Siege::new(protocol, "max_commands 200000;");
        let (noop, reply) = protocol.noop();
        let mut stream = TcpStream::connect(siege.stage.address()).expect("the proxy listens");
        stream.set_read_timeout(Some(rig::PATIENCE)).expect("a time-out can be set");
        let mut sending = stream.try_clone().expect("a stream can be had twice");
        let sender = std::thread::spawn(move || sending.write_all(noop.repeat(COUNT).as_bytes()));
        let mut answers = vec![0; protocol.greeting().len() + COUNT * reply.len()];
        stream.read_exact(&mut answers).expect("all are answered");
        sender.join().expect("no panic").expect("all are taken");
        assert!(answers.ends_with(reply.repeat(COUNT).as_bytes()));
        drop(stream);
        siege.is_over();
    }
}

#[test]
fn a_hundred_thousand_commands_at_once_are_cut_at_max_commands() {
    let mut siege = Siege::new(Protocol::Imap, "");
    let mut attacker = siege.attacker();
    attacker.flood("n NOOP\r\n".repeat(1000).as_bytes(), 800_000);
    let heard = attacker.rest();
    assert!(heard.len() < 1002 * "n OK completed\r\n".len() + 10, "{} bytes", heard.len());
    drop(attacker);
    siege.is_over();
}

#[test]
fn a_client_that_does_not_read_its_answers_is_not_read_either() {
    let mut siege = Siege::new(Protocol::Smtp, "max_commands 1000000000; timeout 1s;");
    let taken = siege.attacker().flood("NOOP\r\n".repeat(10_000).as_bytes(), GIGABYTE);
    assert!(taken < TAKEN, "{taken} bytes were taken");
    siege.is_over();
}

#[test]
fn a_client_that_never_pauses_leaves_time_for_others_and_ends_at_timeout() {
    let mut siege = Siege::new(Protocol::Imap, "max_commands 1000000000; timeout 1s;");
    let mut stream = TcpStream::connect(siege.stage.address()).expect("the proxy listens");
    stream.set_read_timeout(Some(rig::PATIENCE)).expect("a time-out can be set");
    let mut sending = stream.try_clone().expect("a stream can be had twice");
    let sender = std::thread::spawn(move || {
        let commands = "n NOOP\r\n".repeat(2_000);
        while sending.write_all(commands.as_bytes()).is_ok() {}
    });
    let mut answers = vec![0; 1 << 20];
    let mut rounds = 0;
    // Ends with an error if the proxy resets the connection, which is as good.
    while let Ok(1..) = stream.read(&mut answers) {
        siege.neighbour.exchange("x\r\n", "x\r\n");
        rounds += 1;
    }
    assert!(rounds > 0);
    sender.join().expect("no panic");
    siege.stage.proxy.wait_for_log("client timed out (110: Connection timed out) while in auth state");
    siege.is_over();
}

/// A stage whose first client is let in, and whose others meet `script` at the backend.
#[track_caller]
fn behind(protocol: Protocol, script: Script) -> Siege {
    let backend = Backend::start_each([protocol.backend().echo(), script]);
    let auth = AuthServer::always(allow(backend.address()));
    Siege::of(Stage::new(protocol, "", auth, backend))
}

#[test]
fn an_upstream_that_talks_without_end_during_the_login_is_given_up() {
    for protocol in Protocol::ALL {
        let mut siege = behind(protocol, Script::new().flood(XS, GIGABYTE));
        let mut client = siege.attacker();
        client.send(protocol.login());
        let expected = [protocol.asked(), protocol.internal_error()].concat();
        assert_eq!(rig::show(&client.rest()), rig::show(expected.as_bytes()));
        drop(client);
        siege.stage.backend.finished(1);
        siege.stage.proxy.wait_for_log("upstream sent too long response line: \"xxx");
        siege.is_over();
    }
}

#[test]
fn an_upstream_with_endless_lines_during_the_login_is_given_up() {
    let greeting = "220-welcome\r\n".repeat(1000);
    let mut siege = behind(Protocol::Smtp, Script::new().flood(&greeting, GIGABYTE));
    let mut client = siege.attacker();
    client.send(Protocol::Smtp.login()).expect(Protocol::Smtp.asked());
    assert_eq!(client.rest(), Protocol::Smtp.internal_error().as_bytes());
    drop(client);
    siege.stage.backend.finished(1);
    siege.is_over();
}

#[test]
fn what_an_upstream_pours_out_waits_in_the_network_and_not_in_memory() {
    let pours = Protocol::Imap.backend().expect("b\r\n").flood(garbage(65_536), GIGABYTE).silence();
    let mut siege = behind(Protocol::Imap, pours);
    let mut client = siege.attacker();
    client.exchange("a LOGIN u p\r\n", "a OK logged in\r\n").send("b\r\n");
    client.take(32 << 20);
    siege.is_flat();
    siege.neighbour.exchange("x\r\n", "x\r\n");
    client.reset();
    siege.stage.backend.finished(1);
    siege.is_over();
}

/// A stage whose auth server answers everybody but the first client with `script`.
#[track_caller]
fn judged(script: impl Fn() -> Script + Send + Sync + 'static) -> Siege {
    let backend = Backend::start(Protocol::Imap.backend().echo());
    let allowed = allow(backend.address()).close();
    let asked = std::sync::atomic::AtomicUsize::new(0);
    let auth = AuthServer::start(move |_| match asked.fetch_add(1, std::sync::atomic::Ordering::SeqCst) {
        0 => allowed.clone(),
        _ => script(),
    });
    Siege::of(Stage::new(Protocol::Imap, "", auth, backend))
}

#[test]
fn an_auth_server_that_talks_without_end_is_given_up() {
    let heads: [(&str, &str); 4] = [
        ("", "x"),
        ("HTTP/1.1 200 ", "x"),
        ("HTTP/1.1 200 OK\r\nAuth-Status: ", "x"),
        ("HTTP/1.1 200 OK\r\n", "X-More: of it\r\n"),
    ];
    for (head, more) in heads {
        let mut siege = judged(move || Script::new().say(head).flood(more.repeat(5_000), GIGABYTE).close());
        let mut client = siege.attacker();
        client.send("a LOGIN u p\r\n");
        assert_eq!(rig::show(&client.rest()), "* BAD internal server error\\r\\n", "{head:?}");
        drop(client);
        siege.stage.auth.finished(1);
        siege.is_over();
    }
}

#[test]
fn the_body_of_an_answer_is_of_no_interest() {
    let backend = Backend::start(Protocol::Imap.backend().echo());
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Length: {GIGABYTE}\r\nAuth-Status: OK\r\nAuth-Server: 127.0.0.1\r\n\
         Auth-Port: {}\r\n\r\n",
        backend.address().port()
    );
    let mut siege = judged(move || Script::new().say(&head).flood(XS, GIGABYTE).close());
    let mut client = siege.attacker();
    client.exchange("a LOGIN u p\r\n", "a OK logged in\r\n").exchange("x\r\n", "x\r\n");
    siege.stage.auth.finished(1);
    siege.is_flat();
    client.half_close().expect_end();
    drop(client);
    siege.is_over();
}

#[test]
fn what_a_client_calls_itself_cannot_add_to_the_auth_request() {
    let backend = Backend::start(Protocol::Smtp.backend());
    let auth = AuthServer::always(allow_with(backend.address(), &[]));
    let stage = Stage::new(Protocol::Smtp, "smtp_auth plain none;", auth, backend);
    let mut client = stage.client();
    client.send("EHLO c\x00\x01\x7f\r\n").until("250 AUTH PLAIN\r\n");
    // \0u\r\nAuth-Status: OK\r\n\0p\n
    client.exchange("AUTH PLAIN AHUNCkF1dGgtU3RhdHVzOiBPSw0KAHAK\r\n", "235 2.0.0 OK\r\n");
    let request = stage.auth.request(0);
    assert_eq!(request.header("Auth-User").as_deref(), Some("u%0D%0AAuth-Status:%20OK%0D%0A"));
    assert_eq!(request.header("Auth-Pass").as_deref(), Some("p%0A"));
    assert_eq!(request.value("Auth-Status"), None);
}
