//! What one client says and hears.

use std::io;
use std::time::Duration;

use tokio::task::JoinSet;

use super::Job;
use super::connect::{Target, Wire};
use crate::stub::PATIENT_USER;

const LOGIN: &[u8] = b"a LOGIN user@bench.test opensesame\r\n";
/// base64 of NUL `user@bench.test` NUL `opensesame`.
const AUTH_PLAIN: &[u8] = b"AUTH PLAIN AHVzZXJAYmVuY2gudGVzdABvcGVuc2VzYW1l\r\n";
/// A line of a message.
const TEXT: &[u8; 64] = b"The quick brown fox jumps over the lazy dog, and does it again\r\n";
/// So many make 4 kB.
const LINES: usize = 64;

/// More than a proxy needs to ask the auth service.
const QUESTION: Duration = Duration::from_millis(10);

/// The room for what is downloaded.
const SCRATCH: usize = 256 * 1024;

/// A client with a job. Its session lasts if the job says so.
pub(super) struct Client {
    target: Target,
    work: Work,
}

enum Work {
    Greet,
    ImapLogin,
    Pop3Login,
    SmtpMessage(Vec<u8>),
    Noop(Wire),
    Fetch { wire: Wire, size: u64, scratch: Vec<u8> },
}

/// Makes clients that are ready to start.
pub(super) async fn make(target: &Target, job: Job, count: usize) -> io::Result<Vec<Client>> {
    let mut ready = JoinSet::new();
    for _ in 0..count {
        let target = target.clone();
        ready.spawn(async move { Client::new(target, job).await });
    }
    ready.join_all().await.into_iter().collect()
}

impl Client {
    async fn new(target: Target, job: Job) -> io::Result<Self> {
        let work = match job {
            Job::Greet => Work::Greet,
            Job::ImapLogin => Work::ImapLogin,
            Job::Pop3Login => Work::Pop3Login,
            Job::SmtpMessage => Work::SmtpMessage(message()),
            Job::Noop => Work::Noop(log_in(&target).await?),
            Job::Fetch(size) => Work::Fetch { wire: log_in(&target).await?, size, scratch: vec![0; SCRATCH] },
        };
        Ok(Self { target, work })
    }

    /// Does the job once.
    pub(super) async fn work(&mut self) -> io::Result<()> {
        let target = &self.target;
        match &mut self.work {
            Work::Greet => part(greet(target).await?).await,
            Work::ImapLogin => imap_login(target).await,
            Work::Pop3Login => pop3_login(target).await,
            Work::SmtpMessage(message) => smtp_message(target, message).await,
            Work::Noop(wire) => ask(wire, b"b NOOP\r\n", b"b OK").await,
            Work::Fetch { wire, size, scratch } => fetch(wire, *size, scratch).await,
        }
    }
}

/// An IMAP session that was greeted.
pub(super) async fn greet(target: &Target) -> io::Result<Wire> {
    let mut wire = target.connect(target.aim.imap).await?;
    hear(&mut wire, b"* OK").await?;
    Ok(wire)
}

/// An IMAP session that is logged in.
pub(super) async fn log_in(target: &Target) -> io::Result<Wire> {
    let mut wire = greet(target).await?;
    ask(&mut wire, LOGIN, b"a OK").await?;
    Ok(wire)
}

/// An IMAP session that waits for the answer to a wrong login.
pub(super) async fn fail(target: &Target) -> io::Result<Wire> {
    let mut wire = greet(target).await?;
    wire.send(format!("a LOGIN {PATIENT_USER} opensesame\r\n").as_bytes()).await?;
    // No answer tells when the wait has begun, and all of these sessions at the auth service at once would be measured
    // at what that takes.
    tokio::time::sleep(QUESTION).await;
    Ok(wire)
}

async fn imap_login(target: &Target) -> io::Result<()> {
    let mut wire = log_in(target).await?;
    wire.send(b"b LOGOUT\r\n").await?;
    hear(&mut wire, b"* BYE").await?;
    hear(&mut wire, b"b OK").await?;
    wire.finish().await
}

async fn pop3_login(target: &Target) -> io::Result<()> {
    let mut wire = target.connect(target.aim.pop3).await?;
    hear(&mut wire, b"+OK").await?;
    ask(&mut wire, b"USER user@bench.test\r\n", b"+OK").await?;
    ask(&mut wire, b"PASS opensesame\r\n", b"+OK").await?;
    ask(&mut wire, b"QUIT\r\n", b"+OK").await?;
    wire.finish().await
}

async fn smtp_message(target: &Target, message: &[u8]) -> io::Result<()> {
    let mut wire = target.connect(target.aim.smtp).await?;
    hear(&mut wire, b"220 ").await?;
    ask(&mut wire, b"EHLO client.bench.test\r\n", b"250 ").await?;
    ask(&mut wire, AUTH_PLAIN, b"235 ").await?;
    ask(&mut wire, b"MAIL FROM:<user@bench.test>\r\n", b"250 ").await?;
    ask(&mut wire, b"RCPT TO:<other@bench.test>\r\n", b"250 ").await?;
    ask(&mut wire, b"DATA\r\n", b"354 ").await?;
    ask(&mut wire, message, b"250 ").await?;
    ask(&mut wire, b"QUIT\r\n", b"221 ").await?;
    wire.finish().await
}

/// 4 kB of text, and the dot.
fn message() -> Vec<u8> {
    let mut message = Vec::with_capacity(TEXT.len() * LINES + 8);
    for _ in 0..LINES {
        message.extend_from_slice(TEXT);
    }
    message.extend_from_slice(b".\r\n");
    message
}

async fn fetch(wire: &mut Wire, size: u64, scratch: &mut [u8]) -> io::Result<()> {
    wire.send(format!("b FETCH 1 BODY[]<0.{size}>\r\n").as_bytes()).await?;
    hear(wire, b"* 1 FETCH").await?;
    wire.skip(size, scratch).await?;
    hear(wire, b")").await?;
    hear(wire, b"b OK").await
}

/// Ends a session from this side, and waits for the other to do the same.
async fn part(mut wire: Wire) -> io::Result<()> {
    wire.shutdown().await?;
    wire.finish().await
}

async fn ask(wire: &mut Wire, command: &[u8], reply: &[u8]) -> io::Result<()> {
    wire.send(command).await?;
    hear(wire, reply).await
}

/// Reads a reply whose last line begins so. The earlier lines of an SMTP reply have a `-` where that has a space.
async fn hear(wire: &mut Wire, expected: &[u8]) -> io::Result<()> {
    loop {
        let line = wire.line().await?;
        if line.starts_with(expected) {
            return Ok(());
        }
        let more = line.get(3) == Some(&b'-') && line[..3] == expected[..expected.len().min(3)];
        if !more {
            let (line, expected) = (String::from_utf8_lossy(line), String::from_utf8_lossy(expected));
            return Err(io::Error::other(format!("expected {expected:?}, got {line:?}")));
        }
    }
}
