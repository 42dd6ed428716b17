//! The real binary over real sockets: whole sessions, TLS, hostile and broken peers, known attacks, a thousand clients, the
//! process itself.
//!
//! One test binary, because each of them is linked on its own. What the peers say is spelled out in every test; the rig
//! knows no protocol.

mod adversarial;
mod attacks;
mod clock;
mod command_line;
mod faults;
mod floods;
mod hostile;
mod identity;
mod limits;
mod many;
mod penalty;
mod sessions;
mod stage;
mod tls;
