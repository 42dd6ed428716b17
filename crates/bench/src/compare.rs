//! The comparison: every workload, in turn against every peer, several times over.

use std::io::{self, Write};

use crate::failure::Failure;
use crate::figures::Spread;
use crate::measure::{Bench, Sample};
use crate::peer::Peer;
use crate::workload::{Goal, Metric, Plan, SHARES, Workload};

/// What came of one workload.
#[derive(Debug)]
pub(crate) struct Compared {
    pub(crate) workload: &'static Workload,
    /// In the order of the peers.
    pub(crate) outcomes: Vec<Outcome>,
}

/// What came of one workload for one peer.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// A sample of each round.
    Measured(Vec<Sample>),
    /// The program refuses the configuration: it cannot do this yet.
    NotYet(String),
    /// It went wrong.
    Failed(String),
}

/// A metric of one peer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Figure {
    pub(crate) value: Spread,
    /// In terms of the first peer, round by round.
    pub(crate) ratio: Option<Spread>,
}

/// Carries out `workloads`. Peers alternate, and who begins changes from round to round, so that what else happens on
/// the machine hits all of them alike.
pub(crate) fn compare(
    bench: &Bench,
    peers: &[Peer],
    workloads: &[&'static Workload],
    rounds: usize,
) -> io::Result<Vec<Compared>> {
    workloads.iter().map(|workload| compare_one(bench, peers, workload, rounds)).collect()
}

fn compare_one(
    bench: &Bench,
    peers: &[Peer],
    workload: &'static Workload,
    rounds: usize,
) -> io::Result<Compared> {
    let mut outcomes: Vec<_> = peers.iter().map(|_| Outcome::Measured(Vec::new())).collect();
    let rounds = rounds_of(workload.plan, rounds);
    for round in 0..rounds {
        tell(&format!("{}: round {} of {rounds}", workload.name, round + 1))?;
        for turn in 0..peers.len() {
            let at = (round + turn) % peers.len();
            outcomes[at].add(|| bench.sample(workload, &peers[at]), at == 0);
        }
    }
    Ok(Compared { workload, outcomes })
}

/// Memory hardly varies, and thousands of sessions take their time to open.
fn rounds_of(plan: Plan, rounds: usize) -> usize {
    match plan {
        Plan::Hold { .. } => rounds.min(2),
        Plan::Rate { .. } | Plan::Volume { .. } | Plan::Growth { .. } | Plan::Threads { .. } => rounds,
    }
}

impl Outcome {
    /// Measures once more, unless an earlier round has already said how this ends. The peer that all others are compared
    /// with has to be able to do everything.
    fn add(&mut self, measure: impl FnOnce() -> Result<Sample, Failure>, reference: bool) {
        let Self::Measured(samples) = self else { return };
        match measure() {
            Ok(sample) => samples.push(sample),
            Err(Failure::Refused(why)) if !reference => *self = Self::NotYet(why),
            Err(failure) => *self = Self::Failed(failure.to_string()),
        }
    }

    fn samples(&self) -> &[Sample] {
        match self {
            Self::Measured(samples) => samples,
            Self::NotYet(_) | Self::Failed(_) => &[],
        }
    }

    fn values(&self, metric: Metric) -> impl Iterator<Item = f64> {
        self.samples().iter().filter_map(move |sample| sample.get(&metric).copied())
    }

    fn median(&self, metric: Metric) -> Option<f64> {
        Some(Spread::of(self.values(metric))?.median)
    }

    /// [`Metric::Growth`], of medians: the dearest of several noisy figures says more of the noise than of the proxy.
    fn growth(&self) -> Option<f64> {
        let costs = (0..SHARES.len()).map(|step| self.median(Metric::CpuHolding(step)));
        let costs: Vec<_> = costs.collect::<Option<_>>()?;
        let dearest = costs.iter().copied().fold(0.0, f64::max);
        Some(dearest / costs.first()?)
    }
}

impl Compared {
    /// What was measured of any peer.
    pub(crate) fn metrics(&self) -> Vec<Metric> {
        let sample = self.outcomes.iter().find_map(|outcome| outcome.samples().first());
        let mut metrics: Vec<_> = sample.map(|sample| sample.keys().copied().collect()).unwrap_or_default();
        if metrics.contains(&Metric::CpuHolding(0)) {
            metrics.push(Metric::Growth);
        }
        metrics
    }

    /// A metric of a peer.
    pub(crate) fn figure(&self, metric: Metric, peer: usize) -> Option<Figure> {
        if metric == Metric::Growth {
            let [mine, first] = [peer, 0].map(|peer| self.outcomes[peer].growth());
            let ratio = mine.zip(first).filter(|_| peer > 0).map(|(mine, first)| mine / first);
            return Some(Figure { value: Spread::of(mine)?, ratio: Spread::of(ratio) });
        }
        let mine = self.outcomes[peer].values(metric);
        let ratio = (peer > 0)
            .then(|| Spread::of(mine.zip(self.outcomes[0].values(metric)).map(|(mine, first)| mine / first)))
            .flatten();
        Some(Figure { value: Spread::of(self.outcomes[peer].values(metric))?, ratio })
    }

    /// What gatepost has to reach.
    pub(crate) fn goal(&self, metric: Metric) -> Option<Goal> {
        self.workload.goals.iter().find(|(of, _)| *of == metric).map(|(_, goal)| *goal)
    }
}

impl Goal {
    /// Does the figure reach it? `None` where there is no ratio to judge by.
    pub(crate) fn reached(self, figure: &Figure) -> Option<bool> {
        Some(match self {
            Self::Ratio(most) => figure.ratio?.median <= most,
            Self::AtMost(most) => figure.value.median <= most,
            Self::AtLeast(least) => figure.value.median >= least,
        })
    }
}

/// Progress, apart from the results.
pub(crate) fn tell(line: &str) -> io::Result<()> {
    writeln!(io::stderr().lock(), "{line}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workload::WORKLOADS;

    fn compared(values: [&[f64]; 2]) -> Compared {
        let outcome = |values: &[f64]| {
            Outcome::Measured(values.iter().map(|value| [(Metric::Cpu, *value)].into()).collect())
        };
        Compared { workload: &WORKLOADS[0], outcomes: values.map(outcome).into() }
    }

    #[test]
    fn ratios_are_taken_round_by_round() {
        let figure =
            compared([&[100.0, 200.0, 400.0], &[50.0, 120.0, 160.0]]).figure(Metric::Cpu, 1).unwrap();
        assert_eq!(figure.value, Spread { median: 120.0, lowest: 50.0, highest: 160.0 });
        assert_eq!(figure.ratio, Some(Spread { median: 0.5, lowest: 0.4, highest: 0.6 }));
    }

    #[test]
    fn growth_is_that_of_medians_and_not_of_the_noisiest_round() {
        let round = |costs: [f64; 4]| (0..).map(Metric::CpuHolding).zip(costs).collect();
        let rounds = [[10.0, 10.0, 12.0, 20.0], [10.0, 30.0, 12.0, 11.0], [10.0, 10.0, 12.0, 11.0]];
        let flat = Outcome::Measured(vec![round([5.0; 4])]);
        let compared = Compared {
            workload: &WORKLOADS[0],
            outcomes: vec![flat, Outcome::Measured(rounds.map(round).into())],
        };
        assert_eq!(compared.metrics().last(), Some(&Metric::Growth));
        let figure = |peer| compared.figure(Metric::Growth, peer).unwrap();
        assert_eq!((figure(0).value.median, figure(0).ratio), (1.0, None));
        assert_eq!((figure(1).value.median, figure(1).ratio.unwrap().median), (1.2, 1.2));
    }

    #[test]
    fn the_first_peer_has_no_ratio_and_nothing_has_one_to_zero() {
        let compared = compared([&[0.0], &[1.0]]);
        assert_eq!(compared.figure(Metric::Cpu, 0).unwrap().ratio, None);
        assert_eq!(compared.figure(Metric::Cpu, 1).unwrap().ratio, None);
        assert_eq!(compared.figure(Metric::Tail, 1), None);
    }

    #[test]
    fn a_refusal_is_no_failure_but_for_the_first_peer() {
        let refuse = || Err(Failure::Refused("\"ssl\" is not supported yet".to_owned()));
        for (reference, not_yet) in [(false, true), (true, false)] {
            let mut outcome = Outcome::Measured(Vec::new());
            outcome.add(refuse, reference);
            outcome.add(|| unreachable!("the end is known"), reference);
            assert_eq!(matches!(outcome, Outcome::NotYet(_)), not_yet);
        }
    }

    #[test]
    fn goals_are_judged_by_medians() {
        let figure = compared([&[100.0], &[58.0]]).figure(Metric::Cpu, 1).unwrap();
        assert_eq!(Goal::Ratio(0.58).reached(&figure), Some(true));
        assert_eq!(Goal::Ratio(0.57).reached(&figure), Some(false));
        assert_eq!(Goal::AtMost(50.0).reached(&figure), Some(false));
        assert_eq!(Goal::AtLeast(50.0).reached(&figure), Some(true));
    }
}
