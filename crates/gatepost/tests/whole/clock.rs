//! The time of day jumps, a year ahead and back, while the program serves: sessions, limits and caches do not notice, and
//! what goes by the date goes by the new one.
//!
//! Debian's libfaketime stands between the program and the system, and leaves the monotonic clock alone, as a real jump does.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use jiff::{Span, Zoned};
use rig::auth_server::{answer, refuse};
use rig::dns::{A, Reply};
use rig::{AuthServer, Backend, Client, DnsServer, Program, Proxy, Script, eventually};
use tempfile::TempDir;

use crate::stage::{Protocol, gatepost};

/// Days that make every limit late.
pub(crate) const YEAR: i32 = 365;

/// The time of day of one program.
pub(crate) struct Clock {
    directory: TempDir,
}

impl Clock {
    /// It goes right.
    pub(crate) fn new() -> Self {
        let clock = Self { directory: tempfile::tempdir().expect("a temporary directory") };
        clock.jump(0);
        clock
    }

    /// From now on it is this far ahead of the right time, or behind.
    pub(crate) fn jump(&self, days: i32) {
        let new = self.directory.path().join("new");
        fs::write(&new, format!("{days:+}d\n")).expect("the directory is writable");
        fs::rename(new, self.file()).expect("the directory is writable");
    }

    /// Gatepost by this clock. A master has to hand [`VARIABLES`] on to its worker, and no sandbox may be between the
    /// library and its file.
    pub(crate) fn program(&self) -> Program {
        let (library, file) = (library(), self.file());
        let values = [&*library.to_string_lossy(), &*file.to_string_lossy(), "1", "1"];
        gatepost().with_environment(VARIABLES.into_iter().zip(values))
    }

    fn file(&self) -> PathBuf {
        self.directory.path().join("time")
    }
}

/// What the library is told by.
const VARIABLES: [&str; 4] =
    ["LD_PRELOAD", "FAKETIME_TIMESTAMP_FILE", "FAKETIME_DONT_FAKE_MONOTONIC", "FAKETIME_NO_CACHE"];

/// The library, of whatever machine this is.
#[track_caller]
fn library() -> PathBuf {
    let places = fs::read_dir("/usr/lib").expect("there are libraries").flatten();
    let mut files = places.map(|place| place.path().join("faketime/libfaketimeMT.so.1"));
    files.find(|file| file.exists()).expect("Debian's package libfaketime is installed")
}

/// How long a client may take until it has logged in.
const TIMEOUT: Duration = Duration::from_secs(5);

/// How long a refusal waits, by `Auth-Wait` or `auth_penalty`.
const WAIT: Duration = Duration::from_secs(2);

/// Users who have not been there yet, each at an upstream of a name of its own.
const STRANGERS: usize = 100;

/// Master and worker by one clock, with whatever knows a time limit.
struct World {
    clock: Clock,
    proxy: Proxy,
    /// Whose session is idle.
    neighbour: Client,
    auth: AuthServer,
    /// The name servers that are asked, and those that will be after the next change of their file.
    dns: [DnsServer; 2],
    conf: PathBuf,
    strangers: std::ops::Range<usize>,
    _backend: Backend,
}

impl World {
    fn new() -> Self {
        let clock = Clock::new();
        let script = Script::new().say("+OK\r\n").answer_line("+OK\r\n").answer_line("+OK logged in\r\n");
        let backend = Backend::start(script.echo());
        let auth = AuthServer::start({
            let port = format!("Auth-Port: {}", backend.address().port());
            move |request| match (request.header("Auth-User"), request.header("Auth-Pass").as_deref()) {
                (Some(user), Some("p")) => {
                    answer(&["Auth-Status: OK", &format!("Auth-Server: {user}.example"), &port])
                }
                // No failure that counts.
                (_, Some("busy")) => {
                    let wait = format!("Auth-Wait: {}", WAIT.as_secs());
                    answer(&["Auth-Status: no", "Auth-Error-Code: 454 4.7.0", &wait])
                }
                _ => refuse("no"),
            }
        });
        let dns = [(); 2].map(|()| DnsServer::start());
        for (number, server) in (0..=STRANGERS).flat_map(|number| dns.iter().map(move |it| (number, it))) {
            let name = format!("u{number}.example");
            server.says(&name, A, Reply::addr(&name, 3600, &backend.address().ip().to_string()));
        }
        let conf = clock.directory.path().join("resolv.conf");
        fs::write(&conf, naming(&dns[0])).expect("the directory is writable");
        let proxy = Proxy::start_whole(
            &clock.program(),
            &format!(
                "user root; daemon off; master_process on; sandbox off; worker_rlimit_core 0; {} events {{}}
                 mail {{ server_name proxy.example; auth_http {}; auth_penalty on; resolver conf={} ipv6=off;
                         server {{ listen @proxy; protocol pop3; timeout {}s; proxy_timeout 1h; }} }}",
                VARIABLES.map(|name| format!("env {name};")).concat(),
                auth.address(),
                conf.display(),
                TIMEOUT.as_secs(),
            ),
        );
        let neighbour = log_in(&proxy, "u0");
        let mut guesser = greeted(&proxy);
        assert_eq!(guesser.send("USER v\r\nPASS x\r\n").rest(), b"+OK\r\n-ERR no\r\n");
        Self { clock, proxy, neighbour, auth, dns, conf, strangers: 1..STRANGERS + 1, _backend: backend }
    }

    /// The clock jumps while everybody waits for something, and nobody waits for longer or shorter.
    #[track_caller]
    fn jumps(&mut self, days: i32) {
        let asked = self.auth.requests().len();
        let names = self.dns.each_ref().map(|server| server.count("u0.example", A));
        let start = Instant::now();
        let mut silent = greeted(&self.proxy);
        let [mut busy, mut held] = ["USER w\r\nPASS busy\r\n", "USER v\r\nPASS x\r\n"].map(|login| {
            let mut client = greeted(&self.proxy);
            client.send(login);
            client
        });
        self.auth.request(asked + 1);
        let connections = self.auth.connections();
        self.clock.jump(days);

        self.neighbour.exchange("still here\r\n", "still here\r\n");
        let spent = self.processor_time();
        for client in [&mut busy, &mut held] {
            client.expect("+OK\r\n-ERR no\r\n");
            assert!(start.elapsed() >= WAIT, "told after {:?}", start.elapsed());
        }
        assert_eq!(silent.rest(), b"");
        assert!(start.elapsed() >= TIMEOUT, "cut after {:?}", start.elapsed());
        let spent = self.processor_time().saturating_sub(spent);
        assert!(spent < Duration::from_secs(1), "{spent:?} of work while nothing happens");

        let logged = self.proxy.log().len();
        log_in(&self.proxy, "u0").exchange("hello\r\n", "hello\r\n");
        assert_eq!(self.auth.connections(), connections, "idle connections are as young as before");
        assert_eq!(
            self.dns.each_ref().map(|server| server.count("u0.example", A)),
            names,
            "and so are names"
        );
        self.tells_the_time(logged, days);
        self.watches();
        self.neighbour.exchange("still here\r\n", "still here\r\n");
    }

    /// What was logged behind `from` has the date that it is now by the clock.
    #[track_caller]
    fn tells_the_time(&self, from: usize, days: i32) {
        let date = Zoned::now().checked_add(Span::new().days(days)).expect("it is not that far away");
        let month = date.strftime("%Y/%m/").to_string();
        eventually("the end of the session is told", || self.proxy.log()[from..].contains("session done"));
        let log = self.proxy.log();
        let (_, behind) = log[from..].split_once('\n').expect("it is a line");
        for line in behind.lines() {
            assert!(line.starts_with(&month), "not of {month}: {line}");
        }
    }

    /// A change of the file of name servers is seen.
    #[track_caller]
    fn watches(&mut self) {
        self.dns.swap(0, 1);
        let changes = || self.proxy.log().matches("has changed, name servers in it: 1").count();
        let known = changes();
        let new = self.clock.directory.path().join("new.conf");
        fs::write(&new, naming(&self.dns[0])).expect("the directory is writable");
        fs::rename(new, &self.conf).expect("the directory is writable");
        eventually("it is looked at", || changes() > known);
        let before = self.dns[0].asked().len();
        eventually("the other server is asked", || {
            let stranger = self.strangers.next().expect("there are enough");
            log_in(&self.proxy, &format!("u{stranger}"));
            self.dns[0].asked().len() > before
        });
        // The cache of one is not that of the other.
        log_in(&self.proxy, "u0");
    }

    /// What master and worker have used of the processor.
    #[track_caller]
    fn processor_time(&self) -> Duration {
        let master = self.proxy.process().id();
        let worker = fs::read_to_string(format!("/proc/{master}/task/{master}/children"));
        let worker = worker.expect("the master runs").trim().parse().expect("it has one worker");
        [master, worker].map(processor_time).iter().sum()
    }
}

fn naming(server: &DnsServer) -> String {
    format!("nameserver [{}]:{}\n", server.addr().ip(), server.addr().port())
}

#[track_caller]
fn greeted(proxy: &Proxy) -> Client {
    let mut client = Client::connect(proxy.at("proxy"));
    client.expect(Protocol::Pop3.greeting());
    client
}

#[track_caller]
fn log_in(proxy: &Proxy, user: &str) -> Client {
    let mut client = greeted(proxy);
    client.exchange(format!("USER {user}\r\nPASS p\r\n"), "+OK\r\n+OK logged in\r\n");
    client
}

/// What a process has used of the processor, by itself and by the kernel for it (proc(5): fields 14 and 15 of `stat`).
#[track_caller]
fn processor_time(process: u32) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).expect("the process runs");
    let (_, fields) = stat.rsplit_once(')').expect("the name is in brackets");
    let ticks =
        fields.split_whitespace().skip(11).take(2).map(|ticks| ticks.parse::<u64>().expect("a number"));
    // A tick is a hundredth of a second wherever Linux shows one.
    Duration::from_millis(ticks.sum::<u64>() * 10)
}

#[test]
fn nobody_waits_for_longer_or_shorter_by_a_clock_that_jumps() {
    let mut world = World::new();
    for days in [YEAR, -YEAR, 0] {
        world.jumps(days);
    }
    let log = world.proxy.whole_log();
    assert!(!log.contains("panicked") && !log.contains("[alert]"), "{log}");
}
