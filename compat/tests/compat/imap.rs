//! IMAP in front of a login: greeting, every command in every state, lines that try to break the parser.

use gatepost_compat::After::{Closes, Open, Stays};
use gatepost_compat::{Floor, Peer, Protocol, Row, Stage, both, row};

const SETTINGS: &str = "max_errors 100; imap_auth plain login cram-md5 external;";

fn hold(settings: &'static str, rows: &'static [Row]) {
    both(|peer: &Peer| {
        let stage = Stage::echoing(peer, Protocol::Imap, settings);
        Floor::new(peer, &stage).hold(rows);
    });
}

#[test]
fn commands_in_the_start_state() {
    hold(SETTINGS, COMMANDS);
}

const COMMANDS: &[Row] = &[
    row("CAPABILITY", &[(
        b"a CAPABILITY\r\n",
        b"* CAPABILITY IMAP4 IMAP4rev1 UIDPLUS AUTH=PLAIN AUTH=LOGIN AUTH=CRAM-MD5 AUTH=EXTERNAL\r\na OK completed\r\n",
    )]),
    row("NOOP", &[(b"a NOOP\r\n", b"a OK completed\r\n")]),
    row("LOGOUT", &[(b"a LOGOUT\r\n", b"* BYE\r\na OK completed\r\n")]).closes(),
    row("STARTTLS without a certificate", &[(b"a STARTTLS\r\n", b"a BAD invalid command\r\n")]),
    row("I1", &[(b"\r\n", b"* BAD invalid command\r\n")]),
    row("I2", &[(b"\n", b"* BAD invalid command\r\n")]),
    row("I4", &[(b"   \r\n", b"* BAD invalid command\r\n")]).original(
        &[(b"   \r\n", b" BAD invalid command\r\n")],
        Stays,
        "Q15: the originals take an empty tag",
    ),
    row("I5", &[(b" NOOP\r\n", b"* BAD invalid command\r\n")]).original(
        &[(b" NOOP\r\n", b" OK completed\r\n")],
        Stays,
        "Q15: the originals take an empty tag",
    ),
    row("I6", &[(b"a\r\n", b"* BAD invalid command\r\n")]),
    row("I7", &[(b"a \r\n", b"a BAD invalid command\r\n")]),
    row("I8", &[(
        b"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA NOOP\r\n",
        b"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA OK completed\r\n",
    )]),
    row("I9", &[(b"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA NOOP\r\n", b"* BAD invalid command\r\n")]),
    row("I10", &[
        (b"a+b NOOP\r\n", b"* BAD invalid command\r\n"),
        (b"* NOOP\r\n", b"* BAD invalid command\r\n"),
        (b"a#1 NOOP\r\n", b"* BAD invalid command\r\n"),
        (b"a\0b NOOP\r\n", b"* BAD invalid command\r\n"),
    ]),
    row("I11", &[(b"a.b-c_d NOOP\n", b"a.b-c_d OK completed\r\n")]),
    row("I12", &[(b"a nOoP\r\n", b"a OK completed\r\n")]),
    row("I13", &[(b"a                    NOOP   \r\n", b"a OK completed\r\n")]),
    row("I14", &[(b"a\tNOOP\r\n", b"* BAD invalid command\r\n")]),
    row("I15", &[
        (b"a NOOP\t\r\n", b"a BAD invalid command\r\n"),
        (b"a NO\0OP\r\n", b"a BAD invalid command\r\n"),
        (b"a \xd0\x90 x\r\n", b"a BAD invalid command\r\n"),
    ]),
    row("I16", &[(b"a NOOP\rb NOOP\r\n", b"a BAD invalid command\r\n")]),
    row("I17", &[(b"a NOOP\r\r\n", b"a BAD invalid command\r\n")]),
    row("I18", &[(b"a NOOP\r", b""), (b"\n", b"a OK completed\r\n")]),
    row("I20", &[(
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET BAD invalid command\r\n* BAD invalid command\r\n* BAD invalid command\r\n",
    )]),
    row("I21", &[(b"a NOOP 1 2 3\r\n", b"a OK completed\r\n")]),
    row("I22", &[(b"a NOOP 1 2 3 4\r\n", b"a BAD invalid command\r\n")]),
    row("I60", &[
        (b"a ID NIL\r\n", b"a BAD invalid command\r\n"),
        (b"a ENABLE X\r\n", b"a BAD invalid command\r\n"),
        (b"a SELECT INBOX\r\n", b"a BAD invalid command\r\n"),
        (b"a UID NOOP\r\n", b"a BAD invalid command\r\n"),
    ]),
    row("I61", &[(b"a LOGOUT\r\nb NOOP\r\n", b"* BYE\r\na OK completed\r\n")]).closes(),
    row("pipelining", &[(b"a NOOP\r\nb NOOP\nc CAPAB", b"a OK completed\r\nb OK completed\r\n")]).open(),
];

#[test]
fn arguments_of_login() {
    hold(SETTINGS, LOGIN);
}

const LOGIN: &[Row] = &[
    row("atoms", &[(b"a LOGIN u p\r\n", b"a NO [plain|u|p]\r\n")]).closes(),
    row(
        "I23",
        &[
            (b"a LOGIN\r\n", b"a BAD invalid command\r\n"),
            (b"a LOGIN u\r\n", b"a BAD invalid command\r\n"),
            (b"a LOGIN u p x\r\n", b"a BAD invalid command\r\n"),
        ],
    ),
    row("I24", &[(b"a LOGIN u p x y\r\n", b"a BAD invalid command\r\n")]),
    row("I25", &[(b"a LOGIN \"\" p\r\n", b"a BAD invalid command\r\n")]),
    row("I26", &[(b"a LOGIN u \"\"\r\n", b"a NO [plain|u|]\r\n")]).closes(),
    row("I27", &[(b"a LOGIN \"u\"\"p\"\r\n", b"a NO [plain|u|p]\r\n")]).closes(),
    row("I28", &[(b"a LOGIN \"u\\\"x\\\\y\\z\" \"p w\"\r\n", b"a NO [plain|u\"x\\yz|p%20w]\r\n")]).closes(),
    row("I29", &[(b"a LOGIN u\"x p\"y\"z\r\n", b"a NO [plain|u\"x|p\"y\"z]\r\n")]).closes(),
    row("I30", &[(b"a LOGIN u\\x p\\\"y\r\n", b"a NO [plain|u\\x|p\\\"y]\r\n")]).closes(),
    row("I31 (u) [p]", &[(b"a LOGIN (u) [p]\r\n", b"a NO [plain|(u)|[p]]\r\n")]).closes(),
    row("I31 u* p%", &[(b"a LOGIN u* p%\r\n", b"a NO [plain|u*|p%25]\r\n")]).closes(),
    row("I32", &[(b"a LOGIN us\0er pa\0ss\r\n", b"a NO [plain|us%00er|pa%00ss]\r\n")]).closes(),
    row("I33", &[(b"a LOGIN us\xff\xfe pa\x80\r\n", b"a NO [plain|us\xff\xfe|pa\x80]\r\n")]).closes(),
    row("I33 DEL", &[(b"a LOGIN u\x7f p\x7f\r\n", b"a NO [plain|u%7F|p%7F]\r\n")]).closes().original(
        &[(b"a LOGIN u\x7f p\x7f\r\n", b"a NO [plain|u\x7f|p\x7f]\r\n")],
        Closes,
        "DEL is not allowed in a header; we escape it as the originals escape other control bytes",
    ),
    row(
        "I35",
        &[
            (b"a LOGIN \"u p\r\n", b"a BAD invalid command\r\n"),
            (b"b NOOP\r\n", b"b OK completed\r\n"),
            (b"c LOGIN \"x\" \"y\"\r\n", b"c NO [plain|x|y]\r\n"),
        ],
    )
    .closes(),
    row(
        "I34",
        &[(b"a LOGIN \"u\r\n", b"a BAD invalid command\r\n"), (b"b LOGIN x y\r\n", b"b NO [plain|x|y]\r\n")],
    )
    .closes()
    .original(
        &[
            (b"a LOGIN \"u\r\n", b"a BAD invalid command\r\n"),
            (b"b LOGIN x y\r\n", b"b BAD invalid command\r\n"),
        ],
        Stays,
        "Q13: an open quote of the originals outlives its line",
    ),
    row("I36", &[(b"a LOGIN \"u\\\r\n", b"a BAD invalid command\r\n")]),
    row("I37", &[(b"a LOGIN \"u\rx\" p\r\n", b"a BAD invalid command\r\n")]),
];

#[test]
fn literals() {
    hold(SETTINGS, LITERALS);
}

const LITERALS: &[Row] = &[
    row(
        "I38",
        &[
            (b"a LOGIN {1}\r\n", b"+ OK\r\n"),
            (b"u {1}\r\n", b"+ OK\r\n"),
            (b"p\r\n", b"a NO [plain|u|p]\r\n"),
        ],
    )
    .closes(),
    row("I39", &[(b"a LOGIN {1}\r\r\r\n", b"+ OK\r\n"), (b"u p\r\n", b"a NO [plain|u|p]\r\n")]).closes(),
    row("I40", &[(b"a LOGIN {1}\n", b"+ OK\r\n"), (b"u p\n", b"a NO [plain|u|p]\r\n")]).closes(),
    row("I41", &[(b"a LOGIN {1}\r\n", b"+ OK\r\n"), (b"uxx p\r\n", b"a BAD invalid command\r\n")]),
    row("I43", &[(b"a LOGIN u {0}\r\n", b"+ OK\r\n"), (b"\r\n", b"a NO [plain|u|]\r\n")]).closes().original(
        &[(b"a LOGIN u {0}\r\n", b"+ OK\r\n"), (b"\r\n", b"a NO [plain|u|%0D]\r\n")],
        Closes,
        "Q12: the originals take one byte for an empty literal",
    ),
    row("I44", &[(b"a LOGIN u {0+}\r\n\r\n", b"a NO [plain|u|]\r\n")]).closes().original(
        &[(b"a LOGIN u {0+}\r\n\r\n", b"a NO [plain|u|%0D]\r\n")],
        Closes,
        "Q12: the originals take one byte for an empty literal",
    ),
    row(
        "I46",
        &[
            (b"a LOGIN {1x}\r\n", b"a BAD invalid command\r\n"),
            (b"a LOGIN {-1}\r\n", b"a BAD invalid command\r\n"),
            (b"a LOGIN {1} \r\n", b"a BAD invalid command\r\n"),
            (b"a LOGIN {1+1}\r\n", b"a BAD invalid command\r\n"),
        ],
    ),
    row("I46 huge", &[(b"a LOGIN {99999999999999999999999}\r\n", b"a BAD invalid command\r\n")]).original(
        &[(b"a LOGIN {99999999999999999999999}\r\n", b"+ OK\r\n")],
        Open,
        "before nginx 1.29.6 the count overflows",
    ),
    row("I49", &[(b"a LOGIN {1+}\r\nu {1+}\r\np\r\n", b"a NO [plain|u|p]\r\n")]).closes(),
    row("I50", &[(b"a LOGIN u {4}\r\n", b"+ OK\r\n"), (b"p\r\nq\r\n", b"a NO [plain|u|p%0D%0Aq]\r\n")])
        .closes(),
    row("I51", &[(b"a LOGIN u {2}\r\n", b"+ OK\r\n"), (b"pqr\r\n", b"a BAD invalid command\r\n")]).original(
        &[(b"a LOGIN u {2}\r\n", b"+ OK\r\n"), (b"pqr\r\n", b"a NO [plain|u|pq]\r\n")],
        Closes,
        "before nginx 1.29.6 what follows a last literal is not looked at",
    ),
    row("I52", &[(b"a LOGIN u p {3+}\r\nabc\r\n", b"a BAD invalid command\r\n")]),
    row("I53", &[(b"a LOGIN u p x {3+}\r\nabc\r\n", b"a BAD invalid command\r\n")]).closes(),
    row("I54", &[(b"a FOO {3+}\r\nabc\r\nb NOOP\r\n", b"a BAD invalid command\r\n")]).closes(),
    row("I55", &[(b"a FOO {3}\r\n", b"a BAD invalid command\r\n"), (b"b NOOP\r\n", b"b OK completed\r\n")]),
    row("I56", &[(b"{1+}\r\n", b"* BAD invalid command\r\n")]).closes(),
    row("I57", &[(b"a NOOP {3}\r\n", b"+ OK\r\n"), (b"abc\r\n", b"a OK completed\r\n")]),
    row("I58", &[(b"a NOOP {3+}\r\nabc\r\nb NOOP\r\n", b"a OK completed\r\nb OK completed\r\n")]),
    row("I59", &[(b"a LOGIN ~{1}\r\n", b"a BAD invalid command\r\n")]),
];

#[test]
fn sasl_exchanges() {
    hold(SETTINGS, SASL);
}

// Base64 here: AHUAcHc= is NUL u NUL pw, dQ== is u, cHc= is pw.
const SASL: &[Row] = &[
    row("PLAIN", &[(b"a AUTHENTICATE PLAIN\r\n", b"+ \r\n"), (b"AHUAcHc=\r\n", b"a NO [plain|u|pw]\r\n")])
        .closes(),
    row("PLAIN at once", &[(b"a authenticate plain AHUAcHc=\r\n", b"a NO [plain|u|pw]\r\n")]).closes(),
    row(
        "LOGIN",
        &[
            (b"a AUTHENTICATE LOGIN\r\n", b"+ VXNlcm5hbWU6\r\n"),
            (b"dQ==\r\n", b"+ UGFzc3dvcmQ6\r\n"),
            (b"cHc=\r\n", b"a NO [plain|u|pw]\r\n"),
        ],
    )
    .closes(),
    row(
        "LOGIN at once",
        &[(b"a AUTHENTICATE LOGIN dQ==\r\n", b"+ UGFzc3dvcmQ6\r\n"), (b"cHc=\r\n", b"a NO [plain|u|pw]\r\n")],
    )
    .closes(),
    row(
        "EXTERNAL",
        &[(b"a AUTHENTICATE EXTERNAL\r\n", b"+ VXNlcm5hbWU6\r\n"), (b"dQ==\r\n", b"a NO [external|u|]\r\n")],
    )
    .closes(),
    row(
        "I62",
        &[
            (b"a AUTHENTICATE\r\n", b"a BAD invalid command\r\n"),
            (b"a AUTHENTICATE GSSAPI\r\n", b"a BAD invalid command\r\n"),
            (b"a AUTHENTICATE APOP\r\n", b"a BAD invalid command\r\n"),
            (b"a AUTHENTICATE PLAIN x y\r\n", b"a BAD invalid command\r\n"),
        ],
    ),
    row("I63", &[(b"a AUTHENTICATE PLAIN =\r\n", b"a BAD invalid command\r\n")]),
    row("I64", &[(b"a AUTHENTICATE PLAIN\r\n", b"+ \r\n"), (b"*\r\n", b"a BAD invalid command\r\n")]),
    row("I65", &[(b"a AUTHENTICATE PLAIN\r\n", b"+ \r\n"), (b"\r\n", b"a BAD invalid command\r\n")]),
    row(
        "I66",
        &[
            (b"a AUTHENTICATE PLAIN\r\n", b"+ \r\n"),
            (b"!!!\r\n", b"a BAD invalid command\r\n"),
            (b"b AUTHENTICATE PLAIN\r\n", b"+ \r\n"),
            (b"AAAAA\r\n", b"b BAD invalid command\r\n"),
            (b"c AUTHENTICATE PLAIN\r\n", b"+ \r\n"),
            (b"AHVz_-A=\r\n", b"c BAD invalid command\r\n"),
            (b"d AUTHENTICATE PLAIN\r\n", b"+ \r\n"),
            (b"\"AHUAcHc=\"\r\n", b"d BAD invalid command\r\n"),
        ],
    ),
    row(
        "I67",
        &[
            (b"a AUTHENTICATE PLAIN YWJj\r\n", b"a BAD invalid command\r\n"),
            (b"b AUTHENTICATE PLAIN YWJjAA==\r\n", b"b BAD invalid command\r\n"),
            (b"c AUTHENTICATE PLAIN AGFiYw==\r\n", b"c BAD invalid command\r\n"),
        ],
    ),
    row("I68 no user", &[(b"a AUTHENTICATE PLAIN AABwdw==\r\n", b"a NO [plain||pw]\r\n")]).closes(),
    row("I68 no password", &[(b"a AUTHENTICATE PLAIN AHUA\r\n", b"a NO [plain|u|]\r\n")]).closes(),
    row("I68 NUL", &[(b"a AUTHENTICATE PLAIN AHUAcABx\r\n", b"a NO [plain|u|p%00q]\r\n")]).closes(),
    row("I69 unpadded", &[(b"a AUTHENTICATE PLAIN AHUAcHc\r\n", b"a NO [plain|u|pw]\r\n")]).closes(),
    row("I69 tail", &[(b"a AUTHENTICATE PLAIN AHUAcHc=!!!\r\n", b"a NO [plain|u|pw]\r\n")]).closes(),
    row(
        "I69 words",
        &[(b"a AUTHENTICATE PLAIN\r\n", b"+ \r\n"), (b"AHUAcHc= x y\r\n", b"a NO [plain|u|pw]\r\n")],
    )
    .closes(),
    row(
        "I70",
        &[(b"a AUTHENTICATE PLAIN\r\n", b"+ \r\n"), (b"AHUAcHc= x y z\r\n", b"a BAD invalid command\r\n")],
    ),
    row("I71", &[(b"a AUTHENTICATE PLAIN\r\n", b"+ \r\n"), (b" AHUAcHc=\r\n", b"a BAD invalid command\r\n")]),
    row(
        "I72",
        &[(b"a AUTHENTICATE PLAIN\r\n", b"+ \r\n"), (b"AHUAcHc=\rX\r\n", b"a BAD invalid command\r\n")],
    ),
    row("I73 quoted", &[(b"a AUTHENTICATE \"PLAIN\" \"AHUAcHc=\"\r\n", b"a NO [plain|u|pw]\r\n")]).closes(),
    row(
        "I73 literal",
        &[(b"a AUTHENTICATE PLAIN {8}\r\n", b"+ OK\r\n"), (b"AHUAcHc=\r\n", b"a NO [plain|u|pw]\r\n")],
    )
    .closes(),
    row(
        "I74",
        &[(b"a AUTHENTICATE LOGIN\r\n", b"+ VXNlcm5hbWU6\r\n"), (b"%%\r\n", b"a BAD invalid command\r\n")],
    )
    .original(
        &[(b"a AUTHENTICATE LOGIN\r\n", b"+ VXNlcm5hbWU6\r\n"), (b"%%\r\n", b"BAD invalid command\r\n")],
        Stays,
        "Q14: the originals forget the tag",
    ),
    row(
        "I75",
        &[
            (b"a AUTHENTICATE LOGIN dQ==\r\n", b"+ UGFzc3dvcmQ6\r\n"),
            (b"*\r\n", b"a BAD invalid command\r\n"),
        ],
    ),
    row(
        "I76",
        &[
            (b"a AUTHENTICATE LOGIN\r\n", b"+ VXNlcm5hbWU6\r\n"),
            (b"\r\n", b"+ UGFzc3dvcmQ6\r\n"),
            (b"\r\n", b"a NO [plain||]\r\n"),
        ],
    )
    .closes(),
    row("I78", &[(b"a AUTHENTICATE CRAM-MD5 eA==\r\n", b"a BAD invalid command\r\n")]),
    row("I82", &[(b"a AUTHENTICATE EXTERNAL =\r\n", b"a NO [external||]\r\n")]).closes(),
    row("half an exchange", &[(b"a AUTHENTICATE LOGIN\r\n", b"+ VXNlcm5hbWU6\r\n")]).open(),
];

#[test]
fn mechanisms_that_are_not_configured() {
    hold("imap_auth plain;", DISABLED);
}

const DISABLED: &[Row] = &[
    row(
        "CAPABILITY",
        &[(b"a CAPABILITY\r\n", b"* CAPABILITY IMAP4 IMAP4rev1 UIDPLUS AUTH=PLAIN\r\na OK completed\r\n")],
    ),
    row("CRAM-MD5", &[(b"a AUTHENTICATE CRAM-MD5\r\n", b"a BAD invalid command\r\n")]),
    row("EXTERNAL", &[(b"a AUTHENTICATE EXTERNAL\r\n", b"a BAD invalid command\r\n")]),
    row("EXTERNAL at once", &[(b"a AUTHENTICATE EXTERNAL dQ==\r\n", b"a BAD invalid command\r\n")]).original(
        &[(b"a AUTHENTICATE EXTERNAL dQ==\r\n", b"a NO [external|u|]\r\n")],
        Closes,
        "Q10: nginx looks at the list only when it has to ask; Angie and we always do",
    ),
    row(
        "LOGIN",
        &[
            (b"a AUTHENTICATE LOGIN\r\n", b"+ VXNlcm5hbWU6\r\n"),
            (b"dQ==\r\n", b"+ UGFzc3dvcmQ6\r\n"),
            (b"cHc=\r\n", b"a NO [plain|u|pw]\r\n"),
        ],
    )
    .closes(),
];

#[test]
fn capabilities_as_configured() {
    hold("imap_capabilities IMAP4rev1 \"X-TWO WORDS\" LITERAL+; imap_auth cram-md5;", CAPABILITIES);
}

const CAPABILITIES: &[Row] = &[row(
    "CAPABILITY",
    &[(
        b"a capability\r\n",
        b"* CAPABILITY IMAP4rev1 X-TWO WORDS LITERAL+ AUTH=CRAM-MD5\r\na OK completed\r\n",
    )],
)];

#[test]
fn limits_of_lines() {
    hold("imap_client_buffer 64; max_errors 2;", LIMITS);
}

const LIMITS: &[Row] = &[
    row(
        "a line that just fits",
        &[(b"a NOOP 3456789012345678901234567890123456789012345678901234567\r\n", b"a OK completed\r\n")],
    ),
    row(
        "a line that is one byte too long",
        &[(
            b"a NOOP 34567890123456789012345678901234567890123456789012345678\r\n",
            b"a BAD invalid command\r\n",
        )],
    )
    .closes(),
    row(
        "a line without end",
        &[(
            b"34567890123456789012345678901234567890123456789012345678901234567890",
            b"* BAD invalid command\r\n",
        )],
    )
    .closes(),
    row(
        "a literal that cannot fit",
        &[
            (b"a LOGIN {100}\r\n", b"+ OK\r\n"),
            (
                b"34567890123456789012345678901234567890123456789012345678901234567890",
                b"a BAD invalid command\r\n",
            ),
        ],
    )
    .closes(),
    row(
        "a literal that cannot fit, unasked",
        &[(
            b"a LOGIN {100+}\r\n34567890123456789012345678901234567890123456789012345678901234567890",
            b"a BAD invalid command\r\n",
        )],
    )
    .closes(),
    row("max_errors", &[(b"x\r\n", b"* BAD invalid command\r\n"), (b"\r\n", b"* BAD invalid command\r\n")])
        .closes(),
    row(
        "what is not counted as an error",
        &[
            (b"a LOGIN\r\n", b"a BAD invalid command\r\n"),
            (b"a AUTHENTICATE X\r\n", b"a BAD invalid command\r\n"),
            (b"a LOGIN u p x\r\n", b"a BAD invalid command\r\n"),
            (b"a STARTTLS\r\n", b"a BAD invalid command\r\n"),
        ],
    ),
];

#[test]
fn a_burst_may_be_longer_than_a_line() {
    both(|peer| {
        let stage = Stage::echoing(peer, Protocol::Imap, "imap_client_buffer 64;"); // I87
        let mut client = stage.client();
        client.send("a1 NOOP\r\n".repeat(20));
        if peer.is_original() {
            // Q24: nginx limits a burst and not a line, and its reset may overtake replies.
            let replies = client.rest();
            assert!(replies.len() < 20 * "a1 OK completed\r\n".len(), "{}", rig::show(&replies));
        } else {
            client.expect("a1 OK completed\r\n".repeat(20));
        }
    });
}

#[test]
fn what_is_buffered_before_the_end_is_answered() {
    both(|peer| {
        let stage = Stage::echoing(peer, Protocol::Imap, "");
        let mut client = stage.client();
        client.send("a NOOP\r\nb NOOP\r\nc NOOP\r\n").half_close();
        let replies = client.rest();
        if peer.is_original() {
            // Q3: the end wins over commands that are already buffered; how many are answered is a race.
            assert!(b"a OK completed\r\nb OK completed\r\nc OK completed\r\n".starts_with(&replies));
        } else {
            assert_eq!(replies, b"a OK completed\r\nb OK completed\r\nc OK completed\r\n");
        }
    });
}

#[test]
fn how_bytes_arrive_changes_nothing() {
    both(|peer| {
        let stage = Stage::echoing(peer, Protocol::Imap, "");
        let mut client = stage.client();
        client.send_bytewise("a NOOP\r\nb LOGIN {1+}\r\nu \"p w\"\r\n");
        client.expect("a OK completed\r\nb NO [plain|u|p%20w]\r\n").expect_end();
    });
}

#[test]
fn cram_md5_sends_a_salt_of_time_and_server_name() {
    both(|peer| {
        let stage = Stage::echoing(peer, Protocol::Imap, SETTINGS);
        let mut client = stage.client();
        for bad in ["u x 0123456789abcdef0123456789abcdef", "u 0123456789abcdef0123456789abcde", "u"] {
            client.send("a AUTHENTICATE CRAM-MD5\r\n");
            client.expect_prefix("+ PD");
            client.exchange(format!("{}\r\n", crate::base64(bad)), "a BAD invalid command\r\n");
        }
        client.send("b AUTHENTICATE CRAM-MD5\r\n");
        client.expect_prefix("+ PD");
        // The digest is the auth server's business: 32 bytes of any kind pass.
        let response = crate::base64("u ZZZZ56789abcdef0123456789abcdef0");
        client.exchange(format!("{response}\r\n"), "b NO [cram-md5|u|ZZZZ56789abcdef0123456789abcdef0]\r\n");
        let salt = stage.auth.request(0).header("Auth-Salt").expect("a salt");
        assert!(salt.starts_with('<') && salt.ends_with("@proxy.example>"), "{salt}");
    });
}
