//! One connection of a test peer: says bytes, expects bytes, and remembers both for the report.
//!
//! Nothing here panics. A client turns a [`Surprise`] into a failed test at once, a scripted server keeps it for the end.

use std::fmt;
use std::io::ErrorKind;
use std::net::Shutdown;
use std::sync::Arc;
use std::time::Instant;

use crate::bytes::{find, show};
use crate::ledger::Page;
use crate::socket::Socket;
use crate::{PATIENCE, Script};

/// What happened instead of the expected.
#[derive(Debug)]
pub(crate) struct Surprise {
    expected: String,
    instead: Instead,
    unread: Vec<u8>,
    history: History,
}

/// The kinds of surprise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Instead {
    /// Other bytes came.
    Differs,
    /// Nothing came for [`PATIENCE`].
    Silence,
    /// The peer ended its direction.
    End,
    /// The peer reset the connection.
    Reset,
    /// The socket failed in another way.
    Failure(ErrorKind),
    /// The gate was not opened in time.
    GateShut,
}

impl fmt::Display for Surprise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let instead = match self.instead {
            Instead::Differs => "other bytes came".to_owned(),
            Instead::Silence => format!("nothing more came for {PATIENCE:?}"),
            Instead::End => "the peer ended".to_owned(),
            Instead::Reset => "the peer reset the connection".to_owned(),
            Instead::Failure(kind) => format!("the socket failed: {kind}"),
            Instead::GateShut => format!("the gate stayed shut for {PATIENCE:?}"),
        };
        writeln!(f, "expected: {}", self.expected)?;
        writeln!(f, "received: {}", show(&self.unread))?;
        writeln!(f, "because:  {instead}")?;
        write!(f, "{}", self.history)
    }
}

/// Everything said in both directions, oldest first; neighbouring pieces of one side are joined.
#[derive(Clone, Debug, Default)]
struct History(Vec<(Side, Vec<u8>)>);

/// Who said it, seen from this peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Sent,
    Received,
}

impl History {
    fn add(&mut self, side: Side, bytes: &[u8]) {
        match self.0.last_mut() {
            Some((last, text)) if *last == side => text.extend_from_slice(bytes),
            _ => self.0.push((side, bytes.to_vec())),
        }
    }
}

impl fmt::Display for History {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "so far:")?;
        for (side, bytes) in &self.0 {
            let arrow = if *side == Side::Sent { "->" } else { "<-" };
            writeln!(f, "  {arrow} {}", show(bytes))?;
        }
        Ok(())
    }
}

/// A connection with its memory.
#[derive(Debug)]
pub(crate) struct Wire {
    socket: Arc<Socket>,
    unread: Vec<u8>,
    history: History,
    page: Option<Page>,
}

impl Wire {
    pub(crate) fn new(socket: Arc<Socket>) -> Self {
        Self { socket, unread: Vec::new(), history: History::default(), page: None }
    }

    /// Also writes what is received to a server's ledger.
    pub(crate) fn recorded(socket: Arc<Socket>, page: Page) -> Self {
        Self { page: Some(page), ..Self::new(socket) }
    }

    /// Sends all of `bytes`.
    pub(crate) fn say(&mut self, bytes: &[u8]) -> Result<(), Surprise> {
        self.history.add(Side::Sent, bytes);
        let sent = self.socket.limit_writes(PATIENCE).and_then(|()| self.socket.write_all(bytes));
        sent.map_err(|error| self.surprise(format!("to send {}", show(bytes)), instead(error.kind())))
    }

    /// Sends `bytes` over and over until `limit` bytes are sent or the peer hangs up; returns how many went out.
    pub(crate) fn flood(&mut self, bytes: &[u8], limit: u64) -> u64 {
        let mut sent = 0;
        let bounded = self.socket.limit_writes(PATIENCE).is_ok();
        while bounded && sent < limit && self.socket.write_all(bytes).is_ok() {
            sent += bytes.len() as u64;
        }
        sent
    }

    /// Takes exactly `bytes`, which must come next.
    ///
    /// Looks at every byte as it comes, so a wrong one is reported at once and not after the time-out.
    pub(crate) fn expect(&mut self, bytes: &[u8]) -> Result<(), Surprise> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let known = self.unread.len().min(bytes.len());
            if self.unread[..known] != bytes[..known] {
                return Err(self.surprise(show(bytes), Instead::Differs));
            }
            if known == bytes.len() {
                self.unread.drain(..known);
                return Ok(());
            }
            self.more(deadline).map_err(|instead| self.surprise(show(bytes), instead))?;
        }
    }

    /// Takes everything up to and including `end`.
    pub(crate) fn until(&mut self, end: &[u8]) -> Result<Vec<u8>, Surprise> {
        let deadline = Instant::now() + PATIENCE;
        let mut searched = 0;
        loop {
            if let Some(found) = self.take_through(end, &mut searched) {
                return Ok(found);
            }
            self.more(deadline)
                .map_err(|instead| self.surprise(format!("something ending in {}", show(end)), instead))?;
        }
    }

    /// The same for as long as it takes; `None` once the peer ended. For servers, which are cut when they are dropped.
    pub(crate) fn patient_until(&mut self, end: &[u8]) -> Option<Vec<u8>> {
        let mut searched = 0;
        loop {
            if let Some(found) = self.take_through(end, &mut searched) {
                return Some(found);
            }
            self.socket.limit_reads(None).ok()?;
            self.read_once().ok()?;
        }
    }

    /// Takes exactly `count` bytes.
    pub(crate) fn take(&mut self, count: usize) -> Result<Vec<u8>, Surprise> {
        let deadline = Instant::now() + PATIENCE;
        while self.unread.len() < count {
            self.more(deadline).map_err(|instead| self.surprise(format!("{count} bytes"), instead))?;
        }
        Ok(self.unread.drain(..count).collect())
    }

    /// Takes `count` bytes, or fewer if the peer ends before.
    pub(crate) fn take_up_to(&mut self, count: usize) -> Result<Vec<u8>, Surprise> {
        let deadline = Instant::now() + PATIENCE;
        while self.unread.len() < count {
            match self.more(deadline) {
                Ok(()) => {}
                Err(Instead::End | Instead::Reset) => break,
                Err(instead) => return Err(self.surprise(format!("{count} bytes or the end"), instead)),
            }
        }
        Ok(self.unread.drain(..count.min(self.unread.len())).collect())
    }

    /// Takes everything until the peer ends, in peace or by a reset.
    pub(crate) fn rest(&mut self) -> Result<Vec<u8>, Surprise> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.more(deadline) {
                Ok(()) => {}
                Err(Instead::End | Instead::Reset) => return Ok(std::mem::take(&mut self.unread)),
                Err(instead) => return Err(self.surprise("the end".to_owned(), instead)),
            }
        }
    }

    /// Reads on until the peer ends, however long that takes: for servers, which are cut when they are dropped.
    pub(crate) fn linger(&mut self) {
        if self.socket.limit_reads(None).is_ok() {
            while self.read_once().is_ok() {}
        }
    }

    /// Sends back whatever comes until the peer ends.
    pub(crate) fn echo(&mut self) -> Result<(), Surprise> {
        loop {
            let bytes = std::mem::take(&mut self.unread);
            self.say(&bytes)?;
            self.socket
                .limit_reads(None)
                .map_err(|e| self.surprise("bytes".to_owned(), instead(e.kind())))?;
            if self.read_once().is_err() {
                return Ok(());
            }
        }
    }

    /// Is there nothing that was received and not yet taken?
    pub(crate) fn is_quiet(&self) -> bool {
        self.unread.is_empty()
    }

    /// Ends one direction or both. A connection that is already gone is fine.
    pub(crate) fn shutdown(&self, how: Shutdown) {
        let _ = self.socket.shutdown(how);
    }

    /// Makes dropping this connection send RST.
    pub(crate) fn reset_on_close(&self) {
        let _ = self.socket.reset_on_close();
    }

    /// Plays a script from its first step to its last.
    pub(crate) fn play(&mut self, script: &Script) -> Result<(), Surprise> {
        script.play(self)
    }

    /// A surprise at this point of the conversation.
    pub(crate) fn surprise(&self, expected: String, instead: Instead) -> Surprise {
        Surprise { expected, instead, unread: self.unread.clone(), history: self.history.clone() }
    }

    /// Takes up to and including `end` if it is there; `searched` is how far earlier calls have looked in vain.
    fn take_through(&mut self, end: &[u8], searched: &mut usize) -> Option<Vec<u8>> {
        let from = searched.saturating_sub(end.len() - 1);
        let Some(at) = find(&self.unread[from..], end) else {
            *searched = self.unread.len();
            return None;
        };
        Some(self.unread.drain(..from + at + end.len()).collect())
    }

    /// Waits for more bytes until `deadline`.
    fn more(&mut self, deadline: Instant) -> Result<(), Instead> {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(Instead::Silence);
        }
        self.socket.limit_reads(Some(left)).map_err(|error| instead(error.kind()))?;
        self.read_once()
    }

    fn read_once(&mut self) -> Result<(), Instead> {
        let mut buffer = [0; 16 * 1024];
        let count = match self.socket.read(&mut buffer) {
            Ok(0) => return Err(Instead::End),
            Ok(count) => count,
            Err(error) if error.kind() == ErrorKind::Interrupted => return Ok(()),
            Err(error) => return Err(instead(error.kind())),
        };
        let bytes = &buffer[..count];
        self.unread.extend_from_slice(bytes);
        self.history.add(Side::Received, bytes);
        if let Some(page) = &self.page {
            page.received(bytes);
        }
        Ok(())
    }
}

fn instead(kind: ErrorKind) -> Instead {
    match kind {
        // Linux says the first when a read or write time-out passes.
        ErrorKind::WouldBlock | ErrorKind::TimedOut => Instead::Silence,
        ErrorKind::ConnectionReset | ErrorKind::BrokenPipe => Instead::Reset,
        other => Instead::Failure(other),
    }
}
