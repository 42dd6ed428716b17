//! What systemd hears of the program.

use std::os::unix::net::UnixDatagram;
use std::process::{Command, Stdio};

use nix::sys::signal::Signal;
use rig::{PATIENCE, Process};

#[test]
fn systemd_hears_of_start_health_reload_and_end() {
    let directory = tempfile::tempdir().unwrap();
    let at = |file: &str| directory.path().join(file);
    let socket = UnixDatagram::bind(at("notify")).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let configuration = format!(
        "daemon off; user root; error_log {dir}/error.log info; pid {dir}/pid; events {{}} mail {{}}",
        dir = directory.path().display()
    );
    std::fs::write(at("conf"), configuration).unwrap();
    let process = Process::start(
        Command::new(env!("CARGO_BIN_EXE_gatepost"))
            .arg("-c")
            .arg(at("conf"))
            .arg("-e")
            .arg(at("error.log"))
            .env("NOTIFY_SOCKET", at("notify"))
            .env("WATCHDOG_USEC", "20000")
            .stdin(Stdio::null()),
    );
    let heard = || {
        let mut buffer = [0; 1024];
        let length = socket.recv(&mut buffer).unwrap();
        String::from_utf8(buffer[..length].to_vec()).unwrap()
    };
    assert_eq!(heard(), "READY=1\n");
    assert_eq!(heard(), "WATCHDOG=1\n");
    assert_eq!(heard(), "STATUS=0 connections\n");
    assert_eq!(heard(), "WATCHDOG=1\n", "again and again");
    process.signal(Signal::SIGHUP);
    let mut news = std::iter::from_fn(|| Some(heard())).filter(|news| *news != "WATCHDOG=1\n");
    let reloading = news.find(|news| news.starts_with("RELOADING=1\n")).unwrap();
    let time =
        reloading.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").and_then(|rest| rest.strip_suffix('\n'));
    assert!(time.and_then(|time| time.parse::<u64>().ok()).is_some_and(|time| time > 0), "{reloading}");
    assert!(news.any(|news| news == "READY=1\n"), "and when it is over");
    assert!(process.stop().success());
    assert!(std::iter::from_fn(|| Some(heard())).any(|news| news == "STOPPING=1\n"));
}
