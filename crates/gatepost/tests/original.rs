//! An upgrade from the original to gatepost and back, without closing a socket. Needs root and nginx with its mail module.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, geteuid};
use rig::{Client, eventually, port};
use tempfile::TempDir;

const NGINX: &str = "/usr/sbin/nginx";

/// A program called `nginx`, whatever it is, in the background.
struct Service(TempDir);

impl Service {
    /// The original, with this address.
    fn start(address: std::net::SocketAddr) -> Self {
        let service = Self(tempfile::tempdir().expect("a temporary directory"));
        let dir = service.0.path().display();
        let configuration = format!(
            "load_module /usr/lib/nginx/modules/ngx_mail_module.so; pid {dir}/pid; error_log {dir}/log notice;
             events {{}} mail {{ auth_http 127.0.0.1:9; server {{ listen {address}; protocol imap; }} }}"
        );
        fs::write(service.0.path().join("conf"), configuration).expect("the directory is writable");
        service.become_program(NGINX);
        let mut command = Command::new(service.0.path().join("nginx"));
        let status =
            command.arg("-p").arg(service.0.path()).arg("-c").arg(service.0.path().join("conf")).status();
        assert!(status.is_ok_and(|status| status.success()), "nginx does not start");
        service
    }

    /// Another program has the name from now on.
    fn become_program(&self, program: &str) {
        let name = self.0.path().join("nginx");
        let _ = fs::remove_file(&name);
        symlink(program, name).expect("the directory is writable");
    }

    /// The process in a pid file.
    fn pid(&self, file: &str) -> Option<Pid> {
        let number = fs::read_to_string(self.0.path().join(file)).ok()?;
        number.trim_end().parse().ok().map(Pid::from_raw)
    }

    /// Puts `program` in the place of the one that runs.
    fn upgrade_to(&self, program: &str) {
        let old = self.pid("pid").expect("a program runs");
        self.become_program(program);
        kill(old, Signal::SIGUSR2).expect("a program runs");
        eventually("there is a new program", || self.pid("pid").is_some_and(|new| new != old));
        kill(old, Signal::SIGQUIT).expect("the old one runs too");
        eventually("the old one has gone", || !Path::new(&format!("/proc/{old}")).exists());
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        for pid in ["pid", "pid.oldbin"].into_iter().filter_map(|file| self.pid(file)) {
            // It may have ended already.
            let _ = kill(pid, Signal::SIGTERM);
        }
    }
}

#[test]
fn the_original_and_gatepost_follow_each_other_on_the_same_sockets() {
    if !geteuid().is_root() {
        return;
    }
    let address = port::free();
    let service = Service::start(address);
    Client::connect(address).expect("* OK IMAP4 ready\r\n");
    service.upgrade_to(env!("CARGO_BIN_EXE_gatepost"));
    Client::connect(address).expect("* OK IMAP4 ready\r\n");
    let log = fs::read_to_string(service.0.path().join("log")).expect("there is a log");
    assert!(log.contains("(gatepost "), "{log}");
    service.upgrade_to(NGINX);
    Client::connect(address).expect("* OK IMAP4 ready\r\n");
}
