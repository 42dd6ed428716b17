//! One serving thread: accepts, begins sessions, and hands clients over to threads that have less to do.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;

use socket2::Socket;
use tokio::runtime;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::balance::{self, Presence, Seat};
use super::{Order, Running, Shared, Thread};
use crate::address::{ClientAddr, Endpoint};
use crate::event::ProcessEvent;
use crate::link::{self, Link, Loose};
use crate::listener::{self, Bound, Listener};
use crate::rest;
use crate::session::{self, Accepted};
use crate::settings::{Door, Listen};
use crate::slots::Slot;

/// Sockets for one thread, and what they listen for.
pub(super) type Share = Vec<(Arc<Listen>, Socket)>;

/// What a thread can be told to do.
#[derive(Debug)]
pub(super) enum Task {
    /// Accept from these sockets and no others.
    Open {
        /// Whose sessions begin.
        running: Arc<Running>,
        /// Where clients come from; nowhere, for a thread that is one too many.
        share: Share,
        /// All threads that accept.
        seats: Arc<[Seat]>,
        /// Which of them this one is.
        number: usize,
    },
    /// Serve a client that another thread has accepted.
    Arrive(Arrival),
}

/// A client on its way from one thread to another.
#[derive(Debug)]
pub(super) struct Arrival {
    stream: Loose,
    visit: Visit,
}

/// All about a client but its stream.
#[derive(Debug)]
struct Visit {
    client: ClientAddr,
    connection: u64,
    running: Arc<Running>,
    listen: Arc<Listen>,
    slot: Slot,
    presence: Presence,
}

/// What an acceptor works with.
struct Acceptor {
    shared: Arc<Shared>,
    running: Arc<Running>,
    listen: Arc<Listen>,
    seats: Arc<[Seat]>,
    number: usize,
}

impl Thread {
    pub(super) fn start(number: usize, shared: Arc<Shared>) -> io::Result<Self> {
        let (seat, inbox) = Seat::new();
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        let own = seat.clone();
        let work = move || {
            (shared.prepare)(number);
            runtime.spawn(link::deliver(shared.ring()));
            runtime.spawn(keep_sleepers(shared.calls.subscribe()));
            runtime.block_on(serve(own, inbox, &shared));
            // A name that is being looked up must not hold up the end.
            runtime.shutdown_background();
        };
        let handle = thread::Builder::new().name(format!("serve-{number}")).spawn(work)?;
        Ok(Self { seat, handle })
    }
}

impl Bound {
    /// Gives each thread a socket; with `reuseport` no socket is left without a thread.
    pub(super) fn hand_out(&self, share: &mut [Share]) -> io::Result<()> {
        let (threads, sockets) = (share.len(), self.sockets());
        if threads == 0 {
            return Ok(());
        }
        for turn in 0..threads.max(sockets.len()) {
            let Some(socket) = sockets.get(turn % sockets.len().max(1)) else { break };
            share[turn % threads].push((Arc::clone(&self.listen), socket.try_clone()?));
        }
        Ok(())
    }
}

/// A thread's work, until it is ordered to go.
async fn serve(seat: Seat, mut inbox: UnboundedReceiver<Task>, shared: &Arc<Shared>) {
    let mut orders = shared.orders.subscribe();
    let mut acceptors = JoinSet::new();
    loop {
        tokio::select! {
            task = inbox.recv() => match task {
                Some(Task::Open { running, share, seats, number }) => {
                    acceptors.shutdown().await;
                    open(share, &mut acceptors, |listen| Acceptor {
                        shared: Arc::clone(shared),
                        running: Arc::clone(&running),
                        listen,
                        seats: Arc::clone(&seats),
                        number,
                    });
                }
                Some(Task::Arrive(arrival)) => arrival.begin(),
                None => break,
            },
            _ = orders.wait_for(|order| *order >= Order::Drain) => break,
        }
    }
    acceptors.shutdown().await;
    inbox.close();
    // Clients that were handed over before the door was closed.
    while let Some(task) = inbox.recv().await {
        if let Task::Arrive(arrival) = task {
            arrival.begin();
        }
    }
    tokio::select! {
        () = seat.empty() => {}
        _ = orders.wait_for(|order| *order >= Order::Stop) => {}
    }
}

/// Looks after the thread's sessions at rest, and wakes those that have been called whenever there is a call.
async fn keep_sleepers(mut calls: watch::Receiver<()>) {
    let call = async {
        while calls.changed().await.is_ok() {
            rest::call();
        }
    };
    tokio::select! {
        // Without a table no session rests, and all goes on as well.
        _ = rest::watch() => {}
        () = call => {}
    }
}

fn open(share: Share, acceptors: &mut JoinSet<()>, acceptor: impl Fn(Arc<Listen>) -> Acceptor) {
    for (listen, socket) in share {
        let acceptor = acceptor(Arc::clone(&listen));
        match Listener::new(socket, &listen.endpoint) {
            Ok(listener) => {
                acceptors.spawn(acceptor.run(listener));
            }
            Err(error) => acceptor.failed(&error),
        }
    }
}

impl Acceptor {
    /// Accepts for as long as the generation is the current one.
    async fn run(self, listener: Listener) {
        let speaks_first = self.listen.speaks_first();
        loop {
            match listener.accept(speaks_first).await {
                Ok((link, client)) => self.admit(link, client),
                Err(error) => {
                    self.failed(&error);
                    if listener::is_shortage(&error) {
                        tokio::time::sleep(listener::PAUSE).await;
                    }
                }
            }
        }
    }

    fn failed(&self, error: &io::Error) {
        let listen = &*self.listen;
        self.running.tell(listen, &ProcessEvent::AcceptFailed { error, listen });
    }

    /// Begins a session if there is room for it; otherwise its connection is closed without a byte (as the
    /// originals).
    fn admit(&self, link: Link, client: ClientAddr) {
        let Some(slot) = self.shared.slots.take() else {
            self.shared.tell_no_slot(&self.running, &self.listen);
            return;
        };
        let chosen = balance::choose(&self.seats, self.number);
        let visit = Visit {
            client,
            connection: self.shared.connections.fetch_add(1, Ordering::Relaxed),
            running: Arc::clone(&self.running),
            listen: Arc::clone(&self.listen),
            slot,
            presence: self.seats[chosen].sit(),
        };
        if chosen == self.number {
            visit.begin(link);
            return;
        }
        match link.loosen() {
            Ok(stream) => self.hand_over(Arrival { stream, visit }, chosen),
            Err(error) => self.failed(&error),
        }
    }

    fn hand_over(&self, arrival: Arrival, chosen: usize) {
        if let Err(Task::Arrive(mut arrival)) = self.seats[chosen].offer(Task::Arrive(arrival)) {
            arrival.visit.presence = self.seats[self.number].sit();
            arrival.begin();
        }
    }
}

impl Arrival {
    fn begin(self) {
        let mut link = Link::from(self.stream);
        match link.wake() {
            Ok(()) => self.visit.begin(link),
            Err(error) => {
                let listen = &*self.visit.listen;
                self.visit.running.tell(listen, &ProcessEvent::AcceptFailed { error: &error, listen });
            }
        }
    }
}

impl Visit {
    fn begin(self, link: Link) {
        let (door, server) = door(&link, &self.listen);
        tokio::spawn(session::run(Box::new(Accepted {
            link,
            client: self.client,
            server,
            door,
            connection: self.connection,
            service: Arc::clone(&self.running.generation.services[door.server]),
            slot: self.slot,
            orders: self.running.orders.subscribe(),
            presence: self.presence,
        })));
    }
}

/// What a connection has come to, by its local address where one socket stands for several, and that address as
/// configured.
fn door(link: &Link, listen: &Listen) -> (Door, Endpoint) {
    let local = if listen.exact.is_empty() { None } else { link.local_addr() };
    let exact = local.and_then(|local| listen.exact.iter().find(|(addr, _)| *addr == local));
    match exact {
        Some((addr, door)) => (*door, Endpoint::Tcp(*addr)),
        None => (listen.door, listen.endpoint.clone()),
    }
}
