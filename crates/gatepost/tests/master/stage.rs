//! The stage of every test: a POP3 backend that repeats what it hears, and gatepost with a users file in front of it.

use std::fs::{self, File};
use std::io::Read as _;
use std::net::{SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{PermissionsExt as _, chown, symlink};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, geteuid};
use rig::{Client, PATIENCE, Process, eventually, port};
use tempfile::TempDir;

use crate::backend::Backend;
use crate::proc;

pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_gatepost");

/// Puts standard input and output where systemd puts sockets, and the program in the place of the shell.
const AS_SYSTEMD: &str = r#"exec 3<&0 4>&1 </dev/null >/dev/null; LISTEN_PID=$$ exec "$0" "$@""#;

/// Of everybody in the users file.
pub(crate) const PASSWORD: &str = "hush";

/// Who is not root.
pub(crate) const NOBODY: u32 = 65534;

/// Gatepost with everything around it.
pub(crate) struct Stage {
    /// First, so that it ends before its peers do.
    running: Running,
    pub(crate) directory: TempDir,
    pub(crate) backend: Backend,
    pub(crate) pop3: SocketAddr,
    level: &'static str,
}

/// How gatepost runs.
enum Running {
    Foreground(Process),
    /// Whose number is in the pid file.
    Background(PathBuf),
}

/// What is written before gatepost starts.
pub(crate) struct Setting {
    directory: TempDir,
    pub(crate) backend: Backend,
    pop3: SocketAddr,
    /// Of the log.
    level: &'static str,
}

impl Setting {
    /// A backend, a users file with `joe` in it, and a configuration of this main context and of these further servers.
    pub(crate) fn new(main: &str, servers: &str) -> Self {
        Self::with_level("notice", main, servers)
    }

    /// The same with a log in which sessions are told too.
    pub(crate) fn talkative(main: &str, servers: &str) -> Self {
        Self::with_level("info", main, servers)
    }

    fn with_level(level: &'static str, main: &str, servers: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let backend = Backend::start();
        let setting = Self { directory, backend, pop3: port::free(), level };
        setting.write_users("joe", &setting.backend.address().ip().to_string());
        setting.write_configuration(main, servers);
        setting
    }

    pub(crate) fn write_configuration(&self, main: &str, servers: &str) {
        let text = configuration(self.directory.path(), (self.pop3, self.level), main, servers);
        fs::write(self.directory.path().join("conf"), text).unwrap();
    }

    pub(crate) fn path(&self, file: &str) -> PathBuf {
        self.directory.path().join(file)
    }

    /// Where its first server is to listen.
    pub(crate) fn pop3(&self) -> SocketAddr {
        self.pop3
    }

    /// The backend's address.
    pub(crate) fn backend_ip(&self) -> String {
        self.backend.address().ip().to_string()
    }

    /// `user` may log in, and belongs to the backend on `host`.
    pub(crate) fn write_users(&self, user: &str, host: &str) {
        write_users(self.directory.path(), &line(user, host, self.backend.address()));
    }

    /// These users may log in, and belong there.
    pub(crate) fn write_all_users(&self, users: &[(&str, SocketAddr)]) {
        let lines = users.iter().map(|(user, at)| line(user, &at.ip().to_string(), *at));
        write_users(self.directory.path(), &lines.collect::<String>());
    }

    /// Starts it as whoever runs the test.
    pub(crate) fn start(self) -> Stage {
        let command = self.command();
        self.run(command)
    }

    /// Starts it with these variables besides those of the test.
    pub(crate) fn start_with_environment(self, variables: &[(&str, &str)]) -> Stage {
        let mut command = self.command();
        command.envs(variables.iter().copied());
        self.run(command)
    }

    /// Starts it as somebody who is not root.
    pub(crate) fn start_as_nobody(self) -> Stage {
        let mut command = self.command();
        if geteuid().is_root() {
            for file in ["", "conf", "users"] {
                chown(self.directory.path().join(file), Some(NOBODY), Some(NOBODY)).unwrap();
            }
            command.uid(NOBODY).gid(NOBODY);
        }
        self.run(command)
    }

    /// Starts it, or says how it ended.
    pub(crate) fn try_start(self) -> Result<Stage, ExitStatus> {
        let process = Process::start(self.command().arg("-g").arg("daemon off;"));
        let stage = self.stage(Running::Foreground(process));
        let start = Instant::now();
        loop {
            if let Some(status) = stage.process().ends_within(Duration::from_millis(1)) {
                return Err(status);
            }
            if stage.is_greeted() {
                return Ok(stage);
            }
            assert!(start.elapsed() < PATIENCE, "neither serves nor ends\n{}", stage.log());
        }
    }

    /// Starts it by this name, in the background or not. What it is called with, its name first, but for the directives
    /// of `-g`.
    pub(crate) fn start_by_name(self, name: &str, daemon: bool) -> (Stage, String) {
        let program = self.path(name);
        symlink(PROGRAM, &program).unwrap();
        let mut command = Command::new(&program);
        self.complete(&mut command);
        let words = [command.get_program()].into_iter().chain(command.get_args());
        let words: Vec<_> = words.map(|word| word.to_str().unwrap()).collect();
        let words = words.join(" ");
        let stage = if daemon { self.run_in_background(&mut command) } else { self.run(command) };
        (stage, words)
    }

    /// Starts it in the background.
    pub(crate) fn start_in_background(self) -> Stage {
        let mut command = self.command();
        self.run_in_background(&mut command)
    }

    fn run_in_background(self, command: &mut Command) -> Stage {
        let status = command.arg("-g").arg("daemon on;").status().unwrap();
        assert!(status.success(), "{}", self.stderr());
        let running = Running::Background(self.directory.path().join("pid"));
        self.stage(running)
    }

    /// Starts it as systemd does that has opened `sockets`, which are at most two, with these names; in the background
    /// or not.
    pub(crate) fn start_activated(self, sockets: Vec<OwnedFd>, names: &str, daemon: bool) -> Stage {
        let mut command = Command::new("sh");
        command.arg("-c").arg(AS_SYSTEMD).arg(PROGRAM);
        self.complete(&mut command);
        command.env("LISTEN_FDS", sockets.len().to_string()).env("LISTEN_FDNAMES", names);
        let mut sockets = sockets.into_iter();
        command.stdin(sockets.next().map_or_else(Stdio::null, Stdio::from));
        command.stdout(sockets.next().map_or_else(Stdio::null, Stdio::from));
        if daemon { self.run_in_background(&mut command) } else { self.run(command) }
    }

    fn command(&self) -> Command {
        let mut command = Command::new(PROGRAM);
        self.complete(&mut command);
        command
    }

    fn complete(&self, command: &mut Command) {
        let directory = self.directory.path();
        let stderr = File::create(directory.join("stderr")).unwrap();
        command.arg("-p").arg(directory).arg("-c").arg(directory.join("conf"));
        command.arg("-e").arg("stderr").stdin(Stdio::null()).stdout(Stdio::null()).stderr(stderr);
    }

    fn run(self, mut command: Command) -> Stage {
        let process = Process::start(command.arg("-g").arg("daemon off;"));
        let stage = self.stage(Running::Foreground(process));
        eventually("it serves", || stage.serves());
        stage
    }

    fn stage(self, running: Running) -> Stage {
        let Self { directory, backend, pop3, level } = self;
        Stage { running, directory, backend, pop3, level }
    }

    fn stderr(&self) -> String {
        fs::read_to_string(self.directory.path().join("stderr")).unwrap_or_default()
    }
}

fn configuration(directory: &Path, (pop3, level): (SocketAddr, &str), main: &str, servers: &str) -> String {
    let user = if geteuid().is_root() { "user nobody nogroup;" } else { "" };
    let user = if main.contains("user ") { "" } else { user };
    let dir = directory.display();
    format!(
        "{user} {main} pid {dir}/pid; error_log {dir}/error.log {level}; events {{ worker_connections 4096; }}
         mail {{ auth_user_file users; server {{ listen {pop3}; protocol pop3; }} {servers} }}"
    )
}

/// A line of the users file.
fn line(user: &str, host: &str, backend: SocketAddr) -> String {
    format!("{user}:{{PLAIN}}{PASSWORD}::::::host={host} port={}\n", backend.port())
}

fn write_users(directory: &Path, lines: &str) {
    let path = directory.join("users");
    fs::write(&path, lines).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
}

impl Stage {
    /// The process that was started, or that took its place.
    pub(crate) fn master(&self) -> u32 {
        match &self.running {
            Running::Foreground(process) => process.id(),
            Running::Background(file) => read_pid(file).expect("a running program has a pid file"),
        }
    }

    /// The process in the foreground.
    pub(crate) fn process(&self) -> &Process {
        match &self.running {
            Running::Foreground(process) => process,
            Running::Background(_) => panic!("it runs in the background"),
        }
    }

    /// The only worker.
    #[track_caller]
    pub(crate) fn worker(&self) -> u32 {
        let workers = proc::children(self.master());
        assert_eq!(workers.len(), 1, "{}", self.log());
        workers[0]
    }

    /// Whether it greets clients; connections queue before there is a worker.
    fn serves(&self) -> bool {
        let ended = self.process().ends_within(Duration::ZERO);
        assert!(ended.is_none(), "it ended: {}{}", self.read("stderr"), self.log());
        self.is_greeted()
    }

    fn is_greeted(&self) -> bool {
        let Ok(mut stream) = TcpStream::connect(self.pop3) else { return false };
        // A program that ends now resets the connection.
        stream.set_read_timeout(Some(PATIENCE)).is_ok() && stream.read(&mut [0; 64]).is_ok_and(|n| n > 0)
    }

    pub(crate) fn write_configuration(&self, main: &str, servers: &str) {
        let text = configuration(self.directory.path(), (self.pop3, self.level), main, servers);
        fs::write(self.directory.path().join("conf"), text).unwrap();
    }

    pub(crate) fn write_users(&self, user: &str, host: &str) {
        write_users(self.directory.path(), &line(user, host, self.backend.address()));
    }

    pub(crate) fn signal(&self, signal: Signal) {
        send(self.master(), signal);
    }

    /// Reloads, and waits until it is done.
    #[track_caller]
    pub(crate) fn reload(&self) {
        let before = self.count("reconfigured");
        self.signal(Signal::SIGHUP);
        eventually("it has reloaded", || self.count("reconfigured") > before);
    }

    pub(crate) fn log(&self) -> String {
        self.read("error.log")
    }

    /// How many lines of the log contain `text`.
    pub(crate) fn count(&self, text: &str) -> usize {
        self.log().lines().filter(|line| line.contains(text)).count()
    }

    #[track_caller]
    pub(crate) fn wait_for_log(&self, text: &str) {
        eventually(&format!("{text:?} is in the log"), || self.log().contains(text));
    }

    pub(crate) fn read(&self, file: &str) -> String {
        fs::read_to_string(self.directory.path().join(file)).unwrap_or_default()
    }

    pub(crate) fn path(&self, file: &str) -> PathBuf {
        self.directory.path().join(file)
    }

    /// Fails if the password of the users file stands in a log.
    fn keeps_its_secrets(&self) {
        rig::secrets::keep(PASSWORD);
        for file in ["error.log", "stderr"] {
            assert_eq!(rig::secrets::found_in(self.read(file).as_bytes()), None, "{file}");
        }
    }
}

impl Drop for Stage {
    /// A program in the background is nobody's child: it is ended by its number, and its workers with it.
    #[expect(clippy::print_stderr, reason = "shown if the test fails")]
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}{}", self.read("stderr"), self.log());
        } else {
            self.keeps_its_secrets();
        }
        let Running::Background(file) = &self.running else { return };
        let old = file.with_extension("oldbin");
        for pid in [file, &old].into_iter().filter_map(|file| read_pid(file)) {
            for pid in proc::children(pid).into_iter().chain([pid]) {
                send(pid, Signal::SIGKILL);
            }
        }
    }
}

/// The process that a pid file names.
pub(crate) fn read_pid(file: &Path) -> Option<u32> {
    fs::read_to_string(file).ok()?.trim_end().parse().ok()
}

pub(crate) fn send(pid: u32, signal: Signal) {
    // It may have ended this moment.
    let _ = kill(Pid::from_raw(pid.try_into().unwrap()), signal);
}

/// A client that has logged in as `user`.
#[track_caller]
pub(crate) fn login(at: SocketAddr, user: &str) -> Client {
    let mut client = Client::connect(at);
    client.expect("+OK POP3 ready\r\n").exchange(format!("USER {user}\r\n"), "+OK\r\n");
    client.exchange(format!("PASS {PASSWORD}\r\n"), "+OK logged in\r\n");
    client
}

/// Sends something through a session and back.
#[track_caller]
pub(crate) fn use_session(client: &mut Client) {
    client.exchange("still there?\r\n", "still there?\r\n");
}
