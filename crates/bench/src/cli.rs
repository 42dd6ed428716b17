//! The command line.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use lexopt::{Arg, Parser, ValueExt};

use crate::measure::Extent;
use crate::report::Form;
use crate::workload::{WORKLOADS, Workload};

/// What is to be done.
#[derive(Debug)]
pub(crate) enum Command {
    Compare(Box<Options>),
    Help,
    List,
    /// The role of the stubs; started by this program only.
    Stub,
    /// The role of a load generator; started by this program only.
    Load,
    /// The role of the bare flow; started by this program only, as a peer.
    Bare,
}

/// A comparison.
#[derive(Debug)]
pub(crate) struct Options {
    /// All, unless some are named.
    pub(crate) workloads: Vec<&'static Workload>,
    pub(crate) nginx: PathBuf,
    /// Unless given, the program beside this one.
    pub(crate) gatepost: Option<PathBuf>,
    /// Measure the bare flow, too.
    pub(crate) bare: bool,
    /// Names and programs.
    pub(crate) others: Vec<(String, PathBuf)>,
    pub(crate) rounds: usize,
    pub(crate) extent: Extent,
    pub(crate) pin: bool,
    pub(crate) form: Form,
    /// A document to write the table into.
    pub(crate) update: Option<PathBuf>,
}

pub(crate) const HELP: &str = "\
Measures mail proxies side by side.

usage: ./bench [OPTIONS] [WORKLOAD...]

  --list             name the workloads; without one named, all are carried out
  --quick            a run of seconds that shows that everything works; its figures mean nothing
  --rounds N         how often each workload meets each peer (5)
  --seconds S        how long a run takes (1.5)
  --sessions N       how many sessions are held (8000)
  --pin              give the proxy a processor of its own
  --gatepost PATH    the program to measure (beside this one: target/release/gatepost)
  --nginx PATH       the program to compare with (/usr/sbin/nginx)
  --peer NAME=PATH   one more, started as PATH -p DIRECTORY -c FILE -e FILE; a script that starts a proxy with
                     another configuration language takes the places from BENCH_... in the environment
  --bare             the bare flow, too: the least that any proxy has to do, as a mark of what this machine allows
  --json, --markdown how results are written
  --update FILE      write the table into FILE, too, between its marks
";

/// Fewer sessions would make two equal steps of growth, or leave none for memory.
const FEWEST_SESSIONS: usize = 800;

impl Default for Options {
    fn default() -> Self {
        Self {
            workloads: Vec::new(),
            nginx: "/usr/sbin/nginx".into(),
            gatepost: None,
            bare: false,
            others: Vec::new(),
            rounds: 5,
            extent: Extent {
                span: Duration::from_millis(1500),
                settle: Duration::from_secs(4),
                sessions: 8000,
                block: 16 << 20,
            },
            pin: false,
            form: Form::Text,
            update: None,
        }
    }
}

impl Options {
    /// Just enough to see that it works.
    fn quick(&mut self) {
        self.rounds = 1;
        let span = Duration::from_millis(60);
        self.extent = Extent { span, settle: span, sessions: FEWEST_SESSIONS, block: 1 << 20 };
    }
}

/// Reads the arguments after the program's name.
pub(crate) fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Command, lexopt::Error> {
    let mut parser = Parser::from_args(arguments);
    let mut options = Options::default();
    while let Some(argument) = parser.next()? {
        match argument {
            Arg::Short('h') | Arg::Long("help") => return Ok(Command::Help),
            Arg::Long("list") => return Ok(Command::List),
            Arg::Value(word) if word == "stub" => return Ok(Command::Stub),
            Arg::Value(word) if word == "load" => return Ok(Command::Load),
            Arg::Value(word) if word == "bare" => return Ok(Command::Bare),
            Arg::Value(word) => options.workloads.push(workload(&word.string()?)?),
            Arg::Long("quick") => options.quick(),
            Arg::Long("bare") => options.bare = true,
            Arg::Long("pin") => options.pin = true,
            Arg::Long("json") => options.form = Form::Json,
            Arg::Long("markdown") => options.form = Form::Markdown,
            Arg::Long("rounds") => options.rounds = parser.value()?.parse_with(rounds)?,
            Arg::Long("seconds") => options.extent.span = parser.value()?.parse_with(seconds)?,
            Arg::Long("sessions") => options.extent.sessions = parser.value()?.parse_with(sessions)?,
            Arg::Long("nginx") => options.nginx = parser.value()?.into(),
            Arg::Long("gatepost") => options.gatepost = Some(parser.value()?.into()),
            Arg::Long("peer") => options.others.push(parser.value()?.parse_with(peer)?),
            Arg::Long("update") => options.update = Some(parser.value()?.into()),
            other => return Err(other.unexpected()),
        }
    }
    if options.workloads.is_empty() {
        options.workloads = WORKLOADS.iter().collect();
    }
    Ok(Command::Compare(Box::new(options)))
}

fn workload(name: &str) -> Result<&'static Workload, String> {
    let found = WORKLOADS.iter().find(|workload| workload.name == name);
    found.ok_or_else(|| format!("no workload {name:?}; --list names them"))
}

fn rounds(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|rounds| *rounds > 0).ok_or_else(|| "not a number of rounds".to_owned())
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    seconds.filter(|span| !span.is_zero()).ok_or_else(|| "not a number of seconds".to_owned())
}

fn sessions(text: &str) -> Result<usize, String> {
    let sessions = text.parse().ok().filter(|sessions| *sessions >= FEWEST_SESSIONS);
    sessions.ok_or_else(|| format!("not a number of sessions from {FEWEST_SESSIONS}"))
}

fn peer(text: &str) -> Result<(String, PathBuf), String> {
    let (name, path) = text
        .split_once('=')
        .filter(|(name, path)| !name.is_empty() && !path.is_empty())
        .ok_or("not NAME=PATH")?;
    Ok((name.to_owned(), Path::new(path).to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(arguments: &[&str]) -> Options {
        match parse(arguments.iter().map(OsString::from)).unwrap() {
            Command::Compare(options) => *options,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn without_arguments_everything_is_measured() {
        let options = options(&[]);
        assert_eq!(options.workloads.len(), WORKLOADS.len());
        assert_eq!((options.rounds, options.extent.sessions), (5, 8000));
    }

    #[test]
    fn options_and_workloads_mix() {
        let options = options(&[
            "noop",
            "--rounds",
            "2",
            "--seconds=0.5",
            "idle",
            "--bare",
            "--peer",
            "angie=/usr/sbin/angie",
        ]);
        let names: Vec<_> = options.workloads.iter().map(|workload| workload.name).collect();
        assert_eq!(names, ["noop", "idle"]);
        assert_eq!((options.rounds, options.extent.span), (2, Duration::from_millis(500)));
        assert!(options.bare);
        assert_eq!(options.others, [("angie".to_owned(), PathBuf::from("/usr/sbin/angie"))]);
    }

    #[test]
    fn nonsense_is_refused_with_a_reason() {
        let cases = [
            (&["nope"][..], "no workload \"nope\"; --list names them"),
            (&["--rounds", "0"], "not a number of rounds"),
            (&["--seconds", "-1"], "not a number of seconds"),
            (&["--sessions", "9"], "not a number of sessions from 800"),
            (&["--peer", "angie"], "not NAME=PATH"),
            (&["--fast"], "invalid option '--fast'"),
        ];
        for (arguments, reason) in cases {
            let error = parse(arguments.iter().map(OsString::from)).unwrap_err().to_string();
            assert!(error.contains(reason), "{arguments:?}: {error}");
        }
    }
}
