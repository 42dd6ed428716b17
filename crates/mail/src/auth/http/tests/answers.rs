//! What comes back: rows of the table of answers, broken answers, and time.

use std::time::Duration;

use tokio::time::Instant;

use super::peer::{Peer, Play};
use super::*;
use crate::auth::RouteTls;
use crate::settings::UpstreamTls;

const AT: &str = "Auth-Server: 127.0.0.1\r\nAuth-Port: 143\r\n";

/// The verdict over `u` with password `p`, when `answer` is all that the server says before it closes. It is
/// the same when the bytes come one by one.
async fn verdict(answer: impl AsRef<[u8]>) -> String {
    let whole = verdict_after(Play::answer_and_close(&answer)).await;
    let piecemeal = verdict_after(Play::Trickle(answer.as_ref().to_vec(), Duration::from_millis(1))).await;
    assert_eq!(whole, piecemeal, "{}", answer.as_ref().escape_ascii());
    whole
}

async fn verdict_after(play: Play) -> String {
    let peer = Peer::unix([play]);
    let verdict = short(&ask(&authority(&[&peer]), &login()).await);
    verdict.replace(&peer.target().to_string(), "SERVER")
}

const GRANTED: &str = "127.0.0.1:143 as u/p";
const NOWHERE: &str = "auth http server SERVER did not send server or port";
const BAD_RESPONSE: &str = "auth http server SERVER sent invalid response";
const BAD_HEADER: &str = "auth http server SERVER sent invalid header in response";
const CUT_SHORT: &str = "auth http server SERVER closed connection prematurely";
const TOO_LARGE: &str = "auth http server SERVER sent too large response";

#[tokio::test(start_paused = true)]
async fn working_answers_of_all_kinds_are_understood() {
    let answers = [
        ("H1: no status line", format!("Auth-Status: OK\r\n{AT}\r\n")),
        ("H2: a status of failure", format!("HTTP/1.0 500 Oops\r\nAuth-Status: OK\r\n{AT}\r\n")),
        ("H4: bare LF", format!("HTTP/1.0 200 OK\r\nAuth-Status: OK\r\n{AT}\r\n").replace('\r', "")),
        ("H6: any letter case", format!("HTTP/1.0 200 OK\r\nAUTH-status: OK\r\n{}\r\n", AT.to_lowercase())),
        ("H8: no Auth-Status", format!("HTTP/1.0 200 OK\r\n{AT}\r\n")),
        ("H12: spaces", "HTTP/1.0 200 OK\r\nAuth-Server:   127.0.0.1  \r\nAuth-Port:143 \r\n\r\n".to_owned()),
        ("H14, but fixed: foreign names", format!("HTTP/1.0 200 OK\r\nX_Y: 1\r\nfoo : x\r\n{AT}\r\n")),
        ("H14, but fixed: a foreign folded line", format!("HTTP/1.0 200 OK\r\nX: 1\r\n 2\r\n{AT}\r\n")),
        ("H15: a line without colon", format!("HTTP/1.0 200 OK\r\nfoo\r\n{AT}\r\n")),
        ("H20, but fixed: a larger head", format!("HTTP/1.0 200 OK\r\nX: {}\r\n{AT}\r\n", "x".repeat(16000))),
        ("H21: a body", format!("HTTP/1.0 200 OK\r\n{AT}\r\n{}", "x\r\n\r\n".repeat(1000))),
        ("H30: OK with a wait", format!("HTTP/1.0 200 OK\r\nAuth-Status: OK\r\nAuth-Wait: 5\r\n{AT}\r\n")),
        (
            "informational first",
            format!(
                "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hint\r\nAuth-Status: no\r\n\r\nHTTP/1.1 200 OK\r\n{AT}\r\n"
            ),
        ),
        ("chunked", format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n{AT}\r\n2\r\nok\r\n0\r\n\r\n")),
        ("a length that is none", format!("HTTP/1.1 200 OK\r\nContent-Length: many\r\n{AT}\r\n")),
        ("a body cut short", format!("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n{AT}\r\nabc")),
        ("another HTTP", format!("HTTP/2 200\r\n{AT}\r\n")),
    ];
    for (what, answer) in answers {
        assert_eq!(verdict(answer).await, GRANTED, "{what}");
    }
}

#[tokio::test(start_paused = true)]
async fn refusals_are_passed_on() {
    let denied = |text: &str| format!("denied b\"{text}\" after 0ns");
    let answers = [
        ("H7: ok is not OK", "Auth-Status: ok\r\n", denied("ok")),
        ("H9: empty", "Auth-Status:\r\n", denied("")),
        ("H10: no, then OK", "Auth-Status: no\r\nAuth-Status: OK\r\n", denied("no")),
        ("H11: the last text", "Auth-Status: no1\r\nAuth-Status: no2\r\n", denied("no2")),
        ("H13: a tab is data", "Auth-Status:\tOK\r\n", denied("\\tOK")),
        ("H29: no wait", "Auth-Status: no\r\nAuth-Wait: 1x\r\n", denied("no")),
        ("a wait", "Auth-Status: no\r\nAuth-Wait: 3\r\n", "denied b\"no\" after 3s".to_owned()),
        ("H31: odd bytes, NUL left out", "Auth-Status: \"\u{e9}\0%20\r\n", denied("\\\"\\xc3\\xa9%20")),
        ("a space before the colon hides nothing", "Auth-Status : no\r\n", denied("no")),
        ("folded", "Auth-Status: no\r\n\tway\r\n", denied("no   way")),
    ];
    for (what, lines, expected) in answers {
        assert_eq!(verdict(format!("HTTP/1.1 200 OK\r\n{lines}{AT}\r\n")).await, expected, "{what}");
    }
}

#[tokio::test(start_paused = true)]
async fn answers_that_lead_nowhere_are_failures() {
    let wrong_address =
        |text: &str| format!("auth http server SERVER sent invalid server address:\"{text}\"");
    let wrong_port = |text: &str| format!("auth http server SERVER sent invalid server port:\"{text}\"");
    let answers = [
        ("H3", "HTTP/1.0 401 No\r\n\r\n", format!("{NOWHERE} (HTTP status 401)")),
        ("H16: no port", "HTTP/1.0 200 OK\r\nAuth-Server: 127.0.0.1\r\n\r\n", NOWHERE.to_owned()),
        ("H16: no server", "HTTP/1.0 200 OK\r\nAuth-Port: 143\r\n\r\n", NOWHERE.to_owned()),
        ("H17", "HTTP/1.0 200 OK\r\nAuth-Server: [::1]\r\nAuth-Port: 1\r\n\r\n", wrong_address("[::1]")),
        ("H19", "HTTP/1.0 200 OK\r\nAuth-Server: ::1\r\nAuth-Port: 65536\r\n\r\n", wrong_port("65536")),
        ("ssl", "HTTP/1.0 200 OK\r\nAuth-Server-SSL: yes\r\nAuth-Server: ::1\r\nAuth-Port: 1\r\n\r\n", {
            "auth http server SERVER sent invalid server ssl:\"yes\"".to_owned()
        }),
        ("name", "HTTP/1.0 200 OK\r\nAuth-Server-Name: a/b\r\nAuth-Server: ::1\r\nAuth-Port: 1\r\n\r\n", {
            "auth http server SERVER sent invalid server name:\"a/b\"".to_owned()
        }),
        ("H5", "HTTP/1.0 200 OK\rX\r\nAuth-Server: ::1\r\nAuth-Port: 1\r\n\r\n", BAD_RESPONSE.to_owned()),
        ("a status that is none", "HTTP/1.1 OK\r\n\r\n", BAD_RESPONSE.to_owned()),
        ("H14: a bare CR", "HTTP/1.0 200 OK\r\nfoo: x\ry\r\nAuth-Status: no\r\n\r\n", BAD_HEADER.to_owned()),
        ("a name that may be ours", "HTTP/1.0 200 OK\r\nAuth\0-Status: no\r\n\r\n", BAD_HEADER.to_owned()),
        ("H24: garbage", "\x01\x02\x03\x04\x05\x06\x07\x08\x0b\n\u{fffd}", BAD_HEADER.to_owned()),
        ("H22: a cut head", "HTTP/1.0 200 OK\r\nAuth-Status: OK\r\n", CUT_SHORT.to_owned()),
        ("a cut bare head", "Auth-Status: OK\r\nAuth-Ser", CUT_SHORT.to_owned()),
        ("a cut status line", "HTT", CUT_SHORT.to_owned()),
        ("H23", "", CUT_SHORT.to_owned()),
    ];
    for (what, answer, expected) in answers {
        assert_eq!(verdict(answer).await, expected, "{what}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_may_say_how_to_speak_tls_with_the_upstream() {
    let tls = async |lines: &str| {
        let peer = Peer::unix([Play::answer_and_close(format!("HTTP/1.1 200 OK\r\n{lines}{AT}\r\n"))]);
        match ask(&authority(&[&peer]), &login()).await {
            Verdict::Granted(route) => route.tls,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(tls("").await, RouteTls::default());
    for (value, mode) in
        [("off", UpstreamTls::Off), ("on", UpstreamTls::Implicit), ("starttls", UpstreamTls::Starttls)]
    {
        let said = tls(&format!("Auth-Server-SSL: {value}\r\nAuth-Server-Name: be.example\r\n")).await;
        assert_eq!(said, RouteTls { mode: Some(mode), verify: None, name: Some("be.example".into()) });
    }
}

#[tokio::test(start_paused = true)]
async fn more_than_16_kb_of_headers_are_too_much_with_and_without_a_status_line() {
    let lines = "X: y\r\n".repeat(99) + &format!("Z: {}\r\n", "z".repeat(16 * 1024));
    assert_eq!(verdict(format!("HTTP/1.1 200 OK\r\n{lines}\r\n")).await, TOO_LARGE);
    assert_eq!(verdict(format!("{lines}\r\n")).await, TOO_LARGE);
    assert_eq!(verdict("X: y\r\n".repeat(101) + "\r\n").await, TOO_LARGE);
}

#[tokio::test(start_paused = true)]
async fn an_answer_without_auth_status_is_remarked_upon_only_when_it_lets_in() {
    let peer = Peer::unix([
        Play::answer(format!("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n{AT}\r\n")),
        Play::answer("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"),
        Play::answer(GRANT),
    ]);
    let authority = authority(&[&peer]);
    let server = peer.target().to_string();
    assert_eq!(ask_noting(&authority, &login()).await.1, [Remark::NoStatus { server }]);
    assert_eq!(ask_noting(&authority, &login()).await.1, []);
    assert_eq!(ask_noting(&authority, &login()).await.1, []);
}

#[tokio::test(start_paused = true)]
async fn an_answer_may_come_byte_by_byte_within_its_time() {
    for answer in [GRANT, GRANT.strip_prefix("HTTP/1.1 200 OK\r\n").expect("a status line")] {
        let peer = Peer::unix([Play::Trickle(answer.into(), Duration::from_millis(100))]);
        assert_eq!(short(&ask(&authority(&[&peer]), &login()).await), GRANTED);
    }
}

#[tokio::test(start_paused = true)]
async fn time_runs_from_the_first_connect_to_the_end_of_the_head() {
    let slow = Play::Trickle(GRANT.into(), Duration::from_secs(1));
    for play in [slow, Play::Silence, Play::answer("HTTP/1.1 100 Continue\r\n\r\n")] {
        let peer = Peer::unix([play]);
        let start = Instant::now();
        let verdict = short(&ask(&authority(&[&peer]), &login()).await);
        assert_eq!(verdict, format!("auth http server {} timed out", peer.target()));
        assert_eq!(start.elapsed().as_secs(), 60);
    }
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_for_a_body_or_for_the_end_of_the_connection() {
    for head in ["HTTP/1.0 200 OK\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n", ""] {
        let peer = Peer::unix([Play::answer(format!("{head}{AT}\r\n"))]);
        let start = Instant::now();
        assert_eq!(short(&ask(&authority(&[&peer]), &login()).await), GRANTED);
        assert_eq!(start.elapsed(), Duration::ZERO);
    }
}
