//! A client that fetches much, and slowly.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::thread::{self, JoinHandle};

use rig::PATIENCE;

/// How much there is to fetch.
const SIZE: usize = 8 << 20;

/// How much is fetched at a time.
const PORTION: usize = 8 << 10;

/// A session through which bytes come for as long as somebody takes them.
pub(crate) struct Download {
    stream: TcpStream,
    fetched: usize,
    /// Sends what the backend repeats.
    source: JoinHandle<()>,
}

impl Download {
    /// Logs in as `joe`, and lets bytes come.
    pub(crate) fn start(at: SocketAddr) -> Self {
        let mut stream = TcpStream::connect(at).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        for (said, reply) in
            [("", "+OK POP3 ready\r\n"), ("USER joe\r\n", "+OK\r\n"), ("PASS hush\r\n", "+OK logged in\r\n")]
        {
            stream.write_all(said.as_bytes()).unwrap();
            let mut heard = vec![0; reply.len()];
            stream.read_exact(&mut heard).unwrap();
            assert_eq!(String::from_utf8_lossy(&heard), reply);
        }
        let mut sending = stream.try_clone().unwrap();
        let source = thread::spawn(move || {
            let bytes: Vec<u8> = (0..SIZE).map(byte).collect();
            sending.write_all(&bytes).unwrap();
            sending.shutdown(Shutdown::Write).unwrap();
        });
        Self { stream, fetched: 0, source }
    }

    /// Fetches a little.
    pub(crate) fn fetch(&mut self) {
        let mut portion = vec![0; PORTION];
        self.stream.read_exact(&mut portion).unwrap();
        self.check(&portion);
    }

    /// Fetches the rest: everything has come, and nothing else.
    pub(crate) fn finish(mut self) {
        assert!(self.fetched < SIZE - PORTION, "it was slow enough");
        let mut rest = Vec::new();
        self.stream.read_to_end(&mut rest).unwrap();
        self.check(&rest);
        assert_eq!(self.fetched, SIZE);
        self.source.join().unwrap();
    }

    fn check(&mut self, portion: &[u8]) {
        let expected = (self.fetched..).map(byte).take(portion.len());
        assert!(portion.iter().copied().eq(expected), "bytes behind {}", self.fetched);
        self.fetched += portion.len();
    }
}

/// What is at this place; the period fits into no buffer.
fn byte(at: usize) -> u8 {
    (at % 251).to_le_bytes()[0]
}
