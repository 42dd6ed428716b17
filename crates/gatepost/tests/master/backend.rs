//! A POP3 backend that lets everybody in and repeats what it hears.
//!
//! It has no script, as those of the rig have: where workers are killed, connections break anywhere.

use std::io::{self, BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;

/// Serves until the test ends.
pub(crate) struct Backend {
    address: SocketAddr,
}

impl Backend {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                // A client that breaks off is what some tests are about.
                thread::spawn(move || serve(&stream));
            }
        });
        Self { address }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }
}

fn serve(mut stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut lines = BufReader::new(stream);
    stream.write_all(b"+OK pop3 ready\r\n")?;
    for reply in ["+OK password\r\n", "+OK logged in\r\n"] {
        lines.read_line(&mut String::new())?;
        stream.write_all(reply.as_bytes())?;
    }
    io::copy(&mut lines, &mut stream).map(drop)
}
