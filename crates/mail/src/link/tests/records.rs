//! How the stream is cut into records, and the records that carry no data.

use tokio::sync::Semaphore;

use super::*;

/// A wire whose direction towards the link passes as many bytes as it is told to.
struct Gate {
    allowed: Arc<Semaphore>,
}

impl Gate {
    const OPEN: usize = 1 << 20;

    /// The wire, open.
    fn new() -> (Self, (UnixStream, UnixStream)) {
        let (near, near_end) = UnixStream::pair().unwrap();
        let (far, far_end) = UnixStream::pair().unwrap();
        let (mut near_read, mut near_write) = near_end.into_split();
        let (mut far_read, mut far_write) = far_end.into_split();
        let allowed = Arc::new(Semaphore::new(Self::OPEN));
        let permits = Arc::clone(&allowed);
        tokio::spawn(async move { tokio::io::copy(&mut near_read, &mut far_write).await });
        tokio::spawn(async move {
            loop {
                permits.acquire().await.unwrap().forget();
                let Ok(byte) = far_read.read_u8().await else { return };
                near_write.write_u8(byte).await.unwrap();
            }
        });
        (Self { allowed }, (near, far))
    }

    fn close(&self) {
        self.allowed.forget_permits(Self::OPEN);
    }

    fn pass(&self, bytes: usize) {
        self.allowed.add_permits(bytes);
    }

    /// Until everything that may happen has happened.
    async fn settle(&self) {
        sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn part_of_a_record_is_waited_for_and_does_not_keep_us_from_writing() {
    for (ours, version) in ALL {
        let (gate, wire) = Gate::new();
        let (mut link, mut peer, _) = secured(ours, version, wire).await;
        // Tickets, if there are any.
        assert!(waits(next(&mut link)).await);
        gate.close();
        // One byte passes: the gate was already waiting for it.
        peer.write_all(b"a NOOP\r\n").await.unwrap();
        gate.pass(15);
        assert!(waits(next(&mut link)).await, "{ours:?} {version:?}");
        link.write_all(b"* 1 EXISTS\r\n").await.unwrap();
        assert_eq!(read(&mut peer, 12).await, b"* 1 EXISTS\r\n");
        gate.pass(Gate::OPEN / 2);
        assert_eq!(next(&mut link).await.unwrap(), "a NOOP\r\n", "{ours:?} {version:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn many_records_are_read_at_once_and_small_ones_too() {
    let mut client = client_config(&TLS13);
    client.max_fragment_size = Some(64);
    let wire = UnixStream::pair().unwrap();
    let (mut link, mut peer, _) = secured_with(Ours::Server, server_config(&TLS13), client, wire).await;
    let text = Random(5).bytes(30_000);
    let (sent, heard) = tokio::join!(peer.write_all(&text), exactly(&mut link, text.len()));
    sent.unwrap();
    assert!(heard == text);
}

#[tokio::test(start_paused = true)]
async fn tickets_in_pieces_are_taken_while_we_write() {
    let mut server = server_config(&TLS13);
    // Each ticket takes several records, so that part of a message waits for its rest.
    server.max_fragment_size = Some(64);
    server.send_tls13_tickets = 3;
    let mut client = client_config(&TLS13);
    client.resumption = rustls::client::Resumption::in_memory_sessions(8);
    let (gate, wire) = Gate::new();
    let (mut link, mut peer, _) = {
        let (near, far) = wire;
        let mut link = Link::from(near);
        let shake = link.connect_tls(Arc::new(client), name());
        let peer = TlsAcceptor::from(Arc::new(server)).accept(far);
        // Our side is content before the peer has sent its tickets.
        let shut = async {
            let facts = shake.await.unwrap();
            gate.close();
            facts
        };
        let (facts, peer) = tokio::join!(shut, peer);
        (link, TlsStream::Server(peer.unwrap()), facts)
    };
    peer.write_all(b"* OK\r\n").await.unwrap();
    let mut heard = Vec::new();
    let mut bytes = 0;
    while heard.len() < 6 {
        gate.pass(1);
        gate.settle().await;
        bytes += 1;
        let mut into = [0; 64];
        match link.try_read(&mut into) {
            Ok(n) => heard.extend_from_slice(&into[..n]),
            Err(e) => assert_eq!(e.kind(), io::ErrorKind::WouldBlock),
        }
        link.write_all(b"x").await.unwrap();
    }
    assert_eq!(heard, b"* OK\r\n");
    assert!(bytes > 300, "the tickets came through the gate");
    assert_eq!(read(&mut peer, bytes).await, vec![b'x'; bytes]);
}

#[tokio::test]
async fn new_keys_are_taken_and_answered_with_new_keys() {
    for ours in [Ours::Server, Ours::Client] {
        let (mut link, mut peer, _) = secured(ours, &TLS13, dripping()).await;
        for round in 0..5_u8 {
            refresh(&mut peer);
            peer.write_all(&[round; 100]).await.unwrap();
            assert_eq!(exactly(&mut link, 100).await.as_ref(), [round; 100]);
            link.write_all(&[round; 100]).await.unwrap();
            assert_eq!(read(&mut peer, 100).await, [round; 100]);
        }
    }
}

/// Makes the peer change its keys, and ask us to change ours, before it sends what comes next.
pub(super) fn refresh(peer: &mut Peer) {
    match peer {
        TlsStream::Client(stream) => stream.get_mut().1.refresh_traffic_keys().unwrap(),
        TlsStream::Server(stream) => stream.get_mut().1.refresh_traffic_keys().unwrap(),
    }
}
