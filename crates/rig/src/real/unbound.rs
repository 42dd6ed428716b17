//! unbound as DNS server, with zones of its own and nobody to ask.

use std::fmt::Write;
use std::net::SocketAddr;
use std::process::{Command, Stdio};

use tempfile::TempDir;

use super::directory;
use crate::{Process, port};

/// How often unbound is started: its port is known to be free for TCP only.
const ATTEMPTS: usize = 3;

/// A running unbound. It does not need root.
#[derive(Debug)]
pub struct Unbound {
    _process: Process,
    _directory: TempDir,
    addr: SocketAddr,
}

impl Unbound {
    /// Starts unbound, and waits until it listens.
    ///
    /// Zones have a type as in `local-zone` (`static`, `refuse`, ...); records are written as in a zone file.
    #[track_caller]
    pub fn start(zones: &[(&str, &str)], records: &[impl AsRef<str>]) -> Self {
        let mut data = String::new();
        for (zone, kind) in zones {
            let _ = writeln!(data, "  local-zone: \"{zone}\" {kind}");
        }
        for record in records {
            let _ = writeln!(data, "  local-data: \"{}\"", record.as_ref());
        }
        let mut trouble = String::new();
        for _ in 0..ATTEMPTS {
            match Self::try_start(&data) {
                Ok(unbound) => return unbound,
                Err(why) => trouble = why,
            }
        }
        panic!("{trouble}");
    }

    /// Where it answers, over UDP and TCP.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    fn try_start(data: &str) -> Result<Self, String> {
        let (directory, addr) = (directory(), port::free());
        let conf = directory.path().join("conf");
        std::fs::write(&conf, configuration(&directory, addr, data)).expect("the directory is writable");
        let mut command = Command::new("/usr/sbin/unbound");
        command.arg("-d").arg("-c").arg(&conf);
        let process =
            Process::start(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()));
        process.wait_until(|| port::listens(addr)).map_err(|why| {
            let log = std::fs::read_to_string(directory.path().join("log")).unwrap_or_default();
            format!("{why}\n{log}")
        })?;
        Ok(Self { _process: process, _directory: directory, addr })
    }
}

fn configuration(directory: &TempDir, addr: SocketAddr, data: &str) -> String {
    format!(
        r#"
server:
  interface: {host}
  port: {port}
  do-daemonize: no
  chroot: ""
  username: ""
  directory: "{dir}"
  logfile: "{dir}/log"
  use-syslog: no
  pidfile: ""
  num-threads: 1
  module-config: "iterator"
{data}remote-control:
  control-enable: no
"#,
        host = addr.ip(),
        port = addr.port(),
        dir = directory.path().display(),
    )
}
