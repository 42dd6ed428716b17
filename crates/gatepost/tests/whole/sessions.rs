//! Whole sessions, from the greeting to the last byte.

mod auth_http;
mod hang_up;
mod limits;
mod listeners;
mod log;
mod pipelining;
mod rest;
mod times;
mod upstream;
pub(crate) mod users_file;
