//! Reload: all of a new configuration, or nothing.

use std::sync::Arc;

use mail::log::Log;
use mail::settings::log::Level;
use nix::unistd::Pid;

use super::worker::Worker;
use super::{Ending, Master, Setup};
use crate::bundle::ToWorker;
use crate::logs::Logs;
use crate::notify::News;
use crate::pidfile::PidFile;
use crate::prepare::{PrepareError, Prepared, to_log};
use crate::sockets;
use crate::start::{Reason, StartError};
use crate::title::Role;

/// A configuration that is good as far as the master can see, until a worker says that it serves it.
#[derive(Debug)]
pub(super) struct Candidate {
    setup: Setup,
    taker: Taker,
    /// Where its number will be found.
    pid_file: NewPidFile,
}

/// Who is to serve a candidate.
#[derive(Debug)]
enum Taker {
    /// The worker that serves.
    Same(Pid),
    /// A worker of its own, which takes the place of the one before.
    Fresh(Worker),
    /// It has died.
    Nobody,
}

#[derive(Debug)]
enum NewPidFile {
    Same,
    Other(Option<PidFile>),
}

impl Candidate {
    /// Its number.
    pub(super) const fn number(&self) -> u64 {
        self.setup.number
    }

    /// Its logs.
    pub(super) const fn logs(&self) -> &Logs {
        &self.setup.logs.logs
    }

    /// Its logs, to be reopened.
    pub(super) const fn logs_mut(&mut self) -> &mut Logs {
        &mut self.setup.logs.logs
    }

    /// Whether the worker with this process is to serve it.
    pub(super) fn is_of(&self, pid: Pid) -> bool {
        match &self.taker {
            Taker::Same(same) => *same == pid,
            Taker::Fresh(worker) => worker.pid() == pid,
            Taker::Nobody => false,
        }
    }

    /// The worker that was started for it.
    pub(super) const fn fresh(&self) -> Option<&Worker> {
        match &self.taker {
            Taker::Fresh(worker) => Some(worker),
            Taker::Same(_) | Taker::Nobody => None,
        }
    }

    /// The worker that was started for it, if it has ended.
    pub(super) fn take_ended(&mut self) -> Option<Worker> {
        let Taker::Fresh(worker) = &mut self.taker else { return None };
        worker.ended()?;
        match std::mem::replace(&mut self.taker, Taker::Nobody) {
            Taker::Fresh(worker) => Some(worker),
            Taker::Same(_) | Taker::Nobody => None,
        }
    }
}

impl Master {
    /// Reads the configuration anew, and hands it to a worker. If anything is wrong, nothing changes but for lines in
    /// the log.
    pub(super) async fn reload(&mut self) {
        if self.candidate.is_some() {
            self.again = true;
            return;
        }
        self.notice(&"reconfiguring");
        self.tell_system(&News::Reloading);
        let failed = match self.prepare().await {
            Ok(setup) => self.propose(setup).err().map(PrepareError::Start),
            Err(error) => Some(error),
        };
        if let Some(error) = failed {
            self.log().line(error.level(), None, Reason(&error));
            self.tell_system(&News::Ready);
        }
    }

    /// Does what was asked for while another reload was under way, once that has come to its end.
    pub(super) async fn reload_again(&mut self) {
        if self.candidate.is_none() && std::mem::take(&mut self.again) && matches!(self.ending, Ending::No) {
            self.reload().await;
        }
    }

    async fn prepare(&self) -> Result<Setup, PrepareError> {
        let log: Arc<Log> = Arc::clone(self.log());
        let loaded = self.program.load_beside().await?;
        let open = [&self.setup.bounds, self.launch.activated.bounds()];
        let logs = Logs::default().following(&self.setup.logs.logs);
        let prepared = Prepared::new(loaded, logs, &open, &to_log(&log)).await?;
        Ok(Setup::new(self.setup.number + 1, &self.program, prepared)?)
    }

    /// Hands `setup` to the worker that serves, or to a new one if that one cannot become what it should.
    fn propose(&mut self, setup: Setup) -> Result<(), StartError> {
        match self.hand_over(&setup) {
            Ok((taker, pid_file)) => {
                self.candidate = Some(Candidate { setup, taker, pid_file });
                Ok(())
            }
            Err(error) => {
                self.close_in_vain(&setup);
                Err(error)
            }
        }
    }

    fn hand_over(&mut self, setup: &Setup) -> Result<(Taker, NewPidFile), StartError> {
        let (before, after) = (&self.setup.configuration.process, &setup.configuration.process);
        let pid_file = if before.pid == after.pid {
            NewPidFile::Same
        } else {
            NewPidFile::Other(crate::pidfile::of(after)?)
        };
        let handed = StartError::call("handing over the configuration");
        let taker = match &self.worker {
            Some(worker) if setup.fits(&self.setup) => {
                setup.give_to(worker).map_err(handed)?;
                Taker::Same(worker.pid())
            }
            _ => {
                let worker = self.nursery.start(setup.number, &after.environment);
                let worker = worker.map_err(StartError::call("fork()"))?;
                self.notice(&format_args!("start worker process {}", worker.pid()));
                if let Err(source) = setup.give_to(&worker) {
                    self.turn_away(worker);
                    return Err(handed(source));
                }
                // No other is started while this one is about to serve.
                self.next_start = None;
                Taker::Fresh(worker)
            }
        };
        Ok((taker, pid_file))
    }

    /// Removes the files of unix sockets that were opened for a `setup` that is not to be.
    fn close_in_vain(&self, setup: &Setup) {
        let kept = [&self.setup.bounds, self.launch.activated.bounds()];
        sockets::delete_files(&setup.bounds, &kept, &|_, _| {});
    }

    /// The candidate is what is served now.
    pub(super) fn adopt_candidate(&mut self) {
        let Some(Candidate { setup, taker, pid_file }) = self.candidate.take() else { return };
        if let Taker::Fresh(worker) = taker {
            self.retire_worker();
            self.worker = Some(worker);
        }
        if let NewPidFile::Other(file) = pid_file {
            self.pid_file = file;
        }
        setup.logs.logs.survive_panic(&setup.logs.main);
        let before = std::mem::replace(&mut self.setup, setup);
        self.title.show(Role::Master, self.setup.number);
        self.guard_memory();
        let log = Arc::clone(self.log());
        let activated = &self.launch.activated;
        sockets::delete_files(&before.bounds, &[&self.setup.bounds, activated.bounds()], &to_log(&log));
        activated.tell_unused(&self.setup.bounds, &log);
        self.notice(&"reconfigured");
        self.tell_system(&News::Ready);
        self.follow_ending();
    }

    /// An end that was asked for meanwhile holds for the new worker as well.
    fn follow_ending(&mut self) {
        if matches!(self.ending, Ending::Graceful) {
            self.close_sockets();
            self.retire_worker();
        }
    }

    /// `worker`, which has died, serves nothing any more.
    pub(super) fn give_up_candidate_of(&mut self, worker: &Worker) {
        if self.candidate.as_ref().is_some_and(|it| it.is_of(worker.pid())) {
            self.give_up_candidate("the worker has died");
        }
    }

    /// What was served before is served on.
    pub(super) fn give_up_candidate(&mut self, reason: &str) {
        let Some(Candidate { setup, taker, .. }) = self.candidate.take() else { return };
        self.log().line(Level::Emerg, None, format_args!("reconfiguring failed: {reason}"));
        self.tell_system(&News::Ready);
        self.close_in_vain(&setup);
        if let Taker::Fresh(worker) = taker {
            worker.send(ToWorker::Stop);
            self.leaving.push(worker);
        }
        if self.worker.is_none() && matches!(self.ending, Ending::No) && self.is_up() {
            self.next_start = Some(tokio::time::Instant::now());
        }
    }
}
