//! IMAP4rev1 (RFC 3501) and IMAP4rev2 (RFC 9051) as far as logging in goes, with SASL-IR (RFC 4959), literals that
//! do not wait (RFC 7888) and ID (RFC 2971).

mod command;
mod reply;

pub mod back;
pub mod front;
#[cfg(fuzzing)]
pub mod fuzzing;

pub use back::Back;
pub use command::Tag;
pub use front::Front;

pub use crate::Settings;
