//! Tables of what a client sends and what it gets, one connection per row.

use std::panic::{AssertUnwindSafe, catch_unwind};

use rig::{Client, Cuts};

use crate::{Named, Peer, Stage};

/// What a client sends, and exactly what comes back.
pub type Turn = (&'static [u8], &'static [u8]);

/// What becomes of the connection after the last turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum After {
    /// It is ready for the next command.
    Stays,
    /// The proxy closes it.
    Closes,
    /// The client hangs up; the row is not about this.
    Open,
}

/// One connection.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    name: &'static str,
    turns: &'static [Turn],
    after: After,
    original: Option<(&'static [Turn], After)>,
}

/// A row after which the connection stays. The name is that of the written specification, or says what it is about.
pub const fn row(name: &'static str, turns: &'static [Turn]) -> Row {
    Row { name, turns, after: After::Stays, original: None }
}

impl Row {
    /// The same, but the proxy closes the connection.
    pub const fn closes(self) -> Self {
        Self { after: After::Closes, ..self }
    }

    /// The same, but in the middle of something.
    pub const fn open(self) -> Self {
        Self { after: After::Open, ..self }
    }

    /// A known difference: the original does this instead, for this reason.
    pub const fn original(self, turns: &'static [Turn], after: After, reason: &'static str) -> Self {
        assert!(!reason.is_empty(), "a difference needs a reason");
        Self { original: Some((turns, after)), ..self }
    }
}

/// A proxy on which rows are tried.
#[derive(Debug)]
pub struct Floor<'a> {
    peer: &'a Peer,
    stage: &'a Stage,
}

impl<'a> Floor<'a> {
    /// Rows will be tried on this stage.
    pub fn new(peer: &'a Peer, stage: &'a Stage) -> Self {
        Self { peer, stage }
    }

    /// Tries every row, then fails with the names of those that did not hold.
    #[track_caller]
    pub fn hold(&self, rows: &[Row]) {
        let failed: Vec<_> = rows.iter().filter(|row| !self.holds(row)).map(|row| row.name).collect();
        assert!(failed.is_empty(), "rows that do not hold: {failed:?}");
    }

    /// We hold every row a second time, cut at random places: how bytes arrive changes nothing.
    fn holds(&self, row: &Row) -> bool {
        self.plays(row, None) && (self.peer.is_original() || self.plays(row, Some(Cuts::new())))
    }

    fn plays(&self, row: &Row, mut cuts: Option<Cuts>) -> bool {
        let (turns, after) =
            row.original.filter(|_| self.peer.is_original()).unwrap_or((row.turns, row.after));
        catch_unwind(AssertUnwindSafe(|| {
            let _named = Named(format!("in row {}", row.name));
            let mut client = self.stage.client();
            for (sent, reply) in turns {
                match &mut cuts {
                    Some(cuts) => client.send_scattered(sent, cuts),
                    None => client.send(sent),
                };
                client.expect(reply);
            }
            self.end(&mut client, after);
        }))
        .is_ok()
    }

    fn end(&self, client: &mut Client, after: After) {
        match after {
            After::Stays => {
                let (command, reply) = self.stage.protocol.noop();
                client.exchange(command, reply);
            }
            After::Closes => client.expect_end(),
            After::Open => client.expect_nothing_unread(),
        }
    }
}
