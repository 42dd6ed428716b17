//! Adversarial inputs and their exact reactions, each tried in one piece and cut at random places.
//!
//! What clients of the originals may rely on is in `compat/`, where nginx has to hold it first. Here is what is only
//! ours: because the originals differ from each other or from their documentation, or break.

mod auth_server;
mod imap;
mod pop3;
mod smtp;
mod upstream;

use std::collections::BTreeSet;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use rig::auth_server::refuse;
use rig::{AuthServer, Client, Cuts, Request};

use crate::stage::{Protocol, Stage};

/// What a client sends, and exactly what comes back, turn by turn.
struct Row {
    /// As the written specification calls it.
    name: &'static str,
    turns: Vec<(Vec<u8>, Vec<u8>)>,
    closes: bool,
}

/// A row of one turn, after which the connection is ready for the next command.
fn row(name: &'static str, sent: impl AsRef<[u8]>, reply: impl AsRef<[u8]>) -> Row {
    Row { name, turns: Vec::new(), closes: false }.then(sent, reply)
}

impl Row {
    fn then(mut self, sent: impl AsRef<[u8]>, reply: impl AsRef<[u8]>) -> Self {
        self.turns.push((sent.as_ref().to_vec(), reply.as_ref().to_vec()));
        self
    }

    /// The proxy closes the connection.
    fn closes(self) -> Self {
        Self { closes: true, ..self }
    }

    /// One connection, whole or cut.
    fn play(&self, stage: &Stage, mut cuts: Option<Cuts>) {
        let mut client = Client::connect(stage.address());
        client.line();
        for (sent, reply) in &self.turns {
            match &mut cuts {
                Some(cuts) => client.send_scattered(sent, cuts),
                None => client.send(sent),
            };
            client.expect(reply);
        }
        if self.closes {
            client.expect_end();
        } else {
            let (noop, answer) = stage.protocol.noop();
            client.exchange(noop, answer);
        }
    }
}

/// Tries every row, whole and cut, then fails with the names of those that do not hold.
#[track_caller]
fn hold(protocol: Protocol, settings: &str, rows: impl IntoIterator<Item = Row>) {
    let stage = Stage::answering(protocol, settings, AuthServer::start(echo));
    let holds = |row: &Row| {
        let plays = |cuts| catch_unwind(AssertUnwindSafe(|| row.play(&stage, cuts))).is_ok();
        plays(None) && plays(Some(Cuts::new()))
    };
    let failed: Vec<_> = rows.into_iter().filter(|row| !holds(row)).map(|row| row.name).collect();
    assert!(failed.is_empty(), "rows that do not hold: {failed:?}");
}

/// Refuses everybody and says what was asked: `[method|user|password]`; with leave to try again for the user `again`.
fn echo(request: &Request) -> rig::Script {
    let value = |name| request.header(name).unwrap_or_default();
    let [method, user, password] = ["Auth-Method", "Auth-User", "Auth-Pass"].map(value);
    let text = format!("[{method}|{user}|{password}]");
    if user == "again" { rig::auth_server::refuse_for(1, &text) } else { refuse(&text) }
}

/// How many rows each table of the written specification has: IMAP, POP3, SMTP, auth servers, upstreams ("backends").
const TABLES: [(char, usize); 5] = [('I', 90), ('P', 64), ('S', 67), ('H', 36), ('B', 21)];

/// The words in the test files of a directory and below it.
fn words_in(directory: &Path, words: &mut BTreeSet<String>) {
    for entry in fs::read_dir(directory).expect("the directory is there").flatten() {
        let path = entry.path();
        if path.is_dir() {
            words_in(&path, words);
        } else {
            let text = fs::read_to_string(&path).expect("a test is text");
            words.extend(text.split(|c: char| !c.is_ascii_alphanumeric()).map(str::to_owned));
        }
    }
}

#[test]
fn every_row_is_played_somewhere() {
    let mut words = BTreeSet::new();
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    for directory in [here.join("tests/whole"), here.join("../../compat/tests")] {
        words_in(&directory, &mut words);
    }
    let rows = TABLES.iter().flat_map(|&(table, rows)| (1..=rows).map(move |row| format!("{table}{row}")));
    let missing: Vec<_> = rows.filter(|row| !words.contains(row)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}
