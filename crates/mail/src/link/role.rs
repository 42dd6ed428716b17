//! rustls's two roles behind one face: ciphertext in, plaintext out, and the reverse.
//!
//! No I/O and no buffer of its own. The rules of rustls's unbuffered interface (what to call when, what to discard)
//! are obeyed here and nowhere else.

use bytes::BytesMut;
use rustls::client::{ClientConnectionData, UnbufferedClientConnection};
use rustls::server::{ServerConnectionData, UnbufferedServerConnection};
use rustls::unbuffered::{
    ConnectionState, EncodeError, EncodeTlsData, EncryptError, ReadTraffic, UnbufferedStatus, WriteTraffic,
};
use rustls::{CommonState, Error};

/// A TLS connection in one of its roles.
pub(super) enum Role {
    /// Ours is the server's side: towards clients.
    Server(UnbufferedServerConnection),
    /// Ours is the client's side: towards upstreams.
    Client(UnbufferedClientConnection),
}

/// What became of some ciphertext.
#[derive(Debug)]
pub(super) struct Opened {
    /// Bytes of it that are done with. The rest has to be shown again, as it then is and with more behind it: rustls
    /// decrypts in place.
    pub(super) used: usize,
    /// Set if there will be no more plaintext.
    pub(super) end: Option<End>,
}

/// Why there will be no more plaintext.
#[derive(Debug, Clone)]
pub(super) enum End {
    /// The peer said so, with close_notify.
    Closed,
    /// The socket ended without it.
    Cut,
    /// The peer did what TLS forbids, or said with an alert that we did.
    Failed(Error),
}

/// Calls a function with the connection inside, whichever it is.
macro_rules! each {
    ($role:expr, $conn:ident => $body:expr) => {
        match $role {
            Role::Server($conn) => $body,
            Role::Client($conn) => $body,
        }
    };
}

impl Role {
    /// What is known of the connection.
    pub(super) fn state(&self) -> &CommonState {
        each!(self, conn => conn.common())
    }

    /// Takes all whole records from `sealed`, gives their plaintext to `plain` and appends to `owed` what has to be
    /// sent for it: handshake messages, alerts.
    pub(super) fn open(
        &mut self,
        sealed: &mut [u8],
        plain: &mut dyn FnMut(&[u8]),
        owed: &mut BytesMut,
    ) -> Opened {
        each!(self, conn => open(conn, sealed, plain, owed))
    }

    /// Encrypts `plain` into `room`, and says how much that is. What has to be sent before it is appended to `owed`.
    ///
    /// `rest` is what [`open`](Self::open) has left.
    pub(super) fn seal(
        &mut self,
        rest: &mut [u8],
        plain: &[u8],
        room: &mut [u8],
        owed: &mut BytesMut,
    ) -> Result<usize, EncryptError> {
        let sealed =
            each!(self, conn => with_traffic(conn, rest, owed, |traffic| traffic.encrypt(plain, room)));
        sealed.unwrap_or(Err(EncryptError::EncryptExhausted))
    }

    /// Appends close_notify to `owed`. `rest` is what [`open`](Self::open) has left.
    pub(super) fn close(&mut self, rest: &mut [u8], owed: &mut BytesMut) {
        each!(self, conn => close(conn, rest, owed));
    }
}

/// Room for close_notify with a key update before it.
const CLOSING: usize = 256;

/// What rustls gives to both roles under one name but without a trait.
trait Process {
    type Data;

    fn common(&self) -> &CommonState;

    fn process<'c, 'i>(&'c mut self, sealed: &'i mut [u8]) -> UnbufferedStatus<'c, 'i, Self::Data>;
}

impl Process for UnbufferedServerConnection {
    type Data = ServerConnectionData;

    fn common(&self) -> &CommonState {
        self
    }

    fn process<'c, 'i>(&'c mut self, sealed: &'i mut [u8]) -> UnbufferedStatus<'c, 'i, Self::Data> {
        self.process_tls_records(sealed)
    }
}

impl Process for UnbufferedClientConnection {
    type Data = ClientConnectionData;

    fn common(&self) -> &CommonState {
        self
    }

    fn process<'c, 'i>(&'c mut self, sealed: &'i mut [u8]) -> UnbufferedStatus<'c, 'i, Self::Data> {
        self.process_tls_records(sealed)
    }
}

/// What follows from one answer of rustls.
enum Step {
    /// Ask again; this many more bytes are done with.
    On(usize),
    /// It waits for more bytes, or for us.
    Wait,
    End(End),
}

fn open<C: Process>(
    conn: &mut C,
    sealed: &mut [u8],
    plain: &mut dyn FnMut(&[u8]),
    owed: &mut BytesMut,
) -> Opened {
    let mut used = 0;
    let end = loop {
        let UnbufferedStatus { discard, state } = conn.process(&mut sealed[used..]);
        used += discard;
        match state.and_then(|state| step(state, plain, owed)) {
            Ok(Step::On(more)) => used += more,
            Ok(Step::Wait) => break None,
            Ok(Step::End(end)) => break Some(end),
            Err(error) => break Some(End::Failed(error)),
        }
    };
    flush_alerts(conn, owed);
    Opened { used, end }
}

fn step<Data>(
    state: ConnectionState<'_, '_, Data>,
    plain: &mut dyn FnMut(&[u8]),
    owed: &mut BytesMut,
) -> Result<Step, Error> {
    match state {
        ConnectionState::ReadTraffic(traffic) => return read(traffic, plain).map(Step::On),
        ConnectionState::EncodeTlsData(message) => encode(message, owed),
        // `owed` goes out before anything that is encrypted later, which is what counts.
        ConnectionState::TransmitTlsData(sent) => sent.done(),
        ConnectionState::BlockedHandshake | ConnectionState::WriteTraffic(_) => return Ok(Step::Wait),
        ConnectionState::PeerClosed | ConnectionState::Closed => return Ok(Step::End(End::Closed)),
        // Early data is never enabled: it can be replayed (RFC 8446, section 8).
        _ => return Err(Error::General("early data".into())),
    }
    Ok(Step::On(0))
}

/// Gives all plaintext of `traffic` to `plain`, and says how much more ciphertext is done with.
fn read<Data>(mut traffic: ReadTraffic<'_, '_, Data>, plain: &mut dyn FnMut(&[u8])) -> Result<usize, Error> {
    let mut discard = 0;
    while let Some(record) = traffic.next_record() {
        let record = record?;
        discard += record.discard;
        plain(record.payload);
    }
    Ok(discard)
}

/// Appends the message to `owed`.
fn encode<Data>(mut message: EncodeTlsData<'_, Data>, owed: &mut BytesMut) {
    // The message says how long it is only when it does not fit.
    if let Err(EncodeError::InsufficientSize(needed)) = message.encode(&mut []) {
        let start = owed.len();
        owed.resize(start + needed.required_size, 0);
        let written = message.encode(&mut owed[start..]).unwrap_or(0);
        owed.truncate(start + written);
    }
}

/// Appends to `owed` what rustls still wants to say after an error, without showing it a record again.
fn flush_alerts<C: Process>(conn: &mut C, owed: &mut BytesMut) {
    // While it has something to send, it does not look at its input.
    while conn.common().wants_write() {
        let Ok(ConnectionState::EncodeTlsData(message)) = conn.process(&mut []).state else { break };
        encode(message, owed);
    }
}

/// Calls `with` when application data may be sent, which is always so after the handshake.
fn with_traffic<C: Process, R>(
    conn: &mut C,
    rest: &mut [u8],
    owed: &mut BytesMut,
    with: impl FnOnce(&mut WriteTraffic<'_, C::Data>) -> R,
) -> Option<R> {
    loop {
        match conn.process(rest).state {
            Ok(ConnectionState::WriteTraffic(mut traffic)) => return Some(with(&mut traffic)),
            Ok(ConnectionState::EncodeTlsData(message)) => encode(message, owed),
            Ok(ConnectionState::TransmitTlsData(sent)) => sent.done(),
            _ => return None,
        }
    }
}

fn close<C: Process>(conn: &mut C, rest: &mut [u8], owed: &mut BytesMut) {
    let mut room = [0; CLOSING];
    let written = with_traffic(conn, rest, owed, |traffic| traffic.queue_close_notify(&mut room));
    match written {
        Some(Ok(written)) => owed.extend_from_slice(&room[..written]),
        // It is queued all the same.
        Some(Err(_)) => flush_alerts(conn, owed),
        None => {}
    }
}
