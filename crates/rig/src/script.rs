//! What a scripted server says and expects on one connection, or in answer to one request.

use std::net::Shutdown;
use std::time::{Duration, Instant};

use crate::bytes::find;
use crate::wire::{Instead, Surprise, Wire};
use crate::{Gate, PATIENCE};

/// A list of steps, played from first to last.
///
/// What happens after the last step is up to the server: a [`Backend`](crate::Backend) reads on until its peer ends, an
/// [`AuthServer`](crate::AuthServer) waits for the next request on the same connection.
///
/// ```
/// use gatepost_rig::Script;
///
/// let imap = Script::new().say("* OK ready\r\n").answer("a LOGIN {1}\r\n", "+ go\r\n");
/// ```
#[derive(Clone, Debug, Default)]
#[must_use = "a script does nothing until a server plays it"]
pub struct Script(Vec<Step>);

#[derive(Clone, Debug)]
enum Step {
    Say(Vec<u8>),
    Trickle(Vec<u8>, Duration),
    Flood(Vec<u8>, u64),
    Expect(Vec<u8>),
    ExpectLine,
    Wait(Gate),
    Echo,
    Linger,
    HalfClose,
    Close,
    Reset,
}

impl Script {
    /// A script without steps.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sends bytes in one write.
    pub fn say(self, bytes: impl AsRef<[u8]>) -> Self {
        self.then(Step::Say(bytes.as_ref().to_vec()))
    }

    /// Sends each byte in a segment of its own, `pace` apart. Zero is allowed.
    pub fn trickle(self, bytes: impl AsRef<[u8]>, pace: Duration) -> Self {
        self.then(Step::Trickle(bytes.as_ref().to_vec(), pace))
    }

    /// Sends bytes over and over until `limit` bytes are sent or the peer hangs up.
    pub fn flood(self, bytes: impl AsRef<[u8]>, limit: u64) -> Self {
        self.then(Step::Flood(bytes.as_ref().to_vec(), limit))
    }

    /// Exactly these bytes must come next.
    pub fn expect(self, bytes: impl AsRef<[u8]>) -> Self {
        self.then(Step::Expect(bytes.as_ref().to_vec()))
    }

    /// Some line must come next; which one can be asked of the server later.
    pub fn expect_line(self) -> Self {
        self.then(Step::ExpectLine)
    }

    /// Expects `bytes`, then says `reply`.
    pub fn answer(self, bytes: impl AsRef<[u8]>, reply: impl AsRef<[u8]>) -> Self {
        self.expect(bytes).say(reply)
    }

    /// Expects any line, then says `reply`.
    pub fn answer_line(self, reply: impl AsRef<[u8]>) -> Self {
        self.expect_line().say(reply)
    }

    /// Waits until the test opens the gate.
    pub fn wait(self, gate: &Gate) -> Self {
        self.then(Step::Wait(gate.clone()))
    }

    /// Sends back everything that comes until the peer ends.
    pub fn echo(self) -> Self {
        self.then(Step::Echo)
    }

    /// Says nothing more, and reads until the peer ends.
    pub fn silence(self) -> Self {
        self.then(Step::Linger)
    }

    /// Ends this side's direction; steps that expect may follow.
    pub fn half_close(self) -> Self {
        self.then(Step::HalfClose)
    }

    /// Closes the connection.
    pub fn close(self) -> Self {
        self.then(Step::Close)
    }

    /// Closes the connection with RST.
    pub fn reset(self) -> Self {
        self.then(Step::Reset)
    }

    /// Plays this script, then `next`.
    pub fn chain(mut self, next: Self) -> Self {
        self.0.extend(next.0);
        self
    }

    /// Does the script end the connection?
    pub(crate) fn closes(&self) -> bool {
        matches!(self.0.last(), Some(Step::Close | Step::Reset | Step::Linger | Step::Echo))
    }

    /// Do these bytes stand in what the script says?
    pub(crate) fn says(&self, bytes: &[u8]) -> bool {
        self.0.iter().any(|step| match step {
            Step::Say(said) | Step::Trickle(said, _) | Step::Flood(said, _) => find(said, bytes).is_some(),
            _ => false,
        })
    }

    pub(crate) fn play(&self, wire: &mut Wire) -> Result<(), Surprise> {
        self.0.iter().try_for_each(|step| step.play(wire))
    }

    fn then(mut self, step: Step) -> Self {
        self.0.push(step);
        self
    }
}

impl Step {
    fn play(&self, wire: &mut Wire) -> Result<(), Surprise> {
        match self {
            Self::Say(bytes) => wire.say(bytes)?,
            Self::Trickle(bytes, pace) => trickle(wire, bytes, *pace),
            Self::Flood(bytes, limit) => drop(wire.flood(bytes, *limit)),
            Self::Expect(bytes) => wire.expect(bytes)?,
            Self::ExpectLine => drop(wire.until(b"\n")?),
            Self::Wait(gate) => pass(gate, wire)?,
            Self::Echo => wire.echo()?,
            Self::Linger => wire.linger(),
            Self::HalfClose => wire.shutdown(Shutdown::Write),
            Self::Close => wire.shutdown(Shutdown::Both),
            Self::Reset => wire.reset_on_close(),
        }
        Ok(())
    }
}

/// A peer that hangs up in the middle is what a trickle often provokes, so it is no surprise.
fn trickle(wire: &mut Wire, bytes: &[u8], pace: Duration) {
    let never = Gate::shut();
    for byte in bytes {
        if wire.say(&[*byte]).is_err() {
            return;
        }
        never.wait_for(pace);
    }
}

fn pass(gate: &Gate, wire: &Wire) -> Result<(), Surprise> {
    if gate.wait_until(Instant::now() + PATIENCE) {
        return Ok(());
    }
    Err(wire.surprise("an open gate".to_owned(), Instead::GateShut))
}
