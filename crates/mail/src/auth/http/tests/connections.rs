//! Connections: which are used again, and which are not.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixListener;
use tokio::time::advance;

use super::peer::{Peer, Play};
use super::*;
use crate::auth::http::pool::{IDLE_LIMIT, IDLE_PER_THREAD};

/// A grant with more header lines and a body.
fn grant(version: &str, lines: &str, body: &str) -> String {
    format!("{version} 200 OK\r\nAuth-Server: 127.0.0.1\r\nAuth-Port: 143\r\n{lines}\r\n{body}")
}

#[tokio::test]
async fn a_connection_is_used_again_when_the_end_of_the_answer_is_known() {
    let answers = [
        GRANT.to_owned(),
        grant("HTTP/1.1", "Content-Length: 5\r\n", "hello"),
        grant("HTTP/1.1", "Transfer-Encoding: chunked\r\n", "5\r\nhello\r\n0\r\n\r\n"),
        grant("HTTP/1.0", "Content-Length: 5\r\nConnection: keep-alive\r\n", "hello"),
        GRANT.replace("200 OK", "204 No Content"),
    ];
    for answer in answers {
        let peer = Peer::tcp([Play::answer(&answer)]).await;
        let authority = authority(&[&peer]);
        for _ in 0..3 {
            assert!(matches!(ask(&authority, &login()).await, Verdict::Granted(_)), "{answer}");
            assert!(idles(&authority, 1).await, "{answer}");
        }
        assert_eq!((peer.seen().opened, peer.seen().requests.len()), (1, 3), "{answer}");
    }
}

#[tokio::test]
async fn a_connection_is_dropped_when_the_answer_does_not_allow_more() {
    let answers = [
        grant("HTTP/1.0", "", ""),
        grant("HTTP/1.0", "Content-Length: 0\r\n", ""),
        grant("HTTP/1.1", "", ""),
        grant("HTTP/1.1", "Content-Length: 0\r\nConnection: close\r\n", ""),
        grant("HTTP/1.1", "Content-Length: 1000000\r\n", ""),
        grant("HTTP/1.1", "Content-Length: nonsense\r\n", ""),
        "Auth-Server: 127.0.0.1\r\nAuth-Port: 143\r\n\r\n".to_owned(),
    ];
    for answer in answers {
        let peer = Peer::tcp([Play::answer(&answer)]).await;
        let authority = authority(&[&peer]);
        assert!(matches!(ask(&authority, &login()).await, Verdict::Granted(_)), "{answer}");
        peer.sees(|seen| seen.closed == 1).await;
        assert!(matches!(ask(&authority, &login()).await, Verdict::Granted(_)), "{answer}");
        assert_eq!(peer.seen().opened, 2, "{answer}");
    }
}

#[tokio::test(start_paused = true)]
async fn how_an_answer_arrives_does_not_matter_to_its_connection() {
    const PAUSE: Duration = Duration::from_millis(1);
    let answers = [
        grant("HTTP/1.1", "Content-Length: 5\r\n", "hello"),
        grant("HTTP/1.1", "Transfer-Encoding: chunked\r\n", "5;x=y\r\nhello\r\n0\r\nX: y\r\n\r\n"),
    ];
    for answer in answers {
        for cut in 0..answer.len() {
            let (first, second) = answer.as_bytes().split_at(cut);
            let peer = Peer::unix([Play::TwoPieces([first.to_vec(), second.to_vec()], PAUSE)]);
            let authority = authority(&[&peer]);
            for _ in 0..2 {
                assert!(matches!(ask(&authority, &login()).await, Verdict::Granted(_)), "cut at {cut}");
                advance(PAUSE).await;
                assert!(idles(&authority, 1).await, "cut at {cut}");
            }
            assert_eq!(peer.seen().opened, 1, "cut at {cut}");
        }
    }
}

#[tokio::test]
async fn an_answer_with_two_ends_or_with_more_behind_it_costs_its_connection() {
    let answers = [
        grant("HTTP/1.1", "Content-Length: 5\r\n", "hello!"),
        grant("HTTP/1.1", "Content-Length: 0\r\n", GRANT),
        grant("HTTP/1.1", "Transfer-Encoding: chunked\r\n", &format!("0\r\n\r\n{GRANT}")),
        grant("HTTP/1.1", "Transfer-Encoding: chunked\r\n", "five\r\nhello"),
        grant("HTTP/1.1", "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"),
        grant("HTTP/1.1", "Content-Length: 0\r\nContent-Length: 0\r\n", ""),
        grant("HTTP/1.0", "Connection: keep-alive\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"),
        GRANT.replace("200 OK", "101 Switching Protocols"),
    ];
    for answer in answers {
        let peer = Peer::tcp([Play::answer(&answer)]).await;
        let authority = authority(&[&peer]);
        for opened in 1..3 {
            assert!(matches!(ask(&authority, &login()).await, Verdict::Granted(_)), "{answer}");
            assert_eq!(authority.servers[0].idle(), 0, "{answer}");
            assert_eq!(peer.seen().opened, opened, "{answer}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_nobody_asked_for_is_not_taken_for_the_next_answer() {
    const PAUSE: Duration = Duration::from_millis(1);
    let refusal = GRANT.replace("Auth-Status: OK", "Auth-Status: no");
    let peer = Peer::unix([Play::TwoPieces([GRANT.into(), refusal.into()], PAUSE), Play::answer(GRANT)]);
    let authority = authority(&[&peer]);
    ask(&authority, &login()).await;
    assert!(idles(&authority, 1).await);
    advance(PAUSE).await;
    peer.sees(|seen| seen.answers == 1).await;
    assert!(matches!(ask(&authority, &login()).await, Verdict::Granted(_)));
    assert_eq!(peer.seen().opened, 2);
}

#[tokio::test]
async fn an_answer_before_the_end_of_the_request_counts_but_is_the_last() {
    for closes in [false, true] {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("auth");
        let listener = UnixListener::bind(&path).expect("a socket");
        let server = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await?;
            stream.read_u8().await?;
            stream.write_all(GRANT.as_bytes()).await?;
            io::Result::Ok((!closes).then_some(stream))
        });
        let settings = settings([url(Target::Unix(path))]);
        let authority = HttpAuthority::new(&settings, Arc::new(Names::default()), &Files::on_disk())
            .expect("an authority");
        let mut login = login();
        // More than the socket takes while the server does not read.
        login.credentials.password = Secret::new(vec![b'x'; 4 * 1024 * 1024]);
        assert!(matches!(ask(&authority, &login).await, Verdict::Granted(_)), "closes: {closes}");
        assert_eq!(authority.servers[0].idle(), 0, "closes: {closes}");
        server.await.expect("no panic").expect("a request");
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_that_does_not_end_costs_its_connection() {
    let answers = [
        grant("HTTP/1.1", "Content-Length: 5\r\n", "hell"),
        grant("HTTP/1.1", "Transfer-Encoding: chunked\r\n", &format!("fffff\r\n{}", "x".repeat(100_000))),
    ];
    for answer in answers {
        let peer = Peer::unix([Play::answer(answer)]);
        let authority = authority(&[&peer]);
        assert!(matches!(ask(&authority, &login()).await, Verdict::Granted(_)));
        peer.sees(|seen| seen.closed == 1).await;
        assert!(idles(&authority, 0).await);
    }
}

#[tokio::test]
async fn a_server_that_closed_meanwhile_is_connected_to_again() {
    let peer = Peer::tcp([Play::answer_and_close(GRANT)]).await;
    let authority = authority(&[&peer]);
    for _ in 0..3 {
        assert!(
            matches!(ask_noting(&authority, &login()).await, (Verdict::Granted(_), remarks) if remarks.is_empty())
        );
    }
    assert_eq!(peer.seen().requests.len(), 3);
}

#[tokio::test]
async fn a_request_lost_on_an_idle_connection_is_sent_once_more() {
    let late = [Play::Close, Play::answer_and_close("HTTP/1.1 408 Too late\r\nContent-Length: 0\r\n\r\n")];
    for loss in late {
        let peer = Peer::tcp([Play::answer(GRANT), loss.clone(), Play::answer(GRANT)]).await;
        let authority = authority(&[&peer]);
        ask(&authority, &login()).await;
        assert!(idles(&authority, 1).await);
        assert!(matches!(ask(&authority, &login()).await, Verdict::Granted(_)), "{loss:?}");
        assert_eq!((peer.seen().opened, peer.seen().requests.len()), (2, 3), "{loss:?}");
    }
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_no_reason_to_ask_again() {
    let peer = Peer::tcp([Play::answer(GRANT), Play::answer_and_close("HTTP/1.1 200 OK\r\nAuth-")]).await;
    let authority = authority(&[&peer]);
    ask(&authority, &login()).await;
    assert!(idles(&authority, 1).await);
    let verdict = short(&ask(&authority, &login()).await);
    assert_eq!(verdict, format!("auth http server {} closed connection prematurely", peer.target()));
    assert_eq!(peer.seen().requests.len(), 2);
}

#[tokio::test]
async fn a_new_connection_gets_no_second_try() {
    let peer = Peer::tcp([Play::Close]).await;
    let verdict = short(&ask(&authority(&[&peer]), &login()).await);
    assert_eq!(verdict, format!("auth http server {} closed connection prematurely", peer.target()));
    assert_eq!(peer.seen().requests.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_connection_is_not_used_after_its_idle_time() {
    let peer = Peer::unix([Play::answer(GRANT)]);
    let authority = authority(&[&peer]);
    for (pause, opened) in [(Duration::ZERO, 1), (IDLE_LIMIT / 2, 1), (IDLE_LIMIT, 2)] {
        advance(pause).await;
        ask(&authority, &login()).await;
        assert!(idles(&authority, 1).await);
        assert_eq!(peer.seen().opened, opened, "after {pause:?}");
    }
}

#[tokio::test]
async fn no_more_connections_are_kept_than_a_thread_may_have() {
    let peer = Peer::unix([Play::answer(GRANT)]);
    let authority = Arc::new(authority(&[&peer]));
    let mut logins = tokio::task::JoinSet::new();
    for _ in 0..IDLE_PER_THREAD + 5 {
        let authority = Arc::clone(&authority);
        logins.spawn(async move { matches!(ask(&authority, &login()).await, Verdict::Granted(_)) });
    }
    assert!(logins.join_all().await.into_iter().all(|granted| granted));
    peer.sees(|seen| seen.opened - seen.closed == IDLE_PER_THREAD).await;
    assert!(idles(&authority, IDLE_PER_THREAD).await);
}

#[tokio::test]
async fn idle_connections_go_with_the_authority() {
    let peer = Peer::unix([Play::answer(GRANT)]);
    let authority = authority(&[&peer]);
    ask(&authority, &login()).await;
    assert!(idles(&authority, 1).await);
    drop(authority);
    peer.sees(|seen| seen.closed == 1).await;
}

#[tokio::test]
async fn a_question_given_up_leaves_no_connection_behind() {
    let peer = Peer::unix([Play::Silence]);
    let authority = authority(&[&peer]);
    let login = login();
    tokio::select! {
        _ = ask(&authority, &login) => panic!("there was no answer"),
        () = peer.sees(|seen| seen.requests.len() == 1) => {}
    }
    peer.sees(|seen| seen.closed == 1).await;
    assert!(idles(&authority, 0).await);
}
