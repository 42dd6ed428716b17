//! IMAP.

use super::*;

const BAD: &str = "a BAD invalid command\r\n";
const UNTAGGED: &str = "* BAD invalid command\r\n";
const SETTINGS: &str = "max_errors 100; imap_auth plain login cram-md5 external;";

/// Longer texts of an auth server are cut off there.
const LONGEST_TEXT: usize = 1024;

/// A LOGIN as `u` that is this many bytes long, line end included, and its password.
fn login_of(length: usize) -> (String, String) {
    let password = "p".repeat(length - "a LOGIN u \r\n".len());
    (format!("a LOGIN u {password}\r\n"), password)
}

#[test]
fn lines_and_literals_that_are_too_long_end_the_session_where_the_limit_is() {
    let (fits, password) = login_of(4096);
    let (does_not, _) = login_of(4097);
    let xs = "x".repeat(5000);
    hold(
        Protocol::Imap,
        SETTINGS,
        [
            row("I47", "a LOGIN {10000}\r\n", "+ OK\r\n").then(&xs, BAD).closes(),
            row("I48", format!("a LOGIN {{5000+}}\r\n{xs}"), BAD).closes(),
            row("I85", fits, format!("a NO {}\r\n", &format!("[plain|u|{password}]")[..LONGEST_TEXT]))
                .closes(),
            row("I85, one byte more", does_not, BAD).closes(),
            row("I86", &xs, UNTAGGED).closes(),
        ],
    );
}

#[test]
fn empty_lines_and_literals_are_what_they_are() {
    hold(
        Protocol::Imap,
        SETTINGS,
        [
            row("I3", "\r\n".repeat(10), UNTAGGED.repeat(10)),
            row("I42", "a LOGIN {0}\r\n", "+ OK\r\n").then(" p\r\n", BAD),
            row("I43", "a LOGIN u {0}\r\n", "+ OK\r\n").then("\r\n", "a NO [plain|u|]\r\n").closes(),
            row("I44", "a LOGIN u {0+}\r\n\r\n", "a NO [plain|u|]\r\n").closes(),
            row("I45", "a LOGIN {}\r\n", "+ OK\r\n").then(" p\r\n", BAD),
        ],
    );
    hold(Protocol::Imap, "", [row("I3, by default", "\r\n".repeat(10), UNTAGGED.repeat(5)).closes()]);
}

#[test]
fn a_quote_that_is_not_closed_is_over_with_its_line() {
    hold(
        Protocol::Imap,
        SETTINGS,
        [
            row("I34", "a LOGIN \"u\r\n", BAD).then("c LOGIN x y\r\n", "c NO [plain|x|y]\r\n").closes(),
            row("I35", "a LOGIN \"u p\r\n", BAD)
                .then("b NOOP\r\n", "b OK completed\r\n")
                .then("c LOGIN \"x\" \"y\"\r\n", "c NO [plain|x|y]\r\n")
                .closes(),
        ],
    );
}

#[test]
fn what_ends_an_exchange_has_the_tag_that_began_it() {
    hold(
        Protocol::Imap,
        SETTINGS,
        [
            row("I74", "a AUTHENTICATE LOGIN\r\n", "+ VXNlcm5hbWU6\r\n").then("%%\r\n", BAD),
            row("I77", "a AUTHENTICATE LOGIN\r\n", "+ VXNlcm5hbWU6\r\n").then("a STARTTLS\r\n", BAD),
            row(
                "I83",
                "a LOGIN again x\r\nb LOGOUT\r\nc NOOP\r\n",
                "a NO [plain|again|x]\r\n* BYE\r\nb OK completed\r\n",
            )
            .closes(),
            row("I89", "a LOGIN again x\r\n+x\r\n", format!("a NO [plain|again|x]\r\n{UNTAGGED}")),
        ],
    );
}

#[test]
fn a_limit_is_one_of_each_line_and_not_of_all_that_came() {
    let response = "AHVzZXIAcGFzc3dvcmQ=";
    let long = "A".repeat(64);
    hold(
        Protocol::Imap,
        "imap_client_buffer 64; imap_auth plain;",
        [
            row("I87", "a1 NOOP\r\n".repeat(20), "a1 OK completed\r\n".repeat(20)),
            row("I88", "a AUTHENTICATE PLAIN\r\n", "+ \r\n")
                .then(format!("{response}\r\n"), "a NO [plain|user|password]\r\n")
                .closes(),
            row("I88, longer by itself", "a AUTHENTICATE PLAIN\r\n", "+ \r\n")
                .then(format!("{long}\r\n"), BAD)
                .closes(),
        ],
    );
}

#[test]
fn digests_are_of_the_right_length_or_none() {
    let encoded = |text: &str| base64::Engine::encode(&base64::engine::general_purpose::STANDARD, text);
    let stage = Stage::answering(Protocol::Imap, SETTINGS, AuthServer::start(echo));
    let mut client = stage.client();
    let mut challenges = Vec::new();
    for (response, reply) in [
        ("*".to_owned(), BAD),
        (encoded("u 0123456789abcdef0123456789abcde"), BAD),
        (encoded("u x 0123456789abcdef0123456789abcdef"), BAD),
        (encoded("u"), BAD),
        (
            encoded("u ZZZZ56789abcdef0123456789abcdef0"),
            "a NO [cram-md5|u|ZZZZ56789abcdef0123456789abcdef0]\r\n",
        ),
    ] {
        client.send("a AUTHENTICATE CRAM-MD5\r\n");
        challenges.push(client.expect_prefix("+ PD"));
        client.exchange(format!("{response}\r\n"), reply);
    }
    client.expect_end();
    // I79, I80; one challenge for the whole session (I81).
    assert!(challenges.windows(2).all(|pair| pair[0] == pair[1]));
}

#[test]
fn what_is_no_text_waits_for_a_line_end() {
    // The beginning of a TLS hello.
    let hello = [b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".as_slice(), &[0xa5; 64]].concat();
    hold(Protocol::Imap, SETTINGS, [row("I19", &hello, "").then("\n", UNTAGGED)]);
    hold(
        Protocol::Pop3,
        "max_errors 100;",
        [row("I19, POP3", &hello, "").then("\n", "-ERR invalid command\r\n")],
    );
    hold(
        Protocol::Smtp,
        "max_errors 100;",
        [row("S7", &hello, "").then("\n", "500 5.5.1 Invalid command\r\n")],
    );
}
