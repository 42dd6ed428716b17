//! Sessions at rest: those that have been silent for a while and owe nothing to anybody.
//!
//! Most sessions of a mail proxy wait most of the time. A session that waits as a task keeps its future and its sockets'
//! places in the runtime, one to four kilobytes. At rest it is what it must not forget and one line in its thread's
//! table, which watches all sockets with a single epoll of its own. The first byte, the end of either side, its deadline
//! or an order wakes it: then it is a task again and goes on where it was.
//!
//! Only serving threads have a table; elsewhere no session rests.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::future::poll_fn;
use std::io;
use std::mem;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::pin::{Pin, pin};
use std::sync::LazyLock;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use rustix::event::{Timespec, epoll};
use tokio::io::unix::AsyncFd;
use tokio::time::{Instant, Sleep, sleep_until};

/// Silence after which a session goes to rest. Long enough for a dialogue between programs never to get there.
pub const AFTER: Duration = Duration::from_secs(1);

/// Alarms of those who have woken before that may be listed beside twice as many as there are sleepers.
const MOST_STALE: usize = 256;

/// Events that are taken from the kernel at a time.
const EVENTS: usize = 256;

thread_local! {
    static TABLE: RefCell<Option<Table>> = const { RefCell::new(None) };
}

/// A moment to a tenth of a second, in a quarter of the room that an [`Instant`] takes. Never before the one that it was
/// made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment(u32);

/// What moments are counted from.
static DAWN: LazyLock<Instant> = LazyLock::new(Instant::now);

const MOMENT: Duration = Duration::from_millis(100);

impl Moment {
    /// `None`: it is years away.
    pub fn at(instant: Instant) -> Option<Self> {
        let count = instant.saturating_duration_since(*DAWN).as_nanos().div_ceil(MOMENT.as_nanos());
        u32::try_from(count).ok().map(Self)
    }
}

impl From<Moment> for Instant {
    fn from(Moment(count): Moment) -> Self {
        *DAWN + MOMENT * count
    }
}

/// A session that can rest.
pub trait Sleeper: Send {
    /// What may wake it.
    fn sockets(&self) -> [Option<BorrowedFd<'_>>; 2];

    /// Whether an order wakes it.
    fn is_called(&self) -> bool;

    /// Makes it a task again.
    fn wake(self: Box<Self>);
}

/// The sleepers of one thread.
struct Table {
    epoll: OwnedFd,
    places: Vec<Place>,
    /// Places that nobody has.
    free: Vec<u32>,
    /// Whom to wake when, in whole seconds from `born`. Those who have woken before stay listed for a while.
    alarms: BTreeMap<u64, Vec<Ticket>>,
    /// How many are listed.
    listed: usize,
    born: Instant,
    /// Wakes [`watch`] when there is an earlier alarm than it knows.
    watcher: Option<Waker>,
}

/// A place in the table.
#[derive(Default)]
struct Place {
    sleeper: Option<Box<dyn Sleeper>>,
    /// How many have had it before.
    serial: u32,
}

/// Who has a place, by its number and how many have had it before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Ticket {
    place: u32,
    serial: u32,
}

/// Keeps this thread's table: wakes whoever has to be woken. Never ends.
///
/// # Errors
///
/// The system has no epoll for us; then no session rests.
pub async fn watch() -> io::Result<()> {
    let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    #[expect(deprecated, reason = "an owned descriptor stays what it is for as long as it is registered")]
    let readable = AsyncFd::new(epoll.try_clone()?)?;
    TABLE.set(Some(Table::new(epoll)));
    let _closed = Closed;
    let mut clock = pin!(sleep_until(Instant::now()));
    poll_fn(|cx| {
        with(|table| table.watcher = Some(cx.waker().clone()));
        loop {
            let quiet = poll_events(&readable, cx)?.is_pending();
            if poll_alarms(clock.as_mut(), cx).is_pending() && quiet {
                return Poll::Pending;
            }
        }
    })
    .await
}

/// Closes the table, and ends whoever is still there, when dropped.
struct Closed;

impl Drop for Closed {
    fn drop(&mut self) {
        // Outside of the thread's table: sessions that end may come back to it.
        let table = TABLE.take();
        drop(table);
    }
}

/// Whether sessions of this thread can rest.
pub fn is_possible() -> bool {
    with(|_| ()).is_some()
}

/// Lets `sleeper` rest until something happens, but no longer than `until`: it may be woken up to a second earlier.
///
/// If it cannot rest, it is awake again at once.
pub fn begin(sleeper: Box<dyn Sleeper>, until: Instant) {
    let mut sleeper = Some(sleeper);
    with(|table| sleeper = sleeper.take().and_then(|sleeper| table.lay(sleeper, until).err()));
    if let Some(sleeper) = sleeper {
        sleeper.wake();
    }
}

/// Wakes all that are called.
pub fn call() {
    let called = with(|table| table.take_all(|sleeper| sleeper.is_called()));
    wake(called.unwrap_or_default());
}

fn wake(sleepers: Vec<Box<dyn Sleeper>>) {
    for sleeper in sleepers {
        sleeper.wake();
    }
}

/// Wakes those whose sockets have something to tell.
fn poll_events(readable: &AsyncFd<OwnedFd>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
    let mut ready = ready!(readable.poll_read_ready(cx))?;
    let mut events = Vec::with_capacity(EVENTS);
    epoll::wait(readable, rustix::buffer::spare_capacity(&mut events), Some(&Timespec::default()))?;
    if events.len() < EVENTS {
        // What is not taken now stays and shows again: the events of sockets are level-triggered.
        ready.clear_ready();
    }
    let tickets = events.iter().map(|event| Ticket::from(event.data.u64()));
    wake(with(|table| tickets.filter_map(|ticket| table.take(ticket)).collect()).unwrap_or_default());
    Poll::Ready(Ok(()))
}

/// Wakes those whose time has come.
fn poll_alarms(mut clock: Pin<&mut Sleep>, cx: &mut Context<'_>) -> Poll<()> {
    let Some(next) = with(|table| table.next_alarm()).flatten() else { return Poll::Pending };
    if clock.deadline() != next {
        clock.as_mut().reset(next);
    }
    ready!(clock.poll(cx));
    wake(with(Table::take_due).unwrap_or_default());
    Poll::Ready(())
}

/// Nothing if there is no table on this thread, or it is on its way out.
fn with<T>(use_it: impl FnOnce(&mut Table) -> T) -> Option<T> {
    TABLE.try_with(|table| table.try_borrow_mut().ok()?.as_mut().map(use_it)).ok().flatten()
}

impl Table {
    fn new(epoll: OwnedFd) -> Self {
        let (places, free) = (Vec::new(), Vec::new());
        let (alarms, born) = (BTreeMap::new(), Instant::now());
        Self { epoll, places, free, alarms, listed: 0, born, watcher: None }
    }

    /// Gives `sleeper` a place, or back.
    fn lay(&mut self, sleeper: Box<dyn Sleeper>, until: Instant) -> Result<(), Box<dyn Sleeper>> {
        let Some(ticket) = self.free_place() else { return Err(sleeper) };
        if self.listen(&*sleeper, ticket).is_err() {
            self.deafen(&*sleeper);
            self.free.push(ticket.place);
            return Err(sleeper);
        }
        self.place(ticket.place).sleeper = Some(sleeper);
        self.list(ticket, until);
        Ok(())
    }

    fn listen(&self, sleeper: &dyn Sleeper, ticket: Ticket) -> io::Result<()> {
        let events = epoll::EventFlags::IN | epoll::EventFlags::RDHUP;
        for socket in sleeper.sockets().into_iter().flatten() {
            epoll::add(&self.epoll, socket, ticket.into(), events)?;
        }
        Ok(())
    }

    fn deafen(&self, sleeper: &dyn Sleeper) {
        for socket in sleeper.sockets().into_iter().flatten() {
            // The worst of an error is an event whose ticket nobody has any more.
            let _ = epoll::delete(&self.epoll, socket);
        }
    }

    fn list(&mut self, ticket: Ticket, until: Instant) {
        if self.listed > MOST_STALE + 2 * (self.places.len() - self.free.len()) {
            let places = &self.places;
            self.alarms.retain(|_, tickets| {
                tickets.retain(|ticket| places[ticket.place as usize].serial == ticket.serial);
                tickets.shrink_to_fit();
                !tickets.is_empty()
            });
            self.listed = self.alarms.values().map(Vec::len).sum();
        }
        let second = until.saturating_duration_since(self.born).as_secs();
        let is_first = self.alarms.first_key_value().is_none_or(|(first, _)| second < *first);
        self.alarms.entry(second).or_default().push(ticket);
        self.listed += 1;
        if is_first && let Some(watcher) = &self.watcher {
            watcher.wake_by_ref();
        }
    }

    fn free_place(&mut self) -> Option<Ticket> {
        let place = if let Some(place) = self.free.pop() {
            place
        } else {
            self.places.push(Place::default());
            u32::try_from(self.places.len() - 1).ok()?
        };
        Some(Ticket { place, serial: self.place(place).serial })
    }

    fn place(&mut self, number: u32) -> &mut Place {
        &mut self.places[number as usize]
    }

    /// Who has this ticket, if nobody has woken them yet.
    fn take(&mut self, ticket: Ticket) -> Option<Box<dyn Sleeper>> {
        let place = self.places.get_mut(ticket.place as usize)?;
        if place.serial != ticket.serial {
            return None;
        }
        let sleeper = place.sleeper.take()?;
        place.serial = place.serial.wrapping_add(1);
        self.free.push(ticket.place);
        self.deafen(&*sleeper);
        Some(sleeper)
    }

    fn take_all(&mut self, wanted: impl Fn(&dyn Sleeper) -> bool) -> Vec<Box<dyn Sleeper>> {
        let wanted = |place: &Place| place.sleeper.as_deref().is_some_and(&wanted);
        let tickets: Vec<_> = (0..)
            .zip(&self.places)
            .filter(|(_, place)| wanted(place))
            .map(|(number, place)| Ticket { place: number, serial: place.serial })
            .collect();
        tickets.into_iter().filter_map(|ticket| self.take(ticket)).collect()
    }

    /// When somebody has to be woken next.
    fn next_alarm(&self) -> Option<Instant> {
        let (second, _) = self.alarms.first_key_value()?;
        Some(self.born + Duration::from_secs(*second))
    }

    fn take_due(&mut self) -> Vec<Box<dyn Sleeper>> {
        let now = self.born.elapsed().as_secs();
        let later = self.alarms.split_off(&(now + 1));
        let due = mem::replace(&mut self.alarms, later);
        self.listed -= due.values().map(Vec::len).sum::<usize>();
        due.into_values().flatten().filter_map(|ticket| self.take(ticket)).collect()
    }
}

impl From<Ticket> for epoll::EventData {
    fn from(Ticket { place, serial }: Ticket) -> Self {
        Self::new_u64(u64::from(place) << 32 | u64::from(serial))
    }
}

impl From<u64> for Ticket {
    fn from(data: u64) -> Self {
        let low = data & u64::from(u32::MAX);
        let half = |bits: u64| u32::try_from(bits).expect("half of the bits");
        Self { place: half(data >> 32), serial: half(low) }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::os::fd::AsFd as _;
    use std::os::unix::net::UnixStream;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::sync::{Arc, mpsc};

    use tokio::task::yield_now;
    use tokio::time::sleep;

    use super::*;

    /// Says its name when it is woken.
    struct Guest {
        name: u32,
        socket: UnixStream,
        called: Arc<AtomicBool>,
        woken: mpsc::Sender<u32>,
    }

    impl Sleeper for Guest {
        fn sockets(&self) -> [Option<BorrowedFd<'_>>; 2] {
            [Some(self.socket.as_fd()), None]
        }

        fn is_called(&self) -> bool {
            self.called.load(Ordering::Relaxed)
        }

        fn wake(self: Box<Self>) {
            self.woken.send(self.name).unwrap();
        }
    }

    /// A thread with a table.
    struct House {
        called: Arc<AtomicBool>,
        say: mpsc::Sender<u32>,
        woken: mpsc::Receiver<u32>,
    }

    impl House {
        async fn open() -> Self {
            tokio::spawn(watch());
            while !is_possible() {
                yield_now().await;
            }
            let (say, woken) = mpsc::channel();
            Self { called: Arc::default(), say, woken }
        }

        /// Lays somebody to rest for `span`; returns the other end of the socket.
        fn lay(&self, name: u32, span: Duration) -> UnixStream {
            let (socket, peer) = UnixStream::pair().unwrap();
            let (called, woken) = (Arc::clone(&self.called), self.say.clone());
            begin(Box::new(Guest { name, socket, called, woken }), Instant::now() + span);
            peer
        }

        /// Who is woken next, if anybody is within a short time.
        async fn next(&self) -> Option<u32> {
            for _ in 0..50 {
                if let Ok(name) = self.woken.try_recv() {
                    return Some(name);
                }
                sleep(Duration::from_millis(1)).await;
            }
            None
        }
    }

    const LONG: Duration = Duration::from_hours(1);

    #[tokio::test]
    async fn a_byte_or_the_end_wakes_its_session_and_no_other() {
        let house = House::open().await;
        let mut peers: Vec<_> = (0..3).map(|name| house.lay(name, LONG)).collect();
        assert_eq!(house.next().await, None);
        peers[1].write_all(b"x").unwrap();
        assert_eq!(house.next().await, Some(1));
        drop(peers.remove(0));
        assert_eq!(house.next().await, Some(0));
        assert_eq!(house.next().await, None);
        // A place is taken again, and what belonged to its last guest does not matter.
        let _peer = house.lay(7, LONG);
        drop(peers);
        assert_eq!(house.next().await, Some(2));
        assert_eq!(house.next().await, None);
    }

    #[tokio::test]
    async fn more_than_are_taken_at_a_time_are_all_woken() {
        let house = House::open().await;
        let peers: Vec<_> = (0..600).map(|name| house.lay(name, LONG)).collect();
        drop(peers);
        let mut woken = Vec::new();
        while let Some(name) = house.next().await {
            woken.push(name);
        }
        woken.sort_unstable();
        assert!(woken.iter().copied().eq(0..600), "{}", woken.len());
    }

    #[tokio::test(start_paused = true)]
    async fn time_wakes_each_in_its_turn_and_no_more_than_a_second_early() {
        let house = House::open().await;
        let begun = Instant::now();
        let _peers = [(5, 5), (3, 3), (60, 60), (4, 4)].map(|(name, seconds)| {
            house.lay(name, Duration::from_secs(seconds) + Duration::from_millis(500))
        });
        for seconds in [3_u32, 4, 5, 60] {
            let name = loop {
                if let Some(name) = house.next().await {
                    break name;
                }
            };
            assert_eq!(name, seconds);
            let late = begun.elapsed().as_secs_f64() - f64::from(seconds);
            assert!((-0.6..0.6).contains(&late), "{seconds}: {late}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_moment_is_what_it_was_made_of_and_less_than_a_tenth_of_a_second() {
        for step in [0, 1, 99, 100, 101, 86_400_000] {
            tokio::time::advance(Duration::from_millis(step)).await;
            let now = Instant::now();
            let late = Instant::from(Moment::at(now).unwrap()) - now;
            assert!(late < MOMENT && Instant::from(Moment::at(now).unwrap()) >= now, "{step}: {late:?}");
        }
        assert_eq!(Moment::at(Instant::now() + Duration::from_hours(24 * 365 * 20)), None);
    }

    #[tokio::test]
    async fn a_call_wakes_those_whom_it_is_for() {
        let house = House::open().await;
        let _peer = house.lay(1, LONG);
        call();
        assert_eq!(house.next().await, None);
        house.called.store(true, Ordering::Relaxed);
        call();
        assert_eq!(house.next().await, Some(1));
    }

    #[tokio::test]
    async fn alarms_of_those_who_woke_before_do_not_pile_up() {
        let house = House::open().await;
        house.called.store(true, Ordering::Relaxed);
        for _ in 0..10 * MOST_STALE {
            drop(house.lay(1, LONG));
            call();
        }
        assert!(with(|table| table.listed).unwrap() <= MOST_STALE + 3);
        assert_eq!(with(|table| table.places.len()), Some(1));
    }

    #[tokio::test]
    async fn without_a_table_nobody_rests() {
        let (say, woken) = mpsc::channel();
        let house = House { called: Arc::default(), say, woken };
        assert!(!is_possible());
        let _peer = house.lay(1, LONG);
        assert_eq!(house.woken.try_recv(), Ok(1));
    }
}
