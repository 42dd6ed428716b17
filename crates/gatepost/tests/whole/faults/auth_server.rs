//! Auth servers that go away or dawdle, at every byte.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rig::auth_server::allow;

use super::*;

/// A stage whose auth server lets the first client in and answers the others with these scripts, one each.
#[track_caller]
fn judged(settings: &str, others: impl Fn(usize, &str) -> Script + Send + Sync + 'static) -> Siege {
    let backend = Backend::start(Protocol::Imap.backend().echo());
    let address = backend.address();
    let good = format!(
        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nAuth-Status: OK\r\nAuth-Server: {}\r\nAuth-Port: {}\r\n\r\n",
        address.ip(),
        address.port()
    );
    let asked = AtomicUsize::new(0);
    let auth = AuthServer::start(move |_| match asked.fetch_add(1, Ordering::SeqCst) {
        0 => allow(address).close(),
        number => others(number - 1, &good),
    });
    Siege::of(Stage::new(Protocol::Imap, settings, auth, backend))
}

/// How long the good answer of [`judged`] is, but for the figures of the port, which may be fewer.
const SHORTEST: usize =
    "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nAuth-Status: OK\r\nAuth-Server: 127.1.1.1\r\nAuth-Port: 1\r\n\r"
        .len();

/// Each of so many failures is told, once.
#[track_caller]
fn told(siege: &Siege, failures: usize) {
    let is_told =
        |line: &&str| line.contains("[error] ") && line.contains(" while in http auth state, client: ");
    rig::eventually("each is told", || siege.stage.proxy.log().lines().filter(is_told).count() == failures);
}

#[test]
fn an_auth_server_may_close_or_reset_at_every_byte_of_its_answer() {
    for ends in [Script::close, Script::reset] {
        let mut siege = judged("", move |number, good| ends(Script::new().say(&good[..number])));
        (0..SHORTEST).for_each(|number| fails(&siege, &format!("byte {number}")));
        assert_eq!(siege.stage.backend.connections(), 1, "nobody was let in by half an answer");
        told(&siege, SHORTEST);
        siege.is_over();
    }
}

#[test]
fn headers_without_a_status_line_may_end_at_every_byte() {
    let mut siege = judged("", |number, good| {
        let (_, headers) = good.split_once("\r\n").unwrap_or_default();
        Script::new().say(&headers[..number]).close()
    });
    let count = SHORTEST - "HTTP/1.1 200 OK\r\n".len();
    (0..count).for_each(|number| fails(&siege, &format!("byte {number}")));
    assert_eq!(siege.stage.backend.connections(), 1, "nobody was let in by half an answer");
    told(&siege, count);
    siege.is_over();
}

#[test]
fn an_auth_server_may_answer_byte_by_byte() {
    let mut siege = judged("", |_, good| Script::new().trickle(good, Duration::from_micros(200)));
    let mut client = siege.attacker();
    client.exchange("a LOGIN u p\r\n", "a OK logged in\r\n").exchange("x\r\n", "x\r\n");
    drop(client);
    // Its connection is kept for the next login.
    siege.keeps_another_descriptor();
    siege.is_over();
}

#[test]
fn logins_wait_for_a_silent_auth_server_and_hold_up_nobody() {
    let mut siege = judged("auth_http_timeout 500ms;", |_, _| Script::new().silence());
    let mut waiting: Vec<_> = (0..30).map(|_| siege.attacker()).collect();
    for client in &mut waiting {
        client.send("a LOGIN u p\r\n");
    }
    siege.neighbour.exchange("x\r\n", "x\r\n");
    for client in &mut waiting {
        assert_eq!(rig::show(&client.rest()), "* BAD internal server error\\r\\n");
    }
    drop(waiting);
    let text = "timed out (110: Connection timed out) while in http auth state";
    rig::eventually("each is told", || siege.stage.proxy.log().matches(text).count() == 30);
    siege.is_over();
}

#[test]
fn an_auth_server_that_is_gone_is_missed_by_new_logins_only() {
    let backend = Backend::start(Protocol::Imap.backend().echo());
    let auth = AuthServer::always(allow(backend.address()).close());
    let place = auth.address();
    let mut siege = Siege::of(Stage::new(Protocol::Imap, "", auth, backend));
    // Another one takes its place in the value, and nobody the address.
    siege.stage.auth = AuthServer::always(Script::new().close());
    fails(&siege, "gone");
    let text = format!("connect() to {place} failed (111: Connection refused) while in http auth state");
    siege.stage.proxy.wait_for_log(&text);
    siege.is_over();
}
