//! Results for programs: all of them, round by round.

use std::collections::BTreeMap;

use serde::Serialize;

use super::Results;
use crate::compare::{Compared, Outcome};
use crate::figures::Spread;
use crate::machine::Machine;
use crate::workload::{Goal, Metric};

#[derive(Serialize)]
pub(super) struct Document<'a> {
    machine: &'a Machine,
    rounds: usize,
    seconds: f64,
    sessions: usize,
    pinned: bool,
    /// Name to version, the first peer first.
    peers: Vec<Peer<'a>>,
    workloads: Vec<Entry<'a>>,
}

#[derive(Serialize)]
struct Peer<'a> {
    name: &'a str,
    version: &'a str,
}

#[derive(Serialize)]
struct Entry<'a> {
    name: &'static str,
    title: &'static str,
    metrics: Vec<Row<'a>>,
    /// By name of the peer.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    not_yet: BTreeMap<&'a str, &'a str>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    failed: BTreeMap<&'a str, &'a str>,
}

#[derive(Serialize)]
struct Row<'a> {
    metric: Metric,
    unit: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    goal: Option<Aim>,
    peers: BTreeMap<&'a str, Cell>,
}

#[derive(Serialize)]
struct Cell {
    #[serde(flatten)]
    value: Spread,
    #[serde(skip_serializing_if = "Option::is_none")]
    ratio: Option<Spread>,
}

#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum Aim {
    RatioAtMost(f64),
    AtMost(f64),
    AtLeast(f64),
}

pub(super) fn of(results: &Results) -> Document<'_> {
    Document {
        machine: &results.machine,
        rounds: results.terms.rounds,
        seconds: results.terms.span.as_secs_f64(),
        sessions: results.terms.sessions,
        pinned: results.terms.pinned,
        peers: results.peers.iter().map(|peer| Peer { name: &peer.name, version: &peer.version }).collect(),
        workloads: results.compared.iter().map(|compared| entry(results, compared)).collect(),
    }
}

fn entry<'a>(results: &'a Results, compared: &'a Compared) -> Entry<'a> {
    let named = || results.peers.iter().map(|peer| peer.name.as_str()).zip(&compared.outcomes);
    Entry {
        name: compared.workload.name,
        title: compared.workload.title,
        metrics: compared.metrics().into_iter().map(|metric| row(results, compared, metric)).collect(),
        not_yet: named()
            .filter_map(|(name, outcome)| match outcome {
                Outcome::NotYet(why) => Some((name, why.as_str())),
                _ => None,
            })
            .collect(),
        failed: named()
            .filter_map(|(name, outcome)| match outcome {
                Outcome::Failed(why) => Some((name, why.as_str())),
                _ => None,
            })
            .collect(),
    }
}

fn row<'a>(results: &'a Results, compared: &Compared, metric: Metric) -> Row<'a> {
    let cells = results.peers.iter().enumerate().filter_map(|(at, peer)| {
        let figure = compared.figure(metric, at)?;
        Some((peer.name.as_str(), Cell { value: figure.value, ratio: figure.ratio }))
    });
    Row {
        metric,
        unit: metric.unit(),
        goal: compared.goal(metric).map(|goal| match goal {
            Goal::Ratio(most) => Aim::RatioAtMost(most),
            Goal::AtMost(most) => Aim::AtMost(most),
            Goal::AtLeast(least) => Aim::AtLeast(least),
        }),
        peers: cells.collect(),
    }
}
