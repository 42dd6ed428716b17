//! Several servers, and servers with several addresses.

use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::time::advance;

use super::peer::{Peer, Play};
use super::*;

/// An address where nobody listens.
async fn nobody() -> Target {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a socket");
    Target::Ip(listener.local_addr().expect("an address"))
}

fn authority_at(targets: impl IntoIterator<Item = Target>, names: Names) -> HttpAuthority {
    HttpAuthority::new(&settings(targets.into_iter().map(url)), Arc::new(names), &Files::on_disk())
        .expect("an authority")
}

#[tokio::test(start_paused = true)]
async fn a_server_that_failed_rests_while_another_works() {
    let first = Peer::unix([Play::Close, Play::answer(GRANT)]);
    let second = Peer::unix([Play::answer(GRANT)]);
    let authority = authority(&[&first, &second]);
    let server = first.target().to_string();
    let failure = format!("auth http server {server} closed connection prematurely");

    let (verdict, remarks) = ask_noting(&authority, &login()).await;
    assert!(matches!(verdict, Verdict::Granted(_)));
    assert_eq!(remarks, [Remark::ServerRests { server, failure }]);

    advance(Duration::from_secs(9)).await;
    assert_eq!(ask_noting(&authority, &login()).await.1, []);
    assert_eq!((first.seen().requests.len(), second.seen().requests.len()), (1, 2));

    advance(Duration::from_secs(2)).await;
    assert_eq!(ask_noting(&authority, &login()).await.1, []);
    assert_eq!((first.seen().requests.len(), second.seen().requests.len()), (2, 2));
}

#[tokio::test(start_paused = true)]
async fn every_kind_of_failure_leads_to_the_next_server() {
    let failing = [
        Play::Close,
        Play::Silence,
        Play::answer_and_close("HTTP/1.1 200 OK\r\nAuth-"),
        Play::answer("HTTP/1.1 200 OK\rno\r\n\r\n"),
        Play::answer("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"),
    ];
    for play in failing {
        let (first, second) = (Peer::unix([play.clone()]), Peer::unix([Play::answer(GRANT)]));
        let (verdict, remarks) = ask_noting(&authority(&[&first, &second]), &login()).await;
        assert!(matches!(verdict, Verdict::Granted(_)), "{play:?}: {}", short(&verdict));
        assert_eq!(remarks.len(), 1, "{play:?}");
    }
}

#[tokio::test]
async fn an_answer_is_not_doubted_by_asking_another_server() {
    for answer in ["200 OK\r\nAuth-Status: no", "404 Not Found", "200 OK\r\nAuth-Server: ?\r\nAuth-Port: 1"] {
        let first = Peer::unix([Play::answer(format!("HTTP/1.1 {answer}\r\nContent-Length: 0\r\n\r\n"))]);
        let second = Peer::unix([Play::answer(GRANT)]);
        let (verdict, remarks) = ask_noting(&authority(&[&first, &second]), &login()).await;
        assert!(!matches!(verdict, Verdict::Granted(_)), "{answer}");
        assert_eq!((remarks.len(), second.seen().requests.len()), (0, 0), "{answer}");
    }
}

#[tokio::test]
async fn the_failure_of_the_last_server_is_told_and_resting_servers_are_asked_all_the_same() {
    let (first, second) = (Peer::unix([Play::Close]), Peer::unix([Play::Close]));
    let authority = authority(&[&first, &second]);
    for _ in 0..2 {
        let (verdict, remarks) = ask_noting(&authority, &login()).await;
        let expected = format!("auth http server {} closed connection prematurely", second.target());
        assert_eq!((short(&verdict), remarks.len()), (expected, 1));
    }
    assert_eq!((first.seen().requests.len(), second.seen().requests.len()), (2, 2));
}

#[tokio::test]
async fn a_refused_connection_carries_the_reason_of_the_system() {
    let target = nobody().await;
    let name = target.to_string();
    match ask(&authority_at([target], Names::default()), &login()).await {
        Verdict::Failed(Failure::Connect { server, source }) => {
            assert_eq!((server, source.kind()), (name, io::ErrorKind::ConnectionRefused));
        }
        other => panic!("{}", short(&other)),
    }
}

#[tokio::test]
async fn all_addresses_of_a_name_are_tried() {
    let peer = Peer::tcp([Play::answer(GRANT)]).await;
    let addrs = ["127.0.0.2", "127.0.0.1"].map(|addr| addr.parse().expect("an address"));
    let names = Names([("auth.example", addrs.to_vec())].into());
    let target = Target::Name("auth.example".to_owned(), peer.addr().port());
    let (verdict, remarks) = ask_noting(&authority_at([target], names), &login()).await;
    assert_eq!((short(&verdict), remarks.len()), ("127.0.0.1:143 as u/p".to_owned(), 0));
}

#[tokio::test]
async fn a_name_that_nobody_knows_is_a_failure() {
    let target = Target::Name("nowhere.example".to_owned(), 80);
    let verdict = ask(&authority_at([target], Names::default()), &login()).await;
    assert_eq!(short(&verdict), "auth http server nowhere.example:80 could not be resolved");
}
