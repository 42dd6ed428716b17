//! SMTP (RFC 5321) as far as logging in goes, with AUTH (RFC 4954), STARTTLS (RFC 3207) and, towards upstreams,
//! Postfix's XCLIENT. Transactions without login (`smtp_auth none`) end with their first RCPT.

mod command;
pub mod reply;
mod xclient;

pub mod back;
pub mod front;
#[cfg(fuzzing)]
pub mod fuzzing;

pub use back::{Back, Facts};
pub use front::Front;

pub use crate::Settings;

#[cfg(test)]
mod tests;
