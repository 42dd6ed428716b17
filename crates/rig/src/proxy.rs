//! The program under test: gatepost or the original, from the same configuration text.

use std::collections::HashMap;
use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Output, Stdio};

use tempfile::TempDir;

use crate::{Process, port, secrets};

/// Which program runs, and what it needs in front of the common configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    path: PathBuf,
    preamble: &'static str,
    /// What `error_log` says behind its level.
    log: &'static str,
    /// Whether a second log tells everything, and both are searched for passwords.
    discreet: bool,
    /// What its environment has besides the test's.
    variables: Vec<(String, String)>,
}

impl Program {
    /// gatepost, in tests of its own package `env!("CARGO_BIN_EXE_gatepost")`.
    pub fn gatepost(path: impl Into<PathBuf>) -> Self {
        // A test that reads the log wants all of it, and nginx, unlike Angie, has no limit either.
        Self { path: path.into(), preamble: "", log: " rate=0", discreet: true, variables: Vec::new() }
    }

    /// The original: Debian's nginx, whose mail module is loaded at run time.
    pub fn nginx() -> Self {
        Self {
            path: "/usr/sbin/nginx".into(),
            preamble: "load_module /usr/lib/nginx/modules/ngx_mail_module.so;\n",
            log: "",
            discreet: false,
            variables: Vec::new(),
        }
    }

    /// The same with these variables besides those of the test.
    #[must_use]
    pub fn with_environment<'a>(self, variables: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let variables = variables.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned()));
        Self { variables: variables.collect(), ..self }
    }

    /// Runs the program with these arguments to its end, such as for `-t` and `-V`.
    #[track_caller]
    pub fn run(&self, arguments: &[&str]) -> Output {
        let output = Command::new(&self.path).args(arguments).stdin(Stdio::null()).output();
        output.unwrap_or_else(|error| panic!("cannot start {}: {error}", self.path.display()))
    }
}

/// A running proxy with its own directory. Ends when dropped.
#[derive(Debug)]
pub struct Proxy {
    process: Process,
    directory: TempDir,
    places: HashMap<String, SocketAddr>,
    discreet: bool,
}

impl Proxy {
    /// Starts `program` with this content of its `mail` block, and waits until it listens.
    ///
    /// A word `@name` stands for a free address of its own; [`Proxy::at`] says which one. Only these are waited for: a
    /// configuration with none of them counts as ready at once.
    ///
    /// ```no_run
    /// use gatepost_rig::{AuthServer, Client, Program, Proxy, auth_server};
    ///
    /// let auth = AuthServer::always(auth_server::refuse("no"));
    /// let proxy = Proxy::start(
    ///     &Program::nginx(),
    ///     &format!("auth_http {}; server {{ listen @imap; protocol imap; }}", auth.address()),
    /// );
    /// let mut client = Client::connect(proxy.at("imap"));
    /// ```
    #[track_caller]
    pub fn start(program: &Program, mail: &str) -> Self {
        Self::start_whole(
            program,
            // As whom the test runs: its temporary directories are open to nobody else. A process that may leave a core may
            // be looked at, too, by whoever has started it.
            &format!(
                "user root;\ndaemon off;\nmaster_process off;\nworker_rlimit_core 0;\nevents {{}}\nmail {{\n{mail}\n}}\n"
            ),
        )
    }

    /// Starts `program` with a whole configuration, to which only log, pid file and module lines are added.
    ///
    /// It has to say `daemon off`, for the process has to stay this process's child.
    #[track_caller]
    pub fn start_whole(program: &Program, configuration: &str) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let (configuration, places) = place(configuration);
        let dir = directory.path().display();
        let text = format!(
            "{}error_log {dir}/error.log info{};\n{}pid {dir}/pid;\n{configuration}",
            program.preamble,
            program.log,
            if program.discreet {
                format!("error_log {dir}/debug.log debug{};\n", program.log)
            } else {
                String::new()
            },
        );
        std::fs::write(directory.path().join("conf"), &text).expect("the directory is writable");
        let process = launch(program, directory.path());
        let proxy = Self { process, directory, places, discreet: program.discreet };
        let ready = proxy.process.wait_until(|| proxy.places.values().all(|at| port::listens(*at)));
        if let Err(why) = ready {
            panic!("{why}\n{}\n{}\n{text}", proxy.log(), proxy.read("stderr"));
        }
        proxy
    }

    /// Where the proxy listens for what the configuration calls `@name`.
    #[track_caller]
    pub fn at(&self, name: &str) -> SocketAddr {
        *self.places.get(name).unwrap_or_else(|| panic!("the configuration has no @{name}"))
    }

    /// The error log as far as it is written: lines may come later than what they tell.
    pub fn log(&self) -> String {
        self.read("error.log")
    }

    /// Asks the proxy to stop and returns all that it has told.
    #[track_caller]
    pub fn whole_log(&self) -> String {
        self.stop();
        self.log()
    }

    /// Waits until the log contains `text`, then returns all of it.
    #[track_caller]
    pub fn wait_for_log(&self, text: &str) -> String {
        let found = self.process.wait_until(|| self.log().contains(text));
        let log = self.log();
        if let Err(why) = found {
            assert!(log.contains(text), "{why}: no {text:?} in the log\n{log}");
        }
        log
    }

    /// The running program, to send it signals.
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// The proxy's own directory, with `conf`, `error.log`, `pid` and `stderr`.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Asks the proxy to stop and waits until it has.
    #[track_caller]
    pub fn stop(&self) -> ExitStatus {
        self.process.stop()
    }

    /// Fails if a password stands in a log.
    fn keeps_its_secrets(&self) {
        for file in ["error.log", "debug.log", "stderr"] {
            let text = std::fs::read(self.directory.path().join(file)).unwrap_or_default();
            if let Some(secret) = secrets::found_in(&text) {
                panic!("{secret:?} stands in {file}:\n{}", String::from_utf8_lossy(&text));
            }
        }
    }

    fn read(&self, file: &str) -> String {
        let bytes = std::fs::read(self.directory.path().join(file)).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        if self.discreet && !std::thread::panicking() {
            self.keeps_its_secrets();
        }
    }
}

#[track_caller]
fn launch(program: &Program, directory: &Path) -> Process {
    let stderr = File::create(directory.join("stderr")).expect("the directory is writable");
    Process::start(
        Command::new(&program.path)
            .arg("-p")
            .arg(directory)
            .arg("-c")
            .arg(directory.join("conf"))
            .arg("-e")
            .arg(directory.join("error.log"))
            .envs(program.variables.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(stderr),
    )
}

/// Replaces each `@name` that begins a word by a free address.
fn place(template: &str) -> (String, HashMap<String, SocketAddr>) {
    let mut places = HashMap::new();
    let mut text = String::with_capacity(template.len());
    let mut rest = template;
    while let Some(at) = rest.find('@') {
        let (before, mark) = rest.split_at(at);
        let length =
            mark[1..].find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(mark.len() - 1);
        let name = &mark[1..=length];
        text.push_str(before);
        if length > 0 && before.ends_with(char::is_whitespace) {
            let address = *places.entry(name.to_owned()).or_insert_with(port::free);
            text.push_str(&address.to_string());
        } else {
            text.push_str(&mark[..=length]);
        }
        rest = &mark[1 + length..];
    }
    text.push_str(rest);
    (text, places)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_at_the_start_of_a_word_become_addresses() {
        let (text, places) = place("listen @imap; listen @pop3 ssl; proxy_x @imap; user a@b;");
        let (imap, pop3) = (places["imap"], places["pop3"]);
        assert_eq!(text, format!("listen {imap}; listen {pop3} ssl; proxy_x {imap}; user a@b;"));
        assert_eq!(places.len(), 2);
    }
}
