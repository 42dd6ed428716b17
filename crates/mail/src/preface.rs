//! What comes before the greeting: the PROXY header, the client's real address, TLS, its name, and for SMTP the wait that
//! unmasks early talkers.

use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use proto::auth_http::Proxied;
use proto::forwarded::{Hearsay, MOST_HOPS};
use proto::proxy_protocol::{self, Fault, Header, LONGEST, Parsed};
use proto::{Forwarded, Protocol, auth_http, smtp};
use tokio::time::{Instant, timeout, timeout_at};

use crate::address::ClientAddr;
use crate::auth::Client;
use crate::dns::{ClientName, Nameless};
use crate::event::Event;
use crate::generation::Service;
use crate::limit::{self, Counted};
use crate::link::Link;
use crate::login::hang_up;
use crate::scratch;
use crate::secure;
use crate::session::{Parting, Word};
use crate::settings::Door;
use crate::teller::{Action, Teller};
use crate::trouble::{Call, Trouble};
use crate::wiped::Wiped;

/// Bytes of an early talker that are looked at.
const EARLY: usize = 4096;

/// A client that may be greeted.
#[derive(Debug)]
pub struct Prefaced {
    /// Its stream.
    pub link: Link,
    /// What is known of it.
    pub client: Client,
    /// The server that it came to.
    pub service: Arc<Service>,
    /// Whether the connection is under TLS.
    pub secured: bool,
    /// How much of what it says of others, by commands, is believed.
    pub credit: Credit,
    /// What is believed that a proxy says of the client, beside its address.
    pub forwarded: Hearsay,
    /// What counts it.
    pub counted: Counted,
    /// What it has said already, while its name was being looked up.
    pub input: Wiped,
}

/// How much of what a peer says by commands, of the client that it forwards, is believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Credit {
    /// Nothing: it is not in `set_real_ip_from`, so it is a client and speaks for itself.
    Nothing,
    /// How many proxies there may still be, and the session's name; not where the client comes from, since that is in
    /// its PROXY header. A balancer that is believed for its headers passes on whatever its clients say.
    Hops,
    /// All.
    Everything,
}

/// Does all that has to be done before the greeting.
pub async fn complete(
    mut link: Link,
    peer: ClientAddr,
    door: Door,
    service: Arc<Service>,
    teller: &mut Teller,
) -> Result<Prefaced, Parting> {
    let protocol = service.settings.protocol.protocol();
    let deadline = Instant::now() + service.settings.core.timeout;
    let mut client = Client::new(protocol, peer);
    let mut forwarded = Forwarded::default();
    if door.proxy_protocol {
        teller.begin(Action::ReadingHeader);
        let header = Box::pin(within(deadline, header(&mut link))).await?;
        forwarded = believe(&header, peer, &service, &mut client);
        teller.client = client.addr;
    }
    let credit = credit(peer, door, &service);
    let counted = limit::arrive(&client, credit, (&mut link, door.ssl), &service, teller).await?;
    if door.ssl {
        teller.begin(Action::Handshaking);
        let (secured, tls) = Box::pin(secure::accept(link, &service, deadline)).await?;
        (link, client.tls) = (secured, tls.map(Box::new));
    }
    let mut input = Wiped::new();
    if protocol == Protocol::Smtp {
        // Nobody is looked up, or waited for, who is gone.
        client.host = tokio::select! {
            name = name(client.addr, &service, teller) => Some(name),
            () = hang_up(&mut link, &mut input) => return Err(Trouble::ClientGone.into()),
        };
        link = keep_waiting(link, &mut input, service.settings.greeting_delay, teller).await?;
    }
    // Behind a balancer that is believed, its TLS with the client counts like ours.
    let secured = client.tls.is_some();
    let forwarded = forwarded.into();
    Ok(Prefaced { link, client, service, secured, credit, forwarded, counted, input })
}

fn credit(peer: ClientAddr, door: Door, service: &Service) -> Credit {
    let smtp = service.settings.protocol.protocol() == Protocol::Smtp;
    match (service.settings.real_ip.trusts(peer), door.proxy_protocol) {
        (false, _) => Credit::Nothing,
        // XCLIENT has to be announced, and a balancer's clients would see it.
        (true, true) if smtp => Credit::Nothing,
        (true, true) => Credit::Hops,
        (true, false) => Credit::Everything,
    }
}

/// One limit for a phase; when it passes the client is dropped without a word.
async fn within<T>(deadline: Instant, phase: impl Future<Output = Result<T, Trouble>>) -> Result<T, Trouble> {
    timeout_at(deadline, phase).await.map_err(|_| Trouble::ClientTimedOut)?
}

/// Reads the PROXY header and not a byte more: what follows it may be the beginning of a TLS handshake.
async fn header(link: &mut Link) -> Result<Header, Trouble> {
    let failed = |source| Trouble::Client { call: Call::Recv, source };
    let mut seen = BytesMut::new();
    loop {
        let before = seen.len();
        if link.peek(&mut seen, LONGEST - before).await.map_err(failed)? == 0 {
            return Err(Fault::ended(&seen).into());
        }
        match proxy_protocol::parse(&seen) {
            Parsed::Incomplete => link.skip(seen.len() - before).map_err(failed)?,
            Parsed::Done { length, header } => {
                link.skip(length.saturating_sub(before)).map_err(failed)?;
                return Ok(header);
            }
            Parsed::Fault(fault) => return Err(fault.into()),
        }
    }
}

/// Takes over what a header says, as far as its sender may say it.
///
/// The addresses go to the auth server as they are (as in the originals). Only a sender in `set_real_ip_from` replaces the
/// client's address, and only its word about TLS counts.
///
/// Returns what is believed of the client beside: where it has connected to, and how many proxies it may still pass.
fn believe(header: &Header, peer: ClientAddr, service: &Service, client: &mut Client) -> Forwarded {
    let mut forwarded = Forwarded::default();
    let Some(addresses) = &header.addresses else { return forwarded };
    client.proxied = Some(Box::new(Proxied::from(addresses)));
    if !service.settings.real_ip.trusts(peer) {
        return forwarded;
    }
    if let Some(addr) = addresses.source.socket_addr() {
        client.addr = ClientAddr::Tcp(addr);
        forwarded.server = addresses.destination.socket_addr().into();
    }
    forwarded.ttl = Some(header.tlvs.hops().map_or(MOST_HOPS, |left| left.min(MOST_HOPS)));
    if let Some(ssl) = header.tlvs.ssl().filter(|ssl| ssl.active) {
        client.tls = Some(Box::new(auth_http::Tls::from(&ssl)));
    }
    forwarded
}

/// What a client is called in DNS. One over a unix socket has no address to look up.
async fn name(addr: ClientAddr, service: &Service, teller: &mut Teller) -> String {
    let name = match (&service.names, addr) {
        (None, _) => ClientName::Nameless(Nameless::NoResolver),
        (Some(_), ClientAddr::Unix) => ClientName::Nameless(Nameless::UnixSocket),
        (Some(resolver), ClientAddr::Tcp(addr)) => {
            let name = Box::pin(resolver.client_name(addr.ip())).await;
            if let ClientName::Nameless(why) = &name {
                let action = match why {
                    Nameless::NameUnresolved { .. } => Action::ResolvingName,
                    _ => Action::ResolvingAddress,
                };
                teller.tell_while(action, &Event::Nameless { ip: addr.ip(), why });
            }
            name
        }
    };
    name.as_str().to_owned()
}

/// `smtp_greeting_delay`: a client that waits for its turn lets the time pass; every other outcome is an early word or
/// the end.
async fn keep_waiting(
    mut link: Link,
    said: &mut BytesMut,
    delay: Duration,
    teller: &mut Teller,
) -> Result<Link, Parting> {
    if delay.is_zero() {
        return Ok(link);
    }
    teller.begin(Action::GreetingDelay);
    let spoken =
        async { if said.is_empty() { scratch::read(&mut link, said, EARLY).await } else { Ok(said.len()) } };
    match timeout(delay, spoken).await {
        Err(_) => Ok(link),
        Ok(Ok(0)) => Err(Trouble::ClientGone.into()),
        Ok(Ok(_)) => {
            // The first bytes on a connection always fit into its send buffer.
            let _ = link.try_write(smtp::reply::TOO_EARLY);
            let trouble = Trouble::EarlyTalker { said: said.to_vec() };
            Err(Parting { trouble, word: Word::Sent(link) })
        }
        Ok(Err(source)) => Err(Trouble::Client { call: Call::Recv, source }.into()),
    }
}
