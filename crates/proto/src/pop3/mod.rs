//! POP3 (RFC 1939) as far as logging in goes, with CAPA (RFC 2449), STLS (RFC 2595) and AUTH (RFC 5034).

mod command;
mod reply;

pub mod back;
pub mod front;
#[cfg(fuzzing)]
pub mod fuzzing;

pub use back::Back;
pub use front::Front;

pub use crate::Settings;

#[cfg(test)]
mod tests;
