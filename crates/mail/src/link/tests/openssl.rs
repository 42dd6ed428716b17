//! Links against OpenSSL's command line.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::thread;

use tokio::net::TcpListener;
use tokio::task::{JoinHandle, spawn_blocking};

use super::*;

/// The files that OpenSSL wants.
struct Files(tempfile::TempDir);

impl Files {
    fn new() -> Self {
        let files = Self(tempfile::tempdir().unwrap());
        std::fs::write(files.path("ca.pem"), PKI.ca.pem()).unwrap();
        std::fs::write(files.path("cert.pem"), PKI.server.certificate.pem()).unwrap();
        std::fs::write(files.path("key.pem"), PKI.server.key.serialize_pem()).unwrap();
        files
    }

    fn path(&self, name: &str) -> String {
        self.0.path().join(name).to_str().unwrap().to_owned()
    }
}

/// An `openssl` at work; ended with the test.
struct OpenSsl {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl OpenSsl {
    fn run(arguments: &[&str]) -> Self {
        let mut child = Command::new("openssl")
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("openssl is installed");
        let input = child.stdin.take();
        let output = BufReader::new(child.stdout.take().unwrap());
        Self { child, input, output }
    }

    fn say(&mut self, text: &str) {
        let input = self.input.as_mut().unwrap();
        input.write_all(text.as_bytes()).unwrap();
        input.flush().unwrap();
    }

    /// Reads lines until one has `text` in it.
    fn until(&mut self, text: &str) -> String {
        loop {
            let mut line = String::new();
            assert_ne!(self.output.read_line(&mut line).unwrap(), 0, "no {text:?} before the end");
            if line.contains(text) {
                return line;
            }
        }
    }

    /// What it says to its end, on standard error.
    fn complaint(mut self) -> String {
        let mut text = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut text).unwrap();
        text
    }
}

impl Drop for OpenSsl {
    fn drop(&mut self) {
        self.input = None;
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A server that sends back what it hears, for one client.
async fn echo(config: ServerConfig) -> (String, JoinHandle<(Facts, io::Result<()>)>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap().to_string();
    let task = tokio::spawn(async move {
        let mut link = Link::from(listener.accept().await.unwrap().0);
        let facts = link.accept_tls(Arc::new(config)).await.unwrap();
        loop {
            match next(&mut link).await {
                Ok(bytes) if bytes.is_empty() => break,
                Ok(bytes) => link.write_all(&bytes).await.unwrap(),
                Err(e) => return (facts, Err(e)),
            }
        }
        link.shutdown().await.unwrap();
        (facts, Ok(()))
    });
    (addr, task)
}

const VERSIONS: [(&str, Version); 2] = [("-tls1_2", &TLS12), ("-tls1_3", &TLS13)];

#[tokio::test]
async fn openssl_as_a_client_gets_back_what_it_said() {
    for (option, version) in VERSIONS {
        let mut config = server_config(version);
        config.alpn_protocols = vec![b"imap".to_vec()];
        let (addr, server) = echo(config).await;
        let heard = spawn_blocking(move || {
            let files = Files::new();
            let ca = files.path("ca.pem");
            let mut client = OpenSsl::run(&[
                "s_client",
                "-connect",
                &addr,
                "-quiet",
                "-no_ign_eof",
                option,
                "-alpn",
                "imap",
                "-servername",
                NAME,
                "-CAfile",
                &ca,
                "-verify_return_error",
                "-verify_hostname",
                NAME,
            ]);
            let text = "a NOOP\r\n".repeat(40_000);
            let mut input = client.input.take().unwrap();
            let said = text.clone();
            let writer = thread::spawn(move || {
                input.write_all(said.as_bytes()).unwrap();
                input
            });
            let mut heard = vec![0; text.len()];
            client.output.read_exact(&mut heard).unwrap();
            drop(writer.join().unwrap());
            assert!(client.child.wait().unwrap().success());
            heard == text.as_bytes()
        });
        assert!(heard.await.unwrap());
        let (facts, ended) = server.await.unwrap();
        ended.unwrap();
        assert_eq!((facts.version, facts.server_name.as_deref()), (version.version, Some(NAME)));
        assert_eq!(facts.alpn.as_deref(), Some(&b"imap"[..]));
    }
}

#[tokio::test]
async fn openssl_may_change_its_keys_and_ask_for_ours() {
    let (addr, server) = echo(server_config(&TLS13)).await;
    let client = spawn_blocking(move || {
        let mut client = OpenSsl::run(&["s_client", "-connect", &addr, "-tls1_3"]);
        client.say("before\n");
        client.until("before");
        for (round, command) in ["k\n", "K\n", "K\n"].into_iter().enumerate() {
            client.say(command);
            // It looks for commands at the start of what it reads: this has to be a read of its own.
            let mut told = BufReader::new(client.child.stderr.take().unwrap());
            let mut line = String::new();
            while !line.contains("KEYUPDATE") {
                line.clear();
                assert_ne!(told.read_line(&mut line).unwrap(), 0);
            }
            client.child.stderr = Some(told.into_inner());
            client.say(&format!("after {round}\n"));
            client.until(&format!("after {round}"));
        }
        client.say("Q\n");
        client.child.wait().unwrap();
    });
    client.await.unwrap();
    server.await.unwrap().1.unwrap();
}

#[tokio::test]
async fn openssl_may_not_renegotiate() {
    let (addr, server) = echo(server_config(&TLS12)).await;
    let client = spawn_blocking(move || {
        let mut client = OpenSsl::run(&["s_client", "-connect", &addr, "-tls1_2"]);
        client.say("before\n");
        client.until("before");
        client.say("R\n");
        client.child.wait().unwrap();
        client.complaint()
    });
    let complaint = client.await.unwrap();
    assert!(complaint.contains("no renegotiation"), "{complaint}");
    assert!(server.await.is_ok());
}

#[tokio::test]
async fn openssl_as_a_server_answers() {
    for (option, version) in VERSIONS {
        let (mut server, port) = spawn_blocking(move || {
            let files = Files::new();
            let (cert, key) = (files.path("cert.pem"), files.path("key.pem"));
            let arguments = [
                "s_server",
                "-accept",
                "127.0.0.1:0",
                "-cert",
                &cert,
                "-key",
                &key,
                "-rev",
                "-naccept",
                "1",
                option,
            ];
            let mut server = OpenSsl::run(&arguments);
            let line = server.until("ACCEPT");
            let port: u16 = line.trim_end().rsplit(':').next().unwrap().parse().unwrap();
            (server, port)
        })
        .await
        .unwrap();
        let endpoint = Endpoint::Tcp(([127, 0, 0, 1], port).into());
        let mut link = Link::connect(&endpoint).await.unwrap();
        let facts = link.connect_tls(Arc::new(client_config(version)), name()).await.unwrap();
        assert_eq!((facts.version, facts.certificates), (version.version, PKI.server.chain()));
        for text in ["hello", "mail"] {
            link.write_all(format!("{text}\n").as_bytes()).await.unwrap();
            let reversed: String = text.chars().rev().collect();
            assert_eq!(exactly(&mut link, text.len() + 1).await, format!("{reversed}\n"));
        }
        link.shutdown().await.unwrap();
        let (_, end) = all(&mut link).await;
        end.unwrap();
        spawn_blocking(move || server.child.wait().unwrap()).await.unwrap();
    }
}
