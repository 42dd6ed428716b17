//! The life of a session, on one screen.
//!
//! Each step consumes one value and returns the next, so nothing can be relayed that was not authorised.

use std::sync::Arc;
use std::time::Duration;

use proto::LoginAnswer;
use tokio::sync::watch;
use tokio::time::timeout;

use crate::address::{ClientAddr, Endpoint};
use crate::event::Event;
use crate::generation::Service;
use crate::link::Link;
use crate::login::Authorised;
use crate::relay::{self, Relay};
use crate::serve::{Order, Presence};
use crate::settings::Door;
use crate::slots::{Slot, Slots};
use crate::teller::{Action, Teller};
use crate::trouble::Trouble;
use crate::{login, preface, upstream};

/// A client that has just been accepted.
#[derive(Debug)]
pub struct Accepted {
    /// Its stream.
    pub link: Link,
    /// Where it comes from.
    pub client: ClientAddr,
    /// The listening address that it came to, as configured.
    pub server: Endpoint,
    /// What comes before the greeting there.
    pub door: Door,
    /// Its number in the log.
    pub connection: u64,
    /// The server that it came to.
    pub service: Arc<Service>,
    /// Where a slot for the upstream comes from.
    pub slots: Arc<Slots>,
    /// Its own slot.
    pub slot: Slot,
    /// Told when proxied sessions have to end.
    pub orders: watch::Receiver<Order>,
    /// Held for as long as the session lives.
    pub presence: Presence,
}

/// What a session holds from its first to its last moment.
#[derive(Debug)]
struct Held {
    orders: watch::Receiver<Order>,
    _slot: Slot,
    _presence: Presence,
}

/// A client and its upstream, both logged in. Made by [`upstream::open`] alone.
#[derive(Debug)]
pub struct Connected {
    /// Moves the bytes.
    pub relay: Relay,
    /// The upstream's slot.
    pub slot: Slot,
}

/// The end of a session before it was one: why, and what the client is still to hear.
#[derive(Debug)]
pub struct Parting {
    /// Why.
    pub trouble: Trouble,
    /// What to say.
    pub word: Word,
}

/// A last word.
#[derive(Debug)]
pub enum Word {
    /// None: the client is gone, or must not be told.
    None,
    /// It has been sent; it only has to arrive.
    Sent(Link),
    /// The answer to the login.
    Answer(Box<Authorised>, LoginAnswer),
}

impl From<Trouble> for Parting {
    fn from(trouble: Trouble) -> Self {
        Self { trouble, word: Word::None }
    }
}

impl Word {
    async fn say(self) {
        match self {
            Self::None => {}
            Self::Sent(link) => farewell(link).await,
            Self::Answer(authorised, answer) => Box::pin(login::last_word(*authorised, answer)).await,
        }
    }
}

/// Serves one client from its first byte to its last.
pub async fn run(accepted: Accepted) {
    let Accepted { link, client, server, door, connection, service, slots, slot, orders, presence } =
        accepted;
    let held = Held { orders, _slot: slot, _presence: presence };
    let mut teller = Teller::new(Arc::clone(service.log.of(client)), connection, client, server);
    teller.tell_while(Action::Initializing, &Event::Connected);
    match establish(link, (client, door), service, &slots, &mut teller).await {
        // The relay is a task of its own: what the login needed is freed when this one ends.
        Ok(connected) => drop(tokio::spawn(Proxied { connected, teller, held }.run())),
        Err(parting) => {
            teller.tell(&Event::Trouble(&parting.trouble));
            Box::pin(parting.word.say()).await;
        }
    }
}

/// From accept to a session with an upstream.
///
/// What only some sessions need, or only for a moment, is boxed: a client that was greeted and says nothing holds no
/// room for it.
async fn establish(
    link: Link,
    (client, door): (ClientAddr, Door),
    service: Arc<Service>,
    slots: &Arc<Slots>,
    teller: &mut Teller,
) -> Result<Connected, Parting> {
    let prefaced = Box::pin(preface::complete(link, client, door, service, teller)).await?;
    let authorised = login::authorise(prefaced, teller).await?;
    Box::pin(upstream::open(authorised, slots, teller)).await
}

/// A session with an upstream.
struct Proxied {
    connected: Connected,
    teller: Teller,
    held: Held,
}

impl Proxied {
    /// From login to the end: moves bytes until one side is done.
    ///
    /// An `async fn` would keep its argument twice in the future that idle sessions are made of.
    #[expect(clippy::manual_async_fn, reason = "the future captures its argument, and does not copy it")]
    fn run(mut self) -> impl Future<Output = ()> + Send {
        async move {
            self.teller.begin(Action::None);
            self.teller.tell(&Event::LoggedIn);
            let ended = tokio::select! {
                ended = self.connected.relay.run() => ended,
                Ok(_) = self.held.orders.wait_for(|order| *order >= Order::Cut) => {
                    let trouble = Trouble::ShutdownTimeout;
                    self.teller.tell_while(Action::Proxying, &Event::Trouble(&trouble));
                    return;
                }
            };
            if self.is_done(ended) {
                self.teller.tell(&Event::Done);
                Box::pin(farewell(self.connected.relay.into_client())).await;
            }
        }
    }

    /// Whether the relay has done its work; if not, what was in its way is told.
    fn is_done(&self, ended: Result<(), relay::Broken>) -> bool {
        ended.map_or_else(
            |broken| {
                self.teller.tell_while(broken.action, &Event::Trouble(&broken.trouble));
                broken.done
            },
            |()| true,
        )
    }
}

/// How long, and for how many bytes, a client is listened to that has been told all.
const LINGER: (Duration, usize) = (Duration::from_secs(2), 256 * 1024);

/// Ends a connection so that the last words arrive.
pub async fn farewell(link: Link) {
    let (patience, most) = LINGER;
    let _ = timeout(patience, link.part(most)).await;
}
