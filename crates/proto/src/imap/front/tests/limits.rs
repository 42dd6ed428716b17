//! What ends a session that is not logged in: errors, commands, length, data in the wrong place.

use super::*;

#[test]
fn malformed_commands_end_the_session_when_they_are_too_many() {
    for (limit, before) in [(0, 0), (1, 0), (2, 1), (5, 4)] {
        let mut script = session_with(|s| s.limits.errors = limit);
        for _ in 0..before {
            script = script.trades("\r\n", UNTAGGED).trades("a LOGIN\r\n", INVALID);
        }
        script.trades("x\r\ny NOOP\r\n", UNTAGGED).notes(Violation::TooManyErrors).closes().check();
    }
}

#[test]
fn malformed_responses_count_and_failed_exchanges_do_not() {
    session_with(|s| s.limits.errors = 1)
        .trades("a AUTHENTICATE PLAIN\r\n", "+ \r\n")
        .trades("!\r\n", INVALID)
        .notes(Violation::InvalidBase64(Mechanism::Plain))
        .trades("a AUTHENTICATE PLAIN\r\n", "+ \r\n")
        .trades("x y z w\r\n", INVALID)
        .notes(Violation::TooManyErrors)
        .closes()
        .check();
}

#[test]
fn accepted_commands_and_responses_end_the_session_when_they_are_too_many() {
    session_with(|s| s.limits.commands = 0)
        .trades("a NOOP\r\n", INVALID)
        .notes(Violation::TooManyCommands)
        .closes()
        .check();
    session_with(|s| s.limits.commands = 2)
        .trades("a NOOP {1}\r\n", "+ OK\r\n")
        .trades("x\r\n", "a OK completed\r\n")
        .trades("bad\r\n", UNTAGGED)
        .trades("a AUTHENTICATE PLAIN\r\n", "+ \r\n")
        .trades("AHUAcA==\r\n", INVALID)
        .notes(Violation::TooManyCommands)
        .closes()
        .check();
}

#[test]
fn a_malformed_command_whose_data_does_not_wait_ends_the_session() {
    for (sent, reply) in [
        ("a LOGIN u p x {3+}\r\nabc\r\n", INVALID),
        ("a FOO {3+}\r\nabc\r\nb NOOP\r\n", INVALID),
        ("{1+}\r\n", UNTAGGED),
        ("a LOGIN {1}\r\nuxx {3+}\r\n", "+ OK\r\na BAD invalid command\r\n"),
    ] {
        session().trades(sent, reply).closes().check();
    }
}

fn too_long(seen: usize, start: &'static str) -> Violation {
    Violation::TooLong { seen, start: start.into() }
}

#[test]
fn a_command_may_fill_the_limit_and_not_exceed_it() {
    let password = "x".repeat(50);
    let whole = format!("a LOGIN u {password}\r\n");
    let small = |line| session_with(move |s| s.limits.line = line);
    small(whole.len()).sends(&whole).asks(plain("u", &password)).check();
    small(whole.len() - 1)
        .trades(&whole, INVALID)
        .notes(too_long(whole.len() - 1, "a LOGIN"))
        .closes()
        .check();
}

#[test]
fn commands_with_literals_have_to_fit_as_a_whole() {
    let small = || session_with(|s| s.limits.line = 64);
    small()
        .trades("a LOGIN {10000}\r\n", "+ OK\r\n")
        .trades([b'x'; 80], INVALID)
        .notes(too_long(64, "a LOGIN"))
        .closes()
        .check();
    small()
        .sends("a LOGIN {18446744073709551000+}\r\n")
        .sends([b'\n'; 80])
        .receives(INVALID)
        .notes(too_long(64, "a LOGIN"))
        .closes()
        .check();
    let fits = format!("a LOGIN u {{49}}\r\n{}", "\n".repeat(46));
    session_with(|s| s.limits.line = 67)
        .trades(&fits[..17], "+ OK\r\n")
        .sends(&fits[17..])
        .sends("\n\n\n\n")
        .asks(plain("u", "\n".repeat(49)))
        .check();
}

#[test]
fn garbage_without_end_is_cut_off_at_the_limit_whatever_it_is() {
    let small = || session_with(|s| s.limits.line = 64);
    for (filler, start, reply) in [
        ("x", "", UNTAGGED),
        ("a ", "", INVALID),
        ("a FOO ", "", INVALID),
        ("a LOGIN \"", "a LOGIN", INVALID),
        ("\0", "", UNTAGGED),
    ] {
        let endless = format!("{filler}{}", "x".repeat(80));
        small().trades(endless, reply).notes(too_long(64, start)).closes().check();
    }
}

#[test]
fn a_response_that_is_too_long_is_not_shown() {
    session_with(|s| s.limits.line = 32)
        .trades("a AUTHENTICATE PLAIN\r\n", "+ \r\n")
        .trades([b'A'; 40], INVALID)
        .notes(too_long(32, ""))
        .closes()
        .check();
}

#[test]
fn command_and_response_fill_the_limit_each() {
    let response = base64("\0user\0a rather long password");
    session_with(|s| s.limits.line = 64)
        .trades(format!("a AUTHENTICATE PLAIN{}\r\n", " ".repeat(40)), "+ \r\n")
        .sends(format!("{response}\r\n"))
        .asks(plain("user", "a rather long password"))
        .check();
}

#[test]
fn pipelines_of_any_length_are_answered() {
    session_with(|s| s.limits.line = 64)
        .trades("a1 NOOP\r\n".repeat(200), "a1 OK completed\r\n".repeat(200))
        .check_uncut();
}

#[test]
fn ten_bad_lines_get_ten_replies() {
    session().trades("\r\n".repeat(10), UNTAGGED.repeat(10)).check();
}
