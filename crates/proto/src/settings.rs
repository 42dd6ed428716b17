//! What the configuration says about the dialogue with clients; the same questions in every protocol.

use bytes::Bytes;

use crate::sasl::Mechanisms;
use crate::{Limits, Starttls};

/// The settings of one server's fronts.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The name in greetings and challenges (`server_name`).
    pub server_name: String,
    /// Where a session that is not logged in ends.
    pub limits: Limits,
    /// What capability replies list verbatim, in this order (`imap_capabilities` and its siblings).
    pub capabilities: Vec<Bytes>,
    /// Which mechanisms are offered (`imap_auth` and its siblings).
    pub mechanisms: Mechanisms,
    /// Whether a plain connection may, or must, be upgraded.
    pub starttls: Starttls,
}
