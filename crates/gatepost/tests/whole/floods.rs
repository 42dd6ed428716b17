//! Floods: thousands of peers that mean harm at once. While each goes on a well-behaved client logs in and is served;
//! afterwards everything is given back.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use rig::auth_server::{allow, refuse};
use rig::pki::{Key, Root};
use rig::{AuthServer, Backend, Client, Proxy, eventually, tool};
use socket2::{Domain, Socket, Type};

use crate::stage::{Protocol, gatepost, logged_in};

/// As many as take part in a flood, unless the system allows fewer descriptors.
const CROWD: usize = 5_000;

/// Descriptors that are not the crowd's, in the test or in the proxy.
const RESERVE: usize = 500;

/// Connections to the auth server that two threads may keep, if many have logged in at the same time.
const KEPT: usize = 128;

/// A proxy that has room for a crowd, and one honest client at it.
struct Fort {
    proxy: Proxy,
    neighbour: Client,
    /// What the proxy has with that client alone.
    descriptors: usize,
    memory: u64,
    /// How many can come at once.
    crowd: usize,
    auth: AuthServer,
    _backend: Backend,
}

impl Fort {
    /// One server for IMAP at `@proxy`, with `listens` and `settings` besides; `zones` are directives of `mail`.
    #[track_caller]
    fn new(zones: &str, settings: &str) -> Self {
        let (_, most) = getrlimit(Resource::RLIMIT_NOFILE).expect("there is a limit");
        // The proxy inherits it.
        setrlimit(Resource::RLIMIT_NOFILE, most, most).expect("a limit may be used up");
        let crowd = usize::try_from(most).unwrap_or(CROWD).saturating_sub(RESERVE).min(CROWD);
        let backend = Backend::start(Protocol::Imap.backend().echo());
        let home = backend.address();
        let auth = AuthServer::start(move |request| match request.header("Auth-Pass").as_deref() {
            Some("p") => allow(home),
            _ => refuse("no"),
        });
        let proxy = Proxy::start_whole(
            &gatepost(),
            &format!(
                "user root; daemon off; master_process off; worker_processes 2;
                 events {{ worker_connections {}; }}
                 mail {{ server_name proxy.example; auth_http {}; {zones}
                         server {{ listen @proxy; protocol imap; {settings} }} }}",
                crowd + RESERVE,
                auth.address()
            ),
        );
        let neighbour = logged_in(proxy.at("proxy"), Protocol::Imap);
        let (descriptors, memory) = (proxy.process().descriptors(), proxy.process().memory());
        Self { proxy, neighbour, descriptors, memory, crowd, auth, _backend: backend }
    }

    fn address(&self) -> SocketAddr {
        self.proxy.at("proxy")
    }

    /// A crowd at `place`; each has heard `heard` and nothing more.
    #[track_caller]
    fn besieged(&self, place: &str, heard: &str) -> Vec<TcpStream> {
        let address = self.proxy.at(place);
        let mut crowd: Vec<_> = (0..self.crowd).map(|_| connect(address)).collect();
        for stream in &mut crowd {
            let mut greeting = vec![0; heard.len()];
            stream.read_exact(&mut greeting).expect("everybody is greeted");
            assert_eq!(greeting, heard.as_bytes());
        }
        crowd
    }

    /// Who has been there before is served, and so is who comes now.
    #[track_caller]
    fn serves(&mut self) {
        self.neighbour.exchange("still here\r\n", "still here\r\n");
        let mut newcomer = logged_in(self.address(), Protocol::Imap);
        newcomer.exchange("hello\r\n", "hello\r\n").half_close().expect_end();
    }

    /// What each of the crowd costs the proxy, bytes.
    #[track_caller]
    fn cost(&self) -> u64 {
        self.proxy.process().memory().saturating_sub(self.memory) / self.crowd as u64
    }

    /// The crowd has left no trace but what the allocator keeps for the next.
    #[track_caller]
    fn is_over(&mut self) {
        self.serves();
        let process = self.proxy.process();
        eventually("all descriptors are given back", || process.descriptors() <= self.descriptors + KEPT);
    }
}

#[track_caller]
fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).expect("the proxy listens");
    stream.set_read_timeout(Some(rig::PATIENCE)).expect("a time-out can be set");
    stream
}

/// Connects from another address of this machine.
#[track_caller]
fn connect_from(source: Ipv4Addr, address: SocketAddr) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    socket.bind(&SocketAddr::from((source, 0)).into()).expect("all of 127.0.0.0/8 is this machine");
    socket.connect(&address.into()).expect("the proxy listens");
    socket.set_read_timeout(Some(rig::PATIENCE)).expect("a time-out can be set");
    socket.into()
}

/// Sends one byte; whether the proxy still listens.
fn trickles(stream: &mut TcpStream) -> bool {
    let sent = stream.write(b"x");
    let is_open = |result: &std::io::Result<usize>| match result {
        Ok(length) => *length > 0,
        Err(error) => error.kind() == ErrorKind::WouldBlock,
    };
    is_open(&sent) && is_open(&stream.peek(&mut [0]))
}

#[test]
fn thousands_that_say_nothing_cost_little_and_hinder_nobody() {
    let mut fort = Fort::new("", "");
    let crowd = fort.besieged("proxy", Protocol::Imap.greeting());
    fort.serves();
    let first = fort.cost();
    assert!(first < 8 << 10, "{first} bytes for each");
    drop(crowd);
    fort.is_over();
    let crowd = fort.besieged("proxy", Protocol::Imap.greeting());
    let second = fort.cost();
    assert!(second < first + 1024, "{second} bytes for each, {first} the first time: not all was given back");
    drop(crowd);
    fort.is_over();
}

#[test]
fn thousands_that_send_byte_after_byte_are_gone_when_their_time_is_over() {
    let limit = Duration::from_secs(3);
    let mut fort = Fort::new("", "timeout 3s;");
    let mut crowd = fort.besieged("proxy", Protocol::Imap.greeting());
    let start = Instant::now();
    for stream in &crowd {
        stream.set_nonblocking(true).expect("a socket need not wait");
    }
    let mut cost = 0;
    while !crowd.is_empty() {
        crowd.retain_mut(trickles);
        cost = cost.max(fort.cost());
        fort.serves();
        assert!(start.elapsed() < limit + rig::PATIENCE, "{} are still there", crowd.len());
    }
    assert!(cost < 12 << 10, "{cost} bytes for each");
    fort.is_over();
}

/// What a client of TLS 1.3 says first (RFC 8446, section 4.1.2), as short as it may be.
fn client_hello() -> Vec<u8> {
    /// `content` behind its length in two bytes.
    fn sized(content: &[u8]) -> Vec<u8> {
        let length = u16::try_from(content.len()).expect("it is short");
        [&length.to_be_bytes(), content].concat()
    }
    let extension = |number: u16, content: &[u8]| [&number.to_be_bytes()[..], &sized(content)].concat();
    let share = [&[0x00, 0x1d][..], &sized(&[9; 32])].concat();
    let extensions = [
        extension(43, b"\x02\x03\x04"),
        extension(10, &sized(b"\x00\x1d")),
        extension(13, &sized(b"\x04\x03\x08\x04")),
        extension(51, &sized(&share)),
    ];
    let hello =
        [&b"\x03\x03"[..], &[7; 32], b"\x00", &sized(b"\x13\x01"), b"\x01\x00", &sized(&extensions.concat())];
    let hello = sized(&hello.concat());
    [&b"\x16\x03\x01"[..], &sized(&[&b"\x01\x00"[..], &hello].concat())].concat()
}

/// A login under TLS.
const SECURED_LOGIN: &str = r#"
import socket, ssl, sys
port, root, host = sys.argv[1:]
raw = socket.create_connection((host, int(port)), timeout=10)
wire = ssl.create_default_context(cafile=root).wrap_socket(raw, server_hostname="mail.example.test").makefile("rwb")
assert wire.readline() == b"* OK IMAP4 ready\r\n"
wire.write(b"a LOGIN u p\r\n"); wire.flush()
assert wire.readline() == b"a OK logged in\r\n"
wire.write(b"hello\r\n"); wire.flush()
assert wire.readline() == b"hello\r\n"
"#;

#[test]
fn handshakes_that_are_begun_and_never_ended_hinder_nobody() {
    let root = Root::new(Key::Ec, "Test root");
    let identity = root.server(Key::Ec, &["mail.example.test"]);
    let settings = format!(
        "listen @tls ssl; ssl_certificate {}; ssl_certificate_key {};",
        identity.certificate().display(),
        identity.key().display()
    );
    let mut fort = Fort::new("", &settings);
    let (place, hello) = (fort.proxy.at("tls"), client_hello());
    let mut held = Vec::new();
    for number in 0..fort.crowd / 2 {
        let mut stream = connect(place);
        // A third is gone before it is answered, a third waits behind the answer, a third stops in the middle.
        let said = if number % 3 == 2 { &hello[..hello.len() / 2] } else { &hello };
        stream.write_all(said).expect("the proxy listens");
        if number % 3 > 0 {
            held.push(stream);
        }
        if number % 500 == 0 {
            fort.serves();
        }
    }
    let mut answer = [0; 6];
    held[0].read_exact(&mut answer).expect("the proxy answers");
    assert_eq!((&answer[..3], answer[5]), (&b"\x16\x03\x03"[..], 2), "it is a ServerHello");
    fort.serves();
    let newcomer =
        [&place.port().to_string(), &root.certificate().display().to_string(), &place.ip().to_string()];
    tool::python(SECURED_LOGIN, &newcomer.map(String::as_str)).succeeded();
    let cost = fort.cost();
    assert!(cost < 16 << 10, "{cost} bytes for each");
    drop(held);
    fort.is_over();
}

#[test]
fn commands_without_end_on_many_connections_are_cut_and_hinder_nobody() {
    let mut fort = Fort::new("", "");
    let address = fort.address();
    let attack = move |said: &[u8]| {
        for _ in 0..25 {
            let mut attacker = Client::connect(address);
            // It is cut at `max_commands` or `max_errors`, long before.
            assert!(attacker.flood(said, 1 << 28) < 1 << 28);
        }
    };
    let attackers: Vec<_> = ["n NOOP\r\n", "x\r\n", "n LOGIN u {1}\r\nx x\r\n", "\r\n"]
        .map(|said| std::thread::spawn(move || attack(said.repeat(1000).as_bytes())))
        .into();
    while attackers.iter().any(|attacker| !attacker.is_finished()) {
        fort.serves();
    }
    for attacker in attackers {
        attacker.join().expect("all were cut");
    }
    let log = fort.proxy.wait_for_log("client sent too many commands");
    assert!(log.contains("client sent too many invalid commands"));
    fort.is_over();
}

#[test]
fn guesses_whose_answers_are_held_back_cost_little_and_hinder_nobody() {
    const GUESSES: usize = 500;
    let mut fort = Fort::new("", "auth_penalty on;");
    let crowd: Vec<_> = (0..GUESSES)
        .map(|number| {
            let mut stream = connect_from(Ipv4Addr::new(127, 1, 1, 66), fort.address());
            stream.write_all(format!("a LOGIN u {number}\r\n").as_bytes()).expect("the proxy listens");
            // No more at once than the auth server has time for.
            if number % 50 == 49 {
                eventually("it is asked", || fort.auth.requests().len() > number);
            }
            stream
        })
        .collect();
    fort.proxy.wait_for_log("answer to login is held back for 15s");
    fort.serves();
    let cost = fort.proxy.process().memory().saturating_sub(fort.memory) / GUESSES as u64;
    assert!(cost < 16 << 10, "{cost} bytes for each");
    drop(crowd);
    // Whoever hangs up is forgotten long before the answer would be due, and the guesses are not.
    fort.is_over();
    let mut late = connect_from(Ipv4Addr::new(127, 1, 1, 67), fort.address());
    late.write_all(b"a LOGIN u p\r\n").expect("the proxy listens");
    let told = |line: &str| line.contains("held back for 15s") && line.contains("127.1.1.67");
    eventually("the next in that network waits, with the right password too", || {
        fort.proxy.log().lines().any(told)
    });
}

#[test]
fn one_address_with_thousands_of_connections_has_those_that_it_may_have() {
    const MOST: usize = 100;
    let zones = "limit_conn_zone $remote_addr zone=addr:64k;";
    let mut fort = Fort::new(zones, &format!("limit_conn addr {MOST}; limit_conn_log_level info;"));
    let (greeting, refusal) = (Protocol::Imap.greeting(), "* BYE [UNAVAILABLE] Too many connections\r\n");
    let mut crowd: Vec<_> =
        (0..2_000).map(|_| connect_from(Ipv4Addr::new(127, 0, 0, 66), fort.address())).collect();
    let mut greeted = 0;
    for stream in &mut crowd {
        let mut heard = vec![0; greeting.len()];
        stream.read_exact(&mut heard).expect("everybody is told");
        if heard == greeting.as_bytes() {
            greeted += 1;
        } else {
            stream.read_to_end(&mut heard).expect("an end without a reset");
            assert_eq!(rig::show(&heard), rig::show(refusal.as_bytes()));
        }
    }
    assert_eq!(greeted, MOST);
    fort.serves();
    let process = fort.proxy.process();
    eventually("no more than those are held", || process.descriptors() <= fort.descriptors + MOST + KEPT);
    drop(crowd);
    fort.is_over();
    eventually("it may have as many again", || {
        let mut heard = vec![0; greeting.len()];
        let mut stream = connect_from(Ipv4Addr::new(127, 0, 0, 66), fort.address());
        stream.read_exact(&mut heard).is_ok() && heard == greeting.as_bytes()
    });
}
