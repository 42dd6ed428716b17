//! IMAP clients that wait for mail (RFC 2177), and the backend that tells them of it.

use std::io::{self, BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use rig::Client;

use crate::stage::PASSWORD;

/// An IMAP backend that lets everybody in and knows LOGIN, IDLE and LOGOUT.
pub(crate) struct Mailboxes {
    address: SocketAddr,
    idle: Arc<Idle>,
}

/// The connections that are in IDLE.
type Idle = Mutex<Vec<TcpStream>>;

impl Mailboxes {
    /// Serves until the test ends.
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let idle = Arc::<Idle>::default();
        let all = Arc::clone(&idle);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let idle = Arc::clone(&all);
                thread::spawn(move || serve(&stream, &idle));
            }
        });
        Self { address, idle }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Tells all who wait that there are so many messages now.
    pub(crate) fn announce(&self, messages: usize) {
        for mut stream in self.idle.lock().unwrap().iter() {
            stream.write_all(exists(messages).as_bytes()).unwrap();
        }
    }

    /// How many wait.
    pub(crate) fn waiting(&self) -> usize {
        self.idle.lock().unwrap().len()
    }
}

fn exists(messages: usize) -> String {
    format!("* {messages} EXISTS\r\n")
}

fn serve(mut stream: &TcpStream, idle: &Idle) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut lines = BufReader::new(stream).lines();
    let mut line = || lines.next().unwrap_or_else(|| Err(io::ErrorKind::UnexpectedEof.into()));
    stream.write_all(b"* OK imap ready\r\n")?;
    loop {
        let command = line()?;
        let (tag, command) = command.split_once(' ').unwrap_or((&command, ""));
        let done = match command.split(' ').next() {
            // The name and the password come as literals.
            Some("LOGIN") => {
                for _ in 0..2 {
                    stream.write_all(b"+ go\r\n")?;
                    line()?;
                }
                "OK logged in"
            }
            Some("IDLE") => {
                idle.lock().unwrap().push(stream.try_clone()?);
                stream.write_all(b"+ idling\r\n")?;
                let said = line()?;
                let peer = stream.peer_addr()?;
                idle.lock().unwrap().retain(|stream| stream.peer_addr().is_ok_and(|other| other != peer));
                if said == "DONE" { "OK IDLE completed" } else { "BAD expected DONE" }
            }
            Some("LOGOUT") => {
                stream.write_all(format!("* BYE\r\n{tag} OK LOGOUT completed\r\n").as_bytes())?;
                return Ok(());
            }
            _ => "BAD unknown command",
        };
        stream.write_all(format!("{tag} {done}\r\n").as_bytes())?;
    }
}

/// A client in IDLE.
pub(crate) struct Waiting {
    client: Client,
    /// How many messages it has heard of.
    heard: usize,
}

impl Waiting {
    /// Logs in as `user`, whose mailbox has this many messages, and waits for more.
    #[track_caller]
    pub(crate) fn start(at: SocketAddr, user: &str, messages: usize) -> Self {
        let mut client = Client::connect(at);
        client
            .expect("* OK IMAP4 ready\r\n")
            .exchange(format!("a LOGIN {user} {PASSWORD}\r\n"), "a OK logged in\r\n");
        client.exchange("b IDLE\r\n", "+ idling\r\n");
        Self { client, heard: messages }
    }

    /// Hears of every message up to this one, one after the other, and of nothing else.
    #[track_caller]
    pub(crate) fn hear(&mut self, messages: usize) {
        for message in self.heard + 1..=messages {
            self.client.expect(exists(message));
        }
        self.heard = messages;
    }

    /// Hears of every message up to this one, then leaves in order.
    #[track_caller]
    pub(crate) fn finish(mut self, messages: usize) {
        self.hear(messages);
        self.client.exchange("DONE\r\n", "b OK IDLE completed\r\n");
        self.client.exchange("c LOGOUT\r\n", "* BYE\r\nc OK LOGOUT completed\r\n").expect_end();
    }
}
