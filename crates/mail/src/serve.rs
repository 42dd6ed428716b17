//! The serving threads, and the generations that they serve.
//!
//! Each thread has its own runtime and its own sessions. A new generation takes the place of the one before while
//! all threads go on: new sessions begin with the new one, old sessions keep the old one.

mod balance;
mod thread;

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Instant;

use system::ring::Ring;
use tokio::sync::watch;

use self::balance::Seat;
use self::thread::{Share, Task};
use crate::event::ProcessEvent;
use crate::generation::Generation;
use crate::link;
use crate::listener::Bound;
use crate::settings::Listen;
use crate::slots::Slots;

pub use self::balance::Presence;

/// What sessions and threads are to do; later ones are stronger.
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

/// What a thread does before it serves, told its number from 0.
pub type Prepare = Box<dyn Fn(usize) + Send + Sync>;

/// The serving threads.
#[derive(Debug)]
pub struct Workers {
    threads: Vec<Thread>,
    shared: Arc<Shared>,
    /// The generation that new sessions begin with.
    current: Option<Arc<Running>>,
    /// Those that have still sessions, and perhaps some that have none any more.
    old: Vec<Retired>,
}

/// A generation that no session begins with any more.
#[derive(Debug, Clone)]
pub struct Retired {
    orders: Arc<watch::Sender<Order>>,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Thread {
    seat: Seat,
    handle: JoinHandle<()>,
}

/// What all threads share, whatever the generation.
struct Shared {
    slots: Arc<Slots>,
    /// Numbers of connections in the log, from 1.
    connections: AtomicU64,
    /// What the threads are to do; never [`Order::Cut`], which is for sessions.
    orders: watch::Sender<Order>,
    /// Sent when sessions at rest have to look at their orders.
    calls: watch::Sender<()>,
    /// When it was last said that there are no slots, in seconds from `start`, from 1; 0: never.
    no_slot: AtomicU64,
    start: Instant,
    prepare: Prepare,
    /// For threads to come.
    rings: Mutex<Vec<Ring>>,
}

/// A generation with what its sessions are told.
#[derive(Debug)]
struct Running {
    generation: Generation,
    orders: Arc<watch::Sender<Order>>,
}

impl Workers {
    /// No threads yet. All sessions together hold at most `slots`; every thread begins with `prepare`, and takes one of
    /// `rings` while there are any.
    pub fn new(slots: Arc<Slots>, prepare: Prepare, rings: Vec<Ring>) -> Self {
        let shared = Shared {
            slots,
            connections: AtomicU64::new(1),
            orders: watch::Sender::new(Order::Serve),
            calls: watch::Sender::default(),
            no_slot: AtomicU64::new(0),
            start: Instant::now(),
            prepare,
            rings: Mutex::new(rings),
        };
        Self { threads: Vec::new(), shared: Arc::new(shared), current: None, old: Vec::new() }
    }

    /// Lets `threads` threads accept from `sockets` for `generation` from now on, and returns the generation before.
    ///
    /// Missing threads are started; surplus ones serve the sessions that they have. On an error nothing has changed,
    /// but that there may be more threads.
    pub fn install(
        &mut self,
        generation: Generation,
        sockets: &[Bound],
        threads: usize,
    ) -> io::Result<Option<Retired>> {
        while self.threads.len() < threads {
            let thread = Thread::start(self.threads.len(), Arc::clone(&self.shared))?;
            self.threads.push(thread);
        }
        let mut shares: Vec<Share> = (0..threads).map(|_| Vec::new()).collect();
        for bound in sockets {
            bound.hand_out(&mut shares)?;
        }
        let orders = Arc::new(watch::Sender::new(Order::Serve));
        let running = Arc::new(Running { generation, orders });
        let seats: Arc<[Seat]> = self.threads[..threads].iter().map(|thread| thread.seat.clone()).collect();
        let mut shares = shares.into_iter();
        for (number, thread) in self.threads.iter().enumerate() {
            let (share, seats) = (shares.next().unwrap_or_default(), Arc::clone(&seats));
            thread.seat.tell(Task::Open { running: Arc::clone(&running), share, seats, number });
        }
        let before = self.current.replace(running).map(|running| self.retire(&running));
        self.old.retain(Retired::has_sessions);
        self.old.extend(before.clone());
        Ok(before)
    }

    /// The slots of all sessions.
    pub fn slots(&self) -> &Arc<Slots> {
        &self.shared.slots
    }

    /// How many sessions there are.
    pub fn sessions(&self) -> usize {
        self.threads.iter().map(|thread| thread.seat.sessions()).sum()
    }

    /// Orders can only get stronger; a weaker one than the last changes nothing.
    pub fn order(&self, order: Order) {
        if order == Order::Cut {
            self.old.iter().for_each(Retired::cut);
            self.current.iter().for_each(|running| self.retire(running).cut());
        } else {
            strengthen(&self.shared.orders, order);
        }
    }

    fn retire(&self, running: &Running) -> Retired {
        Retired { orders: Arc::clone(&running.orders), shared: Arc::clone(&self.shared) }
    }

    /// Waits until all threads have gone.
    pub async fn gone(&self) {
        let orders = &self.shared.orders;
        if self.threads.is_empty() {
            // `worker_processes 0` serves nobody, until it is told to stop.
            let _ = orders.subscribe().wait_for(|order| *order >= Order::Drain).await;
        }
        orders.closed().await;
    }

    /// Joins the threads; they must have been ordered to go.
    pub fn join(self) {
        for thread in self.threads {
            // A panic has been reported where it happened.
            let _ = thread.handle.join();
        }
    }
}

impl Retired {
    /// Ends its proxied sessions.
    pub fn cut(&self) {
        strengthen(&self.orders, Order::Cut);
        self.shared.calls.send_replace(());
    }

    /// Whether it still has any session.
    pub fn has_sessions(&self) -> bool {
        self.orders.receiver_count() > 0
    }
}

fn strengthen(orders: &watch::Sender<Order>, order: Order) {
    orders.send_if_modified(|current| {
        let stronger = order > *current;
        *current = order.max(*current);
        stronger
    });
}

/// Rings for `threads` threads. Made before a process locks itself in: nobody can have one later.
pub fn rings(threads: usize) -> Vec<Ring> {
    (0..threads).map(|_| Ring::new(link::BATCH)).collect()
}

impl Shared {
    fn ring(&self) -> Ring {
        self.rings.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_else(Ring::plain)
    }

    /// Says that there is no slot, at most once a second.
    fn tell_no_slot(&self, running: &Running, listen: &Listen) {
        let now = self.start.elapsed().as_secs() + 1;
        if self.no_slot.swap(now, Ordering::Relaxed) != now {
            running.tell(listen, &ProcessEvent::NoSlot { limit: self.slots.limit() });
        }
    }
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("slots", &self.slots).finish_non_exhaustive()
    }
}

impl Running {
    /// Tells the log of the first server of a listening socket.
    fn tell(&self, listen: &Listen, event: &ProcessEvent<'_>) {
        event.tell(self.generation.services[listen.door.server].log.usual());
    }
}

#[cfg(test)]
mod tests;
