//! Bytes both ways, and the ends.

use super::*;

#[tokio::test]
async fn both_roles_talk_in_both_versions() {
    for (ours, version) in ALL {
        let (mut link, mut peer, facts) = secured(ours, version, UnixStream::pair().unwrap()).await;
        assert_eq!(facts.version, version.version, "{ours:?}");
        link.write_all(b"* OK ready\r\n").await.unwrap();
        assert_eq!(read(&mut peer, 12).await, b"* OK ready\r\n");
        peer.write_all(b"a NOOP\r\n").await.unwrap();
        assert_eq!(next(&mut link).await.unwrap(), "a NOOP\r\n");
    }
}

#[tokio::test]
async fn bytes_that_arrive_one_by_one_change_nothing() {
    for (ours, version) in ALL {
        let (mut link, mut peer, _) = secured(ours, version, dripping()).await;
        let text = Random(7).bytes(20_000);
        let (sent, heard) = tokio::join!(peer.write_all(&text), exactly(&mut link, text.len()));
        sent.unwrap();
        assert!(heard == text, "{ours:?} {version:?}");
        let (sent, heard) = tokio::join!(link.write_all(&text), read(&mut peer, text.len()));
        sent.unwrap();
        assert!(heard == text, "{ours:?} {version:?}");
    }
}

#[tokio::test]
async fn what_a_reader_has_no_room_for_is_there_next_time() {
    for (ours, version) in ALL {
        let (mut link, mut peer, _) = secured(ours, version, UnixStream::pair().unwrap()).await;
        let text = Random(3).bytes(50_000);
        peer.write_all(&text).await.unwrap();
        let mut heard = Vec::new();
        while heard.len() < text.len() {
            let mut into = [0; 700];
            link.readable().await.unwrap();
            match link.try_read(&mut into) {
                Ok(n) => heard.extend_from_slice(&into[..n]),
                Err(e) => assert_eq!(e.kind(), io::ErrorKind::WouldBlock),
            }
        }
        assert!(heard == text, "{ours:?} {version:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn bytes_decrypted_but_not_read_are_readable_though_the_socket_is_quiet() {
    let (mut link, mut peer, _) = secured(Ours::Server, &TLS13, UnixStream::pair().unwrap()).await;
    peer.write_all(b"0123456789").await.unwrap();
    let mut into = [0; 4];
    for part in [&b"0123"[..], b"4567", b"89"] {
        link.readable().await.unwrap();
        let n = link.try_read(&mut into).unwrap();
        assert_eq!(&into[..n], part);
    }
    assert_eq!(link.try_read(&mut into).unwrap_err().kind(), io::ErrorKind::WouldBlock);
    assert!(waits(link.readable()).await);
}

#[tokio::test(start_paused = true)]
async fn a_link_that_waits_holds_no_buffer() {
    for (ours, version) in ALL {
        let (mut link, mut peer, _) = secured(ours, version, UnixStream::pair().unwrap()).await;
        for _ in 0..3 {
            peer.write_all(&[b'x'; 16_000]).await.unwrap();
            assert_eq!(exactly(&mut link, 16_000).await.len(), 16_000);
            link.write_all(&[b'y'; 16_000]).await.unwrap();
            read(&mut peer, 16_000).await;
        }
        assert!(waits(next(&mut link)).await);
        assert_eq!(link.tls.as_ref().unwrap().held(), 0, "{ours:?} {version:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_does_not_read_stops_the_writer_instead_of_filling_memory() {
    for (ours, version) in ALL {
        let (mut link, mut peer, _) = secured(ours, version, UnixStream::pair().unwrap()).await;
        let mut sent = Random(11).bytes(4 * 1024 * 1024);
        let mut taken = 0;
        loop {
            match link.try_write(&sent[taken..]) {
                Ok(n) => taken += n,
                Err(e) => break assert_eq!(e.kind(), io::ErrorKind::WouldBlock),
            }
        }
        let held = link.tls.as_ref().unwrap().held();
        assert!(held > 0 && held < 80 * 1024, "{held} bytes wait");
        assert!(waits(link.writable()).await);
        assert_eq!(link.try_write(b"x").unwrap_err().kind(), io::ErrorKind::WouldBlock);
        sent.truncate(taken);
        let (flushed, heard) = tokio::join!(poll_fn(|cx| link.poll_flush(cx)), read(&mut peer, taken));
        flushed.unwrap();
        assert!(heard == sent, "{ours:?} {version:?}");
        assert_eq!(link.tls.as_ref().unwrap().held(), 0);
    }
}

#[tokio::test]
async fn the_end_that_a_peer_declares_is_the_end_and_the_other_direction_goes_on() {
    for (ours, version) in ALL {
        let (mut link, mut peer, _) = secured(ours, version, UnixStream::pair().unwrap()).await;
        peer.write_all(b"last word").await.unwrap();
        peer.shutdown().await.unwrap();
        let (heard, end) = all(&mut link).await;
        assert_eq!((heard.as_ref(), end.is_ok()), (&b"last word"[..], true), "{ours:?} {version:?}");
        // It stays so.
        assert_eq!(link.try_read(&mut [0; 8]).unwrap(), 0);
        link.write_all(b"goodbye").await.unwrap();
        assert_eq!(read(&mut peer, 7).await, b"goodbye");
    }
}

#[tokio::test]
async fn what_a_client_says_right_behind_its_handshake_is_heard() {
    for version in [&TLS12, &TLS13] {
        let (near, far) = UnixStream::pair().unwrap();
        let mut link = Link::from(near);
        let peer = async {
            let client = TlsConnector::from(Arc::new(client_config(version)));
            let mut peer = client.connect(name(), far).await.unwrap();
            peer.write_all(b"a NOOP\r\n").await.unwrap();
            peer.shutdown().await.unwrap();
            peer
        };
        let (facts, _peer) = tokio::join!(link.accept_tls(Arc::new(server_config(version))), peer);
        facts.unwrap();
        let (heard, end) = all(&mut link).await;
        assert_eq!((heard.as_ref(), end.is_ok()), (&b"a NOOP\r\n"[..], true), "{version:?}");
    }
}

#[tokio::test]
async fn our_end_is_declared_and_the_peer_may_go_on() {
    for (ours, version) in ALL {
        let (mut link, mut peer, _) = secured(ours, version, UnixStream::pair().unwrap()).await;
        link.write_all(b"* BYE\r\n").await.unwrap();
        link.shutdown().await.unwrap();
        let mut heard = Vec::new();
        // Without close_notify this would be an error.
        peer.read_to_end(&mut heard).await.unwrap();
        assert_eq!(heard, b"* BYE\r\n");
        assert_eq!(link.try_write(b"more").unwrap_err().kind(), io::ErrorKind::BrokenPipe);
        peer.write_all(b"still here").await.unwrap();
        assert_eq!(next(&mut link).await.unwrap(), "still here", "{ours:?} {version:?}");
    }
}

#[tokio::test]
async fn an_end_is_declared_even_if_the_peer_has_to_make_room_for_it() {
    let (mut link, mut peer, _) = secured(Ours::Server, &TLS13, UnixStream::pair().unwrap()).await;
    let chunk = vec![b'x'; scratch::SIZE];
    let mut sent = 0;
    while let Ok(n) = link.try_write(&chunk) {
        sent += n;
    }
    let mut heard = Vec::new();
    let (ended, read) = tokio::join!(link.shutdown(), peer.read_to_end(&mut heard));
    ended.unwrap();
    read.unwrap();
    assert_eq!(heard.len(), sent);
}

#[tokio::test]
async fn a_farewell_is_heard_although_the_peer_was_still_talking() {
    let (mut link, mut peer, _) = secured(Ours::Server, &TLS13, UnixStream::pair().unwrap()).await;
    peer.write_all(&[b'x'; 10_000]).await.unwrap();
    link.write_all(b"* BYE\r\n").await.unwrap();
    let listen = async {
        let mut heard = Vec::new();
        peer.read_to_end(&mut heard).await.unwrap();
        drop(peer);
        heard
    };
    let ((), heard) = tokio::join!(link.farewell(), listen);
    assert_eq!(heard, b"* BYE\r\n");
}
