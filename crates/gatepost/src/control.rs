//! Waits for signals and gives the serving threads their orders.

use std::io;
use std::time::Duration;

use mail::log::Log;
use mail::serve::{Order, Workers};
use mail::settings::log::Level;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::logs::Logs;
use crate::notify::{self, News};
use crate::start::Reason;

/// The signals that mean something to us; from the moment this exists they do not end the process by themselves.
pub(crate) struct Signals {
    term: Signal,
    int: Signal,
    quit: Signal,
    hup: Signal,
    usr1: Signal,
    usr2: Signal,
    winch: Signal,
}

/// What a signal asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wish {
    Stop(&'static str, i32),
    Quit,
    Reload,
    Reopen,
    Upgrade,
    StopAccepting,
}

impl Signals {
    /// Listens to them.
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self {
            term: signal(SignalKind::terminate())?,
            int: signal(SignalKind::interrupt())?,
            quit: signal(SignalKind::quit())?,
            hup: signal(SignalKind::hangup())?,
            usr1: signal(SignalKind::user_defined1())?,
            usr2: signal(SignalKind::user_defined2())?,
            winch: signal(SignalKind::window_change())?,
        })
    }

    async fn next(&mut self) -> Wish {
        tokio::select! {
            _ = self.term.recv() => Wish::Stop("SIGTERM", 15),
            _ = self.int.recv() => Wish::Stop("SIGINT", 2),
            _ = self.quit.recv() => Wish::Quit,
            _ = self.hup.recv() => Wish::Reload,
            _ = self.usr1.recv() => Wish::Reopen,
            _ = self.usr2.recv() => Wish::Upgrade,
            _ = self.winch.recv() => Wish::StopAccepting,
        }
    }
}

/// The process as the signals see it.
pub(crate) struct Control<'a> {
    /// The serving threads.
    pub(crate) workers: &'a Workers,
    /// The log of the main context.
    pub(crate) log: &'a Log,
    /// What USR1 opens again.
    pub(crate) logs: &'a Logs,
    /// `worker_shutdown_timeout`: how long proxied sessions may outlive QUIT.
    pub(crate) shutdown_timeout: Option<Duration>,
}

impl Control<'_> {
    /// Obeys signals until the serving threads have gone.
    pub(crate) async fn run(&self, mut signals: Signals) {
        let mut cut = None;
        loop {
            let wish = tokio::select! {
                wish = signals.next() => wish,
                () = self.workers.gone() => return,
                () = elapsed(cut), if cut.is_some() => {
                    self.log.line(Level::Info, None, "closing active connections due to worker shutdown timeout");
                    self.workers.order(Order::Cut);
                    cut = None;
                    continue;
                }
            };
            if self.obey(wish) {
                cut = self.shutdown_timeout.map(|limit| tokio::time::Instant::now() + limit);
            }
        }
    }

    /// Obeys one signal; whether it began a graceful end.
    fn obey(&self, wish: Wish) -> bool {
        match wish {
            Wish::Stop(name, number) => {
                self.notice(format_args!("signal {number} ({name}) received, exiting"));
                notify::tell(self.log, &News::Stopping);
                self.workers.order(Order::Stop);
            }
            Wish::Quit => {
                self.notice(format_args!("signal 3 (SIGQUIT) received, shutting down"));
                self.notice(format_args!("gracefully shutting down"));
                notify::tell(self.log, &News::Stopping);
                self.workers.order(Order::Drain);
                return true;
            }
            Wish::Reopen => {
                self.notice(format_args!("signal 10 (SIGUSR1) received, reopening logs"));
                for error in self.logs.reopen() {
                    self.log.line(Level::Emerg, None, Reason(&error));
                }
            }
            Wish::Reload => self.refuse("1 (SIGHUP)", "reload is not supported yet, nothing changes"),
            Wish::Upgrade => self.refuse("12 (SIGUSR2)", "upgrade is not supported yet, nothing changes"),
            Wish::StopAccepting => self.refuse("28 (SIGWINCH)", "ignoring"),
        }
        false
    }

    fn notice(&self, message: std::fmt::Arguments<'_>) {
        self.log.line(Level::Notice, None, message);
    }

    fn refuse(&self, signal: &str, why: &str) {
        self.log.line(Level::Warn, None, format_args!("signal {signal} received, {why}"));
    }
}

async fn elapsed(at: Option<tokio::time::Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}
