//! One measurement: a workload against a proxy that was started for it.

use std::collections::BTreeMap;
use std::io;
use std::time::{Duration, Instant};

use crate::certificates::Certificates;
use crate::child::{Load, Stubs};
use crate::clock::{pass, wait_until};
use crate::failure::Failure;
use crate::load::{Job, Order, Ran, State};
use crate::peer::{Peer, Proxy, Setup, Surroundings};
use crate::pin::Pin;
use crate::usage::Cpu;
use crate::workload::{Metric, Part, Plan, SHARES, Workload};

/// What was measured in one go.
pub(crate) type Sample = BTreeMap<Metric, f64>;

/// Sessions that are there before memory is measured first, so that what a proxy sets up for its first sessions does
/// not count as theirs.
const FIRST: usize = 8;

/// A proxy that has used no CPU for this long has finished what it was doing.
const QUIET: Duration = Duration::from_millis(100);
/// It is given this long to come to rest.
const REST: Duration = Duration::from_secs(5);

/// How much is measured.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Extent {
    /// The length of a run.
    pub(crate) span: Duration,
    /// How long sessions are silent before they count as idle.
    pub(crate) settle: Duration,
    /// How many sessions are held.
    pub(crate) sessions: usize,
    /// The size of a download in bytes.
    pub(crate) block: u64,
}

/// The place where proxies are measured: everything around them.
#[derive(Debug)]
pub(crate) struct Bench {
    stubs: Stubs,
    certificates: Certificates,
    pin: Pin,
    extent: Extent,
}

impl Bench {
    pub(crate) fn set_up(extent: Extent, pin: Pin) -> Result<Self, Failure> {
        Ok(Self { stubs: Stubs::start(pin)?, certificates: Certificates::make()?, pin, extent })
    }

    /// Measures a workload once.
    pub(crate) fn sample(&self, workload: &Workload, peer: &Peer) -> Result<Sample, Failure> {
        let at = Spot { bench: self, workload, peer };
        match workload.plan {
            Plan::Rate { job, clients } => at.rate(job, clients),
            Plan::Volume { clients } => at.volume(clients),
            Plan::Hold { state, part } => at.hold(state, part),
            Plan::Growth { job, clients } => at.growth(job, clients),
            Plan::Threads { job, clients } => at.threads(job, clients),
        }
    }

    fn start(&self, peer: &Peer, setup: &Setup) -> Result<Proxy, Failure> {
        let around =
            Surroundings { places: self.stubs.places, certificates: &self.certificates, pin: self.pin };
        peer.start(setup, &around)
    }
}

struct Spot<'a> {
    bench: &'a Bench,
    workload: &'a Workload,
    peer: &'a Peer,
}

impl Spot<'_> {
    fn rate(&self, job: Job, clients: usize) -> Result<Sample, Failure> {
        let mut pair = self.pair()?;
        pair.load.order(&Order::Clients { job, count: clients })?;
        let (ran, cpu) = pair.measured(self.bench.extent.span)?;
        pair.check()?;
        Ok([
            (Metric::Cpu, cost(&ran, cpu)),
            (Metric::Median, microseconds(ran.median)),
            (Metric::Tail, microseconds(ran.tail)),
        ]
        .into())
    }

    fn volume(&self, clients: usize) -> Result<Sample, Failure> {
        let size = self.bench.extent.block;
        let mut pair = self.pair()?;
        pair.load.order(&Order::Clients { job: Job::Fetch(size), count: clients })?;
        let (ran, cpu) = pair.measured(self.bench.extent.span)?;
        pair.check()?;
        let gigabytes = count(ran.operations * size) / 1e9;
        Ok([(Metric::CpuPerGigabyte, cpu.as_secs_f64() / gigabytes)].into())
    }

    fn hold(&self, state: State, part: Part) -> Result<Sample, Failure> {
        let sessions = match part {
            Part::All => self.bench.extent.sessions,
            Part::Quarter => self.bench.extent.sessions / 4,
        };
        let mut pair = self.pair()?;
        pair.load.order(&Order::Hold { state, sessions: FIRST })?;
        pair.rest()?;
        let base = pair.proxy.memory()?;
        pair.load.order(&Order::Hold { state, sessions })?;
        pass(self.bench.extent.settle);
        pair.rest()?;
        let full = pair.proxy.memory()?;
        let idle = pair.idle(self.bench.extent.span)?;
        pair.load.order(&Order::Inspect)?;
        pair.check()?;
        // May be negative where a proxy gave memory back.
        let grown = count(full.written) - count(base.written);
        let added = count((sessions - FIRST) as u64);
        Ok([(Metric::Session, grown / added), (Metric::Base, count(base.whole) / 1e6), (Metric::Idle, idle)]
            .into())
    }

    fn growth(&self, job: Job, clients: usize) -> Result<Sample, Failure> {
        let mut pair = self.pair()?;
        let mut sample = Sample::new();
        pair.load.order(&Order::Clients { job, count: clients })?;
        for (step, share) in SHARES.into_iter().enumerate() {
            let sessions = self.bench.extent.sessions / share;
            pair.load.order(&Order::Hold { state: State::LoggedIn, sessions })?;
            // What a proxy does with sessions that have just become idle is not what a login costs.
            pass(self.bench.extent.settle / 2);
            pair.rest()?;
            let (ran, cpu) = pair.measured(self.bench.extent.span)?;
            sample.insert(Metric::CpuHolding(step), cost(&ran, cpu));
        }
        pair.load.order(&Order::Inspect)?;
        pair.check()?;
        Ok(sample)
    }

    fn threads(&self, job: Job, clients: usize) -> Result<Sample, Failure> {
        let (one, busy) = self.throughput(1, job, clients)?;
        let (two, _) = self.throughput(2, job, clients)?;
        let room = (processors()? / busy).min(2.0);
        Ok([
            (Metric::Throughput(1), one),
            (Metric::Throughput(2), two),
            (Metric::Scaling, two / one),
            (Metric::Room, room),
            (Metric::Reached, two / one / room),
        ]
        .into())
    }

    /// Operations in a second, under the load of two generators, so that one thread of load is not the limit; and how many
    /// processors were busy with them, here and there.
    fn throughput(&self, workers: usize, job: Job, clients: usize) -> Result<(f64, f64), Failure> {
        let proxy = self.bench.start(self.peer, &self.setup(workers))?;
        let mut loads = [self.load(&proxy)?, self.load(&proxy)?];
        for load in &mut loads {
            load.order(&Order::Clients { job, count: clients / 2 })?;
        }
        let span = self.bench.extent.span;
        run(&mut loads, warm_up(span))?;
        let (start, before) = (Instant::now(), self.used(&proxy, &loads)?);
        let ran = run(&mut loads, span)?;
        let after = self.used(&proxy, &loads)?;
        let busy: Duration = after.iter().zip(&before).map(|(after, before)| after.since(before)).sum();
        let busy = busy.as_secs_f64() / start.elapsed().as_secs_f64();
        complain(&proxy)?;
        Ok((ran.iter().map(|ran| count(ran.operations) / ran.seconds).sum(), busy))
    }

    /// What everybody has used who takes part.
    fn used(&self, proxy: &Proxy, loads: &[Load]) -> io::Result<Vec<Cpu>> {
        let others = [proxy.cpu(), self.bench.stubs.cpu()];
        others.into_iter().chain(loads.iter().map(Load::cpu)).collect()
    }

    fn pair(&self) -> Result<Pair, Failure> {
        let proxy = self.bench.start(self.peer, &self.setup(1))?;
        let load = self.load(&proxy)?;
        Ok(Pair { load, proxy })
    }

    fn load(&self, proxy: &Proxy) -> Result<Load, Failure> {
        Load::start(self.bench.pin, proxy.aim())
    }

    fn setup(&self, workers: usize) -> Setup {
        Setup { workers, key: self.workload.key, buffer: self.workload.buffer }
    }
}

/// A proxy and its clients. The clients go first.
struct Pair {
    load: Load,
    proxy: Proxy,
}

impl Pair {
    /// A run, and the CPU time that the proxy spent on it, after a short one that does not count.
    fn measured(&mut self, span: Duration) -> Result<(Ran, Duration), Failure> {
        self.load.begin(milliseconds(warm_up(span)))?;
        self.load.end()?;
        let before = self.proxy.cpu()?;
        self.load.begin(milliseconds(span))?;
        let ran = self.load.end()?;
        Ok((ran, self.proxy.cpu()?.since(&before)))
    }

    /// Waits until the proxy has come to rest. One that never does is measured as it is.
    fn rest(&self) -> io::Result<()> {
        let mut last = self.proxy.cpu()?;
        let mut since = Instant::now();
        wait_until(Instant::now() + REST, || {
            let now = self.proxy.cpu()?;
            if now != last {
                (last, since) = (now, Instant::now());
            }
            Ok(since.elapsed() >= QUIET)
        })?;
        Ok(())
    }

    /// Milliseconds of CPU time in a second without any traffic.
    fn idle(&self, span: Duration) -> io::Result<f64> {
        let (start, before) = (Instant::now(), self.proxy.cpu()?);
        pass(span);
        let spent = self.proxy.cpu()?.since(&before);
        Ok(spent.as_secs_f64() * 1e3 / start.elapsed().as_secs_f64())
    }

    fn check(&self) -> Result<(), Failure> {
        complain(&self.proxy)
    }
}

/// What a proxy reports as an error was not the work that it should be measured at.
fn complain(proxy: &Proxy) -> Result<(), Failure> {
    proxy.complaint().map_or(Ok(()), |line| Err(Failure::Complained(line)))
}

/// A run of several generators at the same time.
fn run(loads: &mut [Load], span: Duration) -> Result<Vec<Ran>, Failure> {
    for load in loads.iter_mut() {
        load.begin(milliseconds(span))?;
    }
    loads.iter_mut().map(Load::end).collect()
}

/// How many there are.
fn processors() -> io::Result<f64> {
    let processors = u32::try_from(std::thread::available_parallelism()?.get()).unwrap_or(u32::MAX);
    Ok(f64::from(processors))
}

/// Microseconds of CPU time for an operation.
fn cost(ran: &Ran, cpu: Duration) -> f64 {
    microseconds(cpu.as_secs_f64()) / count(ran.operations)
}

fn warm_up(span: Duration) -> Duration {
    span / 6
}

fn milliseconds(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

fn microseconds(seconds: f64) -> f64 {
    seconds * 1e6
}

/// Counts here are far below 2^52.
#[expect(clippy::cast_precision_loss, reason = "counts of operations and bytes, not of atoms")]
fn count(number: u64) -> f64 {
    number as f64
}
