//! Clients that log in all the time.

use std::io::{self, BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use rig::PATIENCE;

use crate::stage::PASSWORD;

/// A few clients that log in, use their sessions and leave, again and again.
pub(crate) struct Load {
    enough: Arc<AtomicBool>,
    clients: Vec<JoinHandle<Tally>>,
}

/// How it went for them.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tally {
    /// Sessions that went well.
    pub(crate) good: usize,
    /// Connections that nobody took.
    pub(crate) refused: usize,
    /// Connections that were taken and broke.
    pub(crate) cut: usize,
}

impl Load {
    /// Starts `clients` of them.
    pub(crate) fn start(clients: usize, at: SocketAddr) -> Self {
        let enough = Arc::<AtomicBool>::default();
        let client = |_| {
            let enough = Arc::clone(&enough);
            thread::spawn(move || {
                let mut tally = Tally::default();
                while !enough.load(Ordering::Relaxed) {
                    tally.count(at);
                }
                tally
            })
        };
        Self { clients: (0..clients).map(client).collect(), enough }
    }

    /// Lets them finish.
    pub(crate) fn end(self) -> Tally {
        self.enough.store(true, Ordering::Relaxed);
        self.clients.into_iter().fold(Tally::default(), |sum, client| {
            let one = client.join().unwrap();
            Tally { good: sum.good + one.good, refused: sum.refused + one.refused, cut: sum.cut + one.cut }
        })
    }
}

impl Tally {
    fn count(&mut self, at: SocketAddr) {
        let Ok(stream) = TcpStream::connect_timeout(&at, PATIENCE) else {
            self.refused += 1;
            return;
        };
        match session(&stream) {
            Ok(()) => self.good += 1,
            Err(_) => self.cut += 1,
        }
    }
}

fn session(mut stream: &TcpStream) -> io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut lines = BufReader::new(stream);
    let mut expect = |expected: &str| {
        let mut line = String::new();
        lines.read_line(&mut line)?;
        if line == expected { Ok(()) } else { Err(io::Error::other(line)) }
    };
    expect("+OK POP3 ready\r\n")?;
    stream.write_all(b"USER joe\r\n")?;
    expect("+OK\r\n")?;
    stream.write_all(format!("PASS {PASSWORD}\r\n").as_bytes())?;
    expect("+OK logged in\r\n")?;
    stream.write_all(b"echo\r\n")?;
    expect("echo\r\n")
}
