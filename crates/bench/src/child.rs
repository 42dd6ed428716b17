//! The benchmark's own processes: this program run again in another role, told what to do line by line.
//!
//! They are processes of their own so that their CPU time is not the proxy's, nor this process's.

use std::io::{self, BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::failure::Failure;
use crate::load::{Aim, Order, Ran, Report};
use crate::pin::Pin;
use crate::stub::Places;
use crate::usage::Cpu;

/// The stubs, running. They end when dropped.
#[derive(Debug)]
pub(crate) struct Stubs {
    pub(crate) places: Places,
    process: Role,
}

impl Stubs {
    pub(crate) fn start(pin: Pin) -> Result<Self, Failure> {
        let mut process = Role::start("stub", pin)?;
        Ok(Self { places: process.hear()?, process })
    }

    /// What they have used.
    pub(crate) fn cpu(&self) -> io::Result<Cpu> {
        Cpu::of(self.process.process.id())
    }
}

/// A load generator, running. It ends when dropped, and its connections with it.
#[derive(Debug)]
pub(crate) struct Load(Role);

impl Load {
    pub(crate) fn start(pin: Pin, aim: &Aim) -> Result<Self, Failure> {
        let mut load = Self(Role::start("load", pin)?);
        load.order(&Order::Aim(aim.clone()))?;
        Ok(load)
    }

    /// What it has used.
    pub(crate) fn cpu(&self) -> io::Result<Cpu> {
        Cpu::of(self.0.process.id())
    }

    /// Has an order carried out.
    pub(crate) fn order(&mut self, order: &Order) -> Result<(), Failure> {
        self.0.tell(order)?;
        match self.0.hear()? {
            Report::Done | Report::Ran(_) => Ok(()),
            Report::Failed(why) => Err(Failure::Client(why)),
        }
    }

    /// Orders a run of so many milliseconds.
    pub(crate) fn begin(&mut self, milliseconds: u64) -> Result<(), Failure> {
        self.0.tell(&Order::Run { milliseconds })
    }

    /// Waits for the end of the run.
    pub(crate) fn end(&mut self) -> Result<Ran, Failure> {
        match self.0.hear()? {
            Report::Ran(ran) => Ok(ran),
            Report::Failed(why) => Err(Failure::Client(why)),
            Report::Done => Err(Failure::Lost("load")),
        }
    }
}

#[derive(Debug)]
struct Role {
    name: &'static str,
    process: Child,
    /// Closed when dropped, which is the order to end.
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Role {
    fn start(name: &'static str, pin: Pin) -> Result<Self, Failure> {
        let program = std::env::current_exe()?;
        let mut command = Command::new(program);
        command.arg(name).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = pin.peers(|| command.spawn())?;
        let input = process.stdin.take();
        let output = process.stdout.take().map(BufReader::new).ok_or(Failure::Lost(name))?;
        Ok(Self { name, process, input, output })
    }

    fn tell(&mut self, order: &impl Serialize) -> Result<(), Failure> {
        let input = self.input.as_mut().ok_or(Failure::Lost(self.name))?;
        let mut line = serde_json::to_vec(order).map_err(io::Error::from)?;
        line.push(b'\n');
        input.write_all(&line).map_err(|_| Failure::Lost(self.name))
    }

    fn hear<T: DeserializeOwned>(&mut self) -> Result<T, Failure> {
        let mut line = String::new();
        self.output.read_line(&mut line)?;
        serde_json::from_str(&line).map_err(|_| Failure::Lost(self.name))
    }
}

impl Drop for Role {
    fn drop(&mut self) {
        drop(self.input.take());
        // A child of this program that is asked to end does; a failed wait leaves nothing to do.
        let _ = self.process.wait();
    }
}
