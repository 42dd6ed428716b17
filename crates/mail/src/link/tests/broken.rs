//! Peers that are broken, hostile, or speak something else.

use rustls::AlertDescription;

use super::*;
use crate::settings::log::Level;
use crate::trouble::{Call, Trouble};

/// What a link says to the handshake of a peer that sends `bytes` and then its end, and what the peer hears.
async fn answered(bytes: &[u8]) -> (HandshakeError, Vec<u8>) {
    let (near, mut far) = UnixStream::pair().unwrap();
    let mut link = Link::from(near);
    far.write_all(bytes).await.unwrap();
    far.shutdown().await.unwrap();
    let error = link.accept_tls(Arc::new(server_config(&TLS13))).await.unwrap_err();
    assert_eq!(link.try_write(b"in clear").unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    drop(link);
    let mut heard = Vec::new();
    far.read_to_end(&mut heard).await.unwrap();
    (error, heard)
}

/// Both ends of a handshake that fails.
async fn refused(server: ServerConfig, client: ClientConfig, ours: Ours) -> (HandshakeError, io::Error) {
    let (near, far) = UnixStream::pair().unwrap();
    let mut link = Link::from(near);
    let (server, client) = (Arc::new(server), Arc::new(client));
    match ours {
        Ours::Server => {
            let peer = async {
                let mut peer = TlsConnector::from(client).connect(name(), far).await?;
                peer.read_u8().await.map(drop)
            };
            let (ours, theirs) = tokio::join!(link.accept_tls(server), peer);
            (ours.unwrap_err(), theirs.unwrap_err())
        }
        Ours::Client => {
            let peer = async {
                let mut peer = TlsAcceptor::from(server).accept(far).await?;
                peer.read_u8().await.map(drop)
            };
            let (ours, theirs) = tokio::join!(link.connect_tls(client, name()), peer);
            (ours.unwrap_err(), theirs.unwrap_err())
        }
    }
}

#[tokio::test]
async fn whoever_speaks_no_tls_is_left_without_an_answer() {
    for (said, text) in [
        ("GET / HTTP/1.1\r\n\r\n", "error:0A00009C:SSL routines::http request"),
        ("CONNECT mail:25 HTTP/1.1\r\n", "error:0A00009C:SSL routines::http request"),
        ("a1 CAPABILITY\r\n", "error:0A00010B:SSL routines::wrong version number"),
        ("EHLO there\r\n", "error:0A00010B:SSL routines::wrong version number"),
        ("\0\0\0\0\0\0\0\0", "error:0A00010B:SSL routines::wrong version number"),
    ] {
        let (error, heard) = answered(said.as_bytes()).await;
        assert_eq!(error.to_string(), format!("SSL_do_handshake() failed (SSL: {text})"));
        assert_eq!(heard, b"", "{said:?}");
        assert_eq!(error.level(), Level::Info);
    }
}

#[tokio::test]
async fn whoever_speaks_bad_tls_gets_an_alert() {
    let fatal = 2;
    for bytes in [
        &b"\x16\x03\x01\xff\xff\0\0\0"[..],
        b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\xff",
        b"\x16\x03\x01\x00\x04\x02\x00\x00\x00",
    ] {
        let (error, heard) = answered(bytes).await;
        assert!(matches!(error, HandshakeError::Tls(_)), "{error:?}");
        assert_eq!((heard[0], heard[5]), (21, fatal), "{error}");
        assert_eq!(error.level(), Level::Info);
    }
}

#[tokio::test]
async fn whoever_goes_away_has_closed_the_connection() {
    for bytes in [&b""[..], b"\x16", b"\x16\x03\x01\x02\x00\x01\x00"] {
        let (error, heard) = answered(bytes).await;
        assert!(matches!(error, HandshakeError::Closed), "{error:?}");
        assert_eq!(error.to_string(), "peer closed connection in SSL handshake");
        assert_eq!((heard, error.level()), (Vec::new(), Level::Info));
    }
}

#[tokio::test]
async fn a_reset_in_the_handshake_has_its_number() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut peer = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let mut link = Link::from(listener.accept().await.unwrap().0);
    peer.write_all(b"\x16\x03").await.unwrap();
    socket2::SockRef::from(&peer).set_linger(Some(Duration::ZERO)).unwrap();
    drop(peer);
    let error = link.accept_tls(Arc::new(server_config(&TLS13))).await.unwrap_err();
    assert_eq!(error.to_string(), "peer closed connection in SSL handshake");
    assert_eq!((error.errno(), error.level()), (Some(nix::libc::ECONNRESET), Level::Info));
}

#[tokio::test]
async fn an_alert_in_the_handshake_is_told_by_name() {
    for version in [&TLS12, &TLS13] {
        let stranger = client_believing(believing(&authority("another")), version);
        let (error, _) = refused(server_config(version), stranger, Ours::Server).await;
        assert!(matches!(error, HandshakeError::Alert(AlertDescription::UnknownCA)), "{error:?}");
        assert_eq!(
            error.to_string(),
            "SSL_do_handshake() failed (SSL: error:0A000418:SSL routines::tlsv1 alert unknown ca:SSL alert number 48)"
        );
        assert_eq!(error.level(), Level::Info);
    }
}

#[tokio::test]
async fn an_upstream_with_another_name_is_refused_and_told() {
    for version in [&TLS12, &TLS13] {
        let (near, far) = UnixStream::pair().unwrap();
        let mut link = Link::from(near);
        let peer = TlsAcceptor::from(Arc::new(server_config(version))).accept(far);
        let other = ServerName::try_from("other.example").unwrap();
        let (ours, theirs) = tokio::join!(link.connect_tls(Arc::new(client_config(version)), other), peer);
        let error = ours.unwrap_err();
        assert!(
            error.to_string().starts_with(
                "SSL_do_handshake() failed (SSL: error:0A000086:SSL routines::certificate verify failed: invalid peer certificate"
            ),
            "{error}"
        );
        assert!(theirs.unwrap_err().to_string().contains("BadCertificate"));
        assert_eq!(link.try_write(b"a LOGIN").unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    }
}

#[tokio::test]
async fn other_application_protocols_are_refused() {
    for version in [&TLS12, &TLS13] {
        let (mut server, mut client) = (server_config(version), client_config(version));
        server.alpn_protocols = vec![b"imap".to_vec()];
        client.alpn_protocols = vec![b"http/1.1".to_vec()];
        let (error, theirs) = refused(server, client, Ours::Server).await;
        assert!(matches!(error, HandshakeError::NoAlpn), "{error:?}");
        assert_eq!(
            error.to_string(),
            "SSL_do_handshake() failed (SSL: error:0A0000EB:SSL routines::no application protocol)"
        );
        assert_eq!(error.level(), Level::Info);
        assert!(theirs.to_string().contains("NoApplicationProtocol"), "{theirs}");
    }
}

#[tokio::test]
async fn versions_that_do_not_meet_are_told_as_such_on_both_sides() {
    let (error, theirs) = refused(server_config(&TLS13), client_config(&TLS12), Ours::Server).await;
    assert_eq!(
        error.to_string(),
        "SSL_do_handshake() failed (SSL: error:0A000102:SSL routines::unsupported protocol)"
    );
    assert!(theirs.to_string().contains("ProtocolVersion"), "{theirs}");
    let (error, _) = refused(server_config(&TLS12), client_config(&TLS13), Ours::Client).await;
    assert!(matches!(error, HandshakeError::Alert(AlertDescription::ProtocolVersion)), "{error:?}");
}

#[tokio::test(start_paused = true)]
async fn a_handshake_given_up_leaves_a_link_that_sends_nothing_in_clear() {
    let (near, mut far) = UnixStream::pair().unwrap();
    let mut link = Link::from(near);
    far.write_all(b"\x16\x03\x01").await.unwrap();
    assert!(waits(link.accept_tls(Arc::new(server_config(&TLS13)))).await);
    assert_eq!(link.try_write(b"* OK").unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    drop(link);
    let mut heard = Vec::new();
    far.read_to_end(&mut heard).await.unwrap();
    assert_eq!(heard, b"");
}

#[tokio::test]
async fn a_handshake_that_cannot_begin_leaves_a_link_that_sends_nothing_in_clear() {
    let (near, mut far) = UnixStream::pair().unwrap();
    let mut link = Link::from(near);
    let mut impossible = server_config(&TLS13);
    impossible.max_fragment_size = Some(1);
    let error = link.accept_tls(Arc::new(impossible)).await.unwrap_err();
    assert_eq!(error.level(), Level::Crit);
    assert_eq!(link.try_write(b"* OK").unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    drop(link);
    let mut heard = Vec::new();
    far.read_to_end(&mut heard).await.unwrap();
    assert_eq!(heard, b"");
}

#[tokio::test]
async fn a_stream_cut_short_is_not_taken_for_whole() {
    for (ours, version) in ALL {
        let (mut link, mut peer, _) = secured(ours, version, UnixStream::pair().unwrap()).await;
        peer.write_all(b"half a mess").await.unwrap();
        peer.get_mut().0.shutdown().await.unwrap();
        let (heard, end) = all(&mut link).await;
        assert_eq!(heard, "half a mess", "{ours:?} {version:?}");
        assert_eq!(end.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }
}

#[tokio::test]
async fn a_record_cut_short_gives_nothing() {
    let (mut link, mut peer, _) = secured(Ours::Server, &TLS13, UnixStream::pair().unwrap()).await;
    peer.get_mut().0.write_all(b"\x17\x03\x03\x00\x20half").await.unwrap();
    peer.get_mut().0.shutdown().await.unwrap();
    let (heard, end) = all(&mut link).await;
    assert_eq!((heard.len(), end.unwrap_err().kind()), (0, io::ErrorKind::UnexpectedEof));
}

#[tokio::test]
async fn garbage_behind_good_data_spares_the_data_and_is_answered_by_an_alert() {
    for (ours, version) in ALL {
        for garbage in [&[0x17, 3, 3, 0, 32][..], b"a NOOP\r\n"] {
            let (mut link, mut peer, _) = secured(ours, version, UnixStream::pair().unwrap()).await;
            peer.write_all(b"good").await.unwrap();
            let socket = peer.get_mut().0;
            socket.write_all(garbage).await.unwrap();
            socket.write_all(&[b'x'; 32]).await.unwrap();
            let (heard, end) = all(&mut link).await;
            assert_eq!(heard, "good", "{ours:?} {version:?}");
            let error = end.unwrap_err();
            assert!(TlsError::behind(&error).is_some(), "{error:?}");
            assert_eq!(link.try_write(b"more").unwrap_err().kind(), io::ErrorKind::BrokenPipe);
            let told = peer.read_u8().await.unwrap_err().to_string();
            assert!(told.contains("received fatal alert"), "{told}");
            // No close_notify follows an alert.
            link.shutdown().await.unwrap();
        }
    }
}

#[tokio::test]
async fn bytes_behind_the_declared_end_are_ignored() {
    let (mut link, mut peer, _) = secured(Ours::Server, &TLS13, UnixStream::pair().unwrap()).await;
    peer.write_all(b"last word").await.unwrap();
    peer.get_mut().1.send_close_notify();
    peer.flush().await.unwrap();
    peer.get_mut().0.write_all(b"and another thing").await.unwrap();
    let (heard, end) = all(&mut link).await;
    assert_eq!((heard.as_ref(), end.is_ok()), (&b"last word"[..], true));
    link.write_all(b"well").await.unwrap();
}

#[tokio::test]
async fn a_session_that_tls_ends_says_why_in_its_log_line() {
    let (mut link, mut peer, _) = secured(Ours::Server, &TLS13, UnixStream::pair().unwrap()).await;
    let socket = peer.get_mut().0;
    socket.write_all(&[0x17, 3, 3, 0, 32]).await.unwrap();
    socket.write_all(&[b'x'; 32]).await.unwrap();
    let source = next(&mut link).await.unwrap_err();
    let trouble = Trouble::Client { call: Call::Recv, source };
    assert_eq!(
        trouble.to_string(),
        "SSL_read() failed (SSL: error:0A000119:SSL routines::decryption failed or bad record mac)"
    );
    assert_eq!((trouble.level(), trouble.errno()), (Some(Level::Info), None));
}

#[test]
fn what_is_not_a_clients_doing_is_loud() {
    let ours = HandshakeError::Tls(rustls::Error::FailedToGetRandomBytes);
    assert_eq!(ours.level(), Level::Crit);
    let odd = HandshakeError::Io(io::Error::from_raw_os_error(nix::libc::EIO));
    assert_eq!((odd.level(), odd.errno()), (Level::Crit, Some(nix::libc::EIO)));
}

#[test]
fn every_alert_has_the_number_that_openssl_gives_it() {
    for (number, text) in [
        (42, "error:0A000412:SSL routines::sslv3 alert bad certificate:SSL alert number 42"),
        (70, "error:0A00042E:SSL routines::tlsv1 alert protocol version:SSL alert number 70"),
        (116, "error:0A00045C:SSL routines::tlsv13 alert certificate required:SSL alert number 116"),
        (120, "error:0A000460:SSL routines::tlsv1 alert no application protocol:SSL alert number 120"),
        (200, "error:0A0004B0:SSL routines::reason(unknown):SSL alert number 200"),
    ] {
        let error = HandshakeError::Alert(AlertDescription::from(number));
        assert_eq!(error.to_string(), format!("SSL_do_handshake() failed (SSL: {text})"));
    }
}
