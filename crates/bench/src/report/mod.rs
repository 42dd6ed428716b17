//! Results for people, for documents and for programs.

mod json;
mod markdown;
mod text;

use std::io;
use std::time::Duration;

use crate::compare::{Compared, Outcome};
use crate::machine::Machine;
use crate::peer::Peer;

pub(crate) use markdown::update;

/// A whole run.
#[derive(Debug)]
pub(crate) struct Results {
    pub(crate) machine: Machine,
    pub(crate) peers: Vec<Named>,
    pub(crate) compared: Vec<Compared>,
    pub(crate) terms: Terms,
}

/// A peer and what it says about itself.
#[derive(Debug)]
pub(crate) struct Named {
    pub(crate) name: String,
    pub(crate) version: String,
}

/// How much was measured.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terms {
    pub(crate) rounds: usize,
    pub(crate) span: Duration,
    pub(crate) sessions: usize,
    pub(crate) pinned: bool,
}

/// How results are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    Text,
    Markdown,
    Json,
}

impl Results {
    pub(crate) fn write(&self, form: Form, output: &mut dyn io::Write) -> io::Result<()> {
        match form {
            Form::Text => output.write_all(text::of(self).as_bytes()),
            Form::Markdown => output.write_all(markdown::of(self).as_bytes()),
            Form::Json => {
                serde_json::to_writer_pretty(&mut *output, &json::of(self))?;
                output.write_all(b"\n")
            }
        }
    }

    /// Did every peer do all that it accepted?
    pub(crate) fn complete(&self) -> bool {
        let outcomes = self.compared.iter().flat_map(|compared| &compared.outcomes);
        !outcomes.into_iter().any(|outcome| matches!(outcome, Outcome::Failed(_)))
    }

    /// Machine, peers and terms, a line each.
    fn circumstances(&self) -> Vec<String> {
        let peers: Vec<_> =
            self.peers.iter().map(|peer| format!("{} ({})", peer.name, peer.version)).collect();
        let Terms { rounds, span, pinned, .. } = self.terms;
        let pinned = if pinned { ", the proxy on a processor of its own" } else { "" };
        vec![
            self.machine.sentence(),
            peers.join(", "),
            format!("medians of {rounds} rounds of {} s{pinned}", span.as_secs_f64()),
        ]
    }
}

impl Named {
    pub(crate) fn new(peer: &Peer) -> Self {
        Self { name: peer.name.clone(), version: peer.version() }
    }
}
