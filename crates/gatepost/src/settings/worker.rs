//! Directives about the worker: processors, niceness, environment, sandbox.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};

use conf::{Args, Fault, Mistake, Notice, Word};

/// The most processors that a mask can name (as the originals).
const MOST_PROCESSORS: usize = 1024;

/// What is always kept of the environment.
const ALWAYS_KEPT: &str = "TZ";

/// What only a new program in an upgrade keeps besides: how systemd hears of it.
pub(crate) const OF_SYSTEMD: [&str; 2] = ["NOTIFY_SOCKET", "WATCHDOG_USEC"];

/// `worker_cpu_affinity`: on which processors each serving thread runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Affinity {
    /// Thread N runs on the Nth of the processors allowed, and so on in turn; `None`: all are allowed.
    Auto(Option<Processors>),
    /// Thread N runs on the Nth of these; the last one is for all further threads.
    Masks(Vec<Processors>),
}

/// A set of processors, by number, in ascending order.
pub(crate) type Processors = Vec<usize>;

/// `sandbox`: whether the worker locks itself in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Sandbox {
    /// It must, or does not serve.
    On,
    /// It does not.
    Off,
    /// As far as the kernel can.
    #[default]
    Auto,
}

/// A variable that the worker and a new program see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Variable {
    /// Its name.
    pub(crate) name: OsString,
    /// Its value; `None`: that of the environment that the program was started with.
    pub(crate) value: Option<OsString>,
}

/// What is wrong with a directive about the worker.
#[derive(Debug, thiserror::Error)]
enum WorkerMistake {
    #[error("invalid character \"{0}\" in \"worker_cpu_affinity\"")]
    Character(char),
    #[error("\"worker_cpu_affinity\" supports up to {MOST_PROCESSORS} CPUs only")]
    TooManyProcessors,
}

/// Masks for another number of threads.
#[derive(Debug, thiserror::Error)]
#[error(
    "the number of \"worker_processes\" is not equal to the number of \"worker_cpu_affinity\" masks, using last \
     mask for remaining worker processes"
)]
struct OtherNumber;

impl Affinity {
    pub(super) fn parse(args: &Args<'_>) -> Result<Self, Fault> {
        let words = args.words();
        if args.first() != "auto" {
            return words.iter().map(|word| mask(word, args)).collect::<Result<_, _>>().map(Self::Masks);
        }
        match words {
            [_] => Ok(Self::Auto(None)),
            [_, allowed] => mask(allowed, args).map(|allowed| Self::Auto(Some(allowed))),
            _ => Err(args.fault(Mistake::ArgumentCount(args.name()))),
        }
    }

    /// What looks wrong if there are `threads` threads.
    pub(super) fn notice(&self, threads: usize) -> Option<Notice> {
        match self {
            Self::Masks(masks) if masks.len() != threads => Some(Notice::own(OtherNumber)),
            _ => None,
        }
    }

    /// Where thread `number` runs, on a machine with `machine` processors.
    pub(crate) fn of_thread(&self, number: usize, machine: usize) -> Processors {
        match self {
            Self::Masks(masks) => masks.get(number).or(masks.last()).cloned().unwrap_or_default(),
            Self::Auto(allowed) => {
                let all = (0..machine).collect();
                let allowed = allowed.as_ref().unwrap_or(&all);
                let turn = number.checked_rem(allowed.len());
                turn.map(|turn| vec![allowed[turn]]).unwrap_or_default()
            }
        }
    }
}

/// A mask such as `0101`, whose last digit is the first processor.
fn mask(word: &Word, args: &Args<'_>) -> Result<Processors, Fault> {
    let own = |mistake| args.fault(Mistake::own(mistake));
    let digits = word.as_bytes();
    if digits.len() > MOST_PROCESSORS {
        return Err(own(WorkerMistake::TooManyProcessors));
    }
    let mut processors = Vec::new();
    for (number, digit) in digits.iter().rev().enumerate() {
        match digit {
            b'1' => processors.push(number),
            b'0' => {}
            other => return Err(own(WorkerMistake::Character(char::from(*other)))),
        }
    }
    Ok(processors)
}

/// A whole number, with or without a sign.
pub(super) fn priority(args: &Args<'_>) -> Result<i32, Fault> {
    let word = args.first();
    let text = word.as_bytes();
    let (sign, digits) = match text {
        [b'-', digits @ ..] => (-1, digits),
        [b'+', digits @ ..] | digits => (1, digits),
    };
    let number = conf::value::number(digits).and_then(|number| i32::try_from(number).ok());
    number.map(|number| sign * number).ok_or_else(|| args.fault(Mistake::NotANumber(args.name())))
}

impl Variable {
    pub(super) fn parse(args: &Args<'_>) -> Self {
        let word = args.first();
        let mut parts = word.as_bytes().splitn(2, |byte| *byte == b'=');
        let mut next = || parts.next().map(|part| OsString::from_vec(part.to_vec()));
        Self { name: next().unwrap_or_default(), value: next() }
    }

    /// What the worker and a new program see, of `variables` and the environment of this process.
    pub(crate) fn environment(variables: &[Self]) -> Vec<(OsString, OsString)> {
        let always = Self { name: ALWAYS_KEPT.into(), value: None };
        let named = variables.iter().any(|variable| variable.name == always.name);
        let kept = Some(&always).filter(|_| !named);
        let variables = variables.iter().chain(kept).filter(|variable| !variable.name.as_bytes().is_empty());
        let value = |variable: &Self| variable.value.clone().or_else(|| std::env::var_os(&variable.name));
        variables.filter_map(|variable| Some((variable.name.clone(), value(variable)?))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_take_turns_on_the_processors_allowed() {
        let auto = Affinity::Auto(Some(vec![1, 3]));
        assert_eq!([0, 1, 2].map(|n| auto.of_thread(n, 8)), [vec![1], vec![3], vec![1]]);
        let auto = Affinity::Auto(None);
        assert_eq!([0, 1, 2].map(|n| auto.of_thread(n, 2)), [vec![0], vec![1], vec![0]]);
        let masks = Affinity::Masks(vec![vec![0], vec![1, 2]]);
        assert_eq!([0, 1, 2].map(|n| masks.of_thread(n, 8)), [vec![0], vec![1, 2], vec![1, 2]]);
        assert_eq!(Affinity::Auto(Some(Vec::new())).of_thread(0, 2), Vec::<usize>::new());
    }

    #[test]
    fn the_environment_is_what_was_named_and_the_time_zone() {
        let variable =
            |name: &str, value: Option<&str>| Variable { name: name.into(), value: value.map(Into::into) };
        let named =
            [variable("A", Some("b=c")), variable("GATEPOST_NO_SUCH_VARIABLE", None), variable("", Some(""))];
        let seen = Variable::environment(&named);
        assert!(seen.contains(&("A".into(), "b=c".into())));
        assert!(seen.iter().all(|(name, _)| name == "A" || name == "TZ"), "{seen:?}");
        let zone = Variable::environment(&[variable("TZ", Some("UTC"))]);
        assert_eq!(zone, [("TZ".into(), "UTC".into())]);
    }
}
