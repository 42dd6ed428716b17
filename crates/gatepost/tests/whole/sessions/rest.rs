//! Sessions that are silent for a while rest: nobody may notice.

use std::collections::BTreeSet;
use std::fs;

use nix::sys::signal::Signal;
use rig::auth_server::{allow, refuse_for};
use rig::{AuthServer, Backend, Proxy, Script, eventually};

use crate::stage::{self, Protocol, SERVER_NAME, Stage};

/// How many sockets are watched for sessions at rest: their epoll is level-triggered, the runtime's is not.
fn watched(proxy: &Proxy) -> usize {
    const EDGE_TRIGGERED: u32 = 1 << 31;
    let infos = fs::read_dir(format!("/proc/{}/fdinfo", proxy.process().id()));
    let texts = infos.into_iter().flatten().flatten().filter_map(|info| fs::read_to_string(info.path()).ok());
    let events = |line: &str| {
        let mut words = line.strip_prefix("tfd:")?.split_whitespace().skip_while(|word| *word != "events:");
        u32::from_str_radix(words.nth(1)?, 16).ok()
    };
    let is_watched = |line: &&str| events(line).is_some_and(|events| events & EDGE_TRIGGERED == 0);
    // One epoll may have two descriptors.
    let lines = |text: String| text.lines().filter(is_watched).map(str::to_owned).collect::<Vec<_>>();
    texts.flat_map(lines).collect::<BTreeSet<_>>().len()
}

#[track_caller]
fn rests(proxy: &Proxy, sockets: usize) {
    eventually("all that are silent rest", || watched(proxy) == sockets);
}

#[test]
fn a_client_that_has_only_been_greeted_can_take_its_time() {
    for protocol in Protocol::ALL {
        let stage = Stage::allowing(protocol, "", protocol.backend().echo());
        let mut client = stage.client();
        rests(&stage.proxy, 1);
        let (noop, answer) = protocol.noop();
        client.exchange(noop, answer);
        rests(&stage.proxy, 1);
        client.exchange(protocol.login(), [protocol.asked(), protocol.logged_in()].concat());
        rests(&stage.proxy, 2);
        client.exchange("hello\r\n", "hello\r\n");
        rests(&stage.proxy, 2);
        drop(client);
        stage.proxy.wait_for_log("proxied session done");
        rests(&stage.proxy, 0);
    }
}

#[test]
fn challenges_are_what_the_greeting_said_they_would_be() {
    let auth = AuthServer::always(Script::new().silence());
    let backend = Backend::start(Script::new().silence());
    let stage = Stage::new(Protocol::Pop3, "pop3_auth apop;", auth, backend);
    let mut client = rig::Client::connect(stage.proxy.at("proxy"));
    let greeting = String::from_utf8(client.line()).unwrap();
    rests(&stage.proxy, 1);
    client.send("APOP u 0123456789abcdef0123456789abcdef\r\n");
    let asked = stage.auth.request(0);
    let salt = greeting.trim_end().rsplit(' ').next().unwrap();
    assert_eq!(asked.header("Auth-Salt").as_deref(), Some(salt));
    assert!(salt.ends_with(&format!("@{SERVER_NAME}>")), "{salt}");
}

#[test]
fn the_upstream_wakes_a_session_too() {
    let script = Protocol::Imap.backend().expect("a IDLE\r\n").say("+ idling\r\n").expect("b\r\n");
    let stage = Stage::allowing(Protocol::Imap, "", script.say("* 1 EXISTS\r\n").close());
    let mut client = stage.logged_in();
    client.exchange("a IDLE\r\n", "+ idling\r\n");
    rests(&stage.proxy, 2);
    client.send("b\r\n").expect("* 1 EXISTS\r\n").expect_end();
}

#[test]
fn time_goes_on_while_a_session_rests() {
    let stage =
        Stage::allowing(Protocol::Imap, "timeout 3s; proxy_timeout 3s;", Protocol::Imap.backend().echo());
    let mut proxied = stage.logged_in();
    let mut greeted = stage.client();
    rests(&stage.proxy, 3);
    greeted.expect_end();
    proxied.expect_end();
    for action in ["proxying", "sending client greeting line"] {
        stage.proxy.wait_for_log(&format!("client timed out (110: Connection timed out) while {action}"));
    }
    rests(&stage.proxy, 0);
}

#[test]
fn an_answer_that_is_held_back_comes_in_its_time_and_to_those_who_are_there() {
    let stage = Stage::answering(Protocol::Imap, "", AuthServer::always(refuse_for(3, "no").close()));
    let (mut patient, mut busy, mut hasty) = (stage.client(), stage.client(), stage.client());
    for client in [&mut patient, &mut busy, &mut hasty] {
        client.send("a LOGIN u p\r\n");
    }
    rests(&stage.proxy, 3);
    drop(hasty);
    busy.send("b NOOP\r\n");
    rests(&stage.proxy, 1);
    patient.expect("a NO no\r\n");
    busy.expect("a NO no\r\nb OK completed\r\n");
}

#[test]
fn an_order_reaches_sessions_at_rest() {
    let backend = Backend::start(Protocol::Imap.backend().echo());
    let auth = AuthServer::always(allow(backend.address()));
    let proxy = Proxy::start_whole(
        &stage::gatepost(),
        &format!(
            "user root; daemon off; master_process off; worker_shutdown_timeout 100ms; events {{}}
             mail {{ auth_http {}; server {{ listen @proxy; protocol imap; }} }}",
            auth.address()
        ),
    );
    let mut proxied = stage::logged_in(proxy.at("proxy"), Protocol::Imap);
    rests(&proxy, 2);
    proxy.process().signal(Signal::SIGQUIT);
    proxied.expect_end();
    proxy.wait_for_log("shutdown timeout while proxying, ");
    assert!(proxy.process().end().success());
}
