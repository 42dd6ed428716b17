//! The worker: the process that serves, without privileges.
//!
//! It is this program run again by the master, which is at the other end of its standard input. It opens no file and
//! binds no address: everything comes from the master.

mod names;
pub(crate) mod privileges;
#[cfg(debug_assertions)]
mod probe;
mod sandbox;

use std::cell::RefCell;
use std::env;
use std::fmt::Display;
use std::fs::OpenOptions;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::ExitCode;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use mail::auth::resolve::CachedResolver;
use mail::dns::ConfFile;
use mail::flavour::Flavour;
use mail::serve;
use mail::settings::log::Level;
use mail::slots::Slots;
use mail::tls::{KeptKey, Keyring, Lasting};
use nix::sys::signal::Signal;
use nix::unistd::dup2_stdin;
use tokio::runtime;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use self::names::{MasterResolver, Open};
use self::sandbox::Walls;
use crate::bundle::{Bundle, BundleError, LONGEST_TO_WORKER, Opened, ToMaster, ToWorker, VERSION, take_logs};
use crate::channel::{self, ChannelError, MOST_DESCRIPTORS, Receiver, Sender};
use crate::serving::Serving;
use crate::signals::{Received, Signals};
use crate::start::{OpenLogs, Reason, StartError};
use crate::ticket_keys::TicketKey;
use crate::title::{OwnTitle, Role};
use crate::{console, logs, memory};

/// Set in the environment of the worker.
pub(crate) const MARK: &str = "GATEPOST_WORKER";

/// The exit code of a worker that cannot work, and would not if it were started again (as the originals).
pub(crate) const FATAL: u8 = 2;

/// How often the master hears how many connections there are, at most.
const COUNTED_EVERY: Duration = Duration::from_secs(5);

/// Why the worker cannot work.
#[derive(Debug, thiserror::Error)]
enum Fatal {
    /// The master does not speak with it.
    #[error(transparent)]
    Channel(#[from] ChannelError),
    /// The master is another program, or has gone already.
    #[error("the master of this worker is not of the same version")]
    Stranger,
    /// What it was given makes no sense.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// A log that it was not given.
    #[error(transparent)]
    Log(#[from] logs::OpenError),
    /// A system call failed.
    #[error("{call} failed")]
    Call {
        /// Which.
        call: String,
        /// The system's reason.
        source: io::Error,
    },
    /// It cannot lock itself in.
    #[error(transparent)]
    Sandbox(#[from] sandbox::SandboxError),
    /// `sandbox on`, and the kernel cannot.
    #[error("\"sandbox on\" is not possible on this system ({0})")]
    NoSandbox(Walls),
    /// It cannot serve.
    #[error(transparent)]
    Start(#[from] StartError),
}

/// Whether this process is a worker.
pub(crate) fn is_worker() -> bool {
    env::var_os(MARK).is_some()
}

/// Serves until the master says that it is enough.
pub(crate) fn main() -> ExitCode {
    match work() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // What can be said to the log has been said there.
            console::print(Flavour::Gatepost, format_args!("worker process: {}", Reason(&error)));
            ExitCode::from(FATAL)
        }
    }
}

fn work() -> Result<(), Fatal> {
    let call = |call: &'static str| move |source| Fatal::Call { call: call.to_owned(), source };
    let signals = Signals::block().map_err(call("signalfd()"))?;
    let runtime = runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(call("starting the runtime"))?;
    runtime.block_on(async {
        let (sender, receiver) = take_channel().map_err(call("opening the channel"))?;
        let signals = signals.read().map_err(call("signalfd()"))?;
        Worker::begin(sender, receiver, signals).await?.run().await
    })
}

/// The channel to the master; standard input is empty from then on.
fn take_channel() -> io::Result<(Sender, Receiver)> {
    let stdin: OwnedFd = io::stdin().as_fd().try_clone_to_owned()?;
    let ends = channel::split(UnixStream::from(stdin), LONGEST_TO_WORKER, MOST_DESCRIPTORS)?;
    dup2_stdin(OpenOptions::new().read(true).open("/dev/null")?)?;
    Ok(ends)
}

/// The worker at work.
struct Worker {
    title: OwnTitle,
    /// Of the configuration that is served.
    number: u64,
    serving: Serving,
    from_master: mpsc::Receiver<Message>,
    to_master: mpsc::UnboundedSender<ToMaster>,
    /// Whether the program has gone to the background.
    background: bool,
    questions: Arc<Mutex<Open>>,
    signals: Signals,
    phase: Phase,
}

/// How far the end is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Serving,
    Draining,
    Stopping,
}

impl Worker {
    /// Takes the first bundle, gives up all privileges, and begins to serve.
    async fn begin(sender: Sender, mut from_master: Receiver, signals: Signals) -> Result<Self, Fatal> {
        let Some((ToWorker::Hello { version, background, ticket_keys }, _)) = from_master.receive().await?
        else {
            return Err(Fatal::Stranger);
        };
        if version != VERSION {
            return Err(Fatal::Stranger);
        }
        let Some((ToWorker::Serve(number, bundle), descriptors)) = from_master.receive().await? else {
            return Err(Fatal::Stranger);
        };
        let opened = unpack(bundle)?.open(descriptors)?;
        let _ = nix::sys::prctl::set_name(&program_name(opened.flavour));
        let mut title = OwnTitle::new(opened.flavour, Vec::new());
        title.show(Role::Worker, number);
        mail::log::settle();
        let process = &opened.configuration.process;
        let rings = serve::rings(process.threads);
        // Logs have threads of their own, which must be locked in as well: what is said before is told later.
        let said = RefCell::new(Vec::new());
        let say = |level, message: &dyn Display| said.borrow_mut().push((level, message.to_string()));
        let dropped = privileges::drop_all(process, opened.identity.as_ref(), &say);
        let logs = OpenLogs::within(opened.logs, process, &opened.configuration.mail)?;
        for (level, message) in said.into_inner() {
            logs.main.line(level, None, message);
        }
        dropped.inspect_err(|fatal| logs.main.line(Level::Emerg, None, Reason(fatal)))?;
        #[cfg(debug_assertions)]
        probe::run(&logs.main);
        if let Err(error) = memory::give_back() {
            logs.main.line(Level::Notice, None, format_args!("the allocator has no thread: {error}"));
        }
        logs.logs.survive_panic(&logs.main);
        let (to_master, outbox) = mpsc::unbounded_channel();
        tokio::spawn(send_all(sender, outbox));
        let (resolver, questions) = MasterResolver::new(to_master.clone());
        let resolver = Arc::new(CachedResolver::new(resolver));
        let lasting = Lasting::with_keys(keyring(ticket_keys, to_master.clone()));
        let mut serving = Serving::new(resolver, lasting, process, logs, rings)?;
        serving.install(&opened.configuration, &opened.files, &opened.bounds, None)?;
        let (inbox, messages) = mpsc::channel(1);
        tokio::spawn(receive_all(from_master, inbox));
        let worker = Self {
            title,
            number,
            serving,
            from_master: messages,
            to_master,
            background,
            questions,
            signals,
            phase: Phase::Serving,
        };
        worker.say(ToMaster::Serving(number));
        Ok(worker)
    }

    /// Obeys until there is nothing left to serve.
    async fn run(mut self) -> Result<(), Fatal> {
        let mut orphan = false;
        let slots = self.serving.slots();
        let (mut connections, mut next_count) = (slots.used(), Instant::now());
        self.say(ToMaster::Connections(connections));
        loop {
            tokio::select! {
                () = other_count(&slots, connections, next_count) => {
                    (connections, next_count) = (slots.used(), Instant::now() + COUNTED_EVERY);
                    self.say(ToMaster::Connections(connections));
                }
                message = self.from_master.recv(), if !orphan => match message {
                    Some(Ok((message, descriptors))) => self.obey(message, descriptors),
                    Some(Err(error)) => self.line(Level::Alert, &error.to_string()),
                    None => {
                        orphan = true;
                        self.orphaned();
                    }
                },
                received = self.signals.next() => {
                    let received = received.map_err(|source| Fatal::Call { call: "read()".to_owned(), source })?;
                    self.signalled(received);
                }
                () = self.serving.gone(), if self.phase != Phase::Serving => break,
            }
        }
        self.line(Level::Notice, "exiting");
        let logs = self.serving.join();
        logs.main.line(Level::Notice, None, "exit");
        Ok(())
    }

    fn obey(&mut self, message: ToWorker, descriptors: Vec<OwnedFd>) {
        match message {
            // Said once, at the beginning.
            ToWorker::Hello { .. } => {}
            ToWorker::Serve(number, bundle) => {
                let outcome = unpack(bundle).and_then(|bundle| self.renew(number, bundle, descriptors));
                self.say(outcome.map_or_else(
                    |fatal| ToMaster::Failed(number, Reason(&fatal).to_string()),
                    |()| ToMaster::Serving(number),
                ));
            }
            ToWorker::Logs(paths) => {
                if let Err(error) = self.renew_logs(paths, descriptors) {
                    self.line(Level::Emerg, &Reason(&error).to_string());
                }
            }
            ToWorker::Resolved(number, answer) => names::settle(&self.questions, number, answer),
            ToWorker::NameServers(path, servers) => {
                self.serving.change_name_servers(&ConfFile { path, servers });
            }
            ToWorker::Drain => self.drain(),
            ToWorker::Stop => self.stop(),
        }
    }

    /// Serves what is in `bundle`, which has this number, from now on; on an error everything stays as it was.
    fn renew(&mut self, number: u64, bundle: Bundle, descriptors: Vec<OwnedFd>) -> Result<(), Fatal> {
        let Opened { configuration, files, bounds, logs, .. } = bundle.open(descriptors)?;
        let logs = logs.following(&self.serving.logs().logs);
        let logs = OpenLogs::within(logs, &configuration.process, &configuration.mail)?;
        self.serving.install(&configuration, &files, &bounds, Some(logs))?;
        self.number = number;
        self.show_title();
        Ok(())
    }

    fn renew_logs(&mut self, paths: Vec<std::ffi::OsString>, descriptors: Vec<OwnedFd>) -> Result<(), Fatal> {
        self.line(Level::Notice, "reopening logs");
        for (path, file) in take_logs(paths, descriptors)? {
            self.serving.logs().logs.renew(path, file)?;
        }
        Ok(())
    }

    /// What a signal leads to that was sent to the worker itself.
    fn signalled(&mut self, received: Received) {
        #[cfg(debug_assertions)]
        probe::signalled(received.signal);
        let notice = |then: &str| self.line(Level::Notice, &format!("{received}{then}"));
        match received.signal {
            Signal::SIGTERM | Signal::SIGINT => {
                notice(", exiting");
                self.stop();
            }
            Signal::SIGQUIT => {
                notice(", shutting down");
                self.drain();
            }
            Signal::SIGWINCH if self.background => {
                notice(", shutting down");
                self.drain();
            }
            // In the foreground it tells of a terminal's new size.
            Signal::SIGWINCH => notice(""),
            Signal::SIGUSR1 => {
                notice(", reopening logs");
                self.say(ToMaster::Reopen);
            }
            Signal::SIGHUP | Signal::SIGUSR2 => notice(", ignoring"),
            _ => {}
        }
    }

    fn drain(&mut self) {
        if self.phase == Phase::Serving {
            self.line(Level::Notice, "gracefully shutting down");
            self.phase = Phase::Draining;
            self.show_title();
            self.serving.drain();
        }
    }

    fn stop(&mut self) {
        self.phase = Phase::Stopping;
        self.serving.stop();
    }

    /// Without a master nobody could reopen the logs or look up a name: sessions end as they like, new ones belong to
    /// the next master.
    fn orphaned(&mut self) {
        if self.phase == Phase::Serving {
            self.line(Level::Alert, "the master process is gone");
            self.drain();
        }
    }

    fn show_title(&mut self) {
        let role = if self.phase == Phase::Serving { Role::Worker } else { Role::Leaving };
        self.title.show(role, self.number);
    }

    fn say(&self, message: ToMaster) {
        // A master that is gone needs no answer.
        let _ = self.to_master.send(message);
    }

    fn line(&self, level: Level, message: &str) {
        self.serving.log().line(level, None, message);
    }
}

/// Waits until there are not just `known` connections any more, and until it is `time`. While nothing changes, nobody is
/// woken for it.
async fn other_count(slots: &Slots, known: usize, time: Instant) {
    slots.other_than(known).await;
    sleep_until(time).await;
}

/// The keys of session tickets that there are; the master hears of new ones.
fn keyring(known: Vec<TicketKey>, to_master: mpsc::UnboundedSender<ToMaster>) -> Keyring {
    let known: Vec<KeptKey> = known.into_iter().map(KeptKey::from).collect();
    let keep = move |key: KeptKey| {
        // A master that is gone has no next worker.
        let _ = to_master.send(ToMaster::TicketKey(key.into()));
    };
    Keyring::kept(&known, Box::new(keep))
}

/// A bundle that came over the channel belongs to nobody else.
fn unpack(bundle: Arc<Bundle>) -> Result<Bundle, Fatal> {
    Arc::into_inner(bundle).ok_or(Fatal::Stranger)
}

/// What `ps` and `top` call the process.
pub(crate) fn program_name(flavour: Flavour) -> std::ffi::CString {
    std::ffi::CString::new(flavour.program()).unwrap_or_default()
}

/// A message of the master, or what was wrong with it.
type Message = Result<(ToWorker, Vec<OwnedFd>), ChannelError>;

/// Receives one message after the other; nothing more comes after an error.
async fn receive_all(mut receiver: Receiver, inbox: mpsc::Sender<Message>) {
    while let Some(message) = receiver.receive().await.transpose() {
        let is_last = message.is_err();
        if inbox.send(message).await.is_err() || is_last {
            return;
        }
    }
}

async fn send_all(mut sender: Sender, mut outbox: mpsc::UnboundedReceiver<ToMaster>) {
    while let Some(message) = outbox.recv().await {
        if sender.send(&message, &[]).await.is_err() {
            return;
        }
    }
}
