//! What serves, in the worker or in the only process: the threads, and all that outlives a configuration.

use std::sync::Arc;
use std::time::Duration;

use mail::auth::Resolve;
use mail::auth::users::Pool;
use mail::dns::ConfFile;
use mail::files::Files;
use mail::generation::Makings;
use mail::listener::Bound;
use mail::log::Log;
use mail::serve::{Order, Prepare, Retired, Workers};
use mail::settings::log::Level;
use mail::slots::Slots;
use mail::tls::Lasting;
use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;
use system::ring::Ring;
use tokio::time::{Instant, sleep, sleep_until};

use crate::settings::{Affinity, Configuration, Process};
use crate::start::{self, OpenLogs, StartError};

/// The threads with what is made for them.
pub(crate) struct Serving {
    makings: Makings,
    workers: Workers,
    logs: OpenLogs,
    /// `worker_shutdown_timeout` of the configuration that is served.
    shutdown_timeout: Option<Duration>,
    /// When proxied sessions are to be ended.
    cut: Option<Instant>,
}

impl Serving {
    /// Nothing served yet. Names go to `resolver`, lines to `logs`; TLS sessions live by `lasting`, and threads send by
    /// `rings`.
    pub(crate) fn new(
        resolver: Arc<dyn Resolve>,
        lasting: Lasting,
        process: &Process,
        logs: OpenLogs,
        rings: Vec<Ring>,
    ) -> Result<Self, StartError> {
        let verifiers = Pool::new(process.processors.try_into().unwrap_or(std::num::NonZero::<usize>::MIN));
        let verifiers = Arc::new(verifiers.map_err(StartError::Threads)?);
        let prepare = prepare(process.affinity.clone(), process.processors);
        Ok(Self {
            makings: Makings::new(resolver, lasting, verifiers),
            workers: Workers::new(Slots::new(0), prepare, rings),
            logs,
            shutdown_timeout: None,
            cut: None,
        })
    }

    /// The logs in use.
    pub(crate) fn logs(&mut self) -> &mut OpenLogs {
        &mut self.logs
    }

    /// The log of the main context.
    pub(crate) fn log(&self) -> Arc<Log> {
        Arc::clone(&self.logs.main)
    }

    /// Serves `configuration` from now on; on an error everything stays as it was.
    ///
    /// Sessions that there are go on as they began; those that are proxied end when the `worker_shutdown_timeout`
    /// that they began with has passed, if there is one.
    pub(crate) fn install(
        &mut self,
        configuration: &Configuration,
        files: &Files,
        bounds: &[Bound],
        logs: Option<OpenLogs>,
    ) -> Result<(), StartError> {
        let Configuration { process, mail } = configuration;
        // What looks wrong in the files has been said by whoever has read them.
        let generation =
            start::build(mail, logs.as_ref().unwrap_or(&self.logs), &self.makings, files, |_| {})?;
        self.makings.lasting.begin();
        self.workers.slots().set_limit(slots(process));
        let before = self.workers.install(generation, bounds, process.threads);
        let before = before.map_err(StartError::call("starting threads"))?;
        if let (Some(before), Some(timeout)) = (before, self.shutdown_timeout) {
            tokio::spawn(cut_later(before, timeout, self.log()));
        }
        self.shutdown_timeout = process.shutdown_timeout;
        if let Some(logs) = logs {
            logs.logs.survive_panic(&logs.main);
            self.logs = logs;
        }
        Ok(())
    }

    /// Resolvers that find their servers in `file` ask these from now on, and go on with all that they know.
    pub(crate) fn change_name_servers(&self, file: &ConfFile) {
        self.makings.conf_files.replace(&file.path, &file.servers);
    }

    /// Accepts nothing more; ends with the last session.
    pub(crate) fn drain(&mut self) {
        self.workers.order(Order::Drain);
        self.cut = self.shutdown_timeout.map(|timeout| Instant::now() + timeout);
    }

    /// Ends at once.
    pub(crate) fn stop(&self) {
        self.workers.order(Order::Stop);
    }

    /// Waits until the threads have gone, and ends proxied sessions when their time is over.
    pub(crate) async fn gone(&mut self) {
        tokio::select! {
            () = self.workers.gone() => return,
            () = reached(self.cut) => self.cut = None,
        }
        tell_cut(&self.logs.main);
        self.workers.order(Order::Cut);
        self.workers.gone().await;
    }

    /// Joins the threads, and gives back the logs for the last words.
    pub(crate) fn join(self) -> OpenLogs {
        self.workers.join();
        self.logs
    }

    /// What counts the connections.
    pub(crate) fn slots(&self) -> Arc<Slots> {
        Arc::clone(self.workers.slots())
    }
}

/// `worker_connections` for each thread, as the originals have them for each process.
fn slots(process: &Process) -> usize {
    usize::try_from(process.connections).unwrap_or(usize::MAX).saturating_mul(process.threads.max(1))
}

/// Waits for `time`; for ever without one.
pub(crate) async fn reached(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => std::future::pending().await,
    }
}

async fn cut_later(before: Retired, timeout: Duration, log: Arc<Log>) {
    sleep(timeout).await;
    if before.has_sessions() {
        tell_cut(&log);
        before.cut();
    }
}

fn tell_cut(log: &Log) {
    log.line(Level::Info, None, "closing active connections due to worker shutdown timeout");
}

/// Puts each thread where `affinity` wants it. A processor that is not there is no reason not to serve.
fn prepare(affinity: Option<Affinity>, machine: usize) -> Prepare {
    Box::new(move |number| {
        let Some(affinity) = &affinity else { return };
        let mut set = CpuSet::new();
        let wanted = affinity.of_thread(number, machine);
        let set_all = wanted.iter().try_for_each(|processor| set.set(*processor));
        if set_all.is_ok() && !wanted.is_empty() {
            let _ = sched_setaffinity(Pid::from_raw(0), &set);
        }
    })
}
