//! What can be seen from outside, as functions of plain data. Nothing is served from here yet.

pub mod limit_conn;
pub mod resolver;
