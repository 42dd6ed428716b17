//! Many sends and closes by one system call, through an io_uring.
//!
//! A proxy's send wakes the process at the other end, which then often takes the processor at the end of the very
//! system call: a dozen sends in a row are a dozen changes of context. Handed over together they are one.
//!
//! What keeps the unsafe code small is that nothing outlives a call: every send is told not to wait, so the kernel is
//! done with all buffers when [`Ring::run`] returns. Where there is no io_uring, system calls of the plain kind do the
//! same work, and nobody has to ask which it was.

use std::fmt;
use std::io;
use std::os::fd::{AsRawFd as _, IntoRawFd as _, OwnedFd, RawFd};

use io_uring::register::Restriction;
use io_uring::{IoUring, opcode, squeue, types};
use nix::libc;
use nix::sys::socket::{self, MsgFlags};

/// Fewer jobs than this are done one by one: a ring has a price of its own.
const WORTH_IT: usize = 3;

/// A send or a close.
#[derive(Debug)]
pub enum Job<'a> {
    /// Sends as send(2) does, without waiting and without SIGPIPE.
    Send {
        /// To this descriptor, by its number as in [`nix::sys::socket::send`].
        to: RawFd,
        /// These.
        bytes: &'a [u8],
        /// Whether more follows at once, be it the end: the kernel may hold the bytes back to send both together.
        more: bool,
    },
    /// Closes.
    Close(OwnedFd),
}

/// What became of a job: how many bytes a send has taken; a close always succeeds, with 0.
pub type Outcome = io::Result<usize>;

/// Sends and closes in bulk. May be made by one thread and used by another.
pub struct Ring {
    ring: Option<IoUring>,
    capacity: usize,
}

impl Ring {
    /// A ring for up to `capacity` jobs at a time, a power of two. It can do nothing but send and close, so that it is
    /// no way around a filter of system calls.
    ///
    /// Where the kernel has no such ring (before 5.10), or does not let us have it, jobs are done one by one.
    pub fn new(capacity: u32) -> Self {
        let ring = restricted(capacity).ok();
        Self { ring, capacity: usize::try_from(capacity).unwrap_or(usize::MAX) }
    }

    /// Does every job one by one.
    pub const fn plain() -> Self {
        Self { ring: None, capacity: usize::MAX }
    }

    /// Whether jobs are handed over together.
    pub const fn is_batching(&self) -> bool {
        self.ring.is_some()
    }

    /// Does `jobs` in their order and says what became of each.
    ///
    /// Jobs do not wait for each other: of two sends to one descriptor the second goes out even if the first was cut
    /// short.
    pub fn run(&mut self, jobs: Vec<Job<'_>>) -> Vec<Outcome> {
        let mut done = Vec::with_capacity(jobs.len());
        let mut jobs = jobs.into_iter();
        while jobs.len() >= WORTH_IT && self.is_batching() {
            let some: Vec<_> = jobs.by_ref().take(self.capacity).collect();
            self.run_together(some, &mut done);
        }
        done.extend(jobs.map(Job::run));
        done
    }

    /// Does at most `capacity` jobs. If the ring fails, the rest is done one by one, and the ring is not used again.
    fn run_together(&mut self, jobs: Vec<Job<'_>>, done: &mut Vec<Outcome>) {
        let Some(ring) = &mut self.ring else { return };
        let mut outcomes: Vec<Option<Outcome>> = jobs.iter().map(|_| None).collect();
        enqueue(ring, &jobs);
        if finish(ring, &mut outcomes).is_err() {
            // What the kernel has not taken yet points to memory that is about to go: no other call may hand it over.
            self.ring = None;
        }
        done.extend(jobs.into_iter().zip(outcomes).map(|(job, outcome)| match outcome {
            Some(outcome) => job.done(outcome),
            None => job.run(),
        }));
    }
}

impl fmt::Debug for Ring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ring").field("batching", &self.is_batching()).finish_non_exhaustive()
    }
}

impl Job<'_> {
    /// By a system call of its own.
    fn run(self) -> Outcome {
        match self {
            Self::Send { to, bytes, more } => {
                let flags = MsgFlags::from_bits_retain(flags(more));
                loop {
                    match socket::send(to, bytes, flags) {
                        Err(nix::errno::Errno::EINTR) => {}
                        sent => return Ok(sent?),
                    }
                }
            }
            Self::Close(fd) => {
                drop(fd);
                Ok(0)
            }
        }
    }

    /// The kernel has done it. A descriptor is closed whatever close(2) says.
    fn done(self, outcome: Outcome) -> Outcome {
        match self {
            Self::Send { .. } => outcome,
            Self::Close(fd) => {
                let _ = fd.into_raw_fd();
                Ok(0)
            }
        }
    }

    fn entry(&self) -> squeue::Entry {
        match self {
            Self::Send { to, bytes, more } => {
                // A send may be short: what is longer than a u32 can say is sent in part.
                let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
                opcode::Send::new(types::Fd(*to), bytes.as_ptr(), length).flags(flags(*more)).build()
            }
            Self::Close(fd) => opcode::Close::new(types::Fd(fd.as_raw_fd())).build(),
        }
    }
}

fn flags(more: bool) -> libc::c_int {
    libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL | if more { libc::MSG_MORE } else { 0 }
}

fn restricted(capacity: u32) -> io::Result<IoUring> {
    let ring = IoUring::builder().setup_r_disabled().dontfork().build(capacity)?;
    let sends = Restriction::sqe_op(opcode::Send::CODE);
    let closes = Restriction::sqe_op(opcode::Close::CODE);
    ring.submitter().register_restrictions(&mut [sends, closes])?;
    ring.submitter().register_enable_rings()?;
    Ok(ring)
}

/// `ring` must be empty and have room for `jobs`.
fn enqueue(ring: &mut IoUring, jobs: &[Job<'_>]) {
    let mut queue = ring.submission();
    for (number, job) in (0..).zip(jobs) {
        let entry = job.entry().user_data(number);
        // SAFETY: the bytes of `job` are borrowed until `run_together` returns. The kernel reads
        // them in io_uring_enter(2) only: no send waits (MSG_DONTWAIT), so each is completed when it is submitted, and
        // `finish` collects all completions. If that fails, the ring is dropped, and what it still held is never
        // submitted.
        let pushed = unsafe { queue.push(&entry) };
        pushed.expect("there is room for as many jobs as the capacity says");
    }
}

/// Hands everything over and collects what became of it, until all is done or the kernel refuses.
fn finish(ring: &mut IoUring, outcomes: &mut [Option<Outcome>]) -> io::Result<()> {
    let mut missing = outcomes.len();
    while missing > 0 {
        let submitted = ring.submit_and_wait(missing);
        for completion in ring.completion() {
            let number = usize::try_from(completion.user_data()).unwrap_or(usize::MAX);
            if let Some(outcome) = outcomes.get_mut(number) {
                *outcome = Some(result(completion.result()));
                missing -= 1;
            }
        }
        match submitted {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

/// The kernel's way of saying it: a negative number is an error's.
fn result(code: i32) -> Outcome {
    usize::try_from(code).map_err(|_| io::Error::from_raw_os_error(code.saturating_neg()))
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::os::unix::net::UnixStream;

    use super::*;

    /// Both ways of doing jobs; the first is the plain one too where there is no io_uring.
    fn rings() -> [Ring; 2] {
        [Ring::new(4), Ring::plain()]
    }

    fn send<'a>(to: &UnixStream, bytes: &'a [u8]) -> Job<'a> {
        Job::Send { to: to.as_raw_fd(), bytes, more: false }
    }

    #[test]
    fn everything_arrives_in_order_and_then_the_end() {
        for mut ring in rings() {
            let pairs: Vec<_> = (0..11).map(|_| UnixStream::pair().unwrap()).collect();
            let (ours, theirs): (Vec<_>, Vec<_>) = pairs.into_iter().unzip();
            let texts: Vec<_> = (0..11).map(|n| format!("hello {n}")).collect();
            let sends = ours.iter().zip(&texts).map(|(to, text)| send(to, text.as_bytes()));
            let done = ring.run(sends.collect());
            assert!(done.iter().zip(&texts).all(|(n, text)| *n.as_ref().unwrap() == text.len()), "{done:?}");
            let done = ring.run(ours.into_iter().map(|stream| Job::Close(stream.into())).collect());
            assert!(done.len() == 11 && done.iter().all(Result::is_ok), "{done:?}");
            for (mut stream, text) in theirs.into_iter().zip(texts) {
                let mut heard = String::new();
                stream.read_to_string(&mut heard).unwrap();
                assert_eq!(heard, text);
            }
        }
    }

    #[test]
    fn a_peer_that_reads_nothing_or_is_gone_delays_nobody() {
        for mut ring in rings() {
            let (mut full, _deaf) = UnixStream::pair().unwrap();
            full.set_nonblocking(true).unwrap();
            while full.write(&[0; 4096]).is_ok() {}
            full.set_nonblocking(false).unwrap();
            let (broken, gone) = UnixStream::pair().unwrap();
            drop(gone);
            let (good, mut peer) = UnixStream::pair().unwrap();
            let done = ring.run(vec![
                send(&full, b"x"),
                send(&broken, b"x"),
                send(&good, b"x"),
                Job::Close(broken.try_clone().unwrap().into()),
            ]);
            let kinds: Vec<_> = done.iter().map(|done| done.as_ref().map_err(io::Error::kind)).collect();
            let expected = [Err(io::ErrorKind::WouldBlock), Err(io::ErrorKind::BrokenPipe), Ok(&1), Ok(&0)];
            assert_eq!(kinds, expected);
            peer.read_exact(&mut [0]).unwrap();
        }
    }

    #[test]
    fn a_ring_can_do_nothing_but_send_and_close() {
        let Ok(mut ring) = restricted(4) else { return };
        let entry = opcode::Nop::new().build();
        // SAFETY: a Nop has no memory that could go away.
        unsafe { ring.submission().push(&entry) }.unwrap();
        ring.submit_and_wait(1).unwrap();
        let completion = ring.completion().next().unwrap();
        assert_eq!(result(completion.result()).unwrap_err().kind(), io::ErrorKind::PermissionDenied);
        assert!(ring.submitter().register_eventfd(0).is_err());
    }

    #[test]
    fn a_ring_works_on_another_thread_than_its_makers() {
        let mut ring = Ring::new(4);
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let work = move || {
            let jobs = (0..8).map(|_| send(&ours, b"abc")).collect();
            ring.run(jobs).iter().all(Result::is_ok)
        };
        assert!(std::thread::spawn(work).join().unwrap());
        let mut heard = String::new();
        theirs.read_to_string(&mut heard).unwrap();
        assert_eq!(heard, "abc".repeat(8));
    }
}
