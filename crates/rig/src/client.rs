//! A scripted client.

use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;

use crate::bytes::show;
use crate::socket::Socket;
use crate::wire::{Surprise, Wire};
use crate::{Cuts, PATIENCE, Script};

/// A connection to the server under test. Every method that expects something fails the test when it does not happen.
///
/// ```no_run
/// use gatepost_rig::Client;
///
/// let mut client = Client::connect("127.0.0.1:143".parse().unwrap());
/// client.expect("* OK IMAP4 ready\r\n");
/// client.exchange("a NOOP\r\n", "a OK completed\r\n");
/// client.half_close();
/// client.expect_end();
/// ```
#[derive(Debug)]
pub struct Client {
    wire: Wire,
}

impl Client {
    /// Connects over TCP.
    #[track_caller]
    pub fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect_timeout(&address, PATIENCE)
            .unwrap_or_else(|error| panic!("cannot connect to {address}: {error}"));
        Self::over(stream.into())
    }

    /// Connects over a unix socket.
    #[track_caller]
    pub fn connect_unix(path: &Path) -> Self {
        let stream = UnixStream::connect(path)
            .unwrap_or_else(|error| panic!("cannot connect to {}: {error}", path.display()));
        Self::over(Socket::Unix(stream))
    }

    /// Sends bytes in one write.
    #[track_caller]
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) -> &mut Self {
        let sent = self.wire.say(bytes.as_ref());
        self.checked(sent)
    }

    /// Sends bytes in segments that begin at each of `cuts` (offsets into `bytes`, ascending).
    #[track_caller]
    pub fn send_cut(&mut self, bytes: impl AsRef<[u8]>, cuts: &[usize]) -> &mut Self {
        let mut rest = bytes.as_ref();
        let mut from = 0;
        for cut in cuts {
            let (piece, after) = rest.split_at(cut - from);
            self.send(piece);
            (rest, from) = (after, *cut);
        }
        self.send(rest)
    }

    /// Sends bytes in segments cut by `cuts`. A server that hangs up in the middle is no surprise here.
    pub fn send_scattered(&mut self, bytes: impl AsRef<[u8]>, cuts: &mut Cuts) -> &mut Self {
        // What came of it is seen by what comes back.
        let _ = cuts.pieces(bytes.as_ref()).into_iter().try_for_each(|piece| self.wire.say(piece));
        self
    }

    /// Sends each byte in a segment of its own.
    #[track_caller]
    pub fn send_bytewise(&mut self, bytes: impl AsRef<[u8]>) -> &mut Self {
        for byte in bytes.as_ref() {
            self.send([*byte]);
        }
        self
    }

    /// Sends `bytes` over and over until `limit` bytes are sent or the server hangs up; returns how many it took.
    ///
    /// What a server took includes what the kernel held for it, some megabytes. Nothing of it is kept for reports.
    pub fn flood(&mut self, bytes: &[u8], limit: u64) -> u64 {
        self.wire.flood(bytes, limit)
    }

    /// Exactly these bytes come next. What follows them is left for the next expectation.
    #[track_caller]
    pub fn expect(&mut self, bytes: impl AsRef<[u8]>) -> &mut Self {
        let met = self.wire.expect(bytes.as_ref());
        self.checked(met)
    }

    /// Sends, then expects.
    #[track_caller]
    pub fn exchange(&mut self, bytes: impl AsRef<[u8]>, reply: impl AsRef<[u8]>) -> &mut Self {
        self.send(bytes).expect(reply)
    }

    /// The next line, with its end.
    #[track_caller]
    pub fn line(&mut self) -> Vec<u8> {
        self.until("\n")
    }

    /// The next line, with its end; it begins with `prefix`.
    #[track_caller]
    pub fn expect_prefix(&mut self, prefix: impl AsRef<[u8]>) -> Vec<u8> {
        let prefix = prefix.as_ref();
        let line = self.line();
        assert!(
            line.starts_with(prefix),
            "expected a line that begins with {}, got {}",
            show(prefix),
            show(&line)
        );
        line
    }

    /// Everything up to and including the next `end`.
    #[track_caller]
    pub fn until(&mut self, end: impl AsRef<[u8]>) -> Vec<u8> {
        let taken = self.wire.until(end.as_ref());
        unsurprised(taken)
    }

    /// Exactly `count` bytes, whatever they are.
    #[track_caller]
    pub fn take(&mut self, count: usize) -> Vec<u8> {
        let taken = self.wire.take(count);
        unsurprised(taken)
    }

    /// The next `count` bytes, or fewer if the server ends the connection before.
    #[track_caller]
    pub fn take_up_to(&mut self, count: usize) -> Vec<u8> {
        let taken = self.wire.take_up_to(count);
        unsurprised(taken)
    }

    /// Everything that comes until the server ends the connection, in peace or by a reset.
    #[track_caller]
    pub fn rest(&mut self) -> Vec<u8> {
        let taken = self.wire.rest();
        unsurprised(taken)
    }

    /// The server ends the connection and says nothing before that.
    #[track_caller]
    pub fn expect_end(&mut self) {
        let rest = self.rest();
        assert!(rest.is_empty(), "expected the end, got {}", show(&rest));
    }

    /// Nothing was received beyond what was expected. Looks at what is there, and does not wait for more.
    #[track_caller]
    pub fn expect_nothing_unread(&self) {
        assert!(self.wire.is_quiet(), "there is more than was expected");
    }

    /// Ends the direction towards the server (FIN), and goes on reading.
    pub fn half_close(&mut self) -> &mut Self {
        self.wire.shutdown(Shutdown::Write);
        self
    }

    /// Ends the connection with RST.
    pub fn reset(self) {
        self.wire.reset_on_close();
    }

    /// Plays a script, as a scripted server would.
    #[track_caller]
    pub fn play(&mut self, script: &Script) -> &mut Self {
        let played = self.wire.play(script);
        self.checked(played)
    }

    fn over(socket: Socket) -> Self {
        Self { wire: Wire::new(Arc::new(socket)) }
    }

    #[track_caller]
    fn checked(&mut self, result: Result<(), Surprise>) -> &mut Self {
        unsurprised(result);
        self
    }
}

#[track_caller]
fn unsurprised<T>(result: Result<T, Surprise>) -> T {
    result.unwrap_or_else(|surprise| panic!("the client was surprised\n{surprise}"))
}
