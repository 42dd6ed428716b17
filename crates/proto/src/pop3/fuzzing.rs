//! The private parser, for its fuzz target only: not there in any other build.

use super::command;

/// The arguments of a command, if `content`, a line without its end, is one.
pub fn arguments(content: &[u8], trusted: bool) -> Option<Vec<&[u8]>> {
    command::parse(content, trusted).ok().map(|command| command.arguments.as_slice().to_vec())
}
