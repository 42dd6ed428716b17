//! Sessions that are taken up again, and those that must not be.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rig::pki::{Key, Root};
use rig::{AuthServer, Backend, Program, Proxy, auth_server, eventually};

use super::{Place, Secured, pair};
use crate::clock::{Clock, YEAR};
use crate::stage::{Protocol, Stage, gatepost};

/// The ways to keep a session: directives, and the version that openssl is to speak.
const WAYS: [(&str, &str); 4] = [
    ("ssl_session_tickets off; ssl_session_cache shared:S:1m;", "-tls1_2"),
    ("", "-tls1_2"),
    ("", "-tls1_3"),
    ("ssl_session_tickets off; ssl_session_cache shared:S:1m;", "-tls1_3"),
];

#[test]
fn openssl_takes_its_sessions_up_again() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    for (number, (settings, version)) in WAYS.into_iter().enumerate() {
        let secured = Secured::new(Protocol::Imap, settings);
        let file = directory.path().join(number.to_string());
        let file = file.to_str().expect("a plain name");
        for place in [Place::Tls, Place::Clear] {
            // The tickets of TLS 1.3 come behind the handshake.
            let first = secured
                .s_client(place, &[version, "-sess_out", file], "a NOOP\r\nb LOGOUT\r\n")
                .succeeded()
                .text();
            assert!(first.contains("\nNew, TLSv1."), "{settings} {version}\n{first}");
            let again =
                secured.s_client(place, &[version, "-sess_in", file], "a LOGOUT\r\n").succeeded().text();
            assert!(again.contains("\nReused, TLSv1."), "{settings} {version}\n{again}");
            assert!(again.contains("a OK completed"), "{again}");
        }
    }
}

#[test]
fn openssl_reconnects_five_times_with_one_session() {
    for (settings, version) in WAYS.into_iter().take(2) {
        let secured = Secured::new(Protocol::Pop3, settings);
        let said = secured.s_client(Place::Tls, &[version, "-reconnect"], "QUIT\r\n").succeeded().text();
        assert_eq!(said.matches("\nReused, TLSv1.2").count(), 5, "{settings}\n{said}");
    }
}

#[test]
fn nothing_is_taken_up_again_where_nothing_is_kept() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    for version in ["-tls1_2", "-tls1_3"] {
        let secured = Secured::new(Protocol::Imap, "ssl_session_tickets off; ssl_session_cache none;");
        let file = directory.path().join(version);
        let file = file.to_str().expect("a plain name");
        secured.s_client(Place::Tls, &[version, "-sess_out", file], "a NOOP\r\nb LOGOUT\r\n").succeeded();
        if std::fs::exists(file).expect("the directory is readable") {
            let again = secured.s_client(Place::Tls, &[version, "-sess_in", file], "a LOGOUT\r\n").text();
            assert!(again.contains("\nNew, TLSv1."), "{again}");
        }
    }
}

#[test]
fn sessions_outlive_a_reload() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let root = Root::new(Key::Ec, "Test root");
    let identity = root.server(Key::Ec, &[super::NAME]);
    for (number, (settings, version)) in WAYS.into_iter().enumerate() {
        for master in ["off", "on"] {
            let secured = under(master, &root, &format!("{} {settings}", pair(&identity)));
            let file = directory.path().join(format!("{number}{master}"));
            let file = file.to_str().expect("a plain name");
            let save = [version, "-sess_out", file];
            secured.s_client(Place::Tls, &save, "a NOOP\r\nb LOGOUT\r\n").succeeded();
            secured.stage.proxy.process().signal(Signal::SIGHUP);
            secured.stage.proxy.wait_for_log("reconfigured");
            let said = secured.s_client(Place::Tls, &[version, "-sess_in", file], "a LOGOUT\r\n");
            let said = said.succeeded().text();
            assert!(said.contains("\nReused, TLSv1."), "{settings} {version} {master}\n{said}");
        }
    }
}

#[test]
fn tickets_outlive_the_worker_that_made_them() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let root = Root::new(Key::Ec, "Test root");
    let identity = root.server(Key::Ec, &[super::NAME]);
    for version in ["-tls1_2", "-tls1_3"] {
        let secured = under("on", &root, &pair(&identity));
        let file = directory.path().join(version);
        let file = file.to_str().expect("a plain name");
        secured.s_client(Place::Tls, &[version, "-sess_out", file], "a NOOP\r\nb LOGOUT\r\n").succeeded();
        // Twice, so that a worker hands on what it was given itself.
        for deaths in 1..=2 {
            kill_worker(&secured, deaths);
            let said = secured.s_client(Place::Tls, &[version, "-sess_in", file], "a LOGOUT\r\n").succeeded();
            assert!(said.text().contains("\nReused, TLSv1."), "{version}\n{}", said.text());
        }
    }
}

/// Kills the worker, and waits until the master knows.
#[track_caller]
fn kill_worker(secured: &Secured, deaths: usize) {
    let proxy = &secured.stage.proxy;
    let master = proxy.process().id();
    let children = std::fs::read_to_string(format!("/proc/{master}/task/{master}/children"));
    let worker = children.expect("the master runs").trim().parse().expect("it has one worker");
    kill(Pid::from_raw(worker), Signal::SIGKILL).expect("the worker runs");
    eventually("its death is told", || proxy.log().matches("exited on signal 9").count() == deaths);
}

/// A proxy that is one process, or a master and its worker.
#[track_caller]
fn under(master: &str, root: &Root, settings: &str) -> Secured {
    running(&gatepost(), &format!("master_process {master};"), root, settings)
}

/// The same by this program, with these directives of the main context.
#[track_caller]
pub(super) fn running(program: &Program, main: &str, root: &Root, settings: &str) -> Secured {
    let protocol = Protocol::Imap;
    let backend = Backend::start(protocol.backend());
    let auth = AuthServer::always(auth_server::allow(backend.address()));
    let configuration = format!(
        "user root; daemon off; {main} events {{}}
         mail {{ auth_http {}; server {{ listen @proxy; listen @tls ssl; protocol imap; {settings} }} }}",
        auth.address()
    );
    let proxy = Proxy::start_whole(program, &configuration);
    Secured { stage: Stage { protocol, proxy, auth, backend }, root: root.certificate(), _own: None }
}

/// Connects with the session in `file`, if it has to be `"Reused"` or `"New"`, and leaves the one that it gets then there.
#[track_caller]
fn connects(secured: &Secured, version: &str, file: &str, expected: Option<&str>) {
    let session = if expected.is_some() { vec!["-sess_in", file] } else { Vec::new() };
    let arguments = [&[version, "-sess_out", file][..], &session].concat();
    let said = secured.s_client(Place::Tls, &arguments, "a NOOP\r\nb LOGOUT\r\n").succeeded().text();
    let expected = format!("\n{}, TLSv1.", expected.unwrap_or("New"));
    assert!(said.contains(&expected), "{version}: not {expected}\n{said}");
}

#[test]
fn sessions_are_as_old_as_they_seem_by_a_clock_that_jumps() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let root = Root::new(Key::Ec, "Test root");
    let identity = root.server(Key::Ec, &[super::NAME]);
    for (number, (settings, version)) in WAYS.into_iter().enumerate() {
        let clock = Clock::new();
        let main = "master_process off; sandbox off; worker_rlimit_core 0;";
        let settings = format!("{} {settings}", pair(&identity));
        let secured = running(&clock.program(), main, &root, &settings);
        let file = directory.path().join(number.to_string());
        let file = file.to_str().expect("a plain name");
        connects(&secured, version, file, None);
        // Too old, from the future, from the future once more: each time there is a new one, which is good.
        for days in [YEAR, 0, -YEAR] {
            clock.jump(days);
            connects(&secured, version, file, Some("New"));
            connects(&secured, version, file, Some("Reused"));
        }
    }
}

/// Gets sessions at one server and shows them to it and to another; prints whether they took them up and what they say first.
const ELSEWHERE: &str = r"
version, certificate, key, elsewhere = MORE
context = trusting()
context.check_hostname = False
context.verify_mode = ssl.CERT_NONE
context.minimum_version = context.maximum_version = ssl.TLSVersion[version]
if certificate: context.load_cert_chain(certificate, key)
for at in TLS, place(elsewhere):
    # Some sessions are good for one time only.
    first = implicit(context).say(NOOP, NOOP_OK)
    session = first.socket.session
    wire = Wire(at).secure(context, session=session)
    print(wire.socket.session_reused, wire.line().decode().strip())
";

const GREETED: &str = "* OK IMAP4 ready";
const MISSING: &str = "* BYE No required SSL certificate";

/// What becomes of a session of a server with `here` at one with `there`; both have all ways to keep sessions.
#[track_caller]
fn carried(root: &Root, here: &str, there: &str, certificate: [&str; 2], expected: &str) {
    let shared = "ssl_session_cache shared:S:1m;";
    let other = format!("}} server {{ protocol imap; listen @other ssl; {shared} {there}");
    for way in ["", "ssl_session_tickets off;"] {
        let settings = format!("{shared} {way} {here} {other} {way}");
        let secured = Secured::with(root, Protocol::Imap, &settings, Protocol::Imap.backend());
        let other = secured.stage.proxy.at("other").to_string();
        for version in ["TLSv1_2", "TLSv1_3"] {
            let ran = secured.talk(ELSEWHERE, &[version, certificate[0], certificate[1], &other]).succeeded();
            assert_eq!(ran.text(), format!("True {GREETED}\n{expected}\n"), "{version} {way} {there}");
        }
    }
}

#[test]
fn a_server_that_wants_the_same_takes_up_the_sessions_of_another() {
    let root = Root::new(Key::Ec, "Test root");
    let identity = root.server(Key::Ec, &[super::NAME]);
    let settings = pair(&identity);
    carried(&root, &settings, &settings, ["", ""], &format!("True {GREETED}"));
}

// CVE-2025-23419: a session of a server that asks for no certificate was good for one that does.
#[test]
fn a_session_is_no_way_around_the_demand_for_a_certificate() {
    let root = Root::new(Key::Ec, "Test root");
    let identity = root.server(Key::Ec, &[super::NAME]);
    let settings = pair(&identity);
    let strict =
        format!("{settings} ssl_verify_client on; ssl_client_certificate {};", root.certificate().display());
    carried(&root, &settings, &strict, ["", ""], &format!("False {MISSING}"));
}

#[test]
fn a_session_with_a_certificate_is_good_only_where_the_same_authorities_are_believed() {
    let root = Root::new(Key::Ec, "Test root");
    let identity = root.server(Key::Ec, &[super::NAME]);
    let others = Root::new(Key::Ec, "Another root");
    let client = root.client(Key::Ec, "ann");
    let believing = |root: &Root| {
        let file = root.certificate();
        format!("{} ssl_verify_client on; ssl_client_certificate {};", pair(&identity), file.display())
    };
    let (here, there) = (believing(&root), believing(&others));
    let files = [client.certificate(), client.key()];
    let files = files.each_ref().map(|file| file.to_str().expect("a plain name"));
    carried(&root, &here, &there, files, "False * BYE SSL certificate error");
}

// CVE-2014-3616: a session of one host was good for another.
#[test]
fn a_session_stays_with_the_certificate_under_which_it_was_made() {
    let root = Root::new(Key::Ec, "Test root");
    let (one, two) = (root.server(Key::Ec, &[super::NAME]), root.server(Key::Ec, &["two.example.test"]));
    carried(&root, &pair(&one), &pair(&two), ["", ""], &format!("False {GREETED}"));
}
