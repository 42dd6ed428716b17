//! What can be seen from outside, as functions of plain data. Nothing is served from here yet.

pub mod resolver;
