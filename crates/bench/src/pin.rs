//! Which processors a process may run on (`--pin`).

use std::io;

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;

/// Gives the proxy processors of its own, or leaves it all to the scheduler.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pin {
    /// Every process may run everywhere.
    Off,
    /// The first of this process's processors is the proxy's, or the first two where there are four or more; everything
    /// else runs on the others.
    On,
}

impl Pin {
    /// Starts a proxy with so many threads.
    pub(crate) fn proxy<T>(self, threads: usize, start: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        self.within(start, |processors| processors[..threads.min(reserved(processors.len()))].to_vec())
    }

    /// Starts a stub or a load generator.
    pub(crate) fn peers<T>(self, start: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        self.within(start, |processors| processors[reserved(processors.len())..].to_vec())
    }

    /// A child inherits where its parent may run at its start, so the parent moves there for as long as that takes.
    fn within<T>(
        self,
        start: impl FnOnce() -> io::Result<T>,
        choose: impl FnOnce(&[usize]) -> Vec<usize>,
    ) -> io::Result<T> {
        let this = Pid::from_raw(0);
        let all = sched_getaffinity(this)?;
        let processors: Vec<_> =
            (0..CpuSet::count()).filter(|processor| all.is_set(*processor) == Ok(true)).collect();
        if self == Self::Off || processors.len() < 2 {
            return start();
        }
        let mut chosen = CpuSet::new();
        for processor in choose(&processors) {
            chosen.set(processor)?;
        }
        sched_setaffinity(this, &chosen)?;
        let started = start();
        sched_setaffinity(this, &all)?;
        started
    }
}

/// How many of so many processors are the proxy's.
fn reserved(processors: usize) -> usize {
    if processors < 4 { 1 } else { 2 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pinning_lasts_only_as_long_as_the_start() {
        let here = || sched_getaffinity(Pid::from_raw(0)).map_err(io::Error::from);
        let before = here().unwrap();
        let inside = Pin::On.proxy(1, here).unwrap();
        assert_eq!(here().unwrap(), before);
        let count = |set: CpuSet| (0..CpuSet::count()).filter(|at| set.is_set(*at) == Ok(true)).count();
        assert_eq!(count(inside), 1, "of {}", count(before));
    }
}
