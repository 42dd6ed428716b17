//! Results on a terminal.

use std::fmt::Write;

use super::Results;
use crate::compare::{Compared, Outcome};
use crate::figures::{Spread, number};
use crate::workload::{Goal, Metric};

pub(super) fn of(results: &Results) -> String {
    let mut text = results.circumstances().join("\n");
    text.push('\n');
    for compared in &results.compared {
        text += &section(results, compared);
    }
    text
}

fn section(results: &Results, compared: &Compared) -> String {
    let mut text = format!("\n{}: {}\n", compared.workload.name, compared.workload.title);
    for metric in compared.metrics() {
        line(&mut text, results, compared, metric);
    }
    for (peer, outcome) in results.peers.iter().zip(&compared.outcomes) {
        // Writing to a string does not fail.
        let _ = match outcome {
            Outcome::Measured(_) => Ok(()),
            Outcome::NotYet(why) => writeln!(text, "  {}: not yet ({why})", peer.name),
            Outcome::Failed(why) => writeln!(text, "  {}: failed ({why})", peer.name),
        };
    }
    text
}

fn line(text: &mut String, results: &Results, compared: &Compared, metric: Metric) {
    // Writing to a string does not fail.
    let _ = write!(text, "  {:<20}", metric.title(results.terms.sessions));
    for (at, peer) in results.peers.iter().enumerate() {
        let Some(figure) = compared.figure(metric, at) else { continue };
        let _ = write!(text, "  {} {:>7} {:<5}", peer.name, number(figure.value.median), metric.unit());
        if let Some(Spread { median, lowest, highest }) = figure.ratio {
            let _ = write!(text, " {median:.2} ({lowest:.2}-{highest:.2})");
        }
        if let Some(goal) = compared.goal(metric).filter(|_| peer.name == "gatepost") {
            let verdict = match goal.reached(&figure) {
                Some(true) => "reached",
                Some(false) => "MISSED",
                None => "no ratio",
            };
            let _ = write!(text, "  goal {} {verdict}", goal_text(goal));
        }
    }
    while text.ends_with(' ') {
        text.pop();
    }
    text.push('\n');
}

/// A goal in a few signs.
pub(super) fn goal_text(goal: Goal) -> String {
    match goal {
        Goal::Ratio(most) => format!("<= {most:.2} of nginx"),
        Goal::AtMost(most) => format!("<= {most}"),
        Goal::AtLeast(least) => format!(">= {least}"),
    }
}
