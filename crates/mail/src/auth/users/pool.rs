//! A few threads that verify passwords, so that a slow hash never holds up a serving thread.

use std::io;
use std::num::NonZero;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use tokio::sync::{mpsc, oneshot};

/// How many jobs wait in the queue for each thread; beyond that whoever has a job waits.
const QUEUE_PER_THREAD: usize = 16;

type Job = Box<dyn FnOnce() + Send>;

/// A fixed number of threads with a bounded queue. They end, once idle, when the pool is dropped.
#[derive(Debug)]
pub struct Pool {
    jobs: mpsc::Sender<Job>,
    begun: Arc<AtomicU64>,
}

/// The thread that had the job is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the verifier threads have ended")]
pub struct Stopped;

impl Pool {
    /// Starts `threads` threads.
    pub fn new(threads: NonZero<usize>) -> io::Result<Self> {
        let (jobs, queue) = mpsc::channel(threads.get().saturating_mul(QUEUE_PER_THREAD));
        let queue = Arc::new(Mutex::new(queue));
        for number in 0..threads.get() {
            let queue = Arc::clone(&queue);
            thread::Builder::new().name(format!("verifier {number}")).spawn(move || work(&queue))?;
        }
        Ok(Self { jobs, begun: Arc::default() })
    }

    /// As many threads as the machine has cores.
    pub fn with_all_cores() -> io::Result<Self> {
        Self::new(thread::available_parallelism().unwrap_or(NonZero::<usize>::MIN))
    }

    /// Does `work` on one of the threads; waits for a place in the queue first.
    ///
    /// If the future is dropped before its work has begun, the work is not done at all.
    pub async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Stopped> {
        let (answer, answered) = oneshot::channel();
        let begun = Arc::clone(&self.begun);
        let job = Box::new(move || {
            if !answer.is_closed() {
                begun.fetch_add(1, Ordering::Relaxed);
                // Whoever asked may have gone by now; then nobody wants to know.
                let _ = answer.send(work());
            }
        });
        self.jobs.send(job).await.map_err(|_| Stopped)?;
        answered.await.map_err(|_| Stopped)
    }

    /// How many jobs were begun so far.
    pub fn begun(&self) -> u64 {
        self.begun.load(Ordering::Relaxed)
    }
}

fn work(queue: &Mutex<mpsc::Receiver<Job>>) {
    while let Some(job) = next(queue) {
        job();
    }
}

/// The lock is held while waiting, not while working: one idle thread waits for a job, the others for the lock.
fn next(queue: &Mutex<mpsc::Receiver<Job>>) -> Option<Job> {
    queue.lock().unwrap_or_else(PoisonError::into_inner).blocking_recv()
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc as std_mpsc;

    use super::*;

    fn one_thread() -> Pool {
        Pool::new(NonZero::<usize>::MIN).unwrap()
    }

    #[tokio::test(flavor = "current_thread")]
    async fn work_is_done_on_a_thread_of_its_own() {
        let name = one_thread().run(|| thread::current().name().map(str::to_owned)).await;
        assert_eq!(name, Ok(Some("verifier 0".to_owned())));
    }

    #[tokio::test(flavor = "current_thread")]
    async fn two_threads_work_at_the_same_time() {
        let pool = Pool::new(NonZero::new(2).unwrap()).unwrap();
        let (there, here) = std_mpsc::channel();
        let waiting = pool.run(move || here.recv());
        let telling = pool.run(move || there.send("met"));
        let (got, sent) = tokio::join!(waiting, telling);
        assert_eq!(got, Ok(Ok("met")));
        assert_eq!(sent, Ok(Ok(())));
    }

    #[tokio::test(flavor = "current_thread")]
    async fn work_that_nobody_waits_for_is_skipped() {
        let pool = one_thread();
        let (release, gate) = std_mpsc::channel::<()>();
        let first = pool.run(move || gate.recv().is_ok());
        let mut first = std::pin::pin!(first);
        assert!(futures_poll(first.as_mut()).await.is_none());
        {
            let given_up = std::pin::pin!(pool.run(|| panic!("nobody waits for this")));
            assert!(futures_poll::<Result<(), Stopped>>(given_up).await.is_none());
        }
        release.send(()).unwrap();
        assert_eq!(first.await, Ok(true));
        assert_eq!(pool.run(|| 3).await, Ok(3));
        assert_eq!(pool.begun(), 2);
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_full_queue_makes_callers_wait_and_loses_nothing() {
        let pool = Arc::new(one_thread());
        let (release, gate) = std_mpsc::channel::<()>();
        let mut tasks = tokio::task::JoinSet::new();
        let gate = Arc::new(Mutex::new(gate));
        for _ in 0..3 * QUEUE_PER_THREAD {
            let (pool, gate) = (Arc::clone(&pool), Arc::clone(&gate));
            tasks.spawn(async move { pool.run(move || gate.lock().unwrap().recv().is_ok()).await });
        }
        tokio::task::yield_now().await;
        assert_eq!(pool.jobs.capacity(), 0);
        for _ in 0..3 * QUEUE_PER_THREAD {
            release.send(()).unwrap();
        }
        assert!(tasks.join_all().await.into_iter().all(|done| done == Ok(true)));
    }

    /// Polls once: `None` if it is not done.
    async fn futures_poll<T>(mut future: std::pin::Pin<&mut impl Future<Output = T>>) -> Option<T> {
        std::future::poll_fn(|context| {
            std::task::Poll::Ready(match future.as_mut().poll(context) {
                std::task::Poll::Ready(value) => Some(value),
                std::task::Poll::Pending => None,
            })
        })
        .await
    }
}
