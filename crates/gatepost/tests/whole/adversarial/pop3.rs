//! POP3.

use super::*;

const INVALID: &str = "-ERR invalid command\r\n";
const SETTINGS: &str = "max_errors 100; pop3_auth plain apop cram-md5 xoauth2; pop3_client_buffer 128;";

#[test]
fn a_line_of_128_bytes_fits_and_one_byte_more_ends_the_session() {
    hold(
        Protocol::Pop3,
        SETTINGS,
        [
            row("P42", format!("USER {}\r\n", "a".repeat(121)), "+OK\r\n"),
            row("P43", format!("USER {}\r\n", "a".repeat(122)), INVALID).closes(),
            row("P44", "X".repeat(128), INVALID).closes(),
            row("P45", format!("{}\r\n", "X".repeat(300)), INVALID).closes(),
            row("P46", format!("{}\r\nNOOP\r\n", "X".repeat(127)), INVALID).closes(),
            row(
                "P46, one byte less",
                format!("{}\r\nNOOP\r\n", "X".repeat(126)),
                format!("{INVALID}+OK\r\n"),
            ),
            row("P47", format!("FOO {}\r\n", "x".repeat(150)), INVALID).closes(),
            row("P48", format!("AUTH XOAUTH2 {}\r\n", "A".repeat(280)), INVALID).closes(),
        ],
    );
}

#[test]
fn a_limit_is_one_of_each_line_and_not_of_all_that_came() {
    // again, and a password that makes the line 49 bytes long.
    let long = "AUTH PLAIN AGFnYWluAHBhc3N3b3JkLXBhc3N3b3JkLXA=\r\n";
    let refused = "-ERR [plain|again|password-password-p]\r\n";
    hold(
        Protocol::Pop3,
        SETTINGS,
        [
            row("P51", long.repeat(3), refused.repeat(3)),
            row("P52", "NOOP\r\n".repeat(100), "+OK\r\n".repeat(100)),
        ],
    );
}

#[test]
fn exchanges_take_what_comes_for_a_response() {
    hold(
        Protocol::Pop3,
        SETTINGS,
        [
            row("P34", "AUTH PLAIN\r\n", "+ \r\n")
                .then("QUIT\r\n", INVALID)
                .then("QUIT\r\n", "+OK\r\n")
                .closes(),
            // QUIT is base64 of three bytes.
            row("P35", "AUTH LOGIN\r\n", "+ VXNlcm5hbWU6\r\n")
                .then("QUIT\r\n", "+ UGFzc3dvcmQ6\r\n")
                .then("QUIT\r\n", "-ERR [plain|AB%13|AB%13]\r\n")
                .closes(),
            row("P36", "AUTH LOGIN\r\n", "+ VXNlcm5hbWU6\r\n").then("*\r\n", INVALID),
            // user=u^Aauth=Bearer t^A^A
            row("P49", "AUTH XOAUTH2 dXNlcj11AWF1dGg9QmVhcmVyIHQBAQ==\r\n", "-ERR [xoauth2|u|t]\r\n")
                .closes(),
        ],
    );
}

#[test]
fn a_refused_digest_leaves_nothing_for_a_password() {
    hold(
        Protocol::Pop3,
        SETTINGS,
        [
            row("P55", "USER bad\r\nPASS x\r\n", "+OK\r\n-ERR [plain|bad|x]\r\n").closes(),
            row("P56", "USER again\r\nPASS x\r\nQUIT\r\n", "+OK\r\n-ERR [plain|again|x]\r\n+OK\r\n").closes(),
            row("P57", "APOP again x\r\n", "-ERR [apop|again|x]\r\n")
                .then("USER bad\r\n", "+OK\r\n")
                .then("PASS y\r\n", "-ERR [plain|bad|y]\r\n")
                .closes(),
        ],
    );
}

#[test]
fn three_hundred_bytes_behind_the_password_are_for_the_upstream() {
    let stage = Stage::allowing(Protocol::Pop3, SETTINGS, Protocol::Pop3.backend().echo());
    let behind = "RETR 1\r\n".repeat(40);
    let sent = format!("USER u\r\nPASS p\r\n{behind}");
    for cuts in [None, Some(Cuts::new())] {
        let mut client = Client::connect(stage.address());
        client.line();
        match cuts {
            Some(mut cuts) => client.send_scattered(&sent, &mut cuts),
            None => client.send(&sent),
        };
        client.expect(format!("+OK\r\n+OK logged in\r\n{behind}")); // P53
    }
    // P50: padded with spaces to exactly the limit.
    let login = format!("AUTH PLAIN AHUAcA=={}\r\n", " ".repeat(128 - "AUTH PLAIN AHUAcA==\r\n".len()));
    let mut client = Client::connect(stage.address());
    client.line();
    client
        .send(format!("{login}STAT\r\n"))
        .expect("+OK logged in\r\nSTAT\r\n")
        .exchange("NOOP\r\n", "NOOP\r\n");
}
