//! Asks the master what names mean: the system's resolver reads files, and the worker cannot.

use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use mail::auth::resolve::SYSTEM_TTL;
use mail::auth::{Addresses, Pending, Resolve};
use tokio::sync::{Semaphore, mpsc, oneshot};

use crate::bundle::ToMaster;
use crate::lookup::LONGEST_NAME;

/// Most questions at once; beyond that whoever has one waits. Each name is asked for once at a time.
const MOST_QUESTIONS: usize = 64;

/// What the system says of a name.
type Answer = Result<Vec<IpAddr>, String>;

/// Questions to the master.
#[derive(Debug)]
pub(super) struct MasterResolver {
    to_master: mpsc::UnboundedSender<ToMaster>,
    turns: Semaphore,
    open: Arc<Mutex<Open>>,
}

/// Questions that wait for their answers.
#[derive(Debug, Default)]
pub(super) struct Open {
    asked: u64,
    waiting: HashMap<u64, oneshot::Sender<Answer>>,
}

/// A question that nobody waits for any more is forgotten.
struct Question<'o>(u64, &'o Mutex<Open>);

impl MasterResolver {
    pub(super) fn new(to_master: mpsc::UnboundedSender<ToMaster>) -> (Self, Arc<Mutex<Open>>) {
        let open = Arc::<Mutex<Open>>::default();
        (Self { to_master, turns: Semaphore::new(MOST_QUESTIONS), open: Arc::clone(&open) }, open)
    }

    async fn ask(&self, host: &str) -> io::Result<Addresses> {
        if host.len() > LONGEST_NAME {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let _turn = self.turns.acquire().await.map_err(|_| io::ErrorKind::BrokenPipe)?;
        let (number, answer) = lock(&self.open).ask();
        let _question = Question(number, &self.open);
        let gone = || io::Error::from(io::ErrorKind::BrokenPipe);
        self.to_master.send(ToMaster::Resolve(number, host.to_owned())).map_err(|_| gone())?;
        match answer.await.map_err(|_| gone())? {
            Ok(addrs) if addrs.is_empty() => Err(io::Error::new(io::ErrorKind::NotFound, "no address")),
            Ok(addrs) => Ok(Addresses { addrs, ttl: SYSTEM_TTL }),
            Err(reason) => Err(io::Error::other(reason)),
        }
    }
}

impl Resolve for MasterResolver {
    fn resolve<'a>(&'a self, host: &'a str) -> Pending<'a, io::Result<Addresses>> {
        Box::pin(self.ask(host))
    }
}

impl Open {
    fn ask(&mut self) -> (u64, oneshot::Receiver<Answer>) {
        let (sender, receiver) = oneshot::channel();
        self.asked += 1;
        self.waiting.insert(self.asked, sender);
        (self.asked, receiver)
    }
}

/// Gives an answer to whoever waits for it.
pub(super) fn settle(open: &Mutex<Open>, number: u64, answer: Answer) {
    if let Some(waiting) = lock(open).waiting.remove(&number) {
        // It may have stopped waiting this moment.
        let _ = waiting.send(answer);
    }
}

impl Drop for Question<'_> {
    fn drop(&mut self) {
        lock(self.1).waiting.remove(&self.0);
    }
}

fn lock(open: &Mutex<Open>) -> MutexGuard<'_, Open> {
    open.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(question: Option<ToMaster>) -> u64 {
        match question {
            Some(ToMaster::Resolve(number, _)) => number,
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn answers_find_their_questions() {
        let (to_master, mut questions) = mpsc::unbounded_channel();
        let (resolver, open) = MasterResolver::new(to_master);
        let answering = async {
            let [one, two, three] =
                [questions.recv().await, questions.recv().await, questions.recv().await].map(number);
            settle(&open, three, Err("no such name".to_owned()));
            settle(&open, two, Ok(vec![[192, 0, 2, 2].into()]));
            settle(&open, one, Ok(vec![[192, 0, 2, 1].into()]));
            settle(&open, 77, Ok(Vec::new()));
        };
        let (one, two, three, ()) =
            tokio::join!(resolver.ask("one"), resolver.ask("two"), resolver.ask("three"), answering);
        assert_eq!(one.unwrap().addrs, [IpAddr::from([192, 0, 2, 1])]);
        assert_eq!(two.unwrap().addrs, [IpAddr::from([192, 0, 2, 2])]);
        assert_eq!(three.unwrap_err().to_string(), "no such name");
        assert!(lock(&open).waiting.is_empty());
    }

    #[tokio::test]
    async fn a_question_that_nobody_waits_for_is_forgotten() {
        let (to_master, mut questions) = mpsc::unbounded_channel();
        let (resolver, open) = MasterResolver::new(to_master);
        tokio::select! {
            _ = resolver.ask("name") => {}
            _ = questions.recv() => {}
        }
        assert!(lock(&open).waiting.is_empty());
        assert!(resolver.ask(&"x".repeat(256)).await.is_err());
    }

    #[tokio::test]
    async fn without_a_master_there_are_no_answers() {
        let (to_master, questions) = mpsc::unbounded_channel();
        let (resolver, _) = MasterResolver::new(to_master);
        drop(questions);
        assert_eq!(resolver.ask("name").await.unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    }
}
