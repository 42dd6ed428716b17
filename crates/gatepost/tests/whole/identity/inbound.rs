//! PROXY headers of clients: how they arrive, whom they convince, and what becomes of their addresses.

use rig::pki::{Key, Root};
use rig::tool;

use super::*;

/// LOCAL and UNKNOWN: the sender does not say who the client is.
const SILENT: [&[u8]; 4] = [
    b"PROXY UNKNOWN\r\n",
    b"PROXY UNKNOWN 192.0.2.1 198.51.100.2 4711 143\r\n",
    b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0",
    // LOCAL with addresses, which must be ignored.
    b"\r\n\r\n\0\r\nQUIT\n\x20\x11\0\x0c\xc0\0\x02\x01\xc6\x33\x64\x02\x12\x67\0\x8f",
];

#[test]
fn a_header_may_be_cut_anywhere_and_the_first_command_may_come_with_it() {
    let protocol = Protocol::Imap;
    let stage = behind_balancer(protocol, TRUST, protocol.backend());
    let mut sessions = 0;
    for header in [V1.as_bytes(), V2] {
        let bytes = [header, protocol.login().as_bytes()].concat();
        for cut in 1..=bytes.len() {
            let mut client = Client::connect(stage.address());
            client.send_cut(&bytes, &[cut]);
            client.expect([protocol.greeting(), protocol.logged_in()].concat());
            assert_eq!(value(&stage.auth.request(sessions), "Client-IP"), "192.0.2.1", "cut {cut}");
            sessions += 1;
        }
    }
}

#[test]
fn every_protocol_takes_a_header_byte_by_byte_or_with_all_that_follows() {
    for protocol in Protocol::ALL {
        let stage = behind_balancer(protocol, TRUST, protocol.backend());
        for header in [V1.as_bytes(), V2] {
            let bytes = [header, protocol.login().as_bytes()].concat();
            let heard = [protocol.greeting(), protocol.asked(), protocol.logged_in()].concat();
            Client::connect(stage.address()).send(&bytes).expect(&heard);
            Client::connect(stage.address()).send_bytewise(&bytes).expect(&heard);
        }
    }
}

#[test]
fn a_sender_that_does_not_say_who_is_there_is_the_client() {
    let protocol = Protocol::Imap;
    let stage = behind_balancer(protocol, TRUST, protocol.backend());
    for (session, header) in SILENT.iter().enumerate() {
        log_in(protocol, &mut headed(&stage, header));
        let request = stage.auth.request(session);
        assert_eq!(value(&request, "Client-IP"), "127.0.0.1");
        assert_eq!(request.header("Proxy-Protocol-Addr"), None);
    }
}

#[test]
fn what_a_header_says_goes_to_the_auth_server_but_only_a_trusted_sender_replaces_the_client() {
    let protocol = Protocol::Pop3;
    for (settings, ip, client) in [
        (TRUST, "192.0.2.1", "192.0.2.1:4711"),
        ("set_real_ip_from 127.0.0.1;", "192.0.2.1", "192.0.2.1:4711"),
        ("set_real_ip_from 127.0.0.2; set_real_ip_from unix:;", "127.0.0.1", "127.0.0.1:"),
        ("", "127.0.0.1", "127.0.0.1:"),
    ] {
        let stage = behind_balancer(protocol, settings, protocol.backend());
        for (session, header) in [V1.as_bytes(), V2].into_iter().enumerate() {
            log_in(protocol, &mut headed(&stage, header));
            let request = stage.auth.request(session);
            assert_eq!(value(&request, "Client-IP"), ip, "{settings}");
            let said = ["Addr", "Port", "Server-Addr", "Server-Port"];
            let said = said.map(|name| value(&request, &format!("Proxy-Protocol-{name}")));
            assert_eq!(said, ["192.0.2.1", "4711", "198.51.100.2", "143"]);
        }
        let log = stage.proxy.wait_for_log("client logged in");
        let line = log.lines().find(|line| line.contains("client logged in")).unwrap_or_default();
        assert!(line.contains(&format!("client: \"{client}")), "{settings}: {log}");
    }
}

/// A header of a balancer that has ended TLS 1.3 with the client.
fn header_of_tls(cipher: &str) -> Vec<u8> {
    let tlv = |kind: u8, value: &[u8]| {
        [&[kind, 0, u8::try_from(value.len()).expect("a short value")], value].concat()
    };
    let facts = [tlv(0x21, b"TLSv1.3"), tlv(0x23, cipher.as_bytes())].concat();
    // Over TLS, and without a certificate.
    let ssl = tlv(0x20, &[&[1, 0, 0, 0, 0][..], &facts].concat());
    let length = u8::try_from(12 + ssl.len()).expect("a short header");
    let addresses = [192, 0, 2, 1, 198, 51, 100, 2, 0x12, 0x67, 0, 143];
    [&b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0"[..], &[length], &addresses, &ssl].concat()
}

#[test]
fn what_a_balancer_says_of_its_tls_goes_to_the_auth_server_if_it_is_trusted() {
    let protocol = Protocol::Imap;
    let facts = ["Auth-SSL", "Auth-SSL-Protocol", "Auth-SSL-Cipher", "Auth-SSL-Verify"];
    for (settings, expected) in
        [(TRUST, ["on", "TLSv1.3", "AES", "NONE"].map(Some)), ("set_real_ip_from 127.0.0.2;", [None; 4])]
    {
        let stage = behind_balancer(protocol, settings, protocol.backend());
        log_in(protocol, &mut headed(&stage, header_of_tls("AES")));
        let request = stage.auth.request(0);
        assert_eq!(facts.map(|name| request.header(name)), expected.map(|it| it.map(str::to_owned)));
        assert_eq!(value(&request, "Proxy-Protocol-Addr"), "192.0.2.1");
    }
    let stage = behind_balancer(protocol, TRUST, protocol.backend());
    log_in(protocol, &mut headed(&stage, header_of_tls("A\r\nAuth-User: root")));
    let request = stage.auth.request(0);
    assert_eq!(value(&request, "Auth-User"), "u", "no fact can add a line");
}

#[test]
fn an_address_that_is_none_replaces_nothing() {
    let protocol = Protocol::Imap;
    let stage = behind_balancer(protocol, TRUST, protocol.backend());
    log_in(protocol, &mut headed(&stage, "PROXY TCP4 1.2.3.4.5 x 1 2\r\n".replace('x', "::")));
    let request = stage.auth.request(0);
    assert_eq!(value(&request, "Client-IP"), "127.0.0.1");
    assert_eq!(value(&request, "Proxy-Protocol-Addr"), "1.2.3.4.5");
}

#[test]
fn what_is_no_header_ends_the_connection_without_a_byte() {
    let stage = behind_balancer(Protocol::Imap, TRUST, Script::new().close());
    for (sent, told) in [
        (&b"a LOGIN u p\r\n"[..], "broken header: \"a\""),
        (b"proxy TCP4 192.0.2.1 198.51.100.2 1 2\r\n", "broken header: \"proxy TCP4"),
        (b"PROXY TCP4 192.0.2.1 198.51.100.2 1 65536\r\n", "broken header: \"PROXY TCP4"),
        (b"\r\n\r\n\0\r\nQUIT\n\x31\x11\0\x0c", "unknown PROXY protocol version: 3"),
        (b"\r\n\r\n\0\r\nQUIT\n\x21\x11\xff\xff", "header is too large"),
    ] {
        let before = stage.proxy.log().matches(told).count();
        let mut client = headed(&stage, sent);
        client.half_close();
        assert_eq!(client.rest(), b"", "{}", sent.escape_ascii());
        rig::eventually(told, || stage.proxy.log().matches(told).count() > before);
        let log = stage.proxy.log();
        let line = log.lines().rfind(|line| line.contains(told)).unwrap_or_default();
        assert!(line.contains("[error]") && line.contains("while reading PROXY protocol"), "{log}");
    }
    assert_eq!(stage.auth.requests(), []);
}

#[test]
fn the_client_that_a_header_names_is_the_one_of_xclient() {
    let script = Script::new()
        .say("220 smtp ready\r\n")
        .answer(
            "EHLO proxy.example\r\n",
            "250-backend\r\n250 XCLIENT NAME ADDR PORT PROTO HELO LOGIN DESTADDR DESTPORT\r\n",
        )
        .answer(
            "XCLIENT ADDR=192.0.2.1 LOGIN=u NAME=[UNAVAILABLE] PORT=4711 PROTO=ESMTP HELO=c \
             DESTADDR=198.51.100.2 DESTPORT=143\r\n",
            "220 trusted\r\n",
        )
        .answer("EHLO c\r\n", "250 hello\r\n");
    let stage = behind_balancer(Protocol::Smtp, &format!("{TRUST} xclient on;"), script);
    log_in(Protocol::Smtp, &mut headed(&stage, V1));
    assert_eq!(value(&stage.auth.request(0), "Client-IP"), "192.0.2.1");
}

/// Sends a header, cut at every place, then speaks TLS at once or behind STARTTLS, and logs in.
const TLS_CLIENT: &str = r#"
import socket, ssl, sys
host, port, root, starttls = sys.argv[1:5]
header = sys.argv[5].encode() + b"\r\n"
context = ssl.create_default_context(cafile=root)
for cut in range(len(header) + 1):
    plain = socket.create_connection((host, int(port)), timeout=10)
    plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    plain.sendall(header[:cut])
    plain.sendall(header[cut:])
    if starttls == "yes":
        assert plain.recv(1000) == b"* OK IMAP4 ready\r\n"
        plain.sendall(b"s STARTTLS\r\n")
        assert plain.recv(1000) == b"s OK completed\r\n"
    with context.wrap_socket(plain, server_hostname="mail.example") as link:
        if starttls == "no":
            assert link.recv(1000) == b"* OK IMAP4 ready\r\n"
        link.sendall(b"a LOGIN u p\r\n")
        assert link.recv(1000) == b"a OK logged in\r\n", cut
"#;

#[test]
fn a_header_comes_before_tls_and_its_client_stays() {
    let root = Root::new(Key::Ec, "root.example");
    let server = root.server(Key::Ec, &["mail.example"]);
    for (parameters, settings, starttls) in
        [("proxy_protocol ssl", "", "no"), ("proxy_protocol", "starttls only;", "yes")]
    {
        let backend = Backend::start(Protocol::Imap.backend());
        let auth = AuthServer::always(allow(backend.address()));
        let settings = format!(
            "{TRUST} {settings} ssl_certificate {}; ssl_certificate_key {};",
            server.certificate().display(),
            server.key().display()
        );
        let stage = Stage::listening(Protocol::Imap, parameters, &settings, auth, backend);
        let [host, port] = [stage.address().ip().to_string(), stage.address().port().to_string()];
        let root = root.certificate().display().to_string();
        tool::python(TLS_CLIENT, &[&host, &port, &root, starttls, V1.trim_end()]).succeeded();
        let requests = stage.auth.requests();
        assert_eq!(requests.len(), V1.len() + 1);
        assert!(requests.iter().all(|request| value(request, "Client-IP") == "192.0.2.1"));
    }
}
