//! What the scripted servers have in common: accept, one thread per connection, an end when dropped.

use std::io;
use std::net::Shutdown;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread::JoinHandle;

use crate::ledger::Ledger;
use crate::socket::{Listener, Place, Socket};
use crate::wire::{Surprise, Wire};

/// Serves one connection: its number from 0, and its wire.
pub(crate) type Serve = dyn Fn(usize, &mut Wire) -> Result<(), Surprise> + Send + Sync;

/// A listening thread and its connections.
///
/// Dropping it cuts all connections and fails the test if any of them went otherwise than its script.
#[derive(Debug)]
pub(crate) struct Server {
    name: &'static str,
    place: Place,
    ledger: Ledger,
    running: Arc<Running>,
    accepting: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Running {
    stopped: AtomicBool,
    /// Weak, so that a connection closes when its own thread lets go of it.
    sockets: Mutex<Vec<Weak<Socket>>>,
}

impl Server {
    /// Starts to serve. `name` appears in reports.
    pub(crate) fn start(name: &'static str, bound: io::Result<(Listener, Place)>, serve: Arc<Serve>) -> Self {
        let (listener, place) = bound.unwrap_or_else(|error| panic!("{name} cannot listen: {error}"));
        let ledger = Ledger::default();
        let running = Arc::<Running>::default();
        let accepting = std::thread::spawn({
            let (ledger, running) = (ledger.clone(), Arc::clone(&running));
            move || accept_all(&listener, &ledger, &running, &serve)
        });
        Self { name, place, ledger, running, accepting: Some(accepting) }
    }

    pub(crate) fn place(&self) -> &Place {
        &self.place
    }

    pub(crate) fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    fn stop(&mut self) {
        self.running.stopped.store(true, Ordering::SeqCst);
        self.place.knock();
        if let Some(thread) = self.accepting.take() {
            // It ends of itself: the knock woke it. A panic in it would be shown on its own.
            let _ = thread.join();
        }
    }

    fn report(&self) -> Option<String> {
        let surprises = std::mem::take(&mut self.ledger.lock().surprises);
        let texts: Vec<_> = surprises.iter().map(ToString::to_string).collect();
        (!texts.is_empty()).then(|| format!("{} was surprised:\n{}", self.name, texts.join("\n")))
    }
}

impl Drop for Server {
    #[expect(clippy::print_stderr, reason = "the test is failing already; this is often the cause")]
    fn drop(&mut self) {
        // Before the connections are cut: a script that is still under way did not fail.
        let report = self.report();
        self.stop();
        match report {
            Some(text) if std::thread::panicking() => eprintln!("{text}"),
            Some(text) => panic!("{text}"),
            None => {}
        }
    }
}

fn accept_all(listener: &Listener, ledger: &Ledger, running: &Running, serve: &Arc<Serve>) {
    while let Ok(socket) = listener.accept() {
        if running.stopped.load(Ordering::SeqCst) {
            break;
        }
        let socket = Arc::new(socket);
        running.note(&socket);
        spawn(socket, ledger, serve);
    }
    running.cut_all();
}

/// The thread ends with its connection, at the latest when the server is dropped; nobody has to wait for that.
fn spawn(socket: Arc<Socket>, ledger: &Ledger, serve: &Arc<Serve>) {
    let page = ledger.open();
    let serve = Arc::clone(serve);
    std::thread::spawn(move || {
        let mut wire = Wire::recorded(socket, page.share());
        let result = serve(page.number(), &mut wire);
        drop(wire);
        page.finish(result);
    });
}

impl Running {
    fn note(&self, socket: &Arc<Socket>) {
        self.sockets.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::downgrade(socket));
    }

    fn cut_all(&self) {
        let sockets = std::mem::take(&mut *self.sockets.lock().unwrap_or_else(PoisonError::into_inner));
        for socket in sockets.iter().filter_map(Weak::upgrade) {
            // The peer may have been faster.
            let _ = socket.shutdown(Shutdown::Both);
        }
    }
}
