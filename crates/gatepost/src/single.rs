//! `master_process off`: one process opens, gives up its privileges, serves and obeys signals.

use std::fmt::Display;
use std::sync::Arc;

use mail::auth::resolve::{CachedResolver, SystemResolver};
use mail::files::Files;
use mail::listener::Bound;
use mail::log::Log;
use mail::serve;
use mail::settings::log::Level;
use mail::tls::Lasting;
use nix::sys::signal::Signal;

use crate::activation::Activated;
use crate::launch::{self, Launch};
use crate::logs::Logs;
use crate::master::upgrade;
use crate::notify::{self, News};
use crate::pidfile::{self, PidFile};
use crate::prepare::{PrepareError, Prepared, Program, to_log};
use crate::serving::{Serving, reached};
use crate::settings::Configuration;
use crate::signals::{Received, Signals};
use crate::start::{self, OpenLogs, Reason, StartError};
use crate::title::{OwnTitle, Role};
use crate::watch::Watch;
use crate::{memory, sockets};

/// The only process.
struct Single {
    program: Program,
    title: OwnTitle,
    /// Counts the configurations that it has served, from 1.
    number: u64,
    serving: Serving,
    /// The sockets that are open, to be kept at a reload.
    bounds: Vec<Bound>,
    activated: Activated,
    /// Files that may change while the configuration is served.
    watch: Watch,
    ending: bool,
}

/// Serves until a signal ends it.
pub(crate) async fn run(
    program: Program,
    launch: Launch,
    title: OwnTitle,
    prepared: Prepared,
    signals: Signals,
) -> Result<(), StartError> {
    let Prepared { configuration, logs, bounds, files, .. } = prepared;
    let begun = begin(&program, &launch, &configuration, &files, logs, &bounds);
    let (serving, _pid_file) = begun.inspect_err(|_| {
        // The program before still listens there.
        if !upgrade::inherits(program.flavour) {
            sockets::delete_files(&bounds, &[launch.activated.bounds()], &|_, _| {});
        }
    })?;
    let watch = Watch::new(&configuration.mail);
    let activated = launch.activated;
    let (log, slots) = (serving.log(), serving.slots());
    let single = Single { program, title, number: 1, serving, bounds, activated, watch, ending: false };
    notify::tell(&log, &News::Ready);
    tokio::select! {
        ended = single.serve(&signals) => ended,
        never = notify::keep_telling(&log, || slots.used()) => match never {},
    }
}

/// From a process that has opened everything to one that serves.
fn begin(
    program: &Program,
    launch: &Launch,
    configuration: &Configuration,
    files: &Files,
    logs: OpenLogs,
    bounds: &[Bound],
) -> Result<(Serving, Option<PidFile>), StartError> {
    let process = &configuration.process;
    logs.logs.survive_panic(&logs.main);
    start::limit(process, &to_log(&logs.main));
    let pid_file = pidfile::of(process)?;
    if let Some(account) = &process.account {
        logs.logs.give_to(account.uid);
        start::become_user(account)?;
    }
    start::guard_memory(process, &to_log(&logs.main));
    start::introduce(&logs, program.flavour);
    if let Err(error) = memory::give_back() {
        logs.main.line(Level::Notice, None, format_args!("the allocator has no thread: {error}"));
    }
    logs.main.line(Level::Notice, None, "start serving threads");
    let uses_stderr = logs.logs.use_stderr();
    let resolver = Arc::new(CachedResolver::new(SystemResolver));
    let rings = serve::rings(process.threads);
    let mut serving = Serving::new(resolver, Lasting::new(), process, logs, rings)?;
    serving.install(configuration, files, bounds, None)?;
    if launch.is_background() {
        if !uses_stderr {
            launch::leave_stderr(process).map_err(StartError::call("dup2()"))?;
        }
        launch::ready().map_err(StartError::call("telling the first process"))?;
    }
    Ok((serving, pid_file))
}

impl Single {
    async fn serve(mut self, signals: &Signals) -> Result<(), StartError> {
        loop {
            let look = self.watch.due();
            tokio::select! {
                received = signals.next() => {
                    let received = received.map_err(StartError::call("waiting for signals"))?;
                    self.obey(received).await;
                }
                () = reached(look) => self.look_at_files(),
                () = self.serving.gone(), if self.ending => break,
            }
        }
        let logs = self.serving.join();
        sockets::delete_files(&self.bounds, &[self.activated.bounds()], &|_, _| {});
        logs.main.line(Level::Notice, None, "exit");
        Ok(())
    }

    async fn obey(&mut self, received: Received) {
        let log = self.serving.log();
        let tell = |then: &str| log.line(Level::Notice, None, format_args!("{received}{then}"));
        match received.signal {
            Signal::SIGTERM | Signal::SIGINT => {
                tell(", exiting");
                notify::tell(&log, &News::Stopping);
                self.ending = true;
                self.serving.stop();
            }
            Signal::SIGQUIT => {
                tell(", shutting down");
                self.shut_down(&log);
            }
            Signal::SIGHUP => {
                tell(", reconfiguring");
                self.reload(&log).await;
            }
            Signal::SIGUSR1 => {
                tell(", reopening logs");
                for error in self.serving.logs().logs.reopen() {
                    log.line(Level::Emerg, None, Reason(&error));
                }
            }
            Signal::SIGUSR2 => tell(", ignoring"),
            Signal::SIGWINCH => tell(""),
            // CHLD among them: the only children look up names.
            _ => {}
        }
    }

    fn look_at_files(&mut self) {
        for file in self.watch.look(&to_log(&self.serving.log())) {
            self.serving.change_name_servers(file);
        }
    }

    fn shut_down(&mut self, log: &Log) {
        if !self.ending {
            log.line(Level::Notice, None, "gracefully shutting down");
            notify::tell(log, &News::Stopping);
            self.ending = true;
            let bounds = std::mem::take(&mut self.bounds);
            sockets::delete_files(&bounds, &[self.activated.bounds()], &|_, _| {});
            self.activated = Activated::default();
            self.serving.drain();
        }
    }

    /// Serves a new configuration, as far as it can be opened without the privileges of the start.
    async fn reload(&mut self, log: &Arc<Log>) {
        if self.ending {
            return;
        }
        log.line(Level::Notice, None, "reconfiguring");
        notify::tell(log, &News::Reloading);
        let say = to_log(log);
        match self.renew(&say).await {
            Ok(()) => log.line(Level::Notice, None, "reconfigured"),
            Err(error) => log.line(error.level(), None, Reason(&error)),
        }
        notify::tell(log, &News::Ready);
    }

    async fn renew(&mut self, say: &dyn Fn(Level, &dyn Display)) -> Result<(), PrepareError> {
        let loaded = self.program.load_beside().await?;
        let logs = Logs::default().following(&self.serving.logs().logs);
        let Prepared { configuration, logs, bounds, files, .. } =
            Prepared::new(loaded, logs, &[&self.bounds, self.activated.bounds()], say).await?;
        self.serving.install(&configuration, &files, &bounds, Some(logs))?;
        self.number += 1;
        self.title.show(Role::Single, self.number);
        self.watch = Watch::new(&configuration.mail);
        let before = std::mem::replace(&mut self.bounds, bounds);
        sockets::delete_files(&before, &[&self.bounds, self.activated.bounds()], say);
        self.activated.tell_unused(&self.bounds, &self.serving.log());
        Ok(())
    }
}
