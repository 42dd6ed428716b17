//! A thousand sessions at once.

use std::net::SocketAddr;
use std::sync::{Arc, Barrier};
use std::time::SystemTime;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use rig::auth_server::allow;
use rig::{AuthServer, Backend, Client, Proxy, eventually};

use crate::stage::{Protocol, gatepost, logged_in};

const SESSIONS: usize = 1_000;

/// Threads of the test that play clients.
const PLAYERS: usize = 4;

/// Numbers in an order that depends on a seed (xorshift, Marsaglia 2003).
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % limit as u64).expect("less than a usize")
    }
}

/// Opens its share of the sessions, waits until all are open, then talks and leaves in the order of the dice.
fn play(places: [SocketAddr; 3], seed: u64, all_open: &Barrier) {
    let mut dice = Dice(seed);
    let mut open: Vec<(Client, usize)> = (0..SESSIONS / PLAYERS)
        .map(|number| (logged_in(places[number % 3], Protocol::ALL[number % 3]), number))
        .collect();
    all_open.wait();
    // They are counted.
    all_open.wait();
    while !open.is_empty() {
        let chosen = dice.below(open.len());
        let (client, number) = &mut open[chosen];
        let said = format!("session {number} says {}\r\n", "x".repeat(dice.below(9_000)));
        client.exchange(&said, &said);
        match dice.below(6) {
            0 => leave(open.swap_remove(chosen).0, &mut dice),
            // Bytes of one session must not turn up in another.
            1 => open.iter().for_each(|(client, _)| client.expect_nothing_unread()),
            _ => {}
        }
    }
}

/// As clients leave: in peace, in a hurry, in anger.
fn leave(mut client: Client, dice: &mut Dice) {
    match dice.below(3) {
        0 => client.half_close().expect_end(),
        1 => drop(client),
        _ => client.reset(),
    }
}

#[test]
#[expect(clippy::print_stderr, reason = "shown if the test fails, to play the same again")]
fn a_thousand_sessions_talk_and_leave_in_any_order() {
    // Two descriptors for each session, here and in the proxy, which inherits the limit.
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE).expect("there is a limit");
    setrlimit(Resource::RLIMIT_NOFILE, most, most).expect("a limit may be used up");
    let now = SystemTime::UNIX_EPOCH.elapsed().expect("it is after 1970");
    let seed = u64::from(now.subsec_nanos()) + 1;
    eprintln!("seed {seed}");

    let backends = Protocol::ALL.map(|protocol| Backend::start(protocol.backend().echo()));
    let homes = backends.each_ref().map(Backend::address);
    let auth = AuthServer::start(move |request| {
        let asked = request.header("Auth-Protocol").unwrap_or_default();
        let number = Protocol::ALL.iter().position(|protocol| protocol.name() == asked);
        allow(homes[number.expect("one of the three")])
    });
    let servers =
        Protocol::ALL.map(|protocol| format!("server {{ listen @{0}; protocol {0}; }}\n", protocol.name()));
    let proxy = Proxy::start_whole(
        &gatepost(),
        &format!(
            "user root; daemon off; master_process off; worker_processes 2; events {{ worker_connections 2000; }}
             mail {{ server_name proxy.example; xclient off; auth_http {}; {} }}",
            auth.address(),
            servers.concat()
        ),
    );
    let places = Protocol::ALL.map(|protocol| proxy.at(protocol.name()));
    let all_open = Arc::new(Barrier::new(PLAYERS + 1));
    let players: Vec<_> = (0..PLAYERS as u64)
        .map(|number| {
            let all_open = Arc::clone(&all_open);
            std::thread::spawn(move || play(places, seed + (number << 32), &all_open))
        })
        .collect();
    all_open.wait();
    // What is neither a client's nor its backend's: the proxy's own, and the few connections kept for the auth server.
    let own = proxy.process().descriptors() - 2 * SESSIONS;
    all_open.wait();
    for player in players {
        player.join().expect("no client was surprised");
    }

    // With the auth server go the connections that are kept for it.
    drop(auth);
    eventually("all descriptors are given back", || proxy.process().descriptors() <= own);
    let log = proxy.whole_log();
    assert_eq!(log.matches("client logged in").count(), SESSIONS);
    for level in ["[alert]", "[crit]", "[error]", "[emerg]"] {
        assert!(
            !log.contains(level),
            "{}",
            log.lines().find(|line| line.contains(level)).unwrap_or_default()
        );
    }
}
