//! The machine that the figures were measured on.

use std::fs;

use serde::Serialize;

/// What figures depend on, and who else was there.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Machine {
    /// The processor's name.
    pub(crate) processor: String,
    /// How many there are.
    pub(crate) processors: usize,
    pub(crate) is_virtual: bool,
    pub(crate) memory_gigabytes: u64,
    pub(crate) kernel: String,
    /// How many tasks wanted to run in the minute before: figures of a busy machine are noisy.
    pub(crate) load_before: f64,
}

impl Machine {
    /// Looks around. What the kernel does not tell is left empty.
    pub(crate) fn look() -> Self {
        let processors = read("/proc/cpuinfo");
        let flags = value(&processors, "flags");
        Self {
            processor: value(&processors, "model name").to_owned(),
            processors: std::thread::available_parallelism().map_or(1, usize::from),
            is_virtual: flags.split(' ').any(|flag| flag == "hypervisor"),
            memory_gigabytes: kilobytes(value(&read("/proc/meminfo"), "MemTotal")) / 1_000_000,
            kernel: read("/proc/sys/kernel/osrelease").trim_end().to_owned(),
            load_before: load(&read("/proc/loadavg")),
        }
    }

    /// Is somebody else using the processors?
    pub(crate) fn busy(&self) -> bool {
        self.load_before > 0.5
    }

    /// A sentence for people.
    pub(crate) fn sentence(&self) -> String {
        let Self { processor, processors, memory_gigabytes, kernel, load_before, .. } = self;
        let kind = if self.is_virtual { " (virtual)" } else { "" };
        let busy = if self.busy() { "; busy, so expect noise" } else { "" };
        format!(
            "{processors} x {processor}{kind}, {memory_gigabytes} GB, Linux {kernel}, \
             load before the run {load_before:.2}{busy}"
        )
    }
}

fn read(file: &str) -> String {
    fs::read_to_string(file).unwrap_or_default()
}

/// What follows `name` and a colon at the beginning of a line.
fn value<'a>(text: &'a str, name: &str) -> &'a str {
    text.lines()
        .filter_map(|line| line.split_once(':'))
        .find_map(|(left, right)| (left.trim_end() == name).then(|| right.trim()))
        .unwrap_or_default()
}

fn kilobytes(text: &str) -> u64 {
    text.split(' ').next().and_then(|number| number.parse().ok()).unwrap_or_default()
}

fn load(text: &str) -> f64 {
    text.split(' ').next().and_then(|number| number.parse().ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_tells_what_it_runs_on() {
        let machine = Machine::look();
        assert!(machine.processors > 0 && machine.memory_gigabytes > 0, "{machine:?}");
        assert!(!machine.kernel.is_empty() && !machine.processor.is_empty(), "{machine:?}");
    }

    #[test]
    fn values_stand_behind_a_colon() {
        let text = "model\t\t: 17\nmodel name\t: Some CPU: fast\nMemTotal:  123 kB\n";
        assert_eq!(value(text, "model name"), "Some CPU: fast");
        assert_eq!(kilobytes(value(text, "MemTotal")), 123);
        assert_eq!(value(text, "flags"), "");
    }
}
