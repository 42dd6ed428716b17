//! The private parser, for its fuzz target only: not there in any other build.

use super::Tag;
use super::command::{self, Found, Look};
use crate::Secret;

/// What a look at the input found.
#[derive(Debug, PartialEq, Eq)]
pub struct Sight {
    /// How many prompts for literals are due.
    pub prompts: usize,
    /// How far it goes.
    pub reach: Reach,
}

/// How far the input goes.
#[derive(Debug, PartialEq, Eq)]
pub enum Reach {
    /// Not to the end; nothing new before there is an LF at this place or behind.
    Part(usize),
    /// To the end of a command, or response, of this length.
    Whole {
        /// Its bytes.
        length: usize,
        /// Its tag; responses have none.
        tag: Option<Tag>,
        /// Its arguments.
        arguments: Vec<Secret>,
    },
    /// To the end of a malformed one of this length.
    Malformed(usize),
}

/// Looks for a command.
pub fn command(input: &[u8], knows_id: bool) -> Sight {
    sight(command::command(input, knows_id), |command| (Some(command.tag), command.arguments))
}

/// Looks for a SASL response.
pub fn response(input: &[u8]) -> Sight {
    sight(command::response(input), |response| (None, vec![response]))
}

fn sight<T>(look: Look<T>, parts: impl FnOnce(T) -> (Option<Tag>, Vec<Secret>)) -> Sight {
    let reach = match look.found {
        Found::Part { resume } => Reach::Part(resume),
        Found::Malformed { length, .. } => Reach::Malformed(length),
        Found::Whole { length, value } => {
            let (tag, arguments) = parts(value);
            Reach::Whole { length, tag, arguments }
        }
    };
    Sight { prompts: look.prompts, reach }
}
