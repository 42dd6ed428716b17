//! The mail proxy: settings, listeners, sessions, authentication, upstreams, relay.
//!
//! `session` tells the story of a connection on one screen; everything else is one step of it.

pub mod address;
pub mod auth;
pub mod flavour;
pub mod settings;
