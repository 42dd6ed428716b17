//! What each signal makes the master do. Each is logged with its consequence (as the originals).

use mail::settings::log::Level;
use nix::sys::signal::Signal;

use super::upgrade::NewProgram;
use super::{Ending, Master, STOP_PAUSE};
use crate::notify::News;
use crate::signals::Received;
use crate::start::{Reason, StartError};

impl Master {
    pub(super) async fn obey(&mut self, received: Received) -> Result<(), StartError> {
        match received.signal {
            Signal::SIGTERM | Signal::SIGINT => {
                self.tell(received, ", exiting");
                self.tell_end_to_system();
                self.insist(STOP_PAUSE);
            }
            Signal::SIGQUIT => {
                self.tell(received, ", shutting down");
                self.tell_end_to_system();
                self.shut_down();
            }
            Signal::SIGHUP => {
                self.tell(received, ", reconfiguring");
                self.reload_or_resume().await;
            }
            Signal::SIGUSR1 => {
                self.tell(received, ", reopening logs");
                self.reopen_logs();
            }
            Signal::SIGUSR2 => self.upgrade(received),
            Signal::SIGWINCH if self.nursery.background => {
                self.tell(received, ", stop accepting connections");
                self.retire_worker();
            }
            // In the foreground it tells of a terminal's new size.
            Signal::SIGWINCH => self.tell(received, ""),
            Signal::SIGCHLD => {
                // Who has looked up a name has been waited for, and is nothing to tell of.
                if received.from.is_none_or(|pid| self.has_started(pid)) {
                    self.tell(received, "");
                }
                self.reap()?;
            }
            _ => {}
        }
        Ok(())
    }

    fn tell(&self, received: Received, consequence: &str) {
        self.notice(&format_args!("{received}{consequence}"));
    }

    /// A program that has a successor does not end the service.
    fn tell_end_to_system(&self) {
        let successor = self.new_program.as_ref().map(NewProgram::id);
        self.tell_system(&successor.map_or(News::Stopping, News::MainPid));
    }

    fn shut_down(&mut self) {
        if matches!(self.ending, Ending::No) {
            self.ending = Ending::Graceful;
            self.close_sockets();
            self.retire_worker();
        }
    }

    /// While a new program runs beside this one, HUP calls the worker of this one back to work, with the configuration
    /// that it had; else it is a reload.
    async fn reload_or_resume(&mut self) {
        if !matches!(self.ending, Ending::No) {
            return;
        }
        if self.new_program.is_none() {
            self.reload().await;
        } else if self.worker.is_none() {
            self.notice(&"start worker processes");
            self.replace_worker();
        }
    }

    fn upgrade(&mut self, received: Received) {
        // A program whose parent is still there is itself the new one of two (as the originals, which therefore never
        // upgrade a process that somebody has started with `daemon off` and waits for).
        if self.new_program.is_some() || self.launch.has_parent() {
            self.tell(received, ", ignoring");
            let why = "you should shutdown or terminate before either old or new binary's process";
            self.say(Level::Crit, &format_args!("the changing binary signal is ignored: {why}"));
            return;
        }
        self.tell(received, ", changing binary");
        self.notice(&"changing binary");
        match self.start_new_program() {
            Ok(program) => {
                self.notice(&format_args!("start new binary process {}", program.id()));
                self.new_program = Some(program);
            }
            Err(error) => {
                self.log().line(Level::Alert, None, Reason(&error));
                self.restore_pid_file();
            }
        }
    }

    fn start_new_program(&mut self) -> Result<NewProgram, StartError> {
        if let Some(file) = &mut self.pid_file {
            file.make_old().map_err(StartError::call("rename()"))?;
        }
        let environment = &self.setup.configuration.process.environment;
        let started = NewProgram::start(&self.launch, self.program.flavour, environment, &self.setup.bounds);
        started.map_err(StartError::call(format!("execve() \"{}\"", self.launch.name.display())))
    }

    /// The new program has ended: this one is the only one again.
    pub(super) fn go_back(&mut self) {
        self.new_program = None;
        self.restore_pid_file();
        if matches!(self.ending, Ending::No) && self.worker.is_none() && self.candidate.is_none() {
            self.next_start = Some(tokio::time::Instant::now());
        }
    }

    fn restore_pid_file(&mut self) {
        if let Some(Err(source)) = self.pid_file.as_mut().map(crate::pidfile::PidFile::make_current) {
            let error = StartError::call("rename()")(source);
            self.log().line(Level::Alert, None, Reason(&error));
        }
    }
}
