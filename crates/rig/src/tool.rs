//! Other people's programs run to their end: curl, python3, swaks and such, as clients of what a test started.

use std::fs::File;
use std::io::{Seek, Write};
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use crate::{PATIENCE, Process};

/// What a program left behind.
#[derive(Debug)]
pub struct Ran {
    /// How it ended.
    pub status: ExitStatus,
    /// All of its standard output.
    pub stdout: Vec<u8>,
    /// All of its standard error, as text.
    pub stderr: String,
}

impl Ran {
    /// Standard output as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// Fails the test, with all that was said, unless the program succeeded.
    #[track_caller]
    pub fn succeeded(self) -> Self {
        assert!(self.status.success(), "{}\n{}\n{}", self.status, self.stderr, self.text());
        self
    }

    /// Fails the test, with all that was said, if the program succeeded.
    #[track_caller]
    pub fn failed(self) -> Self {
        assert!(!self.status.success(), "it succeeded\n{}\n{}", self.stderr, self.text());
        self
    }
}

/// Runs a program with `input` as its standard input until it ends.
///
/// Three times [`PATIENCE`] is its limit: it is a whole conversation and not one wait.
#[track_caller]
pub fn run(command: &mut Command, input: &[u8]) -> Ran {
    run_within(command, input, 3 * PATIENCE)
}

/// The same with a limit of its own, for programs that hold many conversations.
#[track_caller]
pub fn run_within(command: &mut Command, input: &[u8], limit: Duration) -> Ran {
    let (stdout, stderr) = (scratch(&[]), scratch(&[]));
    let process =
        Process::start(command.stdin(scratch(input)).stdout(handle(&stdout)).stderr(handle(&stderr)));
    let status = process.ends_within(limit);
    let (stdout, stderr) = (contents(stdout), String::from_utf8_lossy(&contents(stderr)).into_owned());
    let status = status.unwrap_or_else(|| {
        let name = command.get_program().display();
        panic!("{name} goes on\n{stderr}\n{}", String::from_utf8_lossy(&stdout))
    });
    Ran { status, stdout, stderr }
}

/// Runs a Python program with these arguments, for the clients of its standard library (imaplib, poplib, smtplib).
#[track_caller]
pub fn python(program: &str, arguments: &[&str]) -> Ran {
    run(Command::new("python3").arg("-c").arg(program).args(arguments), &[])
}

/// An unnamed file with this content, read from its start. Unlike a pipe it never makes anybody wait.
fn scratch(content: &[u8]) -> File {
    let mut file = tempfile::tempfile().expect("a temporary file");
    file.write_all(content).and_then(|()| file.rewind()).expect("a temporary file can be written");
    file
}

fn handle(file: &File) -> Stdio {
    file.try_clone().expect("a file can be had twice").into()
}

fn contents(mut file: File) -> Vec<u8> {
    let mut bytes = Vec::new();
    file.rewind()
        .and_then(|()| std::io::Read::read_to_end(&mut file, &mut bytes))
        .expect("the output is readable");
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn input_and_both_outputs_are_passed() {
        let ran = run(Command::new("sh").arg("-c").arg("cat; echo oops >&2"), b"hello").succeeded();
        assert_eq!((ran.text().as_str(), ran.stderr.as_str()), ("hello", "oops\n"));
    }

    #[test]
    fn failure_is_told_from_success() {
        run(&mut Command::new("false"), &[]).failed();
    }
}
