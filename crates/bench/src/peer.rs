//! The proxies that are compared: how each is configured and started.

use std::fs::File;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

use crate::certificates::{Certificates, Key};
use crate::clock::wait_until;
use crate::failure::Failure;
use crate::load::Aim;
use crate::pin::Pin;
use crate::stub::Places;
use crate::usage::{Cpu, Memory, tree};

/// A proxy listens, or ends, within this time.
const PATIENCE: Duration = Duration::from_secs(10);

/// Enough for any number of sessions that the descriptors suffice for.
const CONNECTIONS: u32 = 20_000;

/// Debian builds nginx's mail proxy as a module of its own.
const NGINX_MODULE: &str = "/usr/lib/nginx/modules/ngx_mail_module.so";

/// A program to compare.
///
/// It is started as `PROGRAM -p DIRECTORY -c DIRECTORY/conf -e DIRECTORY/error.log` with a configuration in nginx's
/// language. A proxy that speaks another is started by a script that takes the places from the environment:
/// `BENCH_IMAP`, `BENCH_POP3`, `BENCH_SMTP` (listen there, `ADDRESS:PORT`), `BENCH_AUTH` (auth service, `ADDRESS:PORT`),
/// `BENCH_BACKEND_IMAP`, `BENCH_BACKEND_POP3`, `BENCH_BACKEND_SMTP` (ports on 127.0.0.1 to 127.0.0.8), `BENCH_WORKERS`,
/// and for TLS `BENCH_CERTIFICATE` and `BENCH_KEY` (files).
#[derive(Clone, Debug)]
pub(crate) struct Peer {
    pub(crate) name: String,
    pub(crate) program: PathBuf,
    /// The role that the program is to play, if it has several.
    role: Option<&'static str>,
    /// What its configuration needs before the text that all share.
    preamble: String,
}

/// What differs between the workloads' configurations.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Setup {
    pub(crate) workers: usize,
    /// Speak TLS from the first byte, with a key of this kind.
    pub(crate) key: Option<Key>,
    /// The value of `proxy_buffer`, if not the default.
    pub(crate) buffer: Option<&'static str>,
}

/// What proxies are given to work with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Surroundings<'a> {
    pub(crate) places: Places,
    pub(crate) certificates: &'a Certificates,
    pub(crate) pin: Pin,
}

impl Peer {
    /// A proxy that reads nginx's configuration language and has its mail proxy built in.
    pub(crate) fn new(name: &str, program: &Path) -> Self {
        Self { name: name.to_owned(), program: program.to_owned(), role: None, preamble: String::new() }
    }

    /// The bare flow, which `program`, this one, knows.
    pub(crate) fn bare(program: &Path) -> Self {
        Self { role: Some("bare"), ..Self::new("bare", program) }
    }

    /// nginx, as Debian packs it or with the mail proxy built in.
    pub(crate) fn nginx(program: &Path) -> Self {
        let packed = Path::new(NGINX_MODULE).exists();
        let preamble = if packed { format!("load_module {NGINX_MODULE};\n") } else { String::new() };
        Self { preamble, ..Self::new("nginx", program) }
    }

    /// What the program says about its version, in one line.
    pub(crate) fn version(&self) -> String {
        if self.role.is_some() {
            return "no proxy".to_owned();
        }
        let said = Command::new(&self.program).arg("-v").stdin(Stdio::null()).output();
        let said = said.map(|output| [output.stdout, output.stderr].concat()).unwrap_or_default();
        let said = String::from_utf8_lossy(&said);
        let line = said.lines().next().unwrap_or_default();
        line.split_once("version: ").map_or(line, |(_, version)| version).to_owned()
    }

    /// Starts the program and waits until it listens.
    pub(crate) fn start(&self, setup: &Setup, around: &Surroundings<'_>) -> Result<Proxy, Failure> {
        let directory = TempDir::with_prefix("gatepost-bench-")?;
        let certificate = setup.key.map(|key| around.certificates.certificate(key));
        let [imap, pop3, smtp] = free_addresses()?;
        let aim = Aim { imap, pop3, smtp, certificate };
        let text = self.preamble.clone() + &configuration(directory.path(), setup, around, &aim);
        std::fs::write(directory.path().join("conf"), text)?;
        let process = around
            .pin
            .proxy(setup.workers, || self.command(directory.path(), setup, around, &aim)?.spawn())
            .map_err(|source| Failure::Start { program: self.program.display().to_string(), source })?;
        let mut proxy = Proxy { process, directory, aim };
        proxy.wait_until_it_listens()?;
        Ok(proxy)
    }

    fn command(
        &self,
        directory: &Path,
        setup: &Setup,
        around: &Surroundings<'_>,
        aim: &Aim,
    ) -> io::Result<Command> {
        let mut command = Command::new(&self.program);
        command.args(self.role);
        command.arg("-p").arg(directory);
        command.arg("-c").arg(directory.join("conf"));
        command.arg("-e").arg(directory.join("error.log"));
        command.env("BENCH_WORKERS", setup.workers.to_string());
        command.env("BENCH_AUTH", around.places.auth.to_string());
        let mail = [
            ("IMAP", aim.imap, around.places.imap),
            ("POP3", aim.pop3, around.places.pop3),
            ("SMTP", aim.smtp, around.places.smtp),
        ];
        for (name, front, back) in mail {
            command.env(format!("BENCH_{name}"), front.to_string());
            command.env(format!("BENCH_BACKEND_{name}"), back.to_string());
        }
        if let Some(key) = setup.key {
            command.env("BENCH_CERTIFICATE", around.certificates.certificate(key));
            command.env("BENCH_KEY", around.certificates.key(key));
        }
        command.stdin(Stdio::null()).stdout(Stdio::null());
        command.stderr(File::create(directory.join("stderr"))?);
        Ok(command)
    }
}

/// A running proxy. It ends when dropped, with all that it started.
#[derive(Debug)]
pub(crate) struct Proxy {
    process: Child,
    directory: TempDir,
    aim: Aim,
}

impl Proxy {
    /// Where it listens.
    pub(crate) fn aim(&self) -> &Aim {
        &self.aim
    }

    pub(crate) fn cpu(&self) -> io::Result<Cpu> {
        Cpu::of(self.process.id())
    }

    pub(crate) fn memory(&self) -> io::Result<Memory> {
        Memory::of(self.process.id())
    }

    /// An error log with something in it. The log takes errors only, so a workload that went well leaves it empty.
    pub(crate) fn complaint(&self) -> Option<String> {
        let log = self.read("error.log");
        log.lines().next().map(str::to_owned)
    }

    fn wait_until_it_listens(&mut self) -> Result<(), Failure> {
        let start = Instant::now();
        let mut ended = None;
        let ready = wait_until(start + PATIENCE, || {
            ended = self.process.try_wait()?;
            Ok(ended.is_some() || self.listens())
        })?;
        match ended {
            Some(status) => Err(self.refusal(status)),
            None if ready => Ok(()),
            None => Err(Failure::Silent(PATIENCE)),
        }
    }

    fn listens(&self) -> bool {
        let all = [self.aim.imap, self.aim.pop3, self.aim.smtp];
        all.iter().all(|address| TcpStream::connect(address).is_ok())
    }

    /// A program that ends by itself with a message did not like its configuration.
    fn refusal(&self, status: ExitStatus) -> Failure {
        let said = self.read("stderr") + &self.read("error.log");
        let line = said.lines().find(|line| line.contains("[emerg]")).or_else(|| said.lines().next());
        match line {
            Some(line) if status.code().is_some() => Failure::Refused(self.bare(line)),
            _ => Failure::Ended(format!("{status}")),
        }
    }

    /// A message without the names of temporary files and without what comes before `[emerg]`.
    fn bare(&self, line: &str) -> String {
        let line = line.split_once("[emerg] ").map_or(line, |(_, message)| message);
        let line = line.split_once("#0: ").map_or(line, |(_, message)| message);
        let place = format!(" in {}", self.directory.path().display());
        line.split_once(&place).map_or(line, |(message, _)| message).to_owned()
    }

    fn read(&self, file: &str) -> String {
        let bytes = std::fs::read(self.directory.path().join(file)).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

impl Drop for Proxy {
    /// Measured programs keep nothing that is worth a graceful end. A master goes before its workers, or it would start
    /// new ones.
    ///
    /// They are not in a process group of their own, so that whatever ends this process's group ends them, too.
    fn drop(&mut self) {
        for process in tree(self.process.id()).unwrap_or_default() {
            if let Ok(process) = i32::try_from(process) {
                // Fails only if it has ended already.
                let _ = kill(Pid::from_raw(process), Signal::SIGKILL);
            }
        }
        let _ = self.process.wait();
    }
}

/// The text that all peers are given.
fn configuration(directory: &Path, setup: &Setup, around: &Surroundings<'_>, aim: &Aim) -> String {
    let directory = directory.display();
    let workers = setup.workers;
    let auth = around.places.auth;
    let buffer = setup.buffer.map(|size| format!("    proxy_buffer {size};\n")).unwrap_or_default();
    let (ssl, keys) = match setup.key {
        None => ("", String::new()),
        Some(key) => (" ssl", tls(&around.certificates.certificate(key), &around.certificates.key(key))),
    };
    let Aim { imap, pop3, smtp, .. } = aim;
    format!(
        "daemon off;\n\
         worker_processes {workers};\n\
         pid {directory}/pid;\n\
         error_log {directory}/error.log error;\n\
         events {{\n    worker_connections {CONNECTIONS};\n}}\n\
         mail {{\n    \
             server_name mail.bench.test;\n    \
             auth_http {auth}/auth;\n\
         {buffer}{keys}    \
             server {{\n        listen {imap}{ssl};\n        protocol imap;\n    }}\n    \
             server {{\n        listen {pop3}{ssl};\n        protocol pop3;\n    }}\n    \
             server {{\n        listen {smtp}{ssl};\n        protocol smtp;\n    }}\n\
         }}\n"
    )
}

/// Older versions of nginx do not speak TLS 1.3 unless told to.
fn tls(certificate: &Path, key: &Path) -> String {
    format!(
        "    ssl_certificate {};\n    ssl_certificate_key {};\n    ssl_protocols TLSv1.2 TLSv1.3;\n",
        certificate.display(),
        key.display()
    )
}

/// Three free ports, found while all of them are taken.
fn free_addresses() -> io::Result<[SocketAddr; 3]> {
    let take = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
    let taken = [take()?, take()?, take()?];
    let [imap, pop3, smtp] = taken.each_ref().map(TcpListener::local_addr);
    Ok([imap?, pop3?, smtp?])
}
