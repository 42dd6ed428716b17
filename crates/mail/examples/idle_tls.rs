//! What an idle session costs in memory: `cargo run --release --example idle_tls [-- SESSIONS]`.
//!
//! Opens sessions through a relay, lets each say one line, and prints how much more of the machine's memory (PSS) this
//! process holds for each of them. Clients and upstream live in a process of their own. Three ways are compared: in
//! clear, TLS as links do it, and TLS as tokio-rustls does it with the usual copying. Each way is measured in a fresh
//! process. With `--features jemalloc` the allocator is jemalloc.

use std::error::Error;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use gatepost_mail::link::Link;
use gatepost_mail::relay::Relay;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{TlsAcceptor, TlsConnector};

#[cfg(feature = "jemalloc")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Sessions that are opened before anything is measured: buffers of the thread, and all that exists once.
const WARM_UP: usize = 100;

/// The peers that are also the upstream of all sessions.
const FIRST: &str = "first";

const NAME: &str = "mail.example";

const LINE: &[u8] = b"a NOOP\r\n";

const WAYS: [&str; 3] = ["plain", "tls", "tokio-rustls"];

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let (_, most) = nix::sys::resource::getrlimit(nix::sys::resource::Resource::RLIMIT_NOFILE)?;
    nix::sys::resource::setrlimit(nix::sys::resource::Resource::RLIMIT_NOFILE, most, most)?;
    #[expect(clippy::disallowed_methods, reason = "this program sets no title")]
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => compare("2000"),
        [sessions] => compare(sessions),
        ["measure", way, sessions] => measure(way, sessions.parse()?).await,
        ["peers", way, proxy, sessions, part] => {
            peers(way, proxy.parse()?, sessions.parse()?, part == FIRST).await
        }
        _ => Err("usage: idle_tls [SESSIONS]".into()),
    }
}

/// Measures each way in a process of its own.
fn compare(sessions: &str) -> Result<()> {
    for way in WAYS {
        Command::new(std::env::current_exe()?).args(["measure", way, sessions]).status()?;
    }
    Ok(())
}

/// The proxy: opens sessions and looks at itself.
async fn measure(way: &str, sessions: usize) -> Result<()> {
    let (certificate, key) = identity()?;
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![certificate.clone()], key)?;
    let config = Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let proxy = listener.local_addr()?;
    let way = WAYS.into_iter().find(|known| *known == way).ok_or("no such way")?;
    tokio::spawn(accept(way, listener, config));
    let warm = Peers::start(way, proxy, WARM_UP, FIRST, certificate.as_ref()).await?;
    let before = pss()?;
    let measured = Peers::start(way, proxy, sessions, "others", certificate.as_ref()).await?;
    let after = pss()?;
    let each = after.saturating_sub(before) / sessions;
    say(&format!("{way:>14}: {each:>6} bytes per session ({sessions} sessions)"))?;
    drop((warm, measured));
    Ok(())
}

/// Serves clients. The address of its upstream is the first thing that a client's process says, in clear.
async fn accept(way: &'static str, listener: TcpListener, config: Arc<ServerConfig>) -> Result<()> {
    let mut upstream = None;
    loop {
        let (mut stream, _) = listener.accept().await?;
        let Some(upstream) = upstream else {
            upstream = Some(SocketAddr::from(([127, 0, 0, 1], stream.read_u16().await?)));
            continue;
        };
        let config = Arc::clone(&config);
        match way {
            "tokio-rustls" => drop(tokio::spawn(usual(stream, upstream, config))),
            way => drop(tokio::spawn(ours(way, stream, upstream, config))),
        }
    }
}

/// A session as the proxy has it: the relay is a task of its own, and what the handshake needed is freed.
async fn ours(
    way: &'static str,
    stream: TcpStream,
    upstream: SocketAddr,
    config: Arc<ServerConfig>,
) -> Result<()> {
    let mut client = Link::from(stream);
    if way == "tls" {
        client.accept_tls(config).await?;
    }
    let upstream = Link::from(TcpStream::connect(upstream).await?);
    let (none, nothing) = (BytesMut::new(), BytesMut::new());
    let mut relay = Relay::new(client, upstream, none, nothing, Duration::from_hours(1));
    tokio::spawn(async move { relay.run().await });
    Ok(())
}

/// A session as it is usually written.
async fn usual(stream: TcpStream, upstream: SocketAddr, config: Arc<ServerConfig>) -> Result<()> {
    let mut client = TlsAcceptor::from(config).accept(stream).await?;
    let mut upstream = TcpStream::connect(upstream).await?;
    copy_bidirectional(&mut client, &mut upstream).await?;
    Ok(())
}

/// Clients and upstreams in their process; it ends with this value.
struct Peers(Child);

impl Peers {
    /// Returns when all have had their line answered.
    async fn start(
        way: &str,
        proxy: SocketAddr,
        sessions: usize,
        part: &str,
        certificate: &[u8],
    ) -> Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .args(["peers", way, &proxy.to_string(), &sessions.to_string(), part])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        child.stdin.take().ok_or("no input")?.write_all(certificate)?;
        let mut output = BufReader::new(child.stdout.take().ok_or("no output")?);
        let peers = Self(child);
        let told = tokio::task::spawn_blocking(move || {
            let mut line = String::new();
            output.read_line(&mut line).map(|_| line)
        });
        match told.await??.trim_end() {
            "ready" => Ok(peers),
            other => Err(format!("peers say {other:?}").into()),
        }
    }
}

impl Drop for Peers {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The process of clients and upstreams.
async fn peers(way: &str, proxy: SocketAddr, sessions: usize, first: bool) -> Result<()> {
    let mut certificate = Vec::new();
    std::io::stdin().read_to_end(&mut certificate)?;
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from(certificate))?;
    let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let connector = TlsConnector::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    if first {
        TcpStream::connect(proxy).await?.write_u16(listener.local_addr()?.port()).await?;
    }
    tokio::spawn(echo(listener));
    let mut open = Vec::new();
    for _ in 0..sessions {
        let stream = TcpStream::connect(proxy).await?;
        open.push(match way {
            "plain" => talk(stream).await?,
            _ => talk(connector.connect(ServerName::try_from(NAME)?, stream).await?).await?,
        });
    }
    say("ready")?;
    std::future::pending().await
}

/// Says a line and hears it again; keeps the stream open.
async fn talk<S>(mut stream: S) -> Result<Box<dyn std::any::Any>>
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + 'static,
{
    stream.write_all(LINE).await?;
    let mut heard = [0; LINE.len()];
    stream.read_exact(&mut heard).await?;
    Ok(Box::new(stream))
}

/// An upstream that says what it hears.
async fn echo(listener: TcpListener) -> Result<()> {
    loop {
        let (mut stream, _) = listener.accept().await?;
        tokio::spawn(async move {
            let (mut read, mut write) = stream.split();
            tokio::io::copy(&mut read, &mut write).await
        });
    }
}

fn identity() -> Result<(CertificateDer<'static>, PrivateKeyDer<'static>)> {
    let made = rcgen::generate_simple_self_signed([NAME.to_owned()])?;
    let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
    Ok((made.cert.der().clone(), PrivateKeyDer::Pkcs8(key)))
}

/// Bytes of memory that this process holds, shared pages counted by their share.
fn pss() -> Result<usize> {
    let text = std::fs::read_to_string("/proc/self/smaps_rollup")?;
    let line = text.lines().find_map(|line| line.strip_prefix("Pss:")).ok_or("no Pss in smaps_rollup")?;
    Ok(line.trim().trim_end_matches("kB").trim_end().parse::<usize>()? * 1024)
}

fn say(text: &str) -> std::io::Result<()> {
    writeln!(std::io::stdout(), "{text}")
}
