//! PROXY headers to upstreams, byte for byte.

use std::net::{IpAddr, SocketAddr};

use rig::backend;

use super::*;

/// CRC32C as RFC 9260, appendix A defines it, bit by bit.
fn crc32c(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0_u32, |sum, byte| {
        (0..8).fold(sum ^ u32::from(*byte), |sum, _| (sum >> 1) ^ (0x82f6_3b78 & (sum & 1).wrapping_neg()))
    })
}

/// A header of version 2 with these addresses and TLVs, and its checksum.
fn v2(command: u8, family: u8, block: &[u8]) -> Vec<u8> {
    let length = u8::try_from(block.len() + 7).expect("a short header");
    let head = [&b"\r\n\r\n\0\r\nQUIT\n"[..], &[command, family, 0, length], block, &[3, 0, 4]].concat();
    let sum = crc32c(&[&head[..], &[0; 4]].concat());
    [head, sum.to_be_bytes().to_vec()].concat()
}

fn octets(ip: IpAddr) -> Vec<u8> {
    match ip {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    }
}

/// A backend that greets at once and listens to whatever comes.
fn listening() -> Script {
    Script::new().say("* OK imap ready\r\n").silence()
}

/// What a backend hears first of a client that came with this header.
#[track_caller]
fn hears(settings: &str, header: &str, expected: impl FnOnce(SocketAddr) -> Vec<u8>) {
    let stage = behind_balancer(Protocol::Imap, &format!("{TRUST} {settings}"), listening());
    let mut client = headed(&stage, header);
    client.expect(Protocol::Imap.greeting()).send("a LOGIN u p\r\n");
    let expected = [expected(stage.address()), b"a LOGIN {1}\r\n".to_vec()].concat();
    stage.backend.expect_received(0, expected);
}

#[test]
fn version_1_tells_who_the_client_is_and_where_it_has_connected_to() {
    for setting in ["proxy_protocol on;", "proxy_protocol v1;"] {
        hears(setting, V1, |at| {
            format!("PROXY TCP4 192.0.2.1 {} 4711 {}\r\n", at.ip(), at.port()).into_bytes()
        });
    }
}

#[test]
fn both_addresses_are_of_one_family() {
    let header = "PROXY TCP6 2001:db8::1 2001:db8::2 4711 143\r\n";
    hears("proxy_protocol on;", header, |at| {
        format!("PROXY TCP6 2001:db8::1 ::ffff:{} 4711 {}\r\n", at.ip(), at.port()).into_bytes()
    });
}

#[test]
fn version_2_tells_the_same_with_a_checksum_and_how_many_proxies_there_may_still_be() {
    hears("proxy_protocol v2;", V1, |at| {
        let ports = [4711_u16.to_be_bytes(), at.port().to_be_bytes()].concat();
        let hops = b"\xe7\0\x09gatepost\x04".to_vec();
        v2(0x21, 0x11, &[vec![192, 0, 2, 1], octets(at.ip()), ports, hops].concat())
    });
}

#[test]
fn version_2_of_a_client_that_came_straight_to_us_is_the_one_of_the_originals() {
    let stage = Stage::allowing(Protocol::Imap, "proxy_protocol v2;", listening());
    let mut client = stage.client();
    client.send("a LOGIN u p\r\n");
    let log = stage.proxy.wait_for_log("client: \"");
    let from = log.split("client: \"").nth(1).and_then(|rest| rest.split('"').next()).unwrap_or_default();
    let [from, to] = [from.parse().expect("the log has the client's address"), stage.address()];
    let ports = [from.port().to_be_bytes(), to.port().to_be_bytes()].concat();
    let header = v2(0x21, 0x11, &[octets(from.ip()), octets(to.ip()), ports].concat());
    stage.backend.expect_received(0, [&header[..], b"a LOGIN {1}\r\n"].concat());
}

#[test]
fn the_header_comes_before_tls() {
    let settings = "proxy_protocol on; proxy_ssl on; proxy_ssl_verify off;";
    let stage = behind_balancer(
        Protocol::Imap,
        &format!("{TRUST} {settings}"),
        Script::new().expect_line().expect(b"\x16\x03").close(),
    );
    let mut client = headed(&stage, V1);
    client.expect(Protocol::Imap.greeting()).send("a LOGIN u p\r\n");
    let at = stage.address();
    let header = format!("PROXY TCP4 192.0.2.1 {} 4711 {}\r\n", at.ip(), at.port());
    let received = stage.backend.finished(0);
    let hello = received.strip_prefix(header.as_bytes()).expect("the header comes first");
    // RFC 8446, section 5.1: a handshake record.
    assert!(hello.starts_with(&[0x16, 3]), "{}", rig::show(&received));
}

#[test]
fn off_is_nothing_at_all() {
    hears("proxy_protocol off;", V1, |_| Vec::new());
}

#[test]
fn a_client_without_a_header_of_its_own_is_the_peer() {
    let stage = Stage::allowing(Protocol::Pop3, "proxy_protocol on;", {
        Script::new().expect_line().chain(backend::pop3_login("u", "p"))
    });
    drop(stage.logged_in());
    let at = stage.address();
    let received = String::from_utf8(stage.backend.finished(0)).expect("text");
    assert!(received.starts_with(&format!("PROXY TCP4 127.0.0.1 {} ", at.ip())), "{received}");
    assert!(received.contains(&format!(" {}\r\nUSER u\r\n", at.port())), "{received}");
}

#[test]
fn a_client_on_a_unix_socket_has_no_address() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    for (setting, expected) in
        [("proxy_protocol on;", b"PROXY UNKNOWN\r\n".to_vec()), ("proxy_protocol v2;", v2(0x20, 0, b""))]
    {
        let path = directory.path().join("imap");
        let backend = Backend::start(listening());
        let auth = AuthServer::always(allow(backend.address()));
        let mail = format!(
            "auth_http {}; server {{ listen unix:{}; protocol imap; {setting} }}",
            auth.address(),
            path.display()
        );
        let proxy = crate::stage::proxy(&mail);
        rig::eventually("the proxy listens", || std::os::unix::net::UnixStream::connect(&path).is_ok());
        let mut client = Client::connect_unix(&path);
        client.expect(Protocol::Imap.greeting()).send("a LOGIN u p\r\n");
        backend.expect_received(0, [&expected[..], b"a LOGIN {1}\r\n"].concat());
        drop(client);
        assert!(proxy.stop().success());
    }
}
