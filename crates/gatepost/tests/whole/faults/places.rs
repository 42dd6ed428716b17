//! Places of `worker_connections`: whatever becomes of a session, its place and its upstream's are free again.

use std::net::SocketAddr;

use rig::auth_server::{answer, refuse};
use rig::{Client, Proxy, eventually, port};

use super::*;
use crate::stage::gatepost;

/// How many there are: two sessions with their upstreams.
const PLACES: usize = 4;

/// How often each end comes; a place that is lost each time is missed long before.
const ROUNDS: usize = 2 * PLACES;

/// A proxy with few places, and what its clients meet.
struct House {
    proxy: Proxy,
    auth: AuthServer,
    backend: Backend,
}

impl House {
    /// Auth server and backend are what this end takes.
    #[track_caller]
    fn new(auth: AuthServer, backend: Backend) -> Self {
        let proxy = Proxy::start_whole(
            &gatepost(),
            &format!(
                "user root; daemon off; master_process off; events {{ worker_connections {PLACES}; }}
                 mail {{ server_name proxy.example; xclient off; auth_http {};
                         server {{ listen @proxy; protocol imap; }} }}",
                auth.address(),
            ),
        );
        Self { proxy, auth, backend }
    }

    #[track_caller]
    fn of(answer: impl Fn(SocketAddr) -> Script, script: Script) -> Self {
        let backend = Backend::start(script);
        Self::new(AuthServer::always(answer(backend.address())), backend)
    }

    /// A client that has been greeted; whoever finds no place is closed without a byte, and tries again.
    #[track_caller]
    fn client(&self) -> Client {
        let mut greeted = None;
        eventually("there is a place", || {
            let mut client = Client::connect(self.proxy.at("proxy"));
            let heard = client.take_up_to(Protocol::Imap.greeting().len());
            greeted = (heard == Protocol::Imap.greeting().as_bytes()).then_some(client);
            greeted.is_some()
        });
        greeted.expect("it was")
    }

    /// Session after session comes to this end.
    #[track_caller]
    fn ends(&self, end: impl Fn(&Self, Client)) {
        for _ in 0..ROUNDS {
            end(self, self.client());
        }
        // All of them are free at the same time.
        let clients: Vec<_> = (0..PLACES).map(|_| self.client()).collect();
        drop(clients);
    }
}

const LOGIN: &str = "a LOGIN u p\r\n";
const LOGGED_IN: &str = "a OK logged in\r\n";

#[test]
fn whatever_a_client_does_its_place_is_free_again() {
    let house = House::of(allow, Protocol::Imap.backend().echo());
    house.ends(|_, client| drop(client));
    house.ends(|_, client| client.reset());
    house.ends(|_, mut client| {
        client.send("x\r\n".repeat(5));
        client.rest();
    });
    house.ends(|_, mut client| {
        client.exchange(LOGIN, LOGGED_IN).half_close().expect_end();
    });
    house.ends(|_, mut client| {
        client.exchange(LOGIN, LOGGED_IN);
        client.reset();
    });
}

#[test]
fn whatever_an_auth_server_does_its_client_s_place_is_free_again() {
    let homeless = answer(&["Auth-Status: OK"]);
    for script in [refuse("no"), Script::new().close(), Script::new().reset(), homeless] {
        House::of(|_| script.clone(), Script::new().close()).ends(|_, mut client| {
            client.send(LOGIN).rest();
        });
    }
    House::of(|_| Script::new().silence(), Script::new().close()).ends(|house, mut client| {
        let asked = house.auth.requests().len();
        client.send(LOGIN);
        house.auth.request(asked);
    });
}

#[test]
fn whatever_an_upstream_does_both_places_are_free_again() {
    let greeted = || Script::new().say("* OK ready\r\n").expect_line();
    let logged_in = || Protocol::Imap.backend();
    let ends = [
        Script::new().close(),
        Script::new().reset(),
        greeted().say("a NO\r\n"),
        greeted().reset(),
        logged_in().close(),
    ];
    for script in ends.into_iter().chain([logged_in().reset()]) {
        House::of(allow, script).ends(|_, mut client| {
            client.send(LOGIN).rest();
        });
    }
    let nowhere = port::free();
    House::of(|_| allow(nowhere), Script::new().close()).ends(|_, mut client| {
        client.send(LOGIN).rest();
    });
    House::of(allow, Script::new().silence()).ends(|house, mut client| {
        let connections = house.backend.connections();
        client.send(LOGIN);
        eventually("the upstream is connected to", || house.backend.connections() > connections);
    });
}
