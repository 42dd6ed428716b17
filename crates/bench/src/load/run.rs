//! A measured run: all clients at work for a while.

use std::io;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;

use super::client::Client;

/// What came of a run.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Ran {
    /// How often a client did its job.
    pub(crate) operations: u64,
    /// From the start to the end of the last operation.
    pub(crate) seconds: f64,
    /// Half of the operations took no longer than this, in seconds.
    pub(crate) median: f64,
    /// 99 of 100 operations took no longer than this, in seconds.
    pub(crate) tail: f64,
}

/// Lets each client do its job over and over; none starts anew when `span` is over.
pub(super) async fn run(clients: &mut Vec<Client>, span: Duration) -> io::Result<Ran> {
    let start = Instant::now();
    let mut tasks = JoinSet::new();
    for client in clients.drain(..) {
        tasks.spawn(repeat(client, start + span));
    }
    let mut latencies = Vec::new();
    for outcome in tasks.join_all().await {
        let (client, taken) = outcome?;
        clients.push(client);
        latencies.extend(taken);
    }
    Ok(summary(latencies, start.elapsed()))
}

async fn repeat(mut client: Client, end: Instant) -> io::Result<(Client, Vec<Duration>)> {
    let mut taken = Vec::new();
    loop {
        let start = Instant::now();
        // Even a span that is over before a client comes to work has one operation of each.
        if start >= end && !taken.is_empty() {
            return Ok((client, taken));
        }
        client.work().await?;
        taken.push(start.elapsed());
    }
}

fn summary(mut latencies: Vec<Duration>, took: Duration) -> Ran {
    latencies.sort_unstable();
    let at = |hundredths: usize| {
        let index = (latencies.len() * hundredths / 100).min(latencies.len().saturating_sub(1));
        latencies.get(index).map_or(0.0, Duration::as_secs_f64)
    };
    Ran { operations: latencies.len() as u64, seconds: took.as_secs_f64(), median: at(50), tail: at(99) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(clippy::float_cmp, reason = "whole numbers of seconds")]
    fn percentiles_are_latencies_that_occurred() {
        let latencies = (1..=100).rev().map(Duration::from_secs).collect();
        let ran = summary(latencies, Duration::from_secs(7));
        assert_eq!((ran.operations, ran.seconds, ran.median, ran.tail), (100, 7.0, 51.0, 100.0));
        assert_eq!(summary(Vec::new(), Duration::ZERO).tail, 0.0);
    }
}
