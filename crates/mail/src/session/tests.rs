//! How sessions with an upstream end. Everything before that is tested over whole programs.

use std::net::SocketAddr;

use ::ring::Ring;
use bytes::BytesMut;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::task::{JoinHandle, yield_now};
use tokio::time::sleep;

use super::*;
use crate::link::deliver;
use crate::log::tests::Memory;
use crate::settings::log::Level;
use crate::slots::Slots;

/// `proxy_timeout`.
const TIMEOUT: Duration = Duration::from_hours(1);

/// A session between a client and an upstream, with orders to come.
fn proxied(client: Link, upstream: Link) -> (Proxied, watch::Sender<Order>) {
    let (sender, orders) = watch::channel(Order::Serve);
    let slots = Slots::new(2);
    let slot = || slots.take().unwrap();
    let addr = SocketAddr::from(([192, 0, 2, 1], 4711));
    let log = Arc::new(Memory::default().log(Level::Debug));
    let teller = Teller::new(log, 1, ClientAddr::Tcp(addr), Endpoint::Tcp(addr));
    let ties = Ties { orders, slot: slot(), _presence: Presence::alone() };
    let relay = Relay::new(client, upstream, BytesMut::new(), BytesMut::new(), TIMEOUT);
    let connected = Connected { relay, slot: slot(), counted: Counted::default() };
    (Proxied { connected, held: Box::new(Held { teller, ties }) }, sender)
}

/// From here on this thread gathers what is small.
async fn gather() {
    tokio::spawn(deliver(Ring::plain()));
    yield_now().await;
}

/// A client whose socket is full, and a session that has just heard the last word of its upstream.
async fn behind_a_full_socket() -> (UnixStream, JoinHandle<()>, watch::Sender<Order>) {
    gather().await;
    let (client, ours) = UnixStream::pair().unwrap();
    let (theirs, mut upstream) = UnixStream::pair().unwrap();
    ours.writable().await.unwrap();
    while ours.try_write(&[b'x'; 1024]).is_ok() {}
    let (session, orders) = proxied(ours.into(), theirs.into());
    upstream.write_all(b"* BYE\r\n").await.unwrap();
    drop(upstream);
    (client, tokio::spawn(session.run()), orders)
}

async fn is_heard_to_the_end(mut client: UnixStream) {
    let mut heard = Vec::new();
    client.read_to_end(&mut heard).await.unwrap();
    assert!(heard.ends_with(b"x* BYE\r\n"), "{} bytes", heard.len());
}

#[tokio::test(start_paused = true)]
async fn the_last_word_of_an_upstream_waits_for_a_client_that_is_slow_to_read() {
    let (client, session, _orders) = behind_a_full_socket().await;
    sleep(TIMEOUT / 2).await;
    is_heard_to_the_end(client).await;
    session.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn so_it_does_for_one_that_will_say_nothing_more() {
    let (mut client, session, _orders) = behind_a_full_socket().await;
    client.shutdown().await.unwrap();
    sleep(TIMEOUT / 2).await;
    is_heard_to_the_end(client).await;
    session.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_last_word_that_nobody_reads_is_not_kept_for_ever() {
    for order in [None, Some(Order::Cut)] {
        let (client, session, orders) = behind_a_full_socket().await;
        sleep(TIMEOUT / 2).await;
        let _ = orders.send_if_modified(|current| order.map(|order| *current = order).is_some());
        let rest = if order.is_some() { Duration::from_secs(3) } else { TIMEOUT };
        timeout(rest, session).await.unwrap().unwrap();
        drop(client);
    }
}
