//! What comes before the greeting: the client's name, and for SMTP the wait that unmasks early talkers.
//!
//! The PROXY header, real addresses, TLS and reverse look-ups have their place here.

use std::sync::Arc;

use bytes::BytesMut;
use proto::{Protocol, smtp};
use tokio::time::timeout;

use crate::address::ClientAddr;
use crate::auth::Client;
use crate::generation::Service;
use crate::link::Link;
use crate::scratch;
use crate::session::{Parting, Word};
use crate::teller::{Action, Teller};
use crate::trouble::{Call, Trouble};

/// Bytes of an early talker that are looked at.
const EARLY: usize = 4096;

/// Host name of an SMTP client when there is no resolver.
const UNAVAILABLE: &str = "[UNAVAILABLE]";

/// A client that may be greeted.
#[derive(Debug)]
pub struct Prefaced {
    /// Its stream.
    pub link: Link,
    /// What is known of it.
    pub client: Client,
    /// The server that it came to.
    pub service: Arc<Service>,
}

/// Does all that has to be done before the greeting.
pub async fn complete(
    mut link: Link,
    addr: ClientAddr,
    service: Arc<Service>,
    teller: &mut Teller,
) -> Result<Prefaced, Parting> {
    let protocol = service.settings.protocol.protocol();
    let host = (protocol == Protocol::Smtp).then(|| UNAVAILABLE.to_owned());
    let client = Client { protocol, addr, host };
    let delay = service.settings.greeting_delay;
    if delay.is_zero() {
        return Ok(Prefaced { link, client, service });
    }
    teller.action = Action::GreetingDelay;
    let mut said = BytesMut::new();
    // A client that waits for its turn lets the time pass; every other outcome is an early word or the end.
    match timeout(delay, scratch::read(&mut link, &mut said, EARLY)).await {
        Err(_) => Ok(Prefaced { link, client, service }),
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
