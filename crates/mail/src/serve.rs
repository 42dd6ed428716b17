//! The serving threads: each has its own runtime, its own sockets, its own sessions.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use socket2::Socket;
use tokio::runtime;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use crate::address::{ClientAddr, Endpoint};
use crate::event::ProcessEvent;
use crate::generation::Generation;
use crate::link::Link;
use crate::listener::{self, Bound, Listener};
use crate::session::{self, Accepted};
use crate::settings::{Door, Listen};
use crate::slots::Slots;

/// What the serving threads are to do; later ones are stronger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Order {
    /// Accept and serve.
    Serve,
    /// Accept nothing more; go when the last session has ended.
    Drain,
    /// End proxied sessions too (`worker_shutdown_timeout`).
    Cut,
    /// Go at once.
    Stop,
}

/// The serving threads.
#[derive(Debug)]
pub struct Workers {
    threads: Vec<JoinHandle<()>>,
    orders: watch::Sender<Order>,
}

/// What all threads share.
#[derive(Debug)]
struct Shared {
    generation: Generation,
    slots: Arc<Slots>,
    /// Numbers of connections in the log, from 1.
    connections: AtomicU64,
    begun: Instant,
    /// The second, from 1, in which the lack of slots was last said.
    complained: AtomicU64,
    orders: watch::Receiver<Order>,
}

impl Workers {
    /// Starts `threads` of them on `sockets`.
    pub fn start(
        generation: Generation,
        mut sockets: Vec<Bound>,
        threads: usize,
        slots: Arc<Slots>,
    ) -> io::Result<Self> {
        let (sender, orders) = watch::channel(Order::Serve);
        let shared = Arc::new(Shared {
            generation,
            slots,
            connections: AtomicU64::new(1),
            begun: Instant::now(),
            complained: AtomicU64::new(0),
            orders,
        });
        let mut workers = Self { threads: Vec::new(), orders: sender };
        for number in 0..threads {
            let sockets: Vec<_> = sockets.iter_mut().filter_map(Bound::share).collect();
            let shared = Arc::clone(&shared);
            let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
            let serve = move || {
                runtime.block_on(serve(shared, sockets));
                // A name that is being looked up must not hold up the end.
                runtime.shutdown_background();
            };
            workers.threads.push(thread::Builder::new().name(format!("serve-{number}")).spawn(serve)?);
        }
        Ok(workers)
    }

    /// Orders can only get stronger; a weaker one than the last changes nothing.
    pub fn order(&self, order: Order) {
        self.orders.send_if_modified(|current| {
            let stronger = order > *current;
            *current = order.max(*current);
            stronger
        });
    }

    /// Waits until all threads have gone.
    pub async fn gone(&self) {
        if self.threads.is_empty() {
            // `worker_processes 0` serves nobody, until it is told to stop.
            let mut orders = self.orders.subscribe();
            let _ = orders.wait_for(|order| *order >= Order::Drain).await;
        }
        self.orders.closed().await;
    }

    /// Joins the threads; they must have been ordered to go.
    pub fn join(self) {
        for thread in self.threads {
            // A panic has been reported where it happened.
            let _ = thread.join();
        }
    }
}

impl Bound {
    /// A socket for one thread and what it listens for.
    fn share(&mut self) -> Option<(Arc<Listen>, Socket)> {
        let socket = self.take()?;
        Some((Arc::clone(&self.listen), socket))
    }
}

/// One thread's work, until it is ordered to go.
async fn serve(shared: Arc<Shared>, sockets: Vec<(Arc<Listen>, Socket)>) {
    let mut orders = shared.orders.clone();
    // Every session holds a sender, so that the last one's end is seen.
    let (alive, mut all_gone) = mpsc::channel::<Infallible>(1);
    let mut acceptors = JoinSet::new();
    for (listen, socket) in sockets {
        match Listener::new(socket, &listen.endpoint) {
            Ok(listener) => {
                acceptors.spawn(accept(listener, listen, Arc::clone(&shared), alive.clone()));
            }
            Err(error) => {
                shared.tell(&listen, &ProcessEvent::AcceptFailed { error: &error, listen: &listen });
            }
        }
    }
    drop(alive);
    let _ = orders.wait_for(|order| *order >= Order::Drain).await;
    acceptors.shutdown().await;
    tokio::select! {
        _ = all_gone.recv() => {}
        _ = orders.wait_for(|order| *order >= Order::Stop) => {}
    }
}

/// Accepts from one socket for as long as the thread serves.
async fn accept(
    listener: Listener,
    listen: Arc<Listen>,
    shared: Arc<Shared>,
    alive: mpsc::Sender<Infallible>,
) {
    loop {
        match listener.accept().await {
            Ok((link, client)) => admit(link, client, &listen, &shared, &alive),
            Err(error) => {
                shared.tell(&listen, &ProcessEvent::AcceptFailed { error: &error, listen: &listen });
                if listener::is_shortage(&error) {
                    tokio::time::sleep(listener::PAUSE).await;
                }
            }
        }
    }
}

/// Begins a session, if there is room for it; otherwise its connection is closed without a byte (as the originals).
fn admit(
    link: Link,
    client: ClientAddr,
    listen: &Arc<Listen>,
    shared: &Arc<Shared>,
    alive: &mpsc::Sender<Infallible>,
) {
    let Some(slot) = shared.slots.take() else {
        if shared.may_complain() {
            shared.tell(listen, &ProcessEvent::NoSlot { limit: shared.slots.limit() });
        }
        return;
    };
    let (door, server) = door(&link, listen);
    tokio::spawn(session::run(Accepted {
        link,
        client,
        server,
        door,
        connection: shared.connections.fetch_add(1, Ordering::Relaxed),
        service: Arc::clone(&shared.generation.services[door.server]),
        slots: Arc::clone(&shared.slots),
        slot,
        orders: shared.orders.clone(),
        alive: alive.clone(),
    }));
}

impl Shared {
    /// Whether it is a second or more since it was said that there are no slots: clients must not fill the log.
    fn may_complain(&self) -> bool {
        let now = self.begun.elapsed().as_secs() + 1;
        self.complained.fetch_max(now, Ordering::Relaxed) < now
    }

    /// Tells the log of the first server of a listening socket.
    fn tell(&self, listen: &Listen, event: &ProcessEvent<'_>) {
        event.tell(&self.generation.services[listen.door.server].log);
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
