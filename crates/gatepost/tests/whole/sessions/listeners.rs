//! Where clients are accepted, and which server serves them.

use std::net::{Ipv4Addr, SocketAddr};

use rig::auth_server::allow;
use rig::{AuthServer, Backend, Client, Program, Proxy, eventually, port};

use crate::stage::{Protocol, gatepost, greeted, logged_in, proxy};

/// A port that is free on every address of this machine.
fn port_of_all() -> u16 {
    let found = std::net::TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).and_then(|it| it.local_addr());
    found.expect("the system has a free port").port()
}

/// Starts a proxy whose addresses the rig did not choose, and waits until it accepts at one of them.
#[track_caller]
fn proxy_at(place: SocketAddr, servers: &str) -> Proxy {
    let proxy = proxy(&format!("auth_http 127.0.0.1:9; {servers}"));
    eventually("the proxy listens", || std::net::TcpStream::connect(place).is_ok());
    proxy
}

#[test]
fn a_unix_socket_is_a_place_to_listen() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("imap");
    let backend = Backend::start(Protocol::Imap.backend().echo());
    let auth = AuthServer::always(allow(backend.address()));
    let proxy = proxy(&format!(
        "auth_http {}; server {{ listen unix:{}; protocol imap; }}",
        auth.address(),
        path.display()
    ));
    eventually("the proxy listens", || std::os::unix::net::UnixStream::connect(&path).is_ok());
    let mut client = Client::connect_unix(&path);
    client.expect(Protocol::Imap.greeting()).exchange("a LOGIN u p\r\n", "a OK logged in\r\n");
    client.exchange("x\r\n", "x\r\n");
    assert_eq!(auth.request(0).header("Client-IP").as_deref(), Some("unix:"));
    let log = proxy.wait_for_log("client logged in");
    assert!(log.contains(&format!("client: \"unix:\", server: \"unix:{}\"", path.display())), "{log}");
    drop(client);
    assert!(proxy.stop().success());
    assert!(!path.exists(), "the socket's file goes with the process");
}

#[test]
fn behind_one_wildcard_socket_the_local_address_chooses_the_server() {
    let port = port_of_all();
    let (own, other) = (SocketAddr::from((port::host(), port)), SocketAddr::from(([127, 0, 0, 1], port)));
    let proxy = proxy_at(
        other,
        &format!(
            "server {{ listen {port}; protocol pop3; }}
             server {{ listen {own}; protocol smtp; }}"
        ),
    );
    greeted(own, Protocol::Smtp);
    greeted(other, Protocol::Pop3);
    let log = proxy.wait_for_log(&format!("server: \"{own}\""));
    assert!(log.contains(&format!("server: \"0.0.0.0:{port}\"")), "{log}");
    let listening = std::fs::read_to_string("/proc/net/tcp").expect("the kernel's table");
    let suffix = format!(":{port:04X} 00000000:0000 0A");
    assert_eq!(listening.matches(&suffix).count(), 1, "one socket for both\n{listening}");
}

#[test]
fn a_range_of_ports_is_one_server() {
    let first = port::free();
    let last = first.port() + 3;
    let proxy = proxy_at(first, &format!("server {{ listen {first}-{last}; protocol imap; }}"));
    for port in first.port()..=last {
        greeted(SocketAddr::new(first.ip(), port), Protocol::Imap);
    }
    proxy.wait_for_log(&format!("server: \"{}:{last}\"", first.ip()));
}

#[test]
fn all_threads_serve_whether_they_share_a_socket_or_not() {
    for parameter in ["", "reuseport"] {
        let backend = Backend::start(Protocol::Imap.backend());
        let auth = AuthServer::always(allow(backend.address()));
        let proxy = Proxy::start_whole(
            &gatepost(),
            &format!(
                "user root; daemon off; worker_processes 4; events {{}}
                 mail {{ auth_http {}; server {{ listen @proxy {parameter}; protocol imap; }} }}",
                auth.address()
            ),
        );
        let clients: Vec<_> = (0..100).map(|_| logged_in(proxy.at("proxy"), Protocol::Imap)).collect();
        let log = proxy.whole_log();
        assert!(threads(&log) > 1, "{log}");
        drop(clients);
    }
}

/// How many threads have logged a login.
fn threads(log: &str) -> usize {
    let logged_in = log.lines().filter(|line| line.contains("client logged in"));
    let threads: std::collections::HashSet<_> =
        logged_in.filter_map(|line| line.split(['#', ':']).nth(3)).collect();
    threads.len()
}

#[test]
fn an_address_in_use_is_told_and_given_up_after_five_tries() {
    let taken = std::net::TcpListener::bind((port::host(), 0)).expect("a free port");
    let address = taken.local_addr().expect("its address");
    let directory = tempfile::tempdir().expect("a temporary directory");
    let file = directory.path().join("conf");
    let text = format!(
        "daemon off; pid pid; error_log error.log; events {{}}
         mail {{ auth_http 127.0.0.1:9; server {{ listen {address}; protocol imap; }} }}"
    );
    std::fs::write(&file, text).expect("the directory is writable");
    let path = directory.path().display().to_string();
    let ran = Program::run(&gatepost(), &["-p", &path, "-c", "conf", "-e", "stderr"]);
    let told = String::from_utf8_lossy(&ran.stderr);
    assert_eq!(ran.status.code(), Some(1), "{told}");
    let bind = format!("bind() to {address} failed (98: Address already in use)");
    assert_eq!(told.matches(&bind).count(), 5, "{told}");
    assert!(told.contains("[emerg]") && told.trim_end().ends_with("still could not bind()"), "{told}");
    assert!(!directory.path().join("pid").exists());
}

#[test]
fn an_address_that_is_not_ours_is_told_at_once() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let text = "daemon off; events {} mail { auth_http 127.0.0.1:9; server { listen 192.0.2.1:143; } }";
    std::fs::write(directory.path().join("conf"), text).expect("the directory is writable");
    let path = directory.path().display().to_string();
    let ran =
        gatepost().run(&["-p", &path, "-c", "conf", "-e", "stderr", "-g", "pid pid; error_log stderr;"]);
    let told = String::from_utf8_lossy(&ran.stderr);
    assert_eq!(ran.status.code(), Some(1), "{told}");
    let expected = "bind() to 192.0.2.1:143 failed (99: Cannot assign requested address)";
    assert_eq!(told.matches(expected).count(), 1, "{told}");
}
