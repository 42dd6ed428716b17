//! `Auth-Status: WAIT`.

use std::time::Duration;

use tokio::time::Instant;

use super::peer::{Peer, Play};
use super::*;
use crate::auth::http::MOST_WAITS;

fn wait(lines: &str) -> Play {
    Play::answer(format!("HTTP/1.1 200 OK\r\nAuth-Status: WAIT\r\nContent-Length: 0\r\n{lines}\r\n"))
}

#[tokio::test(start_paused = true)]
async fn the_same_question_follows_after_the_wait() {
    let peer = Peer::unix([wait("Auth-Wait: 3\r\n"), wait("Auth-Wait: 4\r\n"), Play::answer(GRANT)]);
    let start = Instant::now();
    let verdict = ask(&authority(&[&peer]), &login()).await;
    assert_eq!(short(&verdict), "127.0.0.1:143 as u/p");
    assert_eq!(start.elapsed().as_secs(), 7);
    let requests = peer.seen().requests;
    assert_eq!(requests.len(), 3);
    assert!(requests.iter().all(|request| *request == requests[0]));
    assert_eq!(peer.seen().opened, 1);
}

#[tokio::test(start_paused = true)]
async fn a_wait_without_length_takes_a_second_and_is_forgotten() {
    let peer = Peer::unix([wait(""), wait("Auth-Wait: 0\r\n"), Play::answer(GRANT)]);
    let start = Instant::now();
    assert!(matches!(ask(&authority(&[&peer]), &login()).await, Verdict::Granted(_)));
    assert_eq!(start.elapsed().as_secs(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_digest_is_sent_again() {
    let peer = Peer::unix([
        wait("Auth-Wait: 1\r\n"),
        Play::answer(GRANT.replace("Auth-Port", "Auth-Pass: s\r\nAuth-Port")),
    ]);
    let mut login = login();
    login.credentials.method = Method::CramMd5;
    login.credentials.password = Secret::from(&b"0123456789abcdef0123456789abcdef"[..]);
    login.challenge = Some(Bytes::from_static(b"<1.2@me>"));
    assert_eq!(short(&ask(&authority(&[&peer]), &login).await), "127.0.0.1:143 as u/s");
    for request in 0..2 {
        assert_eq!(peer.header(request, "Auth-Pass").as_deref(), Some("0123456789abcdef0123456789abcdef"));
        assert_eq!(peer.header(request, "Auth-Salt").as_deref(), Some("<1.2@me>"));
    }
}

#[tokio::test(start_paused = true)]
async fn user_and_password_of_a_wait_are_those_of_the_next_question() {
    let peer = Peer::unix([wait("Auth-User: new one\r\nAuth-Pass: other\r\n"), Play::answer(GRANT)]);
    assert_eq!(short(&ask(&authority(&[&peer]), &login()).await), "127.0.0.1:143 as new one/other");
    assert_eq!(peer.header(1, "Auth-User").as_deref(), Some("new%20one"));
    assert_eq!(peer.header(1, "Auth-Pass").as_deref(), Some("other"));
    assert_eq!(peer.header(1, "Auth-Login-Attempt").as_deref(), Some("1"));
}

#[tokio::test(start_paused = true)]
async fn waiting_has_an_end() {
    let peer = Peer::unix([wait("")]);
    let verdict = short(&ask(&authority(&[&peer]), &login()).await);
    assert_eq!(verdict, format!("auth http server {} answered WAIT too many times", peer.target()));
    assert_eq!(peer.seen().requests.len(), MOST_WAITS as usize + 1);
}

#[tokio::test(start_paused = true)]
async fn each_question_has_its_own_time() {
    let slow = Play::Trickle(GRANT.into(), Duration::from_millis(300));
    let peer = Peer::unix([wait("Auth-Wait: 300\r\n"), slow]);
    assert!(matches!(ask(&authority(&[&peer]), &login()).await, Verdict::Granted(_)));
}
