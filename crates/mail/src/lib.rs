//! The mail proxy: settings, listeners, sessions, authentication, upstreams, relay.
//!
//! `session` tells the story of a connection on one screen; everything else is one step of it.

pub mod address;
pub mod auth;
pub mod dns;
pub mod driver;
pub mod event;
pub mod files;
pub mod flavour;
pub mod generation;
pub mod limit;
pub mod link;
pub mod listener;
pub mod log;
pub mod login;
pub mod penalty;
pub mod preface;
pub mod random;
pub mod relay;
pub mod rest;
pub mod scratch;
pub mod secure;
pub mod serve;
pub mod session;
pub mod settings;
pub mod slots;
pub mod teller;
pub mod tls;
pub mod trouble;
pub mod upstream;
pub mod wiped;
