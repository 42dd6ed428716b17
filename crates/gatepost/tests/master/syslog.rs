//! syslog as both processes speak it, the worker from inside its sandbox.

use std::fs;
use std::net::UdpSocket;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;

use rig::PATIENCE;

use crate::stage::{Setting, login, use_session};

/// Reads until a line contains `text`, and returns it.
fn find(text: &str, mut receive: impl FnMut(&mut [u8]) -> std::io::Result<usize>) -> String {
    let mut buffer = [0; 4096];
    loop {
        let length = receive(&mut buffer).unwrap_or_else(|error| panic!("no {text:?}: {error}"));
        let line = String::from_utf8_lossy(&buffer[..length]).into_owned();
        if line.contains(text) {
            return line;
        }
    }
}

#[test]
fn syslog_servers_hear_master_and_worker_before_and_after_a_reload() {
    let setting = Setting::new("", "");
    let path = setting.path("syslog");
    let (udp, unix) = (UdpSocket::bind("127.0.0.1:0").unwrap(), UnixDatagram::bind(&path).unwrap());
    udp.set_read_timeout(Some(PATIENCE)).unwrap();
    unix.set_read_timeout(Some(PATIENCE)).unwrap();
    // The worker is somebody else, perhaps.
    fs::set_permissions(&path, PermissionsExt::from_mode(0o666)).unwrap();
    fs::set_permissions(path.parent().unwrap(), PermissionsExt::from_mode(0o755)).unwrap();
    let main = format!(
        "error_log syslog:server={},facility=mail,tag=udp info; error_log syslog:server=unix:{},nohostname,tag=unix info;",
        udp.local_addr().unwrap(),
        path.display(),
    );
    setting.write_configuration(&main, "");
    let stage = setting.start();
    let (master, worker) = (stage.master(), stage.worker());
    for _ in 0..2 {
        use_session(&mut login(stage.pop3, "joe"));
        let line = find("client logged in", |buffer| udp.recv(buffer));
        // mail is facility 2, info is severity 6.
        assert!(line.starts_with("<22>") && line.contains(" udp: "), "{line}");
        assert!(line.contains(&format!(" [info] {worker}#")), "{line}");
        let line = find("client logged in", |buffer| unix.recv(buffer));
        // local7 is facility 23.
        assert!(line.starts_with("<190>") && line.contains(" unix: "), "{line}");
        stage.reload();
    }
    let line = find("reconfigured", |buffer| udp.recv(buffer));
    assert!(line.contains(&format!("[notice] {master}#{master}: ")), "{line}");
    find("reconfigured", |buffer| unix.recv(buffer));
}
