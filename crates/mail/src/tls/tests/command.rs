//! With the `openssl` command at the other end, over real sockets.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;

use rustls::{ClientConnection, HandshakeKind, ServerConnection, Stream};

use super::*;
use crate::tls::testing::{client, name, new_key, openssl};
use crate::tls::{ClientSettings, ClientTls, VerifyClient, Version};

/// Writes a file and says where it is.
fn write(directory: &Path, name: &str, content: impl AsRef<[u8]>) -> String {
    let path = directory.join(name);
    std::fs::write(&path, content).expect("a file");
    path.to_str().expect("text").to_owned()
}

/// Serves one client of `server`: tells it what is known of it, and closes.
fn serve_one(listener: &TcpListener, server: &ServerTls) {
    let (mut socket, _) = listener.accept().expect("a client");
    let mut connection = ServerConnection::new(Arc::clone(&server.config)).expect("a server");
    while connection.is_handshaking() {
        connection.complete_io(&mut socket).expect("a handshake");
    }
    let verification = server.judge(connection.peer_certificates()).map(|judged| judged.verification(false));
    let version = connection.protocol_version().expect("a version");
    let suite = connection.negotiated_cipher_suite().expect("a suite").suite();
    let facts = crate::tls::facts(version, suite, verification);
    let verified = facts.verification.map(|verification| verification.result);
    let line = format!("{} {} {verified:?}\n", facts.protocol, facts.cipher);
    Stream::new(&mut connection, &mut socket).write_all(line.as_bytes()).expect("a reader");
    connection.send_close_notify();
    let _ = connection.complete_io(&mut socket);
}

/// What `openssl s_client` prints when it meets `server`, and what it is told.
fn s_client(server: &ServerTls, arguments: &[&str]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a socket");
    let address = listener.local_addr().expect("an address").to_string();
    thread::scope(|scope| {
        scope.spawn(|| serve_one(&listener, server));
        let fixed = ["s_client", "-connect", &address, "-ign_eof", "-verify_return_error"];
        String::from_utf8_lossy(&openssl::run(&[&fixed, arguments].concat(), &[])).into_owned()
    })
}

#[test]
fn clients_of_openssl_are_served() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut scene = Scene::new();
    scene.settings.verify_client = VerifyClient::Optional;
    let authority = Ca::new("client ca");
    scene.settings.client_certificate = Some(scene.files.add("clients.pem", authority.pem()));
    let server = scene.build();
    let leaf = authority.sign(&client("good"), new_key());
    let ca = write(directory.path(), "ca.pem", scene.ca.pem());
    let certificate = write(directory.path(), "client.crt", leaf.pem());
    let key = write(directory.path(), "client.key", leaf.key_pem());
    let who =
        ["-CAfile", &ca, "-verify_hostname", "mail.example", "-servername", "mail.example", "-alpn", "imap"];
    let with = ["-cert", &certificate, "-key", &key];
    let cases = [
        (&["-tls1_2"][..], &[][..], "TLSv1.2 ECDHE-ECDSA-AES256-GCM-SHA384 Some(None)"),
        (&["-tls1_3"], &[], "TLSv1.3 TLS_AES_256_GCM_SHA384 Some(None)"),
        (
            &["-tls1_2", "-cipher", "ECDHE+AES128"],
            &with,
            "TLSv1.2 ECDHE-ECDSA-AES128-GCM-SHA256 Some(Success)",
        ),
        (&["-tls1_3"], &with, "TLSv1.3 TLS_AES_256_GCM_SHA384 Some(Success)"),
    ];
    for (version, with, expected) in cases {
        let printed = s_client(&server, &[&who[..], version, with].concat());
        for part in [expected, "ALPN protocol: imap", "Verify return code: 0 (ok)", "CN = client ca"] {
            assert!(printed.contains(part), "{part}: {printed}");
        }
    }
}

#[test]
fn clients_of_openssl_resume_their_sessions() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut scene = Scene::new();
    scene.settings.session_ticket_keys = vec![scene.files.add("ticket.key", [7; 80])];
    let server = scene.build();
    let ca = write(directory.path(), "ca.pem", scene.ca.pem());
    for version in ["-tls1_2", "-tls1_3"] {
        let session = directory.path().join(version);
        let session = session.to_str().expect("text");
        let fixed = [version, "-CAfile", &ca];
        let first = s_client(&server, &[&fixed[..], &["-sess_out", session]].concat());
        assert!(first.contains("New, TLSv1."), "{first}");
        let second = s_client(&scene.build(), &[&fixed[..], &["-sess_in", session]].concat());
        assert!(second.contains("Reused, TLSv1."), "{second}");
    }
}

/// `openssl s_server` on a port of its choice; gone when dropped.
struct SServer {
    child: Child,
    port: String,
}

impl SServer {
    fn start(arguments: &[&str]) -> Self {
        let mut command = Command::new("openssl");
        command.args(["s_server", "-accept", "127.0.0.1:0", "-www"]).args(arguments);
        let mut child =
            command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().expect("openssl is installed");
        let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines().map_while(Result::ok);
        let port = lines.find_map(|line| line.strip_prefix("ACCEPT 127.0.0.1:").map(str::to_owned));
        Self { child, port: port.expect("a port") }
    }
}

impl Drop for SServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn servers_of_openssl_are_verified_and_verify_us() {
    let directory = tempfile::tempdir().expect("a directory");
    let (mut scene, authority) = (Scene::bare(), Ca::new("for proxies"));
    let (leaf, ours) = (scene.ca.leaf("mail.example"), authority.sign(&client("proxy"), new_key()));
    let server = SServer::start(&[
        "-cert",
        &write(directory.path(), "server.crt", leaf.pem()),
        "-key",
        &write(directory.path(), "server.key", leaf.key_pem()),
        "-CAfile",
        &write(directory.path(), "proxies.pem", authority.pem()),
        "-Verify",
        "1",
        "-verify_return_error",
    ]);
    let settings = ClientSettings {
        trusted_certificate: Some(scene.files.add("trusted.pem", scene.ca.pem())),
        certificate: Some(Source::File(scene.files.add("our.crt", ours.pem()))),
        key: Some(Source::File(scene.files.add("our.key", ours.key_pem()))),
        ..ClientSettings::default()
    };
    for version in Version::DEFAULT {
        let settings = ClientSettings { protocols: vec![version], ..settings.clone() };
        let tls =
            scene.files.with(|environment| ClientTls::build(&settings, environment)).expect("a client").made;
        for kind in [HandshakeKind::Full, HandshakeKind::Resumed] {
            let mut socket = TcpStream::connect(format!("127.0.0.1:{}", server.port)).expect("a server");
            let name = name("mail.example");
            let mut connection = ClientConnection::new(Arc::clone(tls.config(None)), name).expect("a client");
            let mut stream = Stream::new(&mut connection, &mut socket);
            stream.write_all(b"GET / HTTP/1.0\r\n\r\n").expect("a reader");
            let mut page = Vec::new();
            // It may close without a farewell.
            let _ = stream.read_to_end(&mut page);
            let page = String::from_utf8_lossy(&page).into_owned();
            assert!(page.contains(version.name()), "{page}");
            assert_eq!(connection.handshake_kind(), Some(kind), "{version:?}");
        }
    }
}
