//! The life of a session, on one screen.
//!
//! Each step consumes one value and returns the next, so nothing can be relayed that was not authorised.

use std::io;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::sync::Arc;
use std::time::Duration;

use proto::LoginAnswer;
use tokio::sync::watch;
use tokio::time::timeout;

use crate::address::{ClientAddr, Endpoint};
use crate::event::Event;
use crate::generation::Service;
use crate::limit::{self, Counted, Limited};
use crate::link::{Link, Loose};
use crate::login::{Authorised, Greeted, Turn, Waiting};
use crate::relay::{self, Relay, Stop};
use crate::rest::{self, Sleeper};
use crate::serve::{Order, Presence};
use crate::settings::Door;
use crate::slots::Slot;
use crate::teller::{Action, Teller};
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
    pub server: Arc<Endpoint>,
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
    teller: Teller,
    ties: Ties,
}

/// What ties a session to those around it.
#[derive(Debug)]
struct Ties {
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

impl From<Trouble> for Box<Parting> {
    fn from(trouble: Trouble) -> Self {
        Self::new(trouble.into())
    }
}

impl Word {
    async fn say(self) {
        match self {
            Self::None => {}
            Self::Sent(link) => link.farewell().await,
            Self::Answer(authorised, answer) => Box::pin(login::last_word(*authorised, answer)).await,
        }
    }
}

/// Serves one client from its first byte to its last.
///
/// What only some sessions need, or only for a moment, is boxed: a client that was greeted and says nothing holds no room
/// for it.
pub async fn run(accepted: Box<Accepted>) {
    match Box::pin(begin(accepted)).await {
        Some(Begun::Newcomer(newcomer, link)) => newcomer.listen(link).await,
        Some(Begun::Attempt(attempt)) => Box::pin(attempt.go_on()).await,
        None => {}
    }
}

/// A session whose client may speak.
enum Begun {
    /// It has been greeted.
    Newcomer(Box<Newcomer>, Link),
    /// It is to be greeted, and more is known of it.
    Attempt(Attempt),
}

/// From accept to the greeting.
async fn begin(accepted: Box<Accepted>) -> Option<Begun> {
    let Accepted { link, client, server, door, connection, service, slot, orders, presence } = *accepted;
    let teller = Teller::new(Arc::clone(service.log.of(client)), connection, client, server);
    let mut held = Box::new(Held { teller, ties: Ties { orders, slot, _presence: presence } });
    held.teller.tell_while(Action::Initializing, &Event::Connected);
    let waiting = match preface::complete(link, client, door, service, &mut held.teller).await {
        Ok(prefaced) => Waiting::greet(prefaced),
        Err(parting) => {
            parting.say(&held.teller).await;
            return None;
        }
    };
    match waiting.hail(&mut held.teller).await {
        Ok(Ok((link, greeted))) => Some(Begun::Newcomer(Box::new(Newcomer::new(greeted, *held)), link)),
        Ok(Err(waiting)) => Some(Begun::Attempt(Attempt { waiting, held })),
        Err(trouble) => {
            held.teller.tell(&Event::Trouble(&trouble));
            None
        }
    }
}

impl Parting {
    async fn say(self, teller: &Teller) {
        teller.tell(&Event::Trouble(&self.trouble));
        self.word.say().await;
    }
}

/// A session whose client is not logged in yet.
struct Attempt {
    waiting: Box<Waiting>,
    held: Box<Held>,
}

impl Attempt {
    /// From the greeting, or where it was before it rested, to a session with an upstream.
    async fn go_on(self) {
        let Self { waiting, mut held } = self;
        match login::authorise(waiting, &mut held.teller).await {
            Ok(Turn::Authorised(authorised)) => Box::pin(log_in(authorised, held)).await,
            Ok(Turn::Silent(waiting)) => Self { waiting, held }.rest(),
            Err(parting) => Box::pin(parting.say(&held.teller)).await,
        }
    }

    /// Rests until the client speaks, or its time has come.
    fn rest(self) {
        let Self { waiting, mut held } = self;
        match waiting.greeted(&held.teller) {
            Ok((link, greeted)) => Newcomer::new(greeted, *held).rest(link),
            Err(mut waiting) => {
                if let Err(source) = waiting.link().rest() {
                    return unrested(&held.teller, source);
                }
                held.teller.settle();
                let until = waiting.until();
                rest::begin(Box::new(Self { waiting, held }), until);
            }
        }
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
            Err(source) => unrested(&self.held.teller, source),
        }
    }
}

/// What is known of a session whose client has only been greeted.
struct Newcomer {
    greeted: Greeted,
    connection: u64,
    server: Arc<Endpoint>,
    ties: Ties,
}

/// A newcomer at rest.
struct Dormant {
    link: Loose,
    newcomer: Newcomer,
}

impl Newcomer {
    fn new(greeted: Greeted, Held { teller, ties }: Held) -> Self {
        let (connection, server) = teller.into_origin();
        Self { greeted, connection, server, ties }
    }

    /// From the greeting to the first byte, or to a rest.
    async fn listen(self: Box<Self>, mut link: Link) {
        if self.greeted.is_silent(&mut link).await {
            self.rest(link);
        } else {
            Box::pin(self.attempt(link).go_on()).await;
        }
    }

    fn rest(self, link: Link) {
        let until = self.greeted.until();
        match link.loosen() {
            Ok(link) => rest::begin(Box::new(Dormant { link, newcomer: self }), until),
            Err(source) => unrested(&self.teller(), source),
        }
    }

    fn teller(&self) -> Teller {
        let (log, client) = (self.greeted.log(), self.greeted.client());
        let mut teller = Teller::new(log, self.connection, client, Arc::clone(&self.server));
        teller.resume(Action::Greeting);
        teller
    }

    /// The same with all that a login needs.
    fn attempt(self, link: Link) -> Attempt {
        let teller = self.teller();
        let Self { greeted, ties, .. } = self;
        Attempt { waiting: greeted.waiting(link), held: Box::new(Held { teller, ties }) }
    }
}

impl Sleeper for Dormant {
    fn sockets(&self) -> [Option<BorrowedFd<'_>>; 2] {
        [Some(self.link.as_fd()), None]
    }

    fn is_called(&self) -> bool {
        false
    }

    fn wake(self: Box<Self>) {
        let Self { link, newcomer } = *self;
        Box::new(newcomer.attempt(link.into())).wake();
    }
}

/// The end of a session whose socket fails it when it is to rest or to wake.
fn unrested(teller: &Teller, source: io::Error) {
    teller.tell(&Event::Trouble(&Trouble::Client { call: Call::Recv, source }));
}

/// From a client that is authorised to a session with an upstream.
async fn log_in(authorised: Box<Authorised>, mut held: Box<Held>) {
    let connected = match limit::admit(authorised, &held.teller) {
        Ok(admitted) => upstream::open(admitted, held.ties.slot.all(), &mut held.teller).await,
        Err(limited) => Err(*limited),
    };
    match connected {
        // The relay is a task of its own: what the login needed is freed when this one ends.
        Ok(connected) => {
            held.teller.begin(Action::None);
            held.teller.tell(&Event::LoggedIn);
            drop(tokio::spawn(Proxied { connected, held }.run()));
        }
        Err(parting) => parting.say(&held.teller).await,
    }
}

/// A session with an upstream.
struct Proxied {
    connected: Connected,
    held: Box<Held>,
}

impl Proxied {
    /// From login, or where it was before it rested, to the end: moves bytes until one side is done.
    ///
    /// An `async fn` would keep its argument twice in the future that idle sessions are made of.
    #[expect(clippy::manual_async_fn, reason = "the future captures its argument, and does not copy it")]
    fn run(mut self) -> impl Future<Output = ()> + Send {
        async move {
            let Held { teller, ties } = &mut *self.held;
            let ended = tokio::select! {
                // Before the relay: nobody goes to rest who has been called.
                biased;
                Ok(_) = ties.orders.wait_for(|order| *order >= Order::Cut) => {
                    let trouble = Trouble::ShutdownTimeout;
                    teller.tell_while(Action::Proxying, &Event::Trouble(&trouble));
                    return;
                }
                ended = self.connected.relay.run() => ended,
            };
            if matches!(ended, Ok(Stop::Silence)) {
                return self.rest();
            }
            let (may_hear, is_whole) = (may_hear(&ended), ended.is_ok());
            if is_done(ended, teller) {
                teller.tell(&Event::Done);
            }
            if may_hear && let Some((rest, client)) = self.part(is_whole) {
                Box::pin(rest.see_off(client)).await;
            }
        }
    }

    /// Ends the connection to the upstream, and the client's if that can be done at once; otherwise the client is to be seen
    /// off. `is_whole`: all that it has said was passed on.
    fn part(self, is_whole: bool) -> Option<(Remainder, Link)> {
        let Self { connected: Connected { relay, counted, .. }, held } = self;
        let rest = Remainder { patience: relay.timeout(), ties: held.ties, _counted: counted };
        let (client, has_left) = relay.part();
        if has_left && is_whole {
            client.leave(|client| drop(tokio::spawn(rest.see_off(client))));
            return None;
        }
        Some((rest, client))
    }

    /// Rests until one of the sides speaks, its time has come or an order is given.
    fn rest(mut self) {
        if let Err(source) = self.connected.relay.rest() {
            return unrested(&self.held.teller, source);
        }
        self.held.teller.settle();
        let until = self.connected.relay.deadline();
        rest::begin(Box::new(self), until);
    }
}

/// Whether a relay has done its work; if not, what was in its way is told.
fn is_done(ended: Result<Stop, relay::Broken>, teller: &Teller) -> bool {
    ended.map_or_else(
        |broken| {
            teller.tell_while(broken.action, &Event::Trouble(&broken.trouble));
            broken.done
        },
        |_| true,
    )
}

/// Whether the client of a relay that has ended may still hear what was said to it.
const fn may_hear(ended: &Result<Stop, relay::Broken>) -> bool {
    match ended {
        Ok(_) => true,
        Err(broken) => matches!(broken.trouble, Trouble::Upstream(_)),
    }
}

impl Sleeper for Proxied {
    fn sockets(&self) -> [Option<BorrowedFd<'_>>; 2] {
        self.connected.relay.resting()
    }

    fn is_called(&self) -> bool {
        *self.held.ties.orders.borrow() >= Order::Cut
    }

    fn wake(mut self: Box<Self>) {
        match self.connected.relay.wake() {
            Ok(()) => drop(tokio::spawn(self.run())),
            Err(source) => unrested(&self.held.teller, source),
        }
    }
}

/// What is left of a session when its upstream has gone.
struct Remainder {
    /// `proxy_timeout`.
    patience: Duration,
    ties: Ties,
    _counted: Counted,
}

impl Remainder {
    /// Ends the client's connection so that all that it was told arrives. It may take as long to read as the relay would
    /// have let it.
    async fn see_off(mut self, mut client: Link) {
        client.linger().await;
        if client.is_settled() {
            return;
        }
        let settled = tokio::select! {
            biased;
            Ok(_) = self.ties.orders.wait_for(|order| *order >= Order::Cut) => false,
            settled = timeout(self.patience, client.settle()) => matches!(settled, Ok(Ok(()))),
        };
        if settled {
            client.linger().await;
        }
    }
}

#[cfg(test)]
mod tests;
