//! The process as its operator sees it: options, messages, exit codes, signals, files.

mod background;
mod configuration;
mod options;
mod privileges;
mod signals;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use rig::tool::{self, Ran};
use tempfile::TempDir;

/// A directory with a configuration, used as prefix.
struct Prefix(TempDir);

impl Prefix {
    /// `text` is the whole configuration but for the places of pid file and log.
    fn new(text: &str) -> Self {
        let prefix = Self(tempfile::tempdir().expect("a temporary directory"));
        prefix.write("conf", &format!("pid pid; error_log error.log info;\n{text}"));
        prefix
    }

    fn path(&self, file: &str) -> PathBuf {
        self.0.path().join(file)
    }

    fn write(&self, file: &str, text: &str) {
        fs::write(self.path(file), text).expect("the directory is writable");
    }

    fn read(&self, file: &str) -> String {
        fs::read_to_string(self.path(file)).unwrap_or_default()
    }

    /// The program with `-p` and `-c`, and these words behind them.
    fn command(&self, words: &[&str]) -> Command {
        self.command_of(Path::new(env!("CARGO_BIN_EXE_gatepost")), words)
    }

    fn command_of(&self, program: &Path, words: &[&str]) -> Command {
        let mut command = Command::new(program);
        command.arg("-p").arg(self.0.path()).args(["-c", "conf", "-e", "start.log"]).args(words);
        command
    }

    /// Runs it to its end.
    #[track_caller]
    fn run(&self, words: &[&str]) -> Ran {
        tool::run(&mut self.command(words), &[])
    }

    /// What is said of a file in it, with the directory's name left out.
    fn short(&self, text: &str) -> String {
        text.replace(&format!("{}/", self.0.path().display()), "")
    }
}

/// Runs the program to its end without a configuration.
#[track_caller]
fn run(words: &[&str]) -> Ran {
    tool::run(Command::new(env!("CARGO_BIN_EXE_gatepost")).args(words), &[])
}
