//! A worker process as the master sees it.

use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;

use mail::flavour::Flavour;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::Instant;

use crate::bundle::{Bundle, LONGEST_TO_MASTER, ToMaster, ToWorker, VERSION};
use crate::channel::{self, Receiver, Sender};
use crate::lookup;
use crate::settings::Variable;
use crate::ticket_keys::TicketKeys;
use crate::title::{Role, with_room};
use crate::worker;

/// This program, even if its file has been replaced meanwhile: in a new process it stands for what that was copied
/// from.
const THIS_PROGRAM: &str = "/proc/self/exe";

/// Most names that are looked up at once for one worker; each occupies a thread. An honest worker asks for no more.
const MOST_LOOKUPS: usize = 64;

/// A running worker. Its process goes on when this is dropped.
#[derive(Debug)]
pub(super) struct Worker {
    pid: Pid,
    child: Child,
    outbox: mpsc::UnboundedSender<Outgoing>,
    /// One, unless logs are still to be sent.
    logs: Arc<Semaphore>,
    /// When it was started.
    pub(super) born: Instant,
}

/// What a worker has said.
#[derive(Debug)]
pub(super) struct Report {
    /// Which worker.
    pub(super) from: Pid,
    /// Anything but a question.
    pub(super) what: ToMaster,
}

/// What workers are started with.
#[derive(Debug, Clone)]
pub(super) struct Nursery {
    pub(super) flavour: Flavour,
    /// Whether the program has gone to the background.
    pub(super) background: bool,
    /// What keeps TLS sessions alive from one to the next.
    pub(super) ticket_keys: TicketKeys,
    /// Where their words go.
    pub(super) reports: mpsc::Sender<Report>,
}

/// A message with its descriptors.
#[derive(Debug)]
struct Outgoing {
    message: ToWorker,
    descriptors: Vec<OwnedFd>,
    /// Of an answer or of logs, until they are sent: a worker that asks and does not listen comes to a stop.
    turn: Option<OwnedSemaphorePermit>,
}

impl Nursery {
    /// Starts a worker that sees `environment` and waits for its first bundle, which will have this number.
    pub(super) fn start(&self, number: u64, environment: &[Variable]) -> io::Result<Worker> {
        let (own, theirs) = channel::pair()?;
        let (sender, receiver) = channel::split(own, LONGEST_TO_MASTER, 0)?;
        let child = Command::new(THIS_PROGRAM)
            .arg0(with_room(self.flavour, Role::Worker, number, &[]))
            .env_clear()
            .envs(Variable::environment(environment))
            .env(worker::MARK, "1")
            .stdin(OwnedFd::from(theirs))
            .stdout(Stdio::null())
            .spawn()?;
        let pid = Pid::from_raw(child.id().try_into().map_err(io::Error::other)?);
        let (outbox, outgoing) = mpsc::unbounded_channel();
        tokio::spawn(send_all(sender, outgoing));
        tokio::spawn(listen(receiver, pid, outbox.clone(), self.reports.clone()));
        let logs = Arc::new(Semaphore::new(1));
        let worker = Worker { pid, child, outbox, logs, born: Instant::now() };
        let (version, ticket_keys) = (VERSION.to_owned(), self.ticket_keys.all());
        worker.send(ToWorker::Hello { version, background: self.background, ticket_keys });
        Ok(worker)
    }
}

impl Worker {
    /// Its process.
    pub(super) const fn pid(&self) -> Pid {
        self.pid
    }

    /// Tells it to serve `bundle`, which has this number, with `descriptors`.
    pub(super) fn serve(
        &self,
        number: u64,
        bundle: &Arc<Bundle>,
        descriptors: &[BorrowedFd<'_>],
    ) -> io::Result<()> {
        self.hand_over(ToWorker::Serve(number, Arc::clone(bundle)), descriptors, None)
    }

    /// Sends logs that were opened again, with copies of their `descriptors`.
    pub(super) fn hand_over_logs(
        &self,
        paths: Vec<OsString>,
        descriptors: &[BorrowedFd<'_>],
    ) -> io::Result<()> {
        let turn = Arc::clone(&self.logs).try_acquire_owned().ok();
        self.hand_over(ToWorker::Logs(paths), descriptors, turn)
    }

    /// Whether it has not taken yet what it was sent of [these](Self::hand_over_logs).
    pub(super) fn has_unread_logs(&self) -> bool {
        self.logs.available_permits() == 0
    }

    /// Sends `message` with copies of `descriptors`.
    fn hand_over(
        &self,
        message: ToWorker,
        descriptors: &[BorrowedFd<'_>],
        turn: Option<OwnedSemaphorePermit>,
    ) -> io::Result<()> {
        let descriptors =
            descriptors.iter().map(BorrowedFd::try_clone_to_owned).collect::<io::Result<_>>()?;
        // A worker that is gone is reaped soon.
        let _ = self.outbox.send(Outgoing { message, descriptors, turn });
        Ok(())
    }

    /// Sends `message`.
    pub(super) fn send(&self, message: ToWorker) {
        let _ = self.outbox.send(Outgoing { message, descriptors: Vec::new(), turn: None });
    }

    /// Sends a signal. It is not reaped yet, so that its number is nobody else's.
    pub(super) fn signal(&self, signal: Signal) {
        let _ = kill(self.pid, signal);
    }

    /// How it has ended, if it has.
    pub(super) fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }
}

async fn send_all(mut sender: Sender, mut outgoing: mpsc::UnboundedReceiver<Outgoing>) {
    while let Some(Outgoing { message, descriptors, turn }) = outgoing.recv().await {
        let descriptors: Vec<_> = descriptors.iter().map(|fd| fd.as_fd()).collect();
        if sender.send(&message, &descriptors).await.is_err() {
            return;
        }
        drop(turn);
    }
}

/// Hears what a worker says, until it ends or says something that makes no sense: then it is not heard any more.
async fn listen(
    mut receiver: Receiver,
    from: Pid,
    outbox: mpsc::UnboundedSender<Outgoing>,
    reports: mpsc::Sender<Report>,
) {
    let turns = Arc::new(Semaphore::new(MOST_LOOKUPS));
    while let Ok(Some((message, _))) = receiver.receive().await {
        match message {
            ToMaster::Resolve(number, host) => {
                let Ok(turn) = Arc::clone(&turns).acquire_owned().await else { return };
                let outbox = outbox.clone();
                tokio::spawn(async move {
                    let message = ToWorker::Resolved(number, lookup::look_up(&host).await);
                    let _ = outbox.send(Outgoing { message, descriptors: Vec::new(), turn: Some(turn) });
                });
            }
            what => {
                if reports.send(Report { from, what }).await.is_err() {
                    return;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn whether_logs_were_taken_is_known() {
        let (outbox, mut outgoing) = mpsc::unbounded_channel();
        let child = Command::new("true").spawn().unwrap();
        let logs = Arc::new(Semaphore::new(1));
        let worker = Worker { pid: Pid::this(), child, outbox, logs, born: Instant::now() };
        assert!(!worker.has_unread_logs());
        worker.hand_over_logs(Vec::new(), &[]).unwrap();
        // A signal has them opened again although the last ones were not taken.
        worker.hand_over_logs(Vec::new(), &[]).unwrap();
        assert!(worker.has_unread_logs());
        outgoing.recv().await.unwrap();
        outgoing.recv().await.unwrap();
        assert!(!worker.has_unread_logs());
        worker.child.wait_with_output().unwrap();
    }
}
