//! Real software through the proxy: Dovecot and Postfix behind it, other people's clients in front of it, and whoever
//! looks after its logs.
//!
//! Every test starts servers of its own and needs root, as Postfix does; `./test --fast` leaves this binary out. What
//! the proxy says to the byte is tested elsewhere: here it matters that those who wrote neither side get along.

mod exact;
mod identity;
mod idle;
mod large;
mod logrotate;
mod mechanisms;
mod message;
mod mutt;
mod python;
mod stage;
mod submission;
mod sync;
mod testssl;
mod tls;
