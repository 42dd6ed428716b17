//! The load generator: a process that plays mail clients as it is told, one order after the other.
//!
//! Orders come as lines of JSON on standard input, and each is answered by a line on standard output. It measures what
//! clients see: how much got done and how long it took. What the proxy spent on it is measured from outside.

mod client;
mod connect;
mod hold;
mod run;

use std::io::{self, BufRead, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::timeout;

pub(crate) use run::Ran;

use client::Client;
use connect::{Target, Wire};

/// Sessions may take this much longer than planned before the order counts as failed.
const PATIENCE: Duration = Duration::from_mins(1);

/// What a client does again and again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Job {
    /// IMAP: connect, greeting, goodbye.
    Greet,
    /// IMAP: connect, greeting, LOGIN, LOGOUT.
    ImapLogin,
    /// POP3: connect, greeting, USER, PASS, QUIT.
    Pop3Login,
    /// SMTP: connect, greeting, EHLO, AUTH PLAIN, a message of 4 kB, QUIT.
    SmtpMessage,
    /// IMAP: NOOP in a session that stays.
    Noop,
    /// IMAP: FETCH of this many bytes in a session that stays.
    Fetch(u64),
}

/// How far a held session has come before it goes quiet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum State {
    /// It was greeted and has said nothing.
    Greeted,
    /// It is logged in.
    LoggedIn,
    /// Its login was wrong, and the proxy makes it wait for the answer.
    AuthWait,
}

/// Which proxy, and how to reach it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Aim {
    pub(crate) imap: SocketAddr,
    pub(crate) pop3: SocketAddr,
    pub(crate) smtp: SocketAddr,
    /// Speak TLS, and trust this certificate (PEM file).
    pub(crate) certificate: Option<PathBuf>,
}

/// What the generator is told to do.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Order {
    /// Aims at a proxy. Comes first.
    Aim(Aim),
    /// Makes clients for a job, and logs them in if their sessions stay.
    Clients { job: Job, count: usize },
    /// Lets the clients do their job for so long; each ends what it has begun.
    Run { milliseconds: u64 },
    /// Opens sessions up to this number and leaves them alone.
    Hold { state: State, sessions: usize },
    /// Looks whether all sessions held are still there and quiet.
    Inspect,
}

/// What the generator answers.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Report {
    /// The order was carried out.
    Done,
    /// The outcome of a run.
    Ran(Ran),
    /// What went wrong.
    Failed(String),
}

/// Carries out the orders from standard input until it ends.
pub(crate) fn serve() -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut generator = Generator::default();
    for line in io::stdin().lock().lines() {
        let order = serde_json::from_str(&line?)?;
        let report =
            runtime.block_on(generator.obey(order)).unwrap_or_else(|error| Report::Failed(error.to_string()));
        let mut output = io::stdout().lock();
        serde_json::to_writer(&mut output, &report)?;
        output.write_all(b"\n")?;
        output.flush()?;
    }
    Ok(())
}

#[derive(Default)]
struct Generator {
    target: Option<Target>,
    clients: Vec<Client>,
    held: Vec<Wire>,
}

impl Generator {
    async fn obey(&mut self, order: Order) -> io::Result<Report> {
        if let Order::Aim(aim) = order {
            self.target = Some(Target::new(aim)?);
            return Ok(Report::Done);
        }
        let target = self.target.clone().ok_or_else(|| io::Error::other("no aim"))?;
        let planned = match order {
            Order::Run { milliseconds } => Duration::from_millis(milliseconds),
            _ => Duration::ZERO,
        };
        timeout(planned + PATIENCE, self.carry_out(order, &target))
            .await
            .map_err(|_| io::Error::new(io::ErrorKind::TimedOut, "the proxy does not get on"))?
    }

    async fn carry_out(&mut self, order: Order, target: &Target) -> io::Result<Report> {
        match order {
            Order::Aim(_) => {}
            Order::Clients { job, count } => self.clients = client::make(target, job, count).await?,
            Order::Run { milliseconds } => {
                let span = Duration::from_millis(milliseconds);
                return run::run(&mut self.clients, span).await.map(Report::Ran);
            }
            Order::Hold { state, sessions } => hold::open(target, state, sessions, &mut self.held).await?,
            Order::Inspect => hold::inspect(&self.held)?,
        }
        Ok(Report::Done)
    }
}
