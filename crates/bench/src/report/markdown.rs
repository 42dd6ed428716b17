//! Results in a document.

use std::fmt::Write;
use std::io;
use std::path::Path;

use super::Results;
use super::text::goal_text;
use crate::compare::{Compared, Outcome};
use crate::figures::{Spread, number};
use crate::workload::Metric;

/// What `--update` replaces stands between these lines.
const BEGIN: &str = "<!-- figures: written by ./bench --update -->\n";
const END: &str = "<!-- end of figures -->\n";

pub(super) fn of(results: &Results) -> String {
    let mut text = results.circumstances().join(".  \n") + ".\n\n| workload | |";
    let mut rule = "|---|---|".to_owned();
    for (at, peer) in results.peers.iter().enumerate() {
        // Writing to a string does not fail.
        let _ = write!(text, " {} |", peer.name);
        rule += "--:|";
        if at > 0 {
            let _ = write!(text, " to {} (spread) |", results.peers[0].name);
            rule += "---|";
        }
    }
    let _ = writeln!(text, " gatepost must reach |\n{rule}---|");
    for compared in &results.compared {
        rows(&mut text, results, compared);
    }
    text
}

fn rows(text: &mut String, results: &Results, compared: &Compared) {
    let mut title = compared.workload.title;
    for metric in compared.metrics() {
        row(text, results, compared, metric, title);
        title = "";
    }
}

fn row(text: &mut String, results: &Results, compared: &Compared, metric: Metric, title: &str) {
    // Writing to a string does not fail.
    let _ = write!(text, "| {title} | {} |", metric.title(results.terms.sessions));
    for (at, outcome) in compared.outcomes.iter().enumerate() {
        let figure = compared.figure(metric, at);
        let (value, ratio) = match (figure, outcome) {
            (Some(figure), _) => {
                (format!("{} {}", number(figure.value.median), metric.unit()), figure.ratio.map(spread))
            }
            (None, Outcome::NotYet(_)) => ("not yet".to_owned(), None),
            (None, _) => ("failed".to_owned(), None),
        };
        let _ = write!(text, " {} |", value.trim_end());
        if at > 0 {
            let _ = write!(text, " {} |", ratio.unwrap_or_default());
        }
    }
    let _ = writeln!(text, " {} |", verdict(results, compared, metric));
}

fn spread(Spread { median, lowest, highest }: Spread) -> String {
    format!("**{median:.2}** ({lowest:.2}–{highest:.2})")
}

/// The goal, and whether it is reached.
fn verdict(results: &Results, compared: &Compared, metric: Metric) -> String {
    let Some(goal) = compared.goal(metric) else { return String::new() };
    let gatepost = results.peers.iter().position(|peer| peer.name == "gatepost");
    let reached = gatepost
        .and_then(|at| compared.figure(metric, at))
        .and_then(|figure| goal.reached(&figure))
        .map_or("", |reached| if reached { ": yes" } else { ": no" });
    goal_text(goal) + reached
}

/// Replaces the figures of a document.
pub(crate) fn update(file: &Path, results: &Results) -> io::Result<()> {
    let text = std::fs::read_to_string(file)?;
    let replaced = replace(&text, &of(results)).ok_or_else(|| {
        io::Error::other(format!("{} lacks the lines {BEGIN:?} and {END:?}", file.display()))
    })?;
    std::fs::write(file, replaced)
}

fn replace(text: &str, figures: &str) -> Option<String> {
    let (before, rest) = text.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some([before, BEGIN, "\n", figures, "\n", END, after].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_stands_between_the_marks_is_replaced() {
        let text = format!("before\n{BEGIN}old\n{END}after\n");
        let expected = format!("before\n{BEGIN}\nnew\n\n{END}after\n");
        assert_eq!(replace(&text, "new\n"), Some(expected.clone()));
        assert_eq!(replace(&expected, "new\n"), Some(expected));
        assert_eq!(replace("no marks", "new\n"), None);
    }
}
