//! A relay between two TLS links: what sessions are made of.

use tokio::io::{ReadHalf, WriteHalf, split};
use tokio::task::JoinHandle;

use super::*;
use crate::relay::{Broken, Relay};

const TIMEOUT: Duration = Duration::from_hours(1);

/// A client and an upstream with a relay between them.
struct Bench {
    client: Peer,
    upstream: Peer,
    relay: JoinHandle<Result<(), Broken>>,
}

impl Bench {
    async fn new(version: Version, wire: impl Fn() -> (UnixStream, UnixStream)) -> Self {
        let (client_link, client, _) = secured(Ours::Server, version, wire()).await;
        let (upstream_link, upstream, _) = secured(Ours::Client, version, wire()).await;
        let mut relay = Relay::new(client_link, upstream_link, BytesMut::new(), BytesMut::new(), TIMEOUT);
        Self { client, upstream, relay: tokio::spawn(async move { relay.run().await.map(drop) }) }
    }
}

/// Sends `bytes` in pieces of any size, then the end. New keys now and then, where there is such a thing.
async fn send(mut to: WriteHalf<Peer>, bytes: Vec<u8>, mut sizes: Random) -> WriteHalf<Peer> {
    let mut left = &bytes[..];
    while !left.is_empty() {
        // Small ones and large ones alike.
        let limit = 1 << sizes.below(18);
        let (piece, rest) = left.split_at(left.len().min(1 + sizes.below(limit)));
        to.write_all(piece).await.unwrap();
        left = rest;
    }
    to.shutdown().await.unwrap();
    to
}

async fn receive(mut from: ReadHalf<Peer>) -> Vec<u8> {
    let mut heard = Vec::new();
    from.read_to_end(&mut heard).await.unwrap();
    heard
}

#[tokio::test(start_paused = true)]
async fn twenty_megabytes_both_ways_arrive_unchanged() {
    for version in [&TLS12, &TLS13] {
        let bench = Bench::new(version, || UnixStream::pair().unwrap()).await;
        let (up, down) = (Random(1).bytes(20_000_000), Random(2).bytes(20_000_000));
        let (client_read, client_write) = split(bench.client);
        let (upstream_read, upstream_write) = split(bench.upstream);
        // The upstream ends first: its end is the end of a session.
        let talk = async {
            let ((client, heard_up), heard_down) = tokio::join!(
                async { tokio::join!(send(client_write, up.clone(), Random(3)), receive(upstream_read)) },
                async {
                    let (_, heard) =
                        tokio::join!(send(upstream_write, down.clone(), Random(4)), receive(client_read));
                    heard
                }
            );
            drop(client);
            (heard_up, heard_down)
        };
        let (heard_up, heard_down) = talk.await;
        assert!(heard_up == up, "up, {} bytes", heard_up.len());
        assert!(heard_down == down, "down, {} bytes", heard_down.len());
        bench.relay.await.unwrap().unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn keys_change_under_load() {
    let mut bench = Bench::new(&TLS13, || UnixStream::pair().unwrap()).await;
    let mut random = Random(9);
    for round in 0..200 {
        let text = random.bytes(1 + round * 300);
        if round % 3 == 0 {
            records::refresh(&mut bench.client);
        }
        if round % 5 == 0 {
            records::refresh(&mut bench.upstream);
        }
        let (sent, heard) =
            tokio::join!(bench.client.write_all(&text), read(&mut bench.upstream, text.len()));
        sent.unwrap();
        assert!(heard == text, "up, round {round}");
        let (sent, heard) =
            tokio::join!(bench.upstream.write_all(&text), read(&mut bench.client, text.len()));
        sent.unwrap();
        assert!(heard == text, "down, round {round}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_has_declared_its_end_still_gets_the_answer() {
    for version in [&TLS12, &TLS13] {
        let mut bench = Bench::new(version, dripping).await;
        bench.client.write_all(b"a LOGOUT\r\n").await.unwrap();
        bench.client.shutdown().await.unwrap();
        let mut heard = Vec::new();
        bench.upstream.read_to_end(&mut heard).await.unwrap();
        assert_eq!(heard, b"a LOGOUT\r\n");
        bench.upstream.write_all(b"* BYE\r\n").await.unwrap();
        bench.upstream.shutdown().await.unwrap();
        heard.clear();
        bench.client.read_to_end(&mut heard).await.unwrap();
        assert_eq!(heard, b"* BYE\r\n");
        bench.relay.await.unwrap().unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn an_upstream_that_declares_its_end_hears_ours() {
    for version in [&TLS12, &TLS13] {
        let mut bench = Bench::new(version, || UnixStream::pair().unwrap()).await;
        bench.upstream.write_all(b"* BYE\r\n").await.unwrap();
        bench.upstream.shutdown().await.unwrap();
        assert_eq!(read(&mut bench.client, 7).await, b"* BYE\r\n");
        bench.relay.await.unwrap().unwrap();
        // Without close_notify this would be an error.
        assert_eq!(bench.upstream.read_to_end(&mut Vec::new()).await.unwrap(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn an_end_without_close_notify_is_an_end() {
    let mut bench = Bench::new(&TLS13, || UnixStream::pair().unwrap()).await;
    bench.upstream.write_all(b"* BYE\r\n").await.unwrap();
    bench.upstream.get_mut().0.shutdown().await.unwrap();
    let mut heard = Vec::new();
    bench.client.read_to_end(&mut heard).await.unwrap();
    assert_eq!(heard, b"* BYE\r\n");
    bench.relay.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_client_that_reads_nothing_stops_the_upstream_and_then_gets_everything() {
    let mut bench = Bench::new(&TLS13, || UnixStream::pair().unwrap()).await;
    let chunk = Random(6).bytes(256 * 1024);
    let mut sent = Vec::new();
    while let Ok(Ok(n)) = timeout(Duration::from_secs(1), bench.upstream.write(&chunk)).await {
        sent.extend_from_slice(&chunk[..n]);
        assert!(sent.len() < 8 * 1024 * 1024, "the relay takes without end");
    }
    let mut heard = Vec::new();
    let (ended, read) = tokio::join!(bench.upstream.shutdown(), bench.client.read_to_end(&mut heard));
    ended.unwrap();
    read.unwrap();
    assert!(heard.starts_with(&sent), "{} bytes sent, {} heard", sent.len(), heard.len());
    bench.relay.await.unwrap().unwrap();
}
