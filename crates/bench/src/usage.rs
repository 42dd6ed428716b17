//! What a program and all its descendants use, as the kernel counts it.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

/// CPU time of each thread of a process tree since the thread began, by thread id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cpu(BTreeMap<u32, u64>);

impl Cpu {
    /// Reads the counters of `root` and its descendants.
    ///
    /// Time is counted in nanoseconds, system time included (`Documentation/scheduler/sched-stats.rst`), not in ticks.
    pub(crate) fn of(root: u32) -> io::Result<Self> {
        let mut threads = BTreeMap::new();
        for process in tree(root)? {
            for thread in threads_of(process)? {
                let counters = fs::read_to_string(format!("/proc/{process}/task/{thread}/schedstat"))?;
                threads.insert(thread, first_number(&counters)?);
            }
        }
        Ok(Self(threads))
    }

    /// The time spent since `earlier`. Nothing is known of a thread that has ended in between.
    pub(crate) fn since(&self, earlier: &Self) -> Duration {
        let spent = self
            .0
            .iter()
            .map(|(thread, now)| now.saturating_sub(earlier.0.get(thread).copied().unwrap_or_default()));
        Duration::from_nanos(spent.sum())
    }
}

/// Memory in bytes, pages shared by n processes counted as 1/n in each (PSS). Memory of the kernel, such as for sockets,
/// is not in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Memory {
    /// All of it.
    pub(crate) whole: u64,
    /// Without pages of files. A library's pages cost less while some other program uses it, too, which happens at any
    /// time, so growth is measured without them.
    pub(crate) written: u64,
}

impl Memory {
    /// Adds up what `root` and its descendants use.
    pub(crate) fn of(root: u32) -> io::Result<Self> {
        let mut sum = Self { whole: 0, written: 0 };
        for process in tree(root)? {
            let rollup = fs::read_to_string(format!("/proc/{process}/smaps_rollup"))?;
            sum.whole += bytes(&rollup, "Pss:")?;
            sum.written += bytes(&rollup, "Pss_Anon:")? + bytes(&rollup, "Pss_Shmem:")?;
        }
        Ok(sum)
    }
}

/// The value of a line in kB, in bytes.
fn bytes(rollup: &str, name: &str) -> io::Result<u64> {
    let value = rollup.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
    Ok(first_number(value)? * 1024)
}

/// `root`, its children, theirs, and so on.
pub(crate) fn tree(root: u32) -> io::Result<Vec<u32>> {
    let mut processes = vec![root];
    let mut next = 0;
    while let Some(&process) = processes.get(next) {
        next += 1;
        for thread in threads_of(process)? {
            let children = fs::read_to_string(format!("/proc/{process}/task/{thread}/children"))?;
            processes.extend(children.split_ascii_whitespace().filter_map(|id| id.parse::<u32>().ok()));
        }
    }
    Ok(processes)
}

fn threads_of(process: u32) -> io::Result<Vec<u32>> {
    let tasks = Path::new("/proc").join(process.to_string()).join("task");
    let names = fs::read_dir(tasks)?.map(|entry| entry.map(|entry| entry.file_name()));
    names.map(|name| name?.to_string_lossy().parse().map_err(io::Error::other)).collect()
}

fn first_number(text: &str) -> io::Result<u64> {
    let word = text.split_ascii_whitespace().next().unwrap_or_default();
    word.parse().map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use std::hint::black_box;

    use super::*;

    #[test]
    fn work_done_here_shows_in_the_counters_of_this_process() {
        let before = Cpu::of(std::process::id()).unwrap();
        let mut sum = 0_u64;
        let mut spent = Duration::ZERO;
        while spent < Duration::from_millis(5) {
            sum = black_box((0..10_000).fold(sum, u64::wrapping_add));
            spent = Cpu::of(std::process::id()).unwrap().since(&before);
        }
    }

    #[test]
    fn only_what_came_after_counts() {
        let (before, after) = (Cpu([(1, 10), (2, 20)].into()), Cpu([(2, 25), (3, 7)].into()));
        assert_eq!(after.since(&before), Duration::from_nanos(12));
    }

    #[test]
    fn memory_that_was_written_to_is_counted() {
        const MUCH: usize = 64 << 20;
        let before = Memory::of(std::process::id()).unwrap();
        let held = black_box(vec![1_u8; MUCH]);
        let after = Memory::of(std::process::id()).unwrap();
        drop(held);
        // Other tests may give memory back in the meantime.
        assert!(after.written > before.written + MUCH as u64 / 2, "{before:?} {after:?}");
        assert!(after.whole >= after.written, "{after:?}");
    }
}
