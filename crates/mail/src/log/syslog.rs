//! Lines as datagrams to a syslog server (RFC 3164, as the originals frame them).

use std::io::{self, Write};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use super::clock::Clock;
use super::record::{Context, Field, Record};
use super::{Line, Log};
use crate::address::Endpoint;
use crate::settings::log::{Level, SyslogServer};

/// How often a failure is told.
const SILENCE: Duration = Duration::from_secs(1);

/// A syslog server that lines are sent to.
pub struct Syslog {
    server: SyslogServer,
    socket: Socket,
    complaints: Complaints,
    complained: Option<Instant>,
}

enum Socket {
    /// Connected, so that the system tells us when nobody listens.
    Udp(UdpSocket),
    /// Not connected: a syslog server that is started again has a new socket at the same path.
    Unix(UnixDatagram, PathBuf),
}

/// A socket to a syslog server that cannot be had.
#[derive(Debug, thiserror::Error)]
#[error("socket to syslog server \"{server}\" failed")]
pub struct SyslogError {
    /// The server.
    pub server: Endpoint,
    /// The system's reason.
    pub source: io::Error,
}

/// Where failures to send are told: the main log, which is opened after its own outputs.
#[derive(Debug, Clone, Default)]
pub struct Complaints(Arc<Mutex<Weak<Log>>>);

impl Complaints {
    /// From now on they go to `log`.
    pub fn to(&self, log: &Arc<Log>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Arc::downgrade(log);
    }

    fn log(&self) -> Option<Arc<Log>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).upgrade()
    }
}

impl Syslog {
    /// Opens a socket to `server`; failures to send are told to `complaints`.
    ///
    /// # Errors
    /// When the system has no socket to give, or no way there. A server that is not there is no error yet.
    pub fn open(server: &SyslogServer, complaints: Complaints) -> Result<Self, SyslogError> {
        let socket = Socket::open(&server.endpoint)
            .map_err(|source| SyslogError { server: server.endpoint.clone(), source })?;
        Ok(Self { server: server.clone(), socket, complaints, complained: None })
    }

    /// Sends a line; whether it is on its way. If not, the main log is told.
    pub(super) fn send(&mut self, line: &Line) -> bool {
        let datagram = self.frame(line);
        let sent = match &self.socket {
            Socket::Udp(socket) => socket.send(&datagram),
            Socket::Unix(socket, path) => socket.send_to(&datagram, path),
        };
        if let Err(error) = &sent {
            self.complain(error);
        }
        sent.is_ok()
    }

    /// `<PRI>Mon DD HH:MM:SS HOST TAG: LINE`, without the line's end.
    fn frame(&self, line: &Line) -> Vec<u8> {
        let priority = u32::from(self.server.facility) * 8 + line.level as u32;
        let mut datagram = Vec::with_capacity(line.bytes.len() + 64);
        // Writing to a vector cannot fail.
        let _ = Clock::now(|clock, _| write!(datagram, "<{priority}>{} ", clock.syslog));
        if let Some(host) = &self.server.host {
            let _ = write!(datagram, "{host} ");
        }
        let _ = write!(datagram, "{}: ", self.server.tag);
        datagram.extend_from_slice(line.bytes.strip_suffix(b"\n").unwrap_or(&line.bytes));
        datagram
    }

    /// Tells the main log, not too often.
    fn complain(&mut self, error: &io::Error) {
        let now = Instant::now();
        if self.complained.is_some_and(|at| now.duration_since(at) < SILENCE) {
            return;
        }
        self.complained = Some(now);
        if let Some(log) = self.complaints.log() {
            let fields = [Field::SyslogServer(&self.server.endpoint)];
            let context = Context { subsystem: None, action: "logging to syslog", fields: &fields };
            let errno = error.raw_os_error();
            log.record(&Record { errno, context, ..Record::new(Level::Alert, &"send() failed") });
        }
    }
}

impl Socket {
    fn open(server: &Endpoint) -> io::Result<Self> {
        match server {
            Endpoint::Unix(path) => Ok(Self::Unix(UnixDatagram::unbound()?, path.clone())),
            Endpoint::Tcp(server) => {
                let any: SocketAddr = match server {
                    SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
                    SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
                };
                let socket = UdpSocket::bind(any)?;
                socket.connect(server)?;
                Ok(Self::Udp(socket))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::Memory;
    use super::super::{Output, Sink, Target};
    use super::*;
    use crate::flavour::Flavour;
    use crate::settings::ErrorLog;
    use crate::settings::log::tests::parse;
    use crate::settings::log::{Destination, Format};

    /// Long enough for any machine.
    const PATIENCE: Duration = Duration::from_secs(10);

    /// A log to `syslog:PARAMETERS`, and its sink.
    fn log(parameters: &str, complaints: &Complaints) -> (Log, Arc<Sink>) {
        log_as(&parse(&format!("error_log syslog:{parameters} info;")).unwrap(), complaints)
    }

    fn log_as(settings: &ErrorLog, complaints: &Complaints) -> (Log, Arc<Sink>) {
        let Destination::Syslog(server) = &settings.destination else { panic!("{settings:?}") };
        let syslog = Syslog::open(server, complaints.clone()).unwrap();
        let sink = Arc::new(Sink::queued(Target::Syslog(syslog)).unwrap());
        let bucket = super::super::Bucket::new(0, settings.level, Instant::now());
        (Log::new(vec![Output::new(Arc::clone(&sink), settings, Arc::new(bucket))]), sink)
    }

    fn received(socket: &UdpSocket) -> String {
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut buffer = [0; 4096];
        let length = socket.recv(&mut buffer).unwrap();
        String::from_utf8(buffer[..length].to_vec()).unwrap()
    }

    #[test]
    fn a_datagram_has_priority_time_host_tag_and_the_whole_line() {
        let server = UdpSocket::bind("127.0.0.1:0").unwrap();
        let at = server.local_addr().unwrap();
        let (log, _sink) = log(&format!("server={at},facility=mail,tag=gate"), &Complaints::default());
        log.line(Level::Error, Some(7), "recv() failed");
        let datagram = received(&server);
        // mail is 2, error is 3.
        let rest = datagram.strip_prefix("<19>").unwrap();
        let (time, rest) = rest.split_at("Nov 20 06:18:36 ".len());
        assert!(time.is_ascii() && time.as_bytes()[3] == b' ' && time.as_bytes()[9] == b':', "{time}");
        let rest = rest.strip_prefix("mail.example gate: 20").unwrap();
        let line = rest.split_once(" [error] ").unwrap().1;
        assert!(line.ends_with(": *7 recv() failed"), "{datagram}");
    }

    #[test]
    fn a_datagram_may_be_json_and_may_name_no_host() {
        let server = UdpSocket::bind("127.0.0.1:0").unwrap();
        let at = server.local_addr().unwrap();
        let mut settings = parse(&format!("error_log syslog:server={at},nohostname info;")).unwrap();
        settings.format = Format::Json;
        let (log, _sink) = log_as(&settings, &Complaints::default());
        log.line(Level::Notice, None, "exit");
        let datagram = received(&server);
        // local7 is 23, notice is 5.
        let (head, json) = datagram.split_once("gatepost: ").unwrap();
        assert_eq!((&head[..5], head.len()), ("<189>", "<189>Nov 20 06:18:36 ".len()));
        assert_eq!(serde_json::from_str::<serde_json::Value>(json).unwrap()["message"], "exit");
    }

    #[test]
    fn a_unix_socket_may_be_made_anew() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let first = UnixDatagram::bind(&path).unwrap();
        let (log, sink) = log(&format!("server=unix:{}", path.display()), &Complaints::default());
        let received = |socket: UnixDatagram| {
            socket.set_read_timeout(Some(PATIENCE)).unwrap();
            let mut buffer = [0; 4096];
            let length = socket.recv(&mut buffer).unwrap();
            String::from_utf8(buffer[..length].to_vec()).unwrap()
        };
        log.line(Level::Info, None, "one");
        assert!(received(first).ends_with(": one"));
        std::fs::remove_file(&path).unwrap();
        log.line(Level::Info, None, "nobody hears this");
        assert!(sink.flush(PATIENCE));
        let second = UnixDatagram::bind(&path).unwrap();
        log.line(Level::Info, None, "two");
        assert!(received(second).ends_with(": two"));
    }

    #[test]
    fn what_cannot_be_sent_is_told_in_the_main_log_at_most_once_a_second() {
        let complaints = Complaints::default();
        let (log, sink) = log("server=unix:/nonexistent/log", &complaints);
        let memory = Memory::default();
        let main = Arc::new(memory.log_as(&ErrorLog::new(Destination::Stderr, Level::Error, Flavour::Angie)));
        complaints.to(&main);
        let start = Instant::now();
        for _ in 0..100 {
            log.line(Level::Info, None, "lost");
        }
        assert!(sink.flush(PATIENCE));
        let most = usize::try_from(start.elapsed().as_secs()).unwrap() + 1;
        let text = memory.text();
        assert!((1..=most).contains(&text.lines().count()), "{text}");
        assert!(text.contains(" [alert] "), "{text}");
        assert!(
            text.ends_with(
                ": send() failed (2: No such file or directory) while logging to syslog, \
                 syslog_server: \"unix:/nonexistent/log\"\n"
            ),
            "{text}"
        );
    }

    #[test]
    fn a_main_log_that_is_syslog_itself_does_not_tell_itself() {
        let complaints = Complaints::default();
        let (log, sink) = log("server=unix:/nonexistent/log", &complaints);
        let log = Arc::new(log);
        complaints.to(&log);
        log.line(Level::Info, None, "lost");
        assert!(sink.flush(PATIENCE), "the thread waits for itself");
    }
}
