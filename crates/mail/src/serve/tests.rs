//! Threads and generations, with clients that are greeted and no more.

use std::collections::{BTreeMap, VecDeque};
use std::io::{BufRead as _, BufReader};
use std::net::{SocketAddr, TcpStream};
use std::num::NonZero;
use std::path::Path;
use std::sync::Weak;
use std::time::Duration;

use conf::{Disk, Reading, Source, Sources, Vocabulary, Warnings};
use socket2::{Domain, Socket, Type};

use super::*;
use crate::address::{Endpoint, written};
use crate::auth::resolve::SystemResolver;
use crate::auth::users::Pool;
use crate::files::Files;
use crate::flavour::Flavour;
use crate::generation::{Makings, Service};
use crate::log::tests::Memory;
use crate::settings::listen::SocketOptions;
use crate::settings::log::Level;
use crate::settings::{self, Door, MailBlock, Surroundings};
use crate::tls::Lasting;

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(10);

/// A generation of one SMTP server that greets as `name`.
fn generation(name: &str, memory: &Memory) -> Generation {
    let text = format!(
        "server_name {name}; auth_http 127.0.0.1:1; smtp_greeting_delay 0;
         server {{ listen 127.0.0.1:1; protocol smtp; }}"
    );
    let path = Path::new("/conf");
    let file = Source { path: path.into(), contents: text.as_bytes().into() };
    let block = conf::parse_file(path, &mut Sources::told(vec![file], BTreeMap::new()));
    let (vocabulary, warnings, names) =
        (settings::vocabulary(Vocabulary::new()), Warnings::new(), written::names());
    let disk = Disk { directory: Path::new("/"), read: &|_| Err(io::ErrorKind::NotFound.into()) };
    let reading = Reading { vocabulary: &vocabulary, warnings: &warnings, names: &names, disk };
    let mut mail = MailBlock::default();
    mail.read(&block, &reading).unwrap();
    let (directory, prefix, host_name) = ("/".into(), "/".into(), "host".to_owned());
    let flavour = Flavour::Gatepost;
    let mail = mail.resolve(&Surroundings { directory, prefix, host_name, flavour }).unwrap();
    let verifiers = Arc::new(Pool::new(NonZero::<usize>::MIN).unwrap());
    let makings = Makings::new(Arc::new(SystemResolver), Lasting::new(), verifiers);
    let log = |_: &_| memory.log(Level::Error).into();
    Generation::build(&mail.servers, &makings, &Files::on_disk(), log, |_| {}).unwrap()
}

fn bound() -> (Bound, SocketAddr) {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    socket.listen(128).unwrap();
    let addr = socket.local_addr().unwrap().as_socket().unwrap();
    let options = SocketOptions::default();
    let door = Door { server: 0, ssl: false, proxy_protocol: false };
    let listen = Listen { endpoint: Endpoint::Tcp(addr), door, exact: Vec::new(), options };
    (Bound::adopt(Arc::new(listen), vec![socket]).unwrap(), addr)
}

fn workers(slots: usize) -> Workers {
    Workers::new(Slots::new(slots), Box::new(|_| {}), rings(1))
}

/// A client that was greeted, and by whom.
fn client(addr: SocketAddr) -> (TcpStream, String) {
    let stream = TcpStream::connect(addr).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut line = String::new();
    BufReader::new(&stream).read_line(&mut line).unwrap();
    (stream, line.split(' ').nth(1).unwrap_or_default().to_owned())
}

fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < PATIENCE, "{what}");
        std::thread::yield_now();
    }
}

fn end(workers: Workers) {
    workers.order(Order::Stop);
    workers.join();
}

#[test]
fn a_generation_is_freed_with_its_last_session() {
    let memory = Memory::default();
    let (bound, addr) = bound();
    let mut workers = workers(100);
    let first = generation("first", &memory);
    let service: Weak<Service> = Arc::downgrade(&first.services[0]);
    assert!(
        workers.install(first, &[bound.renew(Arc::clone(&bound.listen), 2).unwrap()], 2).unwrap().is_none()
    );
    let (one, greeted_by) = client(addr);
    assert_eq!(greeted_by, "first");
    let before = workers.install(generation("second", &memory), &[bound], 2).unwrap().unwrap();
    wait_until("new clients meet the new generation", || client(addr).1 == "second");
    assert!(service.upgrade().is_some() && before.has_sessions());
    drop(one);
    wait_until("nobody needs the first any more", || service.upgrade().is_none() && !before.has_sessions());
    end(workers);
}

#[test]
fn sessions_that_stay_are_spread_over_all_threads() {
    let (bound, addr) = bound();
    let mut workers = workers(1000);
    workers.install(generation("even", &Memory::default()), &[bound], 3).unwrap();
    let clients: Vec<_> = (0..120).map(|_| client(addr)).collect();
    let sessions: Vec<usize> = workers.threads.iter().map(|thread| thread.seat.sessions()).collect();
    assert_eq!(sessions.iter().sum::<usize>(), clients.len());
    assert!(sessions.iter().all(|n| (34..=46).contains(n)), "{sessions:?}");
    end(workers);
}

#[test]
fn threads_come_with_a_generation_and_surplus_ones_take_no_new_clients() {
    let memory = Memory::default();
    let (bound, addr) = bound();
    let mut workers = workers(1000);
    let again = |threads| bound.renew(Arc::clone(&bound.listen), threads).unwrap();
    workers.install(generation("one", &memory), &[again(1)], 1).unwrap();
    let mut clients = VecDeque::from([client(addr)]);
    workers.install(generation("three", &memory), &[again(3)], 3).unwrap();
    wait_until("the new generation", || client(addr).1 == "three");
    clients.extend((0..30).map(|_| client(addr)));
    assert!(workers.threads.iter().all(|thread| thread.seat.sessions() > 0));
    let second = workers.threads[1].seat.sessions();
    workers.install(generation("again", &memory), &[again(1)], 1).unwrap();
    wait_until("the newest generation", || client(addr).1 == "again");
    clients.extend((0..30).map(|_| client(addr)));
    assert!(workers.threads[1].seat.sessions() <= second);
    end(workers);
}

#[test]
fn clients_without_a_slot_are_told_of_at_most_once_a_second() {
    let memory = Memory::default();
    let (bound, addr) = bound();
    let mut workers = workers(1);
    workers.install(generation("full", &memory), &[bound], 1).unwrap();
    let held = client(addr);
    let start = Instant::now();
    for _ in 0..20 {
        assert_eq!(client(addr).1, "", "closed without a byte");
    }
    let lines =
        memory.text().lines().filter(|line| line.ends_with("1 worker_connections are not enough")).count();
    let seconds = usize::try_from(start.elapsed().as_secs()).unwrap();
    assert!((1..=2 + seconds).contains(&lines), "{}", memory.text());
    drop(held);
    end(workers);
}

#[test]
fn threads_that_drain_go_with_their_last_session() {
    let (bound, addr) = bound();
    let mut workers = workers(10);
    workers.install(generation("last", &Memory::default()), &[bound], 2).unwrap();
    let held = client(addr);
    workers.order(Order::Drain);
    wait_until("nobody listens any more", || TcpStream::connect(addr).is_err());
    assert_eq!(workers.sessions(), 1);
    drop(held);
    workers.join();
}
