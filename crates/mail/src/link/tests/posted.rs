//! Writes that are gathered and sent together.

use std::os::unix::net::UnixStream as Blocking;

use system::ring::Ring;

use super::*;
use crate::link::outbox::{BATCH, deliver};

/// From here on this thread gathers what is small.
async fn gather() {
    tokio::spawn(deliver(Ring::new(BATCH)));
    yield_now().await;
}

async fn heard(mut peer: UnixStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    timeout(Duration::from_secs(10), peer.read_to_end(&mut bytes)).await.unwrap().unwrap();
    bytes
}

/// The kernel's view: what can be read of a stream right now.
fn readable(peer: &UnixStream) -> usize {
    peer.try_read(&mut [0; 1024]).unwrap_or(0)
}

#[tokio::test]
async fn small_writes_go_out_when_all_tasks_have_had_their_turn_and_the_end_behind_them() {
    gather().await;
    let pairs = (0..200).map(|_| UnixStream::pair().unwrap());
    let (peers, mut links): (Vec<_>, Vec<_>) = pairs.map(|(peer, ours)| (peer, Link::from(ours))).unzip();
    for link in links.iter_mut().take(10) {
        assert_eq!(link.try_write(b"one ").unwrap(), 4);
        assert_eq!(link.try_write(b"two").unwrap(), 3);
        assert!(!link.is_quiet());
    }
    assert_eq!(readable(&peers[0]), 0, "they wait for others");
    for link in links.iter_mut().skip(10) {
        link.write_all(b"one two").await.unwrap();
    }
    for link in &mut links {
        link.shutdown().await.unwrap();
    }
    for peer in peers {
        assert_eq!(heard(peer).await, b"one two");
    }
    assert!(links.iter().all(Link::is_quiet));
}

#[tokio::test]
async fn what_was_written_arrives_although_the_link_is_gone() {
    gather().await;
    let (peer, ours) = UnixStream::pair().unwrap();
    let mut link = Link::from(ours);
    link.write_all(b"last words").await.unwrap();
    drop(link);
    assert_eq!(heard(peer).await, b"last words");
}

#[tokio::test]
async fn small_and_large_writes_keep_their_order() {
    gather().await;
    let (peer, ours) = UnixStream::pair().unwrap();
    let mut link = Link::from(ours);
    let large = vec![b'x'; 20_000];
    let sending = async {
        for _ in 0..50 {
            link.write_all(b"small").await.unwrap();
            link.write_all(&large).await.unwrap();
        }
        link.shutdown().await.unwrap();
    };
    let ((), bytes) = tokio::join!(sending, heard(peer));
    let expected = [b"small", &large[..]].concat().repeat(50);
    assert!(bytes == expected, "{} bytes of {}", bytes.len(), expected.len());
}

#[tokio::test]
async fn a_peer_that_takes_nothing_makes_a_debt_that_is_paid_in_order() {
    gather().await;
    let (peer, ours) = UnixStream::pair().unwrap();
    let mut link = Link::from(ours);
    let mut expected = Vec::new();
    // Until the socket is full; what is posted then is not taken.
    while !matches!(link.try_write(&[b'y'; 4096]), Err(e) if is_nothing(&e)) {
        expected.extend_from_slice(&[b'y'; 4096]);
        assert!(expected.len() < 16 << 20, "nothing is ever full");
        yield_now().await;
    }
    assert!(!link.is_quiet());
    let ending = async {
        link.write_all(b"end").await.unwrap();
        link.shutdown().await.unwrap();
    };
    let ((), bytes) = tokio::join!(ending, heard(peer));
    expected.extend_from_slice(b"end");
    assert!(bytes == expected, "{} bytes of {}", bytes.len(), expected.len());
    assert!(link.is_quiet());
}

#[tokio::test]
async fn a_peer_that_is_gone_shows_at_the_next_write() {
    gather().await;
    let (peer, ours) = UnixStream::pair().unwrap();
    let mut link = Link::from(ours);
    drop(peer);
    assert_eq!(link.try_write(b"x").unwrap(), 1, "nobody knows yet");
    while !link.is_quiet() && link.try_write(b"x").is_ok() {
        yield_now().await;
    }
    let error = link.write_all(&vec![0; 20_000]).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
}

#[tokio::test]
async fn a_link_that_waits_hears_of_a_debt_without_asking() {
    gather().await;
    let (peer, ours) = Blocking::pair().unwrap();
    for end in [&peer, &ours] {
        end.set_nonblocking(true).unwrap();
    }
    let (peer, ours) = (UnixStream::from_std(peer).unwrap(), UnixStream::from_std(ours).unwrap());
    while ours.try_write(&[b'z'; 4096]).is_ok() {}
    let mut link = Link::from(ours);
    // Taken as written; the socket has no room, and nothing else would tell the waiting task when it has.
    link.write_all(b"late").await.unwrap();
    let waiting = tokio::spawn(async move {
        link.readable().await.unwrap();
        link
    });
    let bytes = tokio::spawn(async move {
        let mut peer = peer;
        let mut bytes = Vec::new();
        while !bytes.ends_with(b"late") {
            peer.read_buf(&mut bytes).await.unwrap();
        }
        peer.write_all(b"go").await.unwrap();
        bytes
    });
    let bytes = timeout(Duration::from_secs(10), bytes).await.unwrap().unwrap();
    assert!(bytes.iter().rev().skip(4).all(|byte| *byte == b'z'));
    waiting.await.unwrap();
}

#[tokio::test]
async fn a_link_that_is_left_is_closed_behind_its_last_words() {
    gather().await;
    let (peer, ours) = UnixStream::pair().unwrap();
    let mut link = Link::from(ours);
    link.write_all(b"* BYE\r\n").await.unwrap();
    link.leave(|_| panic!("there is room for it"));
    assert_eq!(heard(peer).await, b"* BYE\r\n");
    let (peer, ours) = UnixStream::pair().unwrap();
    Link::from(ours).leave(|_| panic!("there is nothing"));
    assert_eq!(heard(peer).await, b"");
}

#[tokio::test]
async fn a_debt_is_paid_although_its_owner_has_left() {
    gather().await;
    for is_known in [false, true] {
        let (peer, ours) = UnixStream::pair().unwrap();
        let mut full = 0;
        while let Ok(n) = ours.try_write(&[b'z'; 4096]) {
            full += n;
        }
        let mut link = Link::from(ours);
        link.write_all(b"late").await.unwrap();
        if is_known {
            // The outbox has tried, and failed.
            yield_now().await;
        }
        link.leave(|mut link| drop(tokio::spawn(async move { link.settle().await })));
        let bytes = heard(peer).await;
        assert_eq!((bytes.len(), bytes.ends_with(b"late")), (full + 4, true), "{is_known}");
    }
}
