//! Scripted peers for tests.

pub mod dns;
