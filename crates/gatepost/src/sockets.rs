//! Opens listening sockets, or keeps those that are open already.

use std::sync::Arc;
use std::time::Duration;

use mail::address::Endpoint;
use mail::listener::{Bound, OpenError};
use mail::settings::Listen;
use mail::settings::log::Level;
use nix::errno::Errno;
use tokio::time::sleep;

use crate::start::{Reason, Say, StartError};

/// How often a socket is tried to be bound, and how long to wait in between (as the originals).
const TRIES: usize = 5;
const PAUSE: Duration = Duration::from_millis(500);

/// Opens what `listens` ask for; an address in use is tried again for two seconds (as the originals). Sockets of
/// `open` with the same address are kept, with options changed as far as that is possible.
///
/// On an error no socket of `open` has changed, but perhaps in an option.
pub(crate) async fn open(
    listens: &[Listen],
    threads: usize,
    open: &[Bound],
    say: Say<'_>,
) -> Result<Vec<Bound>, StartError> {
    let listens: Vec<_> = listens.iter().cloned().map(Arc::new).collect();
    let kept = |listen: &Listen| open.iter().find(|bound| bound.listen.endpoint == listen.endpoint);
    let missing: Vec<_> = listens.iter().filter(|listen| kept(listen).is_none()).cloned().collect();
    let mut opened = bind_all(missing, threads, say).await?.into_iter();
    let bound = |listen: Arc<Listen>| match kept(&listen) {
        Some(bound) => bound.renew(listen, threads),
        None => Ok(opened.next().expect("what is not kept was opened, in this order")),
    };
    Ok(listens.into_iter().map(bound).collect::<Result<_, OpenError>>()?)
}

async fn bind_all(listens: Vec<Arc<Listen>>, threads: usize, say: Say<'_>) -> Result<Vec<Bound>, StartError> {
    let mut bound: Vec<Option<Bound>> = listens.iter().map(|_| None).collect();
    for attempt in 1..=TRIES {
        let mut in_use = false;
        for (listen, place) in listens.iter().zip(&mut bound).filter(|(_, place)| place.is_none()) {
            match Bound::open(Arc::clone(listen), threads) {
                Ok(socket) => *place = Some(socket),
                Err(error) if error.source.raw_os_error() == Some(Errno::EADDRINUSE as i32) => {
                    say(Level::Emerg, &Reason(&error));
                    in_use = true;
                }
                Err(error) => return Err(error.into()),
            }
        }
        if !in_use {
            return Ok(bound.into_iter().flatten().collect());
        }
        if attempt < TRIES {
            say(Level::Notice, &"try again to bind() after 500ms");
            sleep(PAUSE).await;
        }
    }
    Err(StartError::StillInUse)
}

/// Removes the file of each unix socket of `closed` that none of `open` listens on.
pub(crate) fn delete_files(closed: &[Bound], open: &[Bound], say: Say<'_>) {
    for bound in closed {
        let Endpoint::Unix(path) = &bound.listen.endpoint else { continue };
        if open.iter().all(|open| open.listen.endpoint != bound.listen.endpoint) {
            say(Level::Warn, &format_args!("deleting socket {}", path.display()));
            // Without privileges the directory may be closed to us; then the file stays, as after a crash.
            let _ = std::fs::remove_file(path);
        }
    }
}
