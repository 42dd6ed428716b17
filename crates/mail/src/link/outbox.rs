//! What a thread's sockets have to send and to close, gathered until every task that was ready has had its turn.
//!
//! A send wakes the process at the other end, and the kernel often lets it run at the end of that very system call. Sends
//! that go out together cost one such change. Small writes are therefore *posted*: they count as written, as if the
//! kernel's buffer had taken them. What the stream does not take after all is a *debt*, which the owner is woken to pay
//! and sees wherever it would have seen a full socket or an error.
//!
//! A letter shares the stream that it goes to, so that its descriptor cannot become somebody else's before it is sent.
//! Only serving threads have an outbox; elsewhere nothing is posted.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::mem;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::thread;

use bytes::BytesMut;
use proto::wipe;
use system::ring::{Job, Outcome, Ring};
use tokio::runtime::Handle;

use super::Link;
use super::stream::Stream;
use crate::wiped;

/// The longest write that is posted: longer ones are worth a system call of their own.
const LONGEST: usize = 8192;

/// Room of a buffer that is kept for letters to come. Hardly any letter needs more.
const SPARE: usize = 256;

/// Letters and closes that go out at once, whoever else may still have something to say.
const FULL: usize = BATCH as usize;

/// So many letters and closes at once show that there is much to do: then those who have just been woken are let run
/// first. What they say at once is heard in one turn instead of several, and nobody has to be woken for each.
const MANY: usize = 3;

/// Room that a thread's ring needs.
pub const BATCH: u32 = 64;

thread_local! {
    static OUTBOX: RefCell<Option<Outbox>> = const { RefCell::new(None) };
}

/// A stream, and what it has not taken yet.
#[derive(Debug)]
pub(super) struct Account {
    pub(super) stream: Stream,
    /// A [`State`], beside the debt: it is looked at whenever bytes are moved, and hardly ever is there a debt.
    state: AtomicU8,
    debt: Mutex<Option<Box<Debt>>>,
}

/// What is on the way to a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum State {
    /// Nothing.
    Clear,
    /// A letter in the outbox.
    Posted,
    /// It was not taken.
    Owed,
}

/// What a stream has not taken.
enum Debt {
    /// Bytes, perhaps the last ones.
    Bytes { rest: Vec<u8>, last: bool },
    /// Anything: it failed.
    Error(io::Error),
}

/// What one thread has to send and to close.
struct Outbox {
    ring: Ring,
    letters: Vec<Letter>,
    closing: Vec<OwnedFd>,
    /// Empty buffers for letters to come.
    spare: Vec<BytesMut>,
    /// Wakes [`deliver`].
    postman: Option<Waker>,
}

/// Goes on with a stream that owes something although its owner has left.
pub(super) type Heir = Box<dyn FnOnce(Link) + Send>;

/// All that is to be sent to one stream.
struct Letter {
    to: Arc<Account>,
    bytes: BytesMut,
    then: Then,
    /// Who is told of a debt.
    owner: Option<Waker>,
    /// Who takes over a debt, if the owner has left.
    heir: Option<Heir>,
}

/// What follows a letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Then {
    Nothing,
    /// The end of what we have to say.
    Shutdown,
    /// The end, once all is sent. Its owner is gone.
    Leave,
    /// The end, whatever has become of it. Its owner is gone.
    Close,
}

/// Gathers what this thread's sockets have to send, and sends it by `ring` whenever all tasks have had their turn.
/// Never ends.
pub async fn deliver(ring: Ring) {
    let outbox = Outbox {
        ring,
        letters: Vec::with_capacity(FULL),
        closing: Vec::with_capacity(FULL),
        spare: Vec::new(),
        postman: None,
    };
    let _closed = Closed;
    OUTBOX.set(Some(outbox));
    // The task is woken by the first letter, and takes its turn behind all tasks that were ready by then.
    poll_fn(|cx| {
        let posted = with(|outbox| {
            outbox.postman = Some(cx.waker().clone());
            outbox.posted()
        });
        flush();
        if posted.is_some_and(|posted| posted >= MANY) {
            thread::yield_now();
        }
        Poll::<()>::Pending
    })
    .await;
}

/// Sends what is left and closes the outbox, when dropped.
struct Closed;

impl Drop for Closed {
    fn drop(&mut self) {
        flush();
        OUTBOX.take();
    }
}

/// Takes `bytes` for `account`, unless they are too many or there is no outbox. It must not owe anything.
pub(super) fn post(account: &Arc<Account>, bytes: &[u8]) -> bool {
    let posted = bytes.len() <= LONGEST && with(|outbox| outbox.post(account, bytes)).unwrap_or_default();
    if !posted {
        if account.is_posted() {
            flush();
        }
        return false;
    }
    if with(|outbox| outbox.is_full()).unwrap_or_default() {
        flush();
    }
    true
}

/// Has the task woken if `account` turns out to owe what is posted now.
pub(super) fn watch(account: &Arc<Account>, cx: &Context<'_>) {
    if !account.is_posted() {
        return;
    }
    let before = with(|outbox| {
        let letter = outbox.letter(account)?;
        letter.owner.replace(cx.waker().clone())
    });
    // Outside of the outbox: with its last waker a task goes, and its sockets come here.
    drop(before);
}

/// Lets the end follow what is posted, or owed. `false`: nothing is.
pub(super) fn end(account: &Arc<Account>) -> bool {
    if let Some(debt) = &mut *account.debt() {
        return match &mut **debt {
            Debt::Bytes { last, .. } => {
                *last = true;
                true
            }
            Debt::Error(_) => false,
        };
    }
    account.is_posted()
        && with(|outbox| outbox.letter(account).map(|it| it.then = Then::Shutdown)).flatten().is_some()
}

/// Closes the stream, behind what is posted.
pub(super) fn close(account: Arc<Account>) {
    close_behind(account, |letter| letter.then = Then::Close);
}

/// Closes the stream behind what is posted; if it turns out to owe some of that, or does already, `heir` has it.
pub(super) fn leave(account: Arc<Account>, heir: Heir) {
    if account.is_owing() {
        return inherit(account, heir);
    }
    let mut heir = Some(heir);
    close_behind(account, |letter| {
        letter.then = Then::Leave;
        letter.heir = heir.take();
    });
}

/// Without a runtime the stream is closed, since nobody could go on with it.
fn inherit(account: Arc<Account>, heir: Heir) {
    if Handle::try_current().is_ok() {
        heir(Link::from(account));
    }
}

fn close_behind(account: Arc<Account>, address: impl FnOnce(&mut Letter)) {
    let full = with(|outbox| {
        if let Some(letter) = outbox.letter(&account) {
            address(letter);
        } else {
            outbox.summon();
            outbox.close(account);
        }
        outbox.is_full()
    });
    if full.unwrap_or_default() {
        flush();
    }
}

/// Sends everything now.
pub(super) fn flush() {
    // Wakers and heirs are used and dropped outside of the outbox: with its last waker a task goes, and its sockets come
    // here.
    let Delivered { owners, debtors, needless: _needless } = with(Outbox::flush).unwrap_or_default();
    for (owner, has_debt) in owners {
        if has_debt {
            owner.wake();
        }
    }
    for (account, heir) in debtors {
        inherit(account, heir);
    }
}

/// Whom a delivery concerns.
#[derive(Default)]
struct Delivered {
    /// Who has waited, and whether there is a debt.
    owners: Vec<(Waker, bool)>,
    /// Streams that owe something and have no owner any more, and who takes them over.
    debtors: Vec<(Arc<Account>, Heir)>,
    /// Who has nothing to take over.
    needless: Vec<Heir>,
}

/// Nothing if there is no outbox on this thread, or it is on its way out.
fn with<T>(use_it: impl FnOnce(&mut Outbox) -> T) -> Option<T> {
    OUTBOX.try_with(|outbox| outbox.try_borrow_mut().ok()?.as_mut().map(use_it)).ok().flatten()
}

impl Account {
    pub(super) fn new(stream: Stream) -> Self {
        Self { stream, state: AtomicU8::new(State::Clear as u8), debt: Mutex::default() }
    }

    pub(super) fn into_stream(self) -> Stream {
        self.stream
    }

    fn debt(&self) -> MutexGuard<'_, Option<Box<Debt>>> {
        self.debt.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is(&self, state: State) -> bool {
        self.state.load(Ordering::Acquire) == state as u8
    }

    fn set(&self, state: State) {
        self.state.store(state as u8, Ordering::Release);
    }

    pub(super) fn is_clear(&self) -> bool {
        self.is(State::Clear)
    }

    fn is_posted(&self) -> bool {
        self.is(State::Posted)
    }

    fn is_owing(&self) -> bool {
        self.is(State::Owed)
    }

    /// What has become of its letter.
    fn settle(&self, debt: Option<Debt>) {
        let Some(debt) = debt else { return self.set(State::Clear) };
        *self.debt() = Some(Box::new(debt));
        self.set(State::Owed);
    }

    /// Sends what is owed; `WouldBlock` if the stream does not take all of it.
    pub(super) fn pay(&self) -> io::Result<()> {
        if !self.is_owing() {
            return Ok(());
        }
        let mut owed = self.debt();
        let Some(debt) = &mut *owed else { return Ok(()) };
        let paid = debt.pay(&self.stream);
        if !paid.as_ref().is_err_and(|e| e.kind() == io::ErrorKind::WouldBlock) {
            *owed = None;
            self.set(State::Clear);
        }
        paid
    }
}

impl Debt {
    fn pay(&mut self, stream: &Stream) -> io::Result<()> {
        match self {
            Self::Error(error) => Err(mem::replace(error, io::ErrorKind::BrokenPipe.into())),
            Self::Bytes { rest, last } => {
                while !rest.is_empty() {
                    let n = stream.try_write(rest)?;
                    wipe(&mut rest[..n]);
                    rest.drain(..n);
                }
                if *last { stream.shutdown() } else { Ok(()) }
            }
        }
    }
}

impl Drop for Debt {
    fn drop(&mut self) {
        if let Self::Bytes { rest, .. } = self {
            wipe(rest);
        }
    }
}

impl std::fmt::Debug for Debt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Bytes { rest, .. } => write!(f, "Bytes({})", rest.len()),
            Self::Error(error) => write!(f, "Error({error})"),
        }
    }
}

impl Outbox {
    /// How many letters and closes there are.
    fn posted(&self) -> usize {
        self.letters.len() + self.closing.len()
    }

    fn is_full(&self) -> bool {
        self.posted() >= FULL
    }

    fn letter(&mut self, account: &Arc<Account>) -> Option<&mut Letter> {
        self.letters.iter_mut().rev().find(|letter| Arc::ptr_eq(&letter.to, account))
    }

    /// Appends to the letter that there is: a stream gets one at a time, since a second would follow a first that was
    /// cut short.
    fn post(&mut self, account: &Arc<Account>, bytes: &[u8]) -> bool {
        if let Some(letter) = self.letter(account) {
            let fits = letter.bytes.len() + bytes.len() <= LONGEST;
            if fits {
                wiped::append(&mut letter.bytes, bytes);
            }
            return fits;
        }
        account.set(State::Posted);
        let mut buffer = self.spare.pop().unwrap_or_else(|| BytesMut::with_capacity(SPARE));
        wiped::append(&mut buffer, bytes);
        self.summon();
        self.letters.push(Letter {
            to: Arc::clone(account),
            bytes: buffer,
            then: Then::Nothing,
            owner: None,
            heir: None,
        });
        true
    }

    fn close(&mut self, account: Arc<Account>) {
        let stream = Arc::into_inner(account).map(Account::into_stream);
        // A stream that cannot be had any more is closed already.
        let Some(Ok(loose)) = stream.map(Stream::loosen) else { return };
        self.closing.push(loose.into());
    }

    /// Calls the postman for the first thing that there is to deliver.
    fn summon(&self) {
        if self.letters.is_empty()
            && self.closing.is_empty()
            && let Some(postman) = &self.postman
        {
            postman.wake_by_ref();
        }
    }

    /// Sends and closes everything.
    fn flush(&mut self) -> Delivered {
        let jobs = self.letters.iter().map(Letter::job).collect();
        let sent = self.ring.run(jobs);
        let mut delivered = Delivered::default();
        let mut letters = mem::take(&mut self.letters);
        for (letter, sent) in letters.drain(..).zip(sent) {
            let Letter { to, mut bytes, then, owner, heir } = letter;
            let debt = debt(&bytes, then, sent);
            let has_debt = debt.is_some();
            delivered.owners.extend(owner.map(|owner| (owner, has_debt)));
            to.settle(debt);
            match (then, heir) {
                (Then::Shutdown, _) if !has_debt => drop(to.stream.shutdown()),
                (Then::Leave, Some(heir)) if has_debt => delivered.debtors.push((to, heir)),
                (Then::Leave | Then::Close, heir) => {
                    delivered.needless.extend(heir);
                    self.close(to);
                }
                (Then::Nothing | Then::Shutdown, _) => {}
            }
            // Not all that it has room for: what is behind them was never written.
            wipe(&mut bytes);
            bytes.clear();
            if bytes.capacity() <= SPARE {
                self.spare.push(bytes);
            }
        }
        self.letters = letters;
        self.spare.truncate(FULL);
        let closes: Vec<_> = self.closing.drain(..).map(Job::Close).collect();
        self.ring.run(closes);
        delivered
    }
}

impl Letter {
    fn job(&self) -> Job<'_> {
        let (to, bytes) = (self.to.stream.descriptor(), &*self.bytes);
        // The end goes out with the last bytes.
        Job::Send { to, bytes, more: self.then != Then::Nothing }
    }
}

/// What a stream has not taken of `bytes`.
fn debt(bytes: &[u8], then: Then, sent: Outcome) -> Option<Debt> {
    let sent = match sent {
        Ok(n) => n,
        Err(e) if e.kind() == io::ErrorKind::WouldBlock => 0,
        Err(error) => return Some(Debt::Error(error)),
    };
    let rest = bytes.get(sent..).filter(|rest| !rest.is_empty())?;
    Some(Debt::Bytes { rest: rest.to_vec(), last: then == Then::Shutdown })
}
