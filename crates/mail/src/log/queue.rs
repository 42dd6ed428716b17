//! Lines that wait to be written, and the thread that writes them.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::{self, ThreadId};
use std::time::{Duration, Instant};

use nix::errno::Errno;

use super::Line;
use super::record::Record;
use super::sink::{Target, write};
use crate::settings::log::{Format, Level};

/// How many bytes of lines may wait; what is being written is not counted.
const CAPACITY: usize = 1024 * 1024;

/// A bounded queue with one thread at its end.
pub(super) struct Queue {
    state: Mutex<State>,
    /// There is something for the thread to do.
    filled: Condvar,
    /// The thread has done all there was.
    drained: Condvar,
    /// The thread itself, which must never wait for itself.
    writer: OnceLock<ThreadId>,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Entry>,
    /// The sum of the lines that are waiting.
    bytes: usize,
    dropped: Dropped,
    /// The thread has taken something and not finished it yet.
    busy: bool,
    /// Nobody writes lines any more.
    closed: bool,
}

enum Entry {
    Line(Line),
    /// From here on to this target.
    Replace(Target),
}

/// Lines that nobody will read, until it is said.
#[derive(Default)]
struct Dropped {
    count: u64,
    /// The format of the last one, in which it is said.
    format: Option<Format>,
}

impl Dropped {
    fn add(&mut self, count: u64, format: Format) {
        *self = Self { count: self.count.saturating_add(count), format: Some(format) };
    }

    /// The line that says it.
    fn line(&self) -> Option<Line> {
        let message = format_args!("{} log messages dropped", self.count);
        let record = Record::new(Level::Alert, &message);
        let format = self.format?;
        Some(Line { level: Level::Alert, format, bytes: format.render(&record, &[]) })
    }
}

impl Line {
    /// What it takes while it waits.
    fn cost(&self) -> usize {
        size_of::<Entry>() + self.bytes.capacity()
    }
}

impl Queue {
    /// Starts a thread that writes to `target` until the queue is closed and empty.
    pub(super) fn start(target: Target) -> io::Result<Arc<Self>> {
        let queue = Arc::new(Self {
            state: Mutex::default(),
            filled: Condvar::new(),
            drained: Condvar::new(),
            writer: OnceLock::new(),
        });
        let writer = Writer { queue: Arc::clone(&queue), target, torn: false, lost: Dropped::default() };
        let thread = thread::Builder::new().name("log".to_owned()).spawn(move || writer.run())?;
        // Set once, here.
        let _ = queue.writer.set(thread.thread().id());
        Ok(queue)
    }

    /// Adds a line, or counts it as dropped if there is no room. Never waits for the thread.
    pub(super) fn push(&self, line: Line) {
        // What the thread has to say about its own target would only make more of it.
        if self.writer.get() == Some(&thread::current().id()) {
            return;
        }
        let mut state = self.lock();
        // Once a line was dropped all are, until that is said: the order of lines is the order of events.
        if state.dropped.count > 0 || state.bytes + line.cost() > CAPACITY {
            return state.dropped.add(1, line.format);
        }
        state.bytes += line.cost();
        state.waiting.push_back(Entry::Line(line));
        // Waking is a system call: once is enough, and a thread that is at work looks again before it sleeps.
        if !state.busy && state.waiting.len() == 1 {
            drop(state);
            self.filled.notify_one();
        }
    }

    /// Lines from now on go to `target`.
    pub(super) fn replace(&self, target: Target) {
        let mut state = self.lock();
        match state.waiting.back_mut() {
            // Nothing would be written to that one.
            Some(Entry::Replace(last)) => *last = target,
            _ => state.waiting.push_back(Entry::Replace(target)),
        }
        drop(state);
        self.filled.notify_one();
    }

    /// Waits until everything is written, but no longer than `patience`.
    pub(super) fn flush(&self, patience: Duration) -> bool {
        let pending = |state: &mut State| state.busy || state.has_work();
        let waited = self.drained.wait_timeout_while(self.lock(), patience, pending);
        !waited.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }

    /// Nobody will push any more: the thread ends when all is written.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.filled.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All that waits, once there is something, and what was dropped behind it; `None` at the end.
    fn take(&self) -> Option<(VecDeque<Entry>, Dropped)> {
        let mut state = self.lock();
        state.busy = false;
        if !state.has_work() {
            self.drained.notify_all();
        }
        let idle = |state: &mut State| !state.has_work() && !state.closed;
        state = self.filled.wait_while(state, idle).unwrap_or_else(PoisonError::into_inner);
        if !state.has_work() {
            return None;
        }
        state.busy = true;
        state.bytes = 0;
        Some((std::mem::take(&mut state.waiting), std::mem::take(&mut state.dropped)))
    }

    /// Waits for the next second, or for the end.
    fn rest(&self) {
        let until = Instant::now() + until_next_second();
        let mut state = self.lock();
        while !state.closed {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            state = self.filled.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl State {
    fn has_work(&self) -> bool {
        !self.waiting.is_empty() || self.dropped.count > 0
    }
}

fn until_next_second() -> Duration {
    let past = jiff::Timestamp::now().subsec_nanosecond();
    Duration::from_nanos(u64::try_from(1_000_000_000 - past).unwrap_or_default())
}

/// The thread at the end of a queue.
struct Writer {
    queue: Arc<Queue>,
    target: Target,
    /// The last line broke off in the middle.
    torn: bool,
    /// What has not been said yet.
    lost: Dropped,
}

impl Writer {
    fn run(mut self) {
        while let Some((entries, dropped)) = Arc::clone(&self.queue).take() {
            let mut lines = Vec::with_capacity(entries.len());
            for entry in entries {
                match entry {
                    Entry::Line(line) => lines.push(line),
                    Entry::Replace(target) => {
                        self.write_all(&std::mem::take(&mut lines));
                        (self.target, self.torn) = (target, false);
                    }
                }
            }
            self.write_all(&lines);
            if let Some(format) = dropped.format {
                self.lost.add(dropped.count, format);
                self.write(&[]);
            }
        }
    }

    fn write_all(&mut self, mut lines: &[Line]) {
        while !lines.is_empty() {
            let (portion, rest) = lines.split_at(self.target.portion(lines));
            self.write(portion);
            lines = rest;
        }
    }

    /// Writes what goes out with one call, behind what has to be said of lines that did not.
    fn write(&mut self, lines: &[Line]) {
        let notice = self.lost.line();
        match &mut self.target {
            Target::Syslog(syslog) => {
                // What cannot be sent is told in the main log instead.
                if notice.is_some_and(|notice| syslog.send(&notice)) {
                    self.lost = Dropped::default();
                }
                for line in lines {
                    syslog.send(line);
                }
            }
            Target::Stream { to, .. } => {
                let notice = notice.as_ref().map_or(&[][..], |notice| &notice.bytes);
                let outcome = write_lines(to, self.torn, notice, lines);
                self.account(&outcome, lines);
            }
        }
    }

    fn account(&mut self, outcome: &Outcome, lines: &[Line]) {
        self.torn = outcome.torn;
        if outcome.noticed {
            self.lost = Dropped::default();
        }
        let lost = &lines[outcome.whole..];
        if let Some(last) = lost.last() {
            self.lost.add(u64::try_from(lost.len()).unwrap_or(u64::MAX), last.format);
        }
        // A full disk is left alone until the second changes (as the originals).
        if outcome.error.as_ref().and_then(io::Error::raw_os_error) == Some(Errno::ENOSPC as i32) {
            self.queue.rest();
        }
    }
}

/// What came of writing to a stream.
struct Outcome {
    /// The notice is out.
    noticed: bool,
    /// So many lines are.
    whole: usize,
    /// The last of what is out is only a part of a line.
    torn: bool,
    /// Why that is not all.
    error: Option<io::Error>,
}

/// Writes `notice` and `lines` with one call if the system lets us.
fn write_lines(to: &File, torn: bool, notice: &[u8], lines: &[Line]) -> Outcome {
    // Ends the line that broke off, so that the next one is whole.
    let mut bytes = if torn { vec![b'\n'] } else { Vec::new() };
    bytes.extend_from_slice(notice);
    let lead = bytes.len();
    let ends: Vec<usize> = lines
        .iter()
        .map(|line| {
            bytes.extend_from_slice(&line.bytes);
            bytes.len()
        })
        .collect();
    let (written, error) = write(to, &bytes);
    Outcome {
        noticed: written >= lead,
        whole: ends.partition_point(|end| *end <= written),
        torn: written.checked_sub(1).map_or(torn, |last| bytes[last] != b'\n'),
        error,
    }
}

#[cfg(test)]
mod tests;
