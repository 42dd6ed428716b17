//! `gatepost demo`: the proxy in front of a small mail store, both in this process, nothing else installed.
//!
//! The store is enough for curl, mutt and the mail modules of Python to list, read, search and send, and
//! says no to the rest. It keeps everything in memory, within [`limits`]. It is no mail server: no TLS, no
//! quota, no queue, two users whose passwords are printed.

mod imap;
mod limits;
mod mailbox;
mod mime;
mod plain;
mod pop3;
mod samples;
mod smtp;
mod store;
mod wire;
