//! What an idle session under TLS costs.

use std::process::{Command, Stdio};

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use rig::pki::{Key, Root};
use rig::{AuthServer, Backend, Process, Proxy, auth_server};

use super::{PREAMBLE, Secured, pair};
use crate::stage::{Protocol, Stage, gatepost};

/// Sessions that are there before the first measurement, so that what all of them share is not counted.
const FIRST: usize = 100;
/// Sessions that are measured.
const SESSIONS: usize = 2_000;
/// The most that one of them may cost, bytes. Far above what it does cost in earnest, and below any buffer for records.
const COST: u64 = 8 * 1024;

/// Logs in over and over, and keeps all sessions until it is ended.
const CLIENTS: &str = r"
import signal
context = trusting()
kept = []
for _ in range(int(MORE[0])):
    kept.append(implicit(context).say(LOGIN, ASKED + LOGGED_IN))
signal.pause()
";

/// A proxy with room for all of them and their upstreams.
#[track_caller]
fn roomy(root: &Root, protocol: Protocol) -> Secured {
    let identity = root.server(Key::Ec, &[super::NAME]);
    let backend = Backend::start(protocol.backend().silence());
    let auth = AuthServer::always(auth_server::allow(backend.address()));
    let configuration = format!(
        "user root; daemon off; master_process off; events {{ worker_connections 5000; }}
         mail {{
             xclient off; auth_http {}; {}
             server {{ listen @proxy; listen @tls ssl; protocol {}; }}
         }}",
        auth.address(),
        pair(&identity),
        protocol.name()
    );
    let proxy = Proxy::start_whole(&gatepost(), &configuration);
    Secured { stage: Stage { protocol, proxy, auth, backend }, root: root.certificate(), _own: None }
}

/// A crowd of clients, gone when it is dropped.
#[track_caller]
fn crowd(secured: &Secured, count: usize) -> Process {
    let mut python = Command::new("python3");
    python.arg("-c").arg(format!("{PREAMBLE}{CLIENTS}")).args(secured.words());
    Process::start(python.arg(count.to_string()).stdin(Stdio::null()))
}

#[track_caller]
fn wait_for(secured: &Secured, sessions: usize, from: usize) {
    // Each wait is bounded, so there are many.
    for goal in (from..=sessions).step_by(50) {
        rig::eventually("the sessions are logged in", || {
            secured.stage.proxy.log().matches("client logged in").count() >= goal
        });
    }
}

#[test]
#[expect(clippy::print_stderr, reason = "the figure, shown if the test fails")]
fn two_thousand_idle_sessions_cost_less_than_eight_kilobytes_each() {
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE).expect("there is a limit");
    setrlimit(Resource::RLIMIT_NOFILE, most, most).expect("a limit may be used up");
    let root = Root::new(Key::Ec, "Test root");
    let secured = roomy(&root, Protocol::Imap);
    let _first = crowd(&secured, FIRST);
    wait_for(&secured, FIRST, FIRST);
    let process = secured.stage.proxy.process();
    let before = process.memory();
    let _crowd = crowd(&secured, SESSIONS);
    wait_for(&secured, FIRST + SESSIONS, FIRST);
    let each = process.memory().saturating_sub(before) / SESSIONS as u64;
    eprintln!("{each} bytes for each session");
    assert!(each < COST, "{each} bytes for each session");
}
