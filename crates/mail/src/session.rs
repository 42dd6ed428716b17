//! The life of a session, on one screen.
//!
//! Each step consumes one value and returns the next, so nothing can be relayed that was not authorised.

use std::io;
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::time::Duration;

use proto::LoginAnswer;
use tokio::sync::watch;
use tokio::time::timeout;

use crate::address::{ClientAddr, Endpoint};
use crate::event::Event;
use crate::generation::Service;
use crate::limit::{self, Counted, Limited};
use crate::link::Link;
use crate::login::{Authorised, Greeted, Turn, Waiting};
use crate::relay::{self, Relay, Stop};
use crate::rest::{self, Sleeper};
use crate::serve::{Order, Presence};
use crate::settings::Door;
use crate::slots::Slot;
use crate::teller::{Action, Origin, Teller};
use crate::trouble::{Call, Trouble};
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
    slot: Slot,
    _presence: Presence,
}

/// A client and its upstream, both logged in. Made by [`upstream::open`] alone.
#[derive(Debug)]
pub struct Connected {
    /// Moves the bytes.
    pub relay: Relay,
    /// The upstream's slot.
    pub slot: Slot,
    /// What counts the session.
    pub counted: Counted,
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

impl From<Limited> for Parting {
    fn from(limited: Limited) -> Self {
        Trouble::from(limited).into()
    }
}

impl From<Box<Self>> for Parting {
    fn from(parting: Box<Self>) -> Self {
        *parting
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
    let Accepted { link, client, server, door, connection, service, slot, orders, presence } = accepted;
    let held = Held { orders, slot, _presence: presence };
    let mut teller = Teller::new(Arc::clone(service.log.of(client)), connection, client, server);
    teller.tell_while(Action::Initializing, &Event::Connected);
    // What only some sessions need, or only for a moment, is boxed: a client that was greeted and says nothing holds no
    // room for it.
    match Box::pin(preface::complete(link, client, door, service, &mut teller)).await {
        Ok(prefaced) => {
            let waiting = Waiting::greet(prefaced);
            Attempt { waiting, teller, held }.go_on().await;
        }
        Err(parting) => parting.say(&mut teller).await,
    }
}

impl Parting {
    async fn say(self, teller: &mut Teller) {
        teller.tell(&Event::Trouble(&self.trouble));
        Box::pin(self.word.say()).await;
    }
}

/// A session whose client is not logged in yet.
struct Attempt {
    waiting: Box<Waiting>,
    teller: Teller,
    held: Held,
}

impl Attempt {
    /// From the greeting, or where it was before it rested, to a session with an upstream.
    async fn go_on(mut self) {
        let connected = match login::authorise(self.waiting, &mut self.teller).await {
            Ok(Turn::Authorised(authorised)) => match limit::admit(authorised, &self.teller) {
                Ok(admitted) => {
                    Box::pin(upstream::open(admitted, self.held.slot.all(), &mut self.teller)).await
                }
                Err(limited) => Err(limited.into()),
            },
            Ok(Turn::Silent(waiting)) => return Self { waiting, ..self }.rest(),
            Err(parting) => Err(parting),
        };
        match connected {
            // The relay is a task of its own: what the login needed is freed when this one ends.
            Ok(connected) => {
                self.teller.begin(Action::None);
                self.teller.tell(&Event::LoggedIn);
                drop(tokio::spawn(Proxied { connected, teller: self.teller, held: self.held }.run()));
            }
            Err(parting) => parting.say(&mut self.teller).await,
        }
    }

    /// Rests until the client speaks, or its time has come.
    fn rest(mut self) {
        let until = self.waiting.until();
        if let Err(source) = self.waiting.link().rest() {
            return unrested(&self.teller, source);
        }
        self.teller.settle();
        let Self { waiting, teller, held } = self;
        let sleeper: Box<dyn Sleeper> = match waiting.greeted() {
            Ok(greeted) => Box::new(Newcomer { greeted, teller: teller.into_origin(), held }),
            Err(waiting) => Box::new(Self { waiting, teller, held }),
        };
        rest::begin(sleeper, until);
    }
}

impl Sleeper for Attempt {
    fn sockets(&self) -> [Option<BorrowedFd<'_>>; 2] {
        [self.waiting.resting(), None]
    }

    fn is_called(&self) -> bool {
        false
    }

    fn wake(mut self: Box<Self>) {
        match self.waiting.link().wake() {
            Ok(()) => drop(tokio::spawn(self.go_on())),
            Err(source) => unrested(&self.teller, source),
        }
    }
}

/// A session at rest of which there is nothing to be known but where it came from.
struct Newcomer {
    greeted: Greeted,
    teller: Origin,
    held: Held,
}

impl Sleeper for Newcomer {
    fn sockets(&self) -> [Option<BorrowedFd<'_>>; 2] {
        [Some(self.greeted.resting()), None]
    }

    fn is_called(&self) -> bool {
        false
    }

    fn wake(self: Box<Self>) {
        let Self { greeted, teller, held } = *self;
        Box::new(Attempt { waiting: greeted.waiting(), teller: teller.into(), held }).wake();
    }
}

/// The end of a session whose socket fails it when it is to rest or to wake.
fn unrested(teller: &Teller, source: io::Error) {
    teller.tell(&Event::Trouble(&Trouble::Client { call: Call::Recv, source }));
}

/// A session with an upstream.
struct Proxied {
    connected: Connected,
    teller: Teller,
    held: Held,
}

impl Proxied {
    /// From login, or where it was before it rested, to the end: moves bytes until one side is done.
    ///
    /// An `async fn` would keep its argument twice in the future that idle sessions are made of.
    #[expect(clippy::manual_async_fn, reason = "the future captures its argument, and does not copy it")]
    fn run(mut self) -> impl Future<Output = ()> + Send {
        async move {
            let ended = tokio::select! {
                ended = self.connected.relay.run() => ended,
                Ok(_) = self.held.orders.wait_for(|order| *order >= Order::Cut) => {
                    let trouble = Trouble::ShutdownTimeout;
                    self.teller.tell_while(Action::Proxying, &Event::Trouble(&trouble));
                    return;
                }
            };
            if matches!(ended, Ok(Stop::Silence)) {
                self.rest();
            } else if self.is_done(ended) {
                self.teller.tell(&Event::Done);
                Box::pin(farewell(self.connected.relay.into_client())).await;
            }
        }
    }

    /// Whether the relay has done its work; if not, what was in its way is told.
    fn is_done(&self, ended: Result<Stop, relay::Broken>) -> bool {
        ended.map_or_else(
            |broken| {
                self.teller.tell_while(broken.action, &Event::Trouble(&broken.trouble));
                broken.done
            },
            |_| true,
        )
    }

    /// Rests until one of the sides speaks, its time has come or an order is given.
    fn rest(mut self) {
        if let Err(source) = self.connected.relay.rest() {
            return unrested(&self.teller, source);
        }
        self.teller.settle();
        let until = self.connected.relay.deadline();
        rest::begin(Box::new(self), until);
    }
}

impl Sleeper for Proxied {
    fn sockets(&self) -> [Option<BorrowedFd<'_>>; 2] {
        self.connected.relay.resting()
    }

    fn is_called(&self) -> bool {
        *self.held.orders.borrow() >= Order::Cut
    }

    fn wake(mut self: Box<Self>) {
        match self.connected.relay.wake() {
            Ok(()) => drop(tokio::spawn(self.run())),
            Err(source) => unrested(&self.teller, source),
        }
    }
}

/// How long, and for how many bytes, a client is listened to that has been told all.
const LINGER: (Duration, usize) = (Duration::from_secs(2), 256 * 1024);

/// Ends a connection so that the last words arrive.
pub async fn farewell(link: Link) {
    let (patience, most) = LINGER;
    let _ = timeout(patience, link.part(most)).await;
}
