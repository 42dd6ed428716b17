//! TLS: from settings to configurations of rustls, and what can be said of a peer once its handshake is over.
//!
//! Servers for clients are made by [`ServerTls`], clients for upstreams by [`ClientTls`]. Settings come as plain
//! values; files are read through [`Environment::read`], so that one process may read for another. The stream
//! itself is not here.

mod certificates;
mod ciphers;
mod client;
mod conf_command;
mod decrypt;
mod environment;
#[cfg(fuzzing)]
pub mod fuzzing;
mod groups;
mod keys;
mod mistake;
mod names;
mod oids;
mod pairs;
mod passphrases;
mod pem;
mod protocols;
mod revocation;
mod server;
mod sessions;
mod settings;
mod signature;
mod sni;
mod tickets;
mod trust;
mod verify;
mod verify_error;
mod x509;

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

pub use client::ClientTls;
pub use environment::{Built, Environment, Lasting};
pub use mistake::{Mistake, Remark, Why};
pub use names::{certificate_facts, cipher_name, facts, protocol_name};
pub use passphrases::passphrases;
pub use protocols::Version;
pub use server::ServerTls;
pub use sessions::{CacheMode, SessionCaches};
pub use settings::{
    CertificateSetting, ClientSettings, ConfCommand, ServerSettings, Source, VerifyClient, WantedBy,
};
pub(crate) use sni::pattern as name_pattern;
pub use tickets::{Keeper, KeptKey, Keyring};
pub use verify::{ClientCertificate, Rejection, Verified};
pub use verify_error::VerifyError;
