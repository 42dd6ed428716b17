//! The master: opens what the configuration names, starts the worker, obeys signals. It never reads a byte of a client
//! or an upstream.

mod reload;
mod respawn;
mod signalled;
pub(crate) mod upgrade;
mod worker;

use std::fmt::Display;
use std::io;
use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use mail::dns::ConfFile;
use mail::listener::Bound;
use mail::log::Log;
use mail::settings::log::Level;
use nix::sys::signal::Signal;
use nix::unistd::Pid;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use self::reload::Candidate;
use self::respawn::Respawn;
use self::upgrade::NewProgram;
use self::worker::{Nursery, Report, Worker};
use crate::activation::Activated;
use crate::bundle::{self, Bundle, Identity, Parts, ToMaster, ToWorker};
use crate::launch::{self, Launch};
use crate::logs::Logs;
use crate::notify::{self, News};
use crate::pidfile::PidFile;
use crate::prepare::{Prepared, Program, to_log};
use crate::serving::reached;
use crate::settings::Configuration;
use crate::signals::Signals;
use crate::sockets;
use crate::start::{OpenLogs, StartError};
use crate::ticket_keys::TicketKeys;
use crate::title::OwnTitle;
use crate::watch::Watch;
use crate::worker::FATAL;

/// The pause after the first order to stop at once; each further one is twice as long (as the originals).
const STOP_PAUSE: Duration = Duration::from_millis(50);

/// After a pause of this length there is no further order: what has not stopped is killed (as the originals).
const LONGEST_STOP_PAUSE: Duration = Duration::from_secs(1);

/// A configuration that is served, or is to be.
#[derive(Debug)]
struct Setup {
    /// Counts the configurations that this master has served, from 1, with this one.
    number: u64,
    configuration: Configuration,
    logs: OpenLogs,
    bounds: Vec<Bound>,
    /// What a worker needs besides logs and sockets.
    bundle: Arc<Bundle>,
    /// Files in the bundle that may change while it is served.
    watch: Watch,
    identity: Option<Identity>,
}

/// The master at work.
struct Master {
    program: Program,
    launch: Launch,
    title: OwnTitle,
    setup: Setup,
    pid_file: Option<PidFile>,
    nursery: Nursery,
    reports: mpsc::Receiver<Report>,
    /// The one that accepts.
    worker: Option<Worker>,
    /// Those that serve their last sessions.
    leaving: Vec<Worker>,
    /// A new configuration that a worker is about to take over.
    candidate: Option<Candidate>,
    /// Another reload was asked for meanwhile.
    again: bool,
    respawn: Respawn,
    /// When to start a worker in the place of one that has died.
    next_start: Option<Instant>,
    /// The first worker serves.
    up: watch::Sender<bool>,
    ending: Ending,
    new_program: Option<NewProgram>,
    /// The sockets are another program's as well, which was there before.
    inherited: bool,
    /// How many connections the worker has, as it said last.
    connections: Arc<AtomicUsize>,
}

/// How the master is to end.
#[derive(Debug, Clone, Copy)]
enum Ending {
    /// Not at all.
    No,
    /// When the last session has ended.
    Graceful,
    /// At once: the next order to stop is given at `next`, after a pause of `pause`.
    Fast { next: Instant, pause: Duration },
}

/// Serves until a signal ends it.
pub(crate) async fn run(
    program: Program,
    launch: Launch,
    title: OwnTitle,
    prepared: Prepared,
    signals: Signals,
) -> Result<(), StartError> {
    let setup = Setup::new(1, &program, prepared)?;
    setup.logs.logs.survive_panic(&setup.logs.main);
    let inherited = upgrade::inherits(program.flavour);
    let pid_file = crate::pidfile::of(&setup.configuration.process).inspect_err(|_| {
        // The program before still listens there.
        if !inherited {
            sockets::delete_files(&setup.bounds, &[launch.activated.bounds()], &|_, _| {});
        }
    })?;
    let (reporting, reports) = mpsc::channel(16);
    let (up, mut is_up) = watch::channel(false);
    let background = launch.is_background() || inherited;
    let ticket_keys = TicketKeys::default();
    let nursery = Nursery { flavour: program.flavour, background, ticket_keys, reports: reporting };
    let mut master = Master {
        program,
        launch,
        title,
        setup,
        pid_file,
        nursery,
        reports,
        worker: None,
        leaving: Vec::new(),
        candidate: None,
        again: false,
        respawn: Respawn::default(),
        next_start: None,
        up,
        ending: Ending::No,
        new_program: None,
        inherited,
        connections: Arc::default(),
    };
    master.guard_memory();
    crate::start::introduce(&master.setup.logs, master.program.flavour);
    if master.launch.is_background() && !master.setup.logs.logs.use_stderr() {
        // Before there is a worker, which would go on with it.
        let process = &master.setup.configuration.process;
        launch::leave_stderr(process).map_err(StartError::call("dup2()"))?;
    }
    master.notice(&"start worker processes");
    master.start_worker().map_err(StartError::call("fork()"))?;
    let (log, connections) = (Arc::clone(master.log()), Arc::clone(&master.connections));
    let ended = tokio::select! {
        ended = master.serve(&signals) => ended,
        never = async {
            // The first thing that systemd hears is that clients are served.
            let _ = is_up.wait_for(|up| *up).await;
            notify::keep_telling(&log, || connections.load(Ordering::Relaxed)).await
        } => match never {},
    };
    master.leave();
    ended
}

impl Setup {
    fn new(number: u64, program: &Program, prepared: Prepared) -> Result<Self, StartError> {
        let Prepared { configuration, logs, bounds, files, sources, names } = prepared;
        let account = configuration.process.account.as_ref();
        let watch = Watch::new(&configuration.mail);
        let identity = account.map(Identity::of).transpose().map_err(StartError::call("getgrouplist()"))?;
        let bundle = Bundle::pack(Parts {
            request: &program.request(),
            sources,
            names,
            files,
            identity: identity.clone(),
            bounds: &bounds,
            logs: &logs.logs,
        });
        Ok(Self { number, configuration, logs, bounds, bundle: Arc::new(bundle), watch, identity })
    }

    /// Hands all of it to `worker`, and what has become of it since.
    fn give_to(&self, worker: &Worker) -> io::Result<()> {
        worker.serve(self.number, &self.bundle, &bundle::descriptors(&self.bounds, &self.logs.logs))?;
        self.watch.files().for_each(|file| worker.send(name_servers(file)));
        Ok(())
    }

    /// Whether a worker of `other` can serve this as well: it cannot become another user, or leave a sandbox.
    fn fits(&self, other: &Self) -> bool {
        let of = |setup: &Self| {
            let process = &setup.configuration.process;
            (
                setup.identity.clone(),
                process.sandbox,
                process.affinity.clone(),
                process.priority,
                process.directory.clone(),
                process.environment.clone(),
                (process.rlimit_nofile, process.rlimit_core),
            )
        };
        of(self) == of(other)
    }
}

impl Master {
    /// Obeys signals and looks after workers until the last one has gone and none is to come.
    async fn serve(&mut self, signals: &Signals) -> Result<(), StartError> {
        while !self.is_done() {
            let (alarm, look) = (self.alarm(), self.next_look());
            tokio::select! {
                received = signals.next() => {
                    let received = received.map_err(StartError::call("waiting for signals"))?;
                    self.obey(received).await?;
                }
                Some(report) = self.reports.recv() => self.hear(report)?,
                () = reached(alarm) => self.ring(),
                () = reached(look) => self.look_at_files(),
            }
            self.reload_again().await;
        }
        Ok(())
    }

    /// Whether the first worker has served.
    fn is_up(&self) -> bool {
        *self.up.borrow()
    }

    fn is_done(&self) -> bool {
        let nobody = self.worker.is_none() && self.leaving.is_empty() && self.candidate.is_none();
        nobody && !matches!(self.ending, Ending::No)
    }

    /// When there is something to do without being asked.
    fn alarm(&self) -> Option<Instant> {
        match self.ending {
            Ending::Fast { next, .. } => Some(next),
            Ending::Graceful => None,
            Ending::No => self.next_start,
        }
    }

    /// When to look whether files have changed. Not while a worker takes over another configuration, which has read
    /// them later.
    fn next_look(&self) -> Option<Instant> {
        self.setup.watch.due().filter(|_| self.candidate.is_none())
    }

    /// Tells the workers what has changed in files.
    fn look_at_files(&mut self) {
        let log = Arc::clone(self.log());
        let changed: Vec<_> = self.setup.watch.look(&to_log(&log)).into_iter().cloned().collect();
        for worker in self.workers() {
            for file in &changed {
                worker.send(name_servers(file));
            }
        }
    }

    fn ring(&mut self) {
        match self.ending {
            Ending::Fast { pause, .. } => self.insist(pause * 2),
            _ => self.replace_worker(),
        }
    }

    /// Orders all workers to stop at once, and again after `pause`; kills them when there is no point in waiting.
    fn insist(&mut self, pause: Duration) {
        let kill = pause > LONGEST_STOP_PAUSE;
        for worker in self.workers() {
            if kill {
                worker.signal(Signal::SIGKILL);
            } else {
                worker.send(ToWorker::Stop);
            }
        }
        self.ending = Ending::Fast { next: Instant::now() + pause, pause };
    }

    /// Starts a worker in the place of one that is gone; later, if the system has no room for it now.
    fn replace_worker(&mut self) {
        if let Err(source) = self.start_worker() {
            let error = StartError::call("fork()")(source);
            self.log().line(Level::Alert, None, crate::start::Reason(&error));
            let now = Instant::now();
            self.next_start = Some(self.respawn.after(now, now));
        }
    }

    fn start_worker(&mut self) -> io::Result<()> {
        self.next_start = None;
        let Setup { number, configuration, .. } = &self.setup;
        let worker = self.nursery.start(*number, &configuration.process.environment)?;
        self.notice(&format_args!("start worker process {}", worker.pid()));
        match self.setup.give_to(&worker) {
            Ok(()) => self.worker = Some(worker),
            Err(error) => {
                self.turn_away(worker);
                return Err(error);
            }
        }
        Ok(())
    }

    /// Ends a worker that was started in vain.
    fn turn_away(&mut self, worker: Worker) {
        worker.signal(Signal::SIGKILL);
        self.leaving.push(worker);
    }

    /// What a worker says.
    fn hear(&mut self, Report { from, what }: Report) -> Result<(), StartError> {
        let of_candidate = |number| {
            self.candidate
                .as_ref()
                .is_some_and(|candidate| candidate.is_of(from) && candidate.number() == number)
        };
        match what {
            // Whoever asks and does not listen would have files kept for it without end.
            ToMaster::Reopen if self.workers().any(Worker::has_unread_logs) => {}
            ToMaster::Reopen => self.reopen_logs(),
            ToMaster::Connections(count) => self.connections.store(count, Ordering::Relaxed),
            ToMaster::Serving(number) => {
                let adopted = of_candidate(number);
                self.come_up()?;
                if adopted {
                    self.adopt_candidate();
                }
            }
            ToMaster::Failed(number, reason) if of_candidate(number) => self.give_up_candidate(&reason),
            ToMaster::Failed(_, reason) => self.log().line(Level::Alert, None, reason),
            ToMaster::TicketKey(key) => self.nursery.ticket_keys.keep(key),
            ToMaster::Resolve(..) => {}
        }
        Ok(())
    }

    /// A worker serves: if it is the first, whoever waits for that is told.
    fn come_up(&self) -> Result<(), StartError> {
        if self.is_up() {
            return Ok(());
        }
        self.tell_system(&News::Ready);
        self.up.send_replace(true);
        if self.launch.is_background() {
            launch::ready().map_err(StartError::call("telling the first process"))?;
        }
        Ok(())
    }

    /// Sees which processes have ended, and replaces those that should not have.
    fn reap(&mut self) -> Result<(), StartError> {
        let mut ended = Vec::new();
        for worker in self.leaving.extract_if(.., |worker| worker.ended().is_some()) {
            ended.push(worker);
        }
        for mut worker in ended {
            self.tell_end(&mut worker);
            self.give_up_candidate_of(&worker);
        }
        if let Some(mut worker) = self.candidate.as_mut().and_then(Candidate::take_ended) {
            self.tell_end(&mut worker);
            self.give_up_candidate("its worker has died");
        }
        if let Some(mut worker) = self.worker.take_if(|worker| worker.ended().is_some()) {
            self.mourn(&mut worker)?;
        }
        if self.new_program.as_mut().is_some_and(NewProgram::has_ended) {
            self.go_back();
        }
        Ok(())
    }

    /// The worker that accepts has ended.
    fn mourn(&mut self, worker: &mut Worker) -> Result<(), StartError> {
        let is_fatal = self.tell_end(worker);
        self.give_up_candidate_of(worker);
        if !matches!(self.ending, Ending::No) {
            return Ok(());
        }
        if is_fatal {
            // Before it has served once, that is a start that failed.
            return if self.is_up() { Ok(()) } else { Err(StartError::Worker) };
        }
        self.next_start = Some(self.respawn.after(worker.born, Instant::now()));
        Ok(())
    }

    /// Says how a worker has ended; whether it would do so again.
    fn tell_end(&self, worker: &mut Worker) -> bool {
        let pid = worker.pid();
        let status = worker.ended().unwrap_or_default();
        match status.code() {
            Some(code) if code == i32::from(FATAL) => {
                let what = "exited with fatal code 2 and cannot be respawned";
                self.log().line(Level::Alert, None, format_args!("worker process {pid} {what}"));
                true
            }
            Some(code) => {
                self.notice(&format_args!("worker process {pid} exited with code {code}"));
                false
            }
            None => {
                self.tell_signal(pid, status);
                false
            }
        }
    }

    fn tell_signal(&self, pid: Pid, status: ExitStatus) {
        let signal = status.signal().unwrap_or_default();
        let core = if status.core_dumped() { " (core dumped)" } else { "" };
        let message = format_args!("worker process {pid} exited on signal {signal}{core}");
        self.log().line(Level::Alert, None, message);
    }

    /// All workers that there are.
    fn workers(&self) -> impl Iterator<Item = &Worker> {
        let fresh = self.candidate.iter().filter_map(Candidate::fresh);
        self.worker.iter().chain(fresh).chain(&self.leaving)
    }

    /// Whether this is a worker, or the new program.
    fn has_started(&self, pid: Pid) -> bool {
        let is_new_program =
            |program: &NewProgram| u32::try_from(pid.as_raw()).is_ok_and(|pid| pid == program.id());
        self.workers().any(|worker| worker.pid() == pid)
            || self.new_program.as_ref().is_some_and(is_new_program)
    }

    /// The worker that accepts accepts no longer, and ends with its last session.
    fn retire_worker(&mut self) {
        self.next_start = None;
        if let Some(worker) = self.worker.take() {
            worker.send(ToWorker::Drain);
            self.leaving.push(worker);
        }
    }

    fn reopen_logs(&mut self) {
        self.notice(&"reopening logs");
        let mut errors = self.setup.logs.logs.reopen();
        // Those of a reload may have been opened under the names that their files had before.
        errors.extend(self.candidate.iter_mut().flat_map(|it| it.logs_mut().reopen()));
        for error in errors {
            self.log().line(Level::Emerg, None, crate::start::Reason(&error));
        }
        self.hand_over_logs(&self.setup.logs.logs);
        self.candidate.iter().for_each(|candidate| self.hand_over_logs(candidate.logs()));
    }

    /// Gives the files of `logs` to all workers.
    fn hand_over_logs(&self, logs: &Logs) {
        let files = logs.files();
        let paths: Vec<_> = files.keys().map(std::ffi::OsString::from).collect();
        let descriptors: Vec<_> = files.values().map(std::os::fd::AsFd::as_fd).collect();
        for worker in self.workers() {
            if let Err(source) = worker.hand_over_logs(paths.clone(), &descriptors) {
                let error = StartError::call("dup()")(source);
                self.log().line(Level::Alert, None, crate::start::Reason(&error));
            }
        }
    }

    /// Closes the listening sockets, and removes the files of unix sockets unless another program listens there.
    fn close_sockets(&mut self) {
        let bounds = std::mem::take(&mut self.setup.bounds);
        if self.new_program.is_none() && !(self.inherited && self.launch.has_parent()) {
            sockets::delete_files(&bounds, &[self.launch.activated.bounds()], &|_, _| {});
        }
        self.launch.activated = Activated::default();
    }

    /// The last things that a master does.
    fn leave(mut self) {
        self.close_sockets();
        drop(self.pid_file.take());
        self.notice(&"exit");
    }

    /// Tells systemd, if there is one.
    fn tell_system(&self, news: &News) {
        notify::tell(self.log(), news);
    }

    /// A master has keys and users files in memory, for the next worker.
    fn guard_memory(&self) {
        crate::start::guard_memory(&self.setup.configuration.process, &to_log(self.log()));
    }

    fn log(&self) -> &Arc<Log> {
        &self.setup.logs.main
    }

    fn say(&self, level: Level, message: &dyn Display) {
        to_log(self.log())(level, message);
    }

    fn notice(&self, message: &dyn Display) {
        self.say(Level::Notice, message);
    }
}

fn name_servers(file: &ConfFile) -> ToWorker {
    ToWorker::NameServers(file.path.clone(), file.servers.clone())
}
