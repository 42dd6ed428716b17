//! How sessions with an upstream end. Everything before that is tested over whole programs.

use std::net::SocketAddr;

use bytes::BytesMut;
use system::ring::Ring;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket, TcpStream, UnixStream};
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
    let teller = Teller::new(log, 1, ClientAddr::Tcp(addr), Endpoint::Tcp(addr).into());
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

/// A client whose socket is full, its other end, and an upstream.
async fn full() -> (UnixStream, UnixStream, UnixStream, UnixStream) {
    gather().await;
    let (client, ours) = UnixStream::pair().unwrap();
    let (theirs, upstream) = UnixStream::pair().unwrap();
    ours.writable().await.unwrap();
    while ours.try_write(&[b'x'; 1024]).is_ok() {}
    (client, ours, theirs, upstream)
}

/// A client whose socket is full, and a session that has just heard the last word of its upstream.
async fn behind_a_full_socket() -> (UnixStream, JoinHandle<()>, watch::Sender<Order>) {
    let (client, ours, theirs, mut upstream) = full().await;
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
async fn so_it_does_for_one_that_has_said_goodbye() {
    let (mut client, ours, theirs, mut upstream) = full().await;
    let (session, _orders) = proxied(ours.into(), theirs.into());
    let slots = Arc::clone(session.held.ties.slot.all());
    client.write_all(b"a LOGOUT\r\n").await.unwrap();
    let session = tokio::spawn(session.run());
    upstream.read_exact(&mut [0; 10]).await.unwrap();
    upstream.write_all(b"* BYE\r\n").await.unwrap();
    drop(upstream);
    session.await.unwrap();
    sleep(TIMEOUT / 2).await;
    assert_eq!(slots.used(), 1, "it is still a connection");
    is_heard_to_the_end(client).await;
    while slots.used() > 0 {
        yield_now().await;
    }
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

/// A client over TCP with little room, and our end of it.
async fn narrow() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let client = socket.connect(listener.local_addr().unwrap()).await.unwrap();
    (client, listener.accept().await.unwrap().0)
}

#[tokio::test]
async fn a_client_that_goes_on_talking_to_an_upstream_that_is_gone_gets_all_that_it_has_said() {
    let (mut client, ours) = narrow().await;
    let (theirs, mut upstream) = UnixStream::pair().unwrap();
    // More than one read, so that some of it is still there when the upstream turns out to be deaf.
    let commands = b"a NOOP\r\n".repeat(40 * 1024);
    let sent = client.try_write(&commands).unwrap();
    assert!(sent > 128 * 1024, "{sent}");
    let words = vec![b'y'; 100 * 1024];
    upstream.write_all(&words).await.unwrap();
    drop(upstream);
    let (session, _orders) = proxied(ours.into(), theirs.into());
    let ended = tokio::spawn(session.run());
    // Its end is what the client sees first; or it is not, and then it loses what it has not read.
    let mut heard = Vec::new();
    let read = client.read_to_end(&mut heard).await;
    assert!(heard == words, "{} bytes of {}, then {read:?}", heard.len(), words.len());
    drop(client);
    ended.await.unwrap();
}
