//! SMTP in front of a login or a delivery: greeting, every command in every state, lines that try to break the parser.

use gatepost_compat::After::{Closes, Open};
use gatepost_compat::{Floor, Peer, Protocol, Row, Stage, both, row};
use rig::{AuthServer, auth_server};

const SETTINGS: &str = "max_errors 100; smtp_auth plain login cram-md5 external none; \
    smtp_capabilities \"SIZE 10\" DSN;";

fn hold(settings: &'static str, rows: &'static [Row]) {
    both(|peer: &Peer| {
        let stage = Stage::echoing(peer, Protocol::Smtp, settings);
        Floor::new(peer, &stage).hold(rows);
    });
}

#[test]
fn commands_in_the_start_state() {
    hold(SETTINGS, COMMANDS);
}

const COMMANDS: &[Row] = &[
    row(
        "EHLO",
        &[(
            b"EHLO x\r\n",
            b"250-proxy.example\r\n250-SIZE 10\r\n250-DSN\r\n250 AUTH PLAIN LOGIN CRAM-MD5 EXTERNAL\r\n",
        )],
    ),
    row("HELO", &[(b"HELO x\r\n", b"250 proxy.example\r\n")]),
    row("NOOP", &[(b"NOOP\r\n", b"250 2.0.0 OK\r\n")]),
    row("RSET", &[(b"RSET\r\n", b"250 2.0.0 OK\r\n")]),
    row("QUIT", &[(b"QUIT\r\n", b"221 2.0.0 Bye\r\n")]).closes(),
    row(
        "S1",
        &[
            (b"\r\n", b"500 5.5.1 Invalid command\r\n"),
            (b"\n", b"500 5.5.1 Invalid command\r\n"),
            (b" NOOP\r\n", b"500 5.5.1 Invalid command\r\n"),
            (b"NO\0P\r\n", b"500 5.5.1 Invalid command\r\n"),
            (b"EHLO\tx\r\n", b"500 5.5.1 Invalid command\r\n"),
        ],
    ),
    row("S2", &[(b"NOOP\n", b"250 2.0.0 OK\r\n"), (b"hElO x\r\n", b"250 proxy.example\r\n")]),
    row("S3", &[(b"NOOP\rX\r\n", b"500 5.5.1 Invalid command\r\n")]),
    row(
        "S4",
        &[
            (b"DATA\r\n", b"500 5.5.1 Invalid command\r\n"),
            (b"BDAT 1\r\n", b"500 5.5.1 Invalid command\r\n"),
            (b"TURN\r\n", b"500 5.5.1 Invalid command\r\n"),
            (b"ETRN x\r\n", b"500 5.5.1 Invalid command\r\n"),
            (b"XCLIENT ADDR=1.2.3.4\r\n", b"500 5.5.1 Invalid command\r\n"),
            (b"SEND FROM:<a>\r\n", b"500 5.5.1 Invalid command\r\n"),
            (b"AUTH=LOGIN\r\n", b"500 5.5.1 Invalid command\r\n"),
        ],
    ),
    row(
        "S5",
        &[
            (b"VRFY u\r\n", b"500 5.5.1 Invalid command\r\n"),
            (b"EXPN u\r\n", b"500 5.5.1 Invalid command\r\n"),
            (b"HELP\r\n", b"500 5.5.1 Invalid command\r\n"),
        ],
    ),
    row(
        "S6",
        &[(
            b"POST / HTTP/1.1\r\nHost: x\r\n\r\n",
            b"500 5.5.1 Invalid command\r\n500 5.5.1 Invalid command\r\n500 5.5.1 Invalid command\r\n",
        )],
    ),
    row(
        "S8",
        &[
            (b"EHLO\r\n", b"501 5.5.4 Invalid argument\r\n"),
            (b"HELO \r\n", b"501 5.5.4 Invalid argument\r\n"),
            (b"EHLO a b\r\n", b"501 5.5.4 Invalid argument\r\n"),
        ],
    ),
    row(
        "S9",
        &[
            (b"HELO \xff\0\x01\r\n", b"250 proxy.example\r\n"),
            (b"HELO [192.0.2.1]\r\n", b"250 proxy.example\r\n"),
        ],
    ),
    row("S10", &[(b"QUIT now\r\n", b"221 2.0.0 Bye\r\n")]).closes(),
    row(
        "S11",
        &[(b"RSET x\r\n", b"250 2.0.0 OK\r\n"), (b"NOOP 1 2 3 4 5 6 7 8 9 a b \r\n", b"250 2.0.0 OK\r\n")],
    ),
    row("S12", &[(b"NOOP 1 2 3 4 5 6 7 8 9 a b c\r\n", b"500 5.5.1 Invalid command\r\n")]),
    row("S13", &[(b"STARTTLS\r\n", b"500 5.5.1 Invalid command\r\n")]),
    row("pipelining", &[(b"NOOP\r\nRSET\nQU", b"250 2.0.0 OK\r\n250 2.0.0 OK\r\n")]).open(),
];

#[test]
fn auth_exchanges() {
    hold(SETTINGS, AUTH);
}

const AUTH: &[Row] = &[
    row("S14", &[(b"AUTH\r\n", b"501 5.5.4 Invalid argument\r\n")]),
    row(
        "S15",
        &[
            (b"AUTH NTLM\r\n", b"500 5.5.1 Invalid command\r\n"),
            (b"AUTH PLAIN a b\r\n", b"500 5.5.1 Invalid command\r\n"),
            (b"AUTH LOGIN dQ== cA==\r\n", b"500 5.5.1 Invalid command\r\n"),
            (b"AUTH CRAM-MD5 eA==\r\n", b"500 5.5.1 Invalid command\r\n"),
        ],
    ),
    row("S16", &[(b"AUTH PLAIN AHUAcHc=\r\n", b"535 5.7.0 [plain|u|pw]\r\n")]).closes(),
    row("PLAIN", &[(b"AUTH PLAIN\r\n", b"334 \r\n"), (b"AHUAcHc=\r\n", b"535 5.7.0 [plain|u|pw]\r\n")])
        .closes(),
    row(
        "LOGIN",
        &[
            (b"AUTH LOGIN\r\n", b"334 VXNlcm5hbWU6\r\n"),
            (b"dQ==\r\n", b"334 UGFzc3dvcmQ6\r\n"),
            (b"cHc=\r\n", b"535 5.7.0 [plain|u|pw]\r\n"),
        ],
    )
    .closes(),
    row(
        "LOGIN at once",
        &[(b"AUTH LOGIN dQ==\r\n", b"334 UGFzc3dvcmQ6\r\n"), (b"cHc=\r\n", b"535 5.7.0 [plain|u|pw]\r\n")],
    )
    .closes(),
    row(
        "EXTERNAL",
        &[(b"AUTH EXTERNAL\r\n", b"334 VXNlcm5hbWU6\r\n"), (b"dQ==\r\n", b"535 5.7.0 [external|u|]\r\n")],
    )
    .closes(),
    row("S17", &[(b"AUTH PLAIN =\r\n", b"500 5.5.1 Invalid command\r\n")]),
    row("S18", &[(b"AUTH PLAIN\r\n", b"334 \r\n"), (b"*\r\n", b"500 5.5.1 Invalid command\r\n")]),
    row("S19", &[(b"AUTH PLAIN\r\n", b"334 \r\n"), (b"RSET\r\n", b"500 5.5.1 Invalid command\r\n")]),
    row(
        "S20",
        &[
            (b"AUTH LOGIN\r\n", b"334 VXNlcm5hbWU6\r\n"),
            (b"QUIT\r\n", b"334 UGFzc3dvcmQ6\r\n"),
            (b"*\r\n", b"500 5.5.1 Invalid command\r\n"),
        ],
    ),
    row("S21", &[(b"AUTH LOGIN @@\r\n", b"500 5.5.1 Invalid command\r\n")]),
    row("S67", &[(b"AUTH PLAIN AHVzIGVyJQBwYStzcw0K\r\n", b"535 5.7.0 [plain|us%20er%25|pa+ss%0D%0A]\r\n")])
        .closes(),
    row(
        "behind EHLO in one write",
        &[(
            b"HELO a\r\nAUTH PLAIN AHUAcHc=\r\nMAIL FROM:<x>\r\n",
            b"250 proxy.example\r\n535 5.7.0 [plain|u|pw]\r\n",
        )],
    )
    .closes(),
];

#[test]
fn mail_without_a_login() {
    hold(SETTINGS, NONE);
}

const NONE: &[Row] = &[
    row(
        "S29",
        &[(b"MAIL FROM:<a@x>\r\n", b"250 2.0.0 OK\r\n"), (b"RCPT TO:<b@x>\r\n", b"535 5.7.0 [none||]\r\n")],
    )
    .closes(),
    row("S30", &[(b"RCPT TO:<b@x>\r\n", b"503 5.5.1 Bad sequence of commands\r\n")]),
    row(
        "S31",
        &[
            (b"MAIL FROM:<a@x>\r\n", b"250 2.0.0 OK\r\n"),
            (b"MAIL FROM:<a@x>\r\n", b"503 5.5.1 Bad sequence of commands\r\n"),
        ],
    ),
    row(
        "S32",
        &[
            (b"MAIL\r\n", b"501 5.5.4 Invalid argument\r\n"),
            (b"MAIL FROM:\r\n", b"250 2.0.0 OK\r\n"),
            (b"RCPT\r\n", b"501 5.5.4 Invalid argument\r\n"),
        ],
    ),
    row("S36", &[(b"MAIL FROM:<>\r\n", b"250 2.0.0 OK\r\n")]),
    row("S37", &[(b"MAIL 1 2 3 4 5 6 7 8 9 a b\r\n", b"250 2.0.0 OK\r\n")]),
    row("S37 one more", &[(b"MAIL 1 2 3 4 5 6 7 8 9 a b c\r\n", b"500 5.5.1 Invalid command\r\n")]),
    row(
        "S39",
        &[
            (b"MAIL FROM:<a@x>\r\n", b"250 2.0.0 OK\r\n"),
            (b"RSET\r\n", b"250 2.0.0 OK\r\n"),
            (b"RCPT TO:<b@x>\r\n", b"503 5.5.1 Bad sequence of commands\r\n"),
        ],
    ),
    row(
        "S40",
        &[
            (b"MAIL FROM:<a@x>\r\n", b"250 2.0.0 OK\r\n"),
            (b"HELO z\r\n", b"250 proxy.example\r\n"),
            (b"RCPT TO:<b@x>\r\n", b"503 5.5.1 Bad sequence of commands\r\n"),
        ],
    ),
];

#[test]
fn what_is_not_configured() {
    hold("", DISABLED);
}

const DISABLED: &[Row] = &[
    row("EHLO", &[(b"EHLO x\r\n", b"250-proxy.example\r\n250 AUTH PLAIN LOGIN\r\n")]),
    row("S46", &[(b"MAIL FROM:<a@x>\r\n", b"530 5.7.1 Authentication required\r\n")]),
    row("S49", &[(b"RCPT TO:<a@x>\r\n", b"503 5.5.1 Bad sequence of commands\r\n")]),
    row("CRAM-MD5", &[(b"AUTH CRAM-MD5\r\n", b"500 5.5.1 Invalid command\r\n")]),
    row("S51 asked", &[(b"AUTH EXTERNAL\r\n", b"500 5.5.1 Invalid command\r\n")]),
    row("S51", &[(b"AUTH EXTERNAL dQ==\r\n", b"500 5.5.1 Invalid command\r\n")]).original(
        &[(b"AUTH EXTERNAL dQ==\r\n", b"535 5.7.0 [external|u|]\r\n")],
        Closes,
        "Q10: nginx looks at the list only when it has to ask; Angie and we always do",
    ),
    row(
        "S48",
        &[(
            b"MAIL FROM:<a@x>\r\nRCPT TO:<b@x>\r\nQUIT\r\n",
            b"530 5.7.1 Authentication required\r\n503 5.5.1 Bad sequence of commands\r\n221 2.0.0 Bye\r\n",
        )],
    )
    .closes()
    .original(
        &[(b"MAIL FROM:<a@x>\r\nRCPT TO:<b@x>\r\nQUIT\r\n", b"530 5.7.1 Authentication required\r\n")],
        Open,
        "Q19: writing the log line destroys what is pipelined behind",
    ),
];

#[test]
fn mechanisms_cannot_be_switched_off_by_naming_none() {
    hold("smtp_auth none;", ONLY_NONE);
}

const ONLY_NONE: &[Row] = &[
    row("EHLO", &[(b"EHLO x\r\n", b"250 proxy.example\r\n")]),
    row("S50", &[(b"AUTH PLAIN AHUAcHc=\r\n", b"535 5.7.0 [plain|u|pw]\r\n")]).closes(),
];

#[test]
fn limits_of_lines() {
    hold("smtp_auth none; smtp_client_buffer 64; max_errors 2;", LIMITS);
}

const LIMITS: &[Row] = &[
    row(
        "a line that just fits",
        &[(b"NOOP 678901234567890123456789012345678901234567890123456789012\r\n", b"250 2.0.0 OK\r\n")],
    ),
    row(
        "S55",
        &[(
            b"MAIL FROM:<678901234567890123456789012345678901234567890123456789012>\r\n",
            b"500 5.5.1 Invalid command\r\n",
        )],
    )
    .closes(),
    row(
        "S56",
        &[(
            b"ZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZ",
            b"500 5.5.1 Invalid command\r\n",
        )],
    )
    .closes(),
    row("S57", &[(b"ZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZ\r\n", b"500 5.5.1 Invalid command\r\n")]),
    row(
        "max_errors",
        &[(b"DATA\r\n", b"500 5.5.1 Invalid command\r\n"), (b"\r\n", b"500 5.5.1 Invalid command\r\n")],
    )
    .closes(),
];

#[test]
fn who_speaks_before_a_delayed_greeting_is_rejected() {
    both(|peer| {
        let stage = Stage::echoing(peer, Protocol::Smtp, "smtp_greeting_delay 60s;");
        for early in [b"EHLO a\r\nNOOP\r\n".as_slice(), b"\0\xff\x01"] {
            let mut client = rig::Client::connect(stage.address());
            client.exchange(early, "503 5.5.0 Improper use of SMTP command pipelining\r\n").expect_end();
        }
        rig::Client::connect(stage.address()).half_close().expect_end();
        if peer.is_original() {
            stage.proxy.wait_for_log("client was rejected before greeting: \"EHLO a__NOOP__\"");
        } else {
            // Q26: nothing of a peer's goes into the log unescaped; the words are the same.
            stage.proxy.wait_for_log("client was rejected before greeting");
        }
    });
}

#[test]
fn a_recipient_that_is_refused_for_a_while_can_be_tried_again() {
    both(|peer| {
        let auth = AuthServer::start(|_| {
            auth_server::answer(&["Auth-Status: later", "Auth-Error-Code: 450 4.7.1", "Auth-Wait: 1"])
        });
        let stage = Stage::answering(peer, Protocol::Smtp, "smtp_auth none;", auth);
        let mut client = stage.client();
        client.exchange("HELO c\r\n", "250 proxy.example\r\n");
        client.exchange("MAIL FROM:<a@x>\r\n", "250 2.0.0 OK\r\n");
        for attempt in 0..2 {
            client.exchange("RCPT TO:<b@x>\r\n", "450 4.7.1 later\r\n");
            let request = stage.auth.request(attempt);
            assert_eq!(request.header("Auth-Login-Attempt"), Some((attempt + 1).to_string()));
            assert_eq!(request.header("Auth-SMTP-From").as_deref(), Some("MAIL FROM:<a@x>"));
        }
    });
}
