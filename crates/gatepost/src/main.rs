//! The binary.

#[cfg_attr(
    not(test),
    expect(dead_code, reason = "called by the start of the program, which is still to come")
)]
mod cli;
mod defaults;
#[expect(dead_code, reason = "the command line does not call it yet")]
mod demo;
#[cfg_attr(
    not(test),
    expect(dead_code, reason = "called by the start of the program, which is still to come")
)]
mod help;

fn main() {}
