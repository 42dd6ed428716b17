//! The binary.

#[expect(dead_code, reason = "the command line does not call it yet")]
mod demo;

fn main() {}
