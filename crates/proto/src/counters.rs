//! What a client may do before it is logged in, counted. Never reset: not by TLS, not by a refused login.

use crate::{Limits, Violation};

/// Malformed and accepted commands and login attempts of one session.
#[derive(Debug, Default)]
pub struct Counters {
    errors: u64,
    commands: u64,
    attempts: u64,
}

impl Counters {
    /// Counts a line that breaks the grammar. An error ends the session, once the line is answered.
    pub fn malformed(&mut self, limits: &Limits) -> Result<(), Violation> {
        self.errors = self.errors.saturating_add(1);
        if self.errors >= limits.errors { Err(Violation::TooManyErrors) } else { Ok(()) }
    }

    /// Counts a line that the parser accepted, SASL responses and acknowledgements included.
    ///
    /// An error ends the session: the line is answered as invalid instead of being executed.
    pub fn command(&mut self, limits: &Limits) -> Result<(), Violation> {
        self.commands = self.commands.saturating_add(1);
        if self.commands > limits.commands { Err(Violation::TooManyCommands) } else { Ok(()) }
    }

    /// Counts credentials that are about to be asked about; 1 for the first.
    pub fn attempt(&mut self) -> u64 {
        self.attempts = self.attempts.saturating_add(1);
        self.attempts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn limits(errors: u64, commands: u64) -> Limits {
        Limits { line: 128, errors, commands }
    }

    #[test]
    fn the_last_allowed_error_ends_the_session() {
        for (limit, allowed) in [(0, 0), (1, 0), (2, 1), (5, 4)] {
            let (mut counters, limits) = (Counters::default(), limits(limit, 0));
            let passed = (0..10).take_while(|_| counters.malformed(&limits).is_ok()).count();
            assert_eq!(passed, allowed, "max_errors {limit}");
        }
    }

    #[test]
    fn the_first_command_beyond_the_limit_ends_the_session() {
        for limit in [0, 1, 5] {
            let (mut counters, limits) = (Counters::default(), limits(0, limit));
            let passed = (0..10).take_while(|_| counters.command(&limits).is_ok()).count();
            assert_eq!(passed as u64, limit, "max_commands {limit}");
        }
    }

    #[test]
    fn attempts_are_numbered_from_one() {
        let mut counters = Counters::default();
        assert_eq!((counters.attempt(), counters.attempt()), (1, 2));
    }
}
