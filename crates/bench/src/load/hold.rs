//! Sessions that are opened and then left alone.

use std::io;
use std::mem::MaybeUninit;

use socket2::SockRef;
use tokio::task::JoinSet;

use super::State;
use super::client::{fail, greet, log_in};
use super::connect::{Target, Wire};

/// So many sessions are being opened at a time.
const AT_A_TIME: usize = 64;

/// Opens sessions until `held` has `sessions` of them.
pub(super) async fn open(
    target: &Target,
    state: State,
    sessions: usize,
    held: &mut Vec<Wire>,
) -> io::Result<()> {
    let mut opening = JoinSet::new();
    held.reserve(sessions.saturating_sub(held.len()));
    while held.len() < sessions {
        while opening.len() < AT_A_TIME && held.len() + opening.len() < sessions {
            let target = target.clone();
            opening.spawn(async move { bring_to(&target, state).await });
        }
        if let Some(opened) = opening.join_next().await {
            held.push(opened.map_err(io::Error::other)??);
        }
    }
    Ok(())
}

async fn bring_to(target: &Target, state: State) -> io::Result<Wire> {
    match state {
        State::Greeted => greet(target).await,
        State::LoggedIn => log_in(target).await,
        State::AuthWait => fail(target).await,
    }
}

/// A session that the proxy ended, or spoke to, was not idle, and its memory was not measured.
pub(super) fn inspect(held: &[Wire]) -> io::Result<()> {
    for wire in held {
        let peeked = SockRef::from(wire.stream().socket()).peek(&mut [MaybeUninit::uninit()]);
        match peeked {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
            Ok(0) => return Err(io::Error::other("the proxy closed a session that was to stay")),
            Ok(_) => return Err(io::Error::other("the proxy spoke to a session that was to be left alone")),
        }
    }
    Ok(())
}
