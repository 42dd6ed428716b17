//! STARTTLS and STLS: what is offered, what is allowed before and after, what is forgotten.

use rig::Script;

use super::{Place, Secured};
use crate::stage::Protocol;

/// How a client asks what there is.
fn question(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Imap => "c CAPABILITY\r\n",
        Protocol::Pop3 => "CAPA\r\n",
        Protocol::Smtp => "EHLO c\r\n",
    }
}

/// What is answered to it in clear and, the same for all, under TLS.
fn answers(protocol: Protocol, only: bool) -> [&'static str; 2] {
    match (protocol, only) {
        (Protocol::Imap, false) => [
            "* CAPABILITY IMAP4rev1 UIDPLUS AUTH=PLAIN AUTH=CRAM-MD5 STARTTLS\r\nc OK completed\r\n",
            "* CAPABILITY IMAP4rev1 UIDPLUS AUTH=PLAIN AUTH=CRAM-MD5\r\nc OK completed\r\n",
        ],
        (Protocol::Imap, true) => [
            "* CAPABILITY IMAP4rev1 UIDPLUS STARTTLS LOGINDISABLED\r\nc OK completed\r\n",
            answers(protocol, false)[1],
        ],
        (Protocol::Pop3, false) => [
            "+OK Capability list follows\r\nTOP\r\nuser\r\nUIDL\r\nSASL PLAIN LOGIN CRAM-MD5\r\nSTLS\r\n.\r\n",
            "+OK Capability list follows\r\nTOP\r\nuser\r\nUIDL\r\nSASL PLAIN LOGIN CRAM-MD5\r\n.\r\n",
        ],
        (Protocol::Pop3, true) => {
            ["+OK Capability list follows\r\nTOP\r\nUIDL\r\nSTLS\r\n.\r\n", answers(protocol, false)[1]]
        }
        (Protocol::Smtp, false) => [
            "250-proxy.example\r\n250-SIZE 10\r\n250-DSN\r\n250-AUTH PLAIN LOGIN\r\n250 STARTTLS\r\n",
            "250-proxy.example\r\n250-SIZE 10\r\n250-DSN\r\n250 AUTH PLAIN LOGIN\r\n",
        ],
        (Protocol::Smtp, true) => {
            ["250-proxy.example\r\n250-SIZE 10\r\n250-DSN\r\n250 STARTTLS\r\n", answers(protocol, false)[1]]
        }
    }
}

const CAPABILITIES: &str = r#"imap_capabilities IMAP4rev1 UIDPLUS; imap_auth plain cram-md5;
    pop3_capabilities TOP user UIDL; pop3_auth plain cram-md5;
    smtp_capabilities "SIZE 10" DSN;"#;

#[test]
fn what_is_offered_depends_on_whether_there_is_tls() {
    let program = r"
question, clear, tls = (text.encode() for text in MORE)
# The salt in a greeting is another every time.
wire = Wire()
assert wire.line()[:3] == GREETING[:3]
wire.say(question, clear).say(STARTTLS, GO).secure().say(question, tls)
wire = Wire(TLS).secure()
wire.line()
wire.say(question, tls)
";
    for protocol in Protocol::ALL {
        for only in [false, true] {
            let starttls = if only { "only" } else { "on" };
            let secured = Secured::new(protocol, &format!("{CAPABILITIES} starttls {starttls};"));
            let [clear, tls] = answers(protocol, only);
            secured.talk(program, &[question(protocol), clear, tls]).succeeded();
        }
    }
}

/// All that can be a login or the beginning of one, and its refusal.
fn logins(protocol: Protocol) -> &'static [&'static str] {
    match protocol {
        Protocol::Imap => &[
            "t LOGIN u p\r\n",
            "t LOGIN {1+}\r\nu p\r\n",
            "t AUTHENTICATE PLAIN\r\n",
            "t AUTHENTICATE PLAIN AHUAcA==\r\n",
            "t AUTHENTICATE LOGIN\r\n",
            "t AUTHENTICATE LOGIN dQ==\r\n",
            "t AUTHENTICATE CRAM-MD5\r\n",
            "t AUTHENTICATE EXTERNAL\r\n",
            "t AUTHENTICATE EXTERNAL dQ==\r\n",
            "t AUTHENTICATE XOAUTH2\r\n",
            "t AUTHENTICATE OAUTHBEARER\r\n",
        ],
        Protocol::Pop3 => &[
            "USER u\r\n",
            "PASS p\r\n",
            "APOP u 00112233445566778899aabbccddeeff\r\n",
            "AUTH\r\n",
            "AUTH PLAIN\r\n",
            "AUTH PLAIN AHUAcA==\r\n",
            "AUTH LOGIN\r\n",
            "AUTH CRAM-MD5\r\n",
            "AUTH EXTERNAL\r\n",
            "AUTH EXTERNAL dQ==\r\n",
            "AUTH XOAUTH2\r\n",
            "AUTH OAUTHBEARER\r\n",
        ],
        Protocol::Smtp => &[
            "AUTH\r\n",
            "AUTH PLAIN\r\n",
            "AUTH PLAIN AHUAcA==\r\n",
            "AUTH LOGIN\r\n",
            "AUTH LOGIN dQ==\r\n",
            "AUTH CRAM-MD5\r\n",
            "AUTH EXTERNAL\r\n",
            "AUTH EXTERNAL dQ==\r\n",
            "AUTH XOAUTH2\r\n",
            "AUTH OAUTHBEARER\r\n",
        ],
    }
}

const MECHANISMS: &str = "imap_auth plain login cram-md5 external xoauth2 oauthbearer;
    pop3_auth plain apop cram-md5 external xoauth2 oauthbearer;
    smtp_auth plain login cram-md5 external xoauth2 oauthbearer;";

// P63, S65.
#[test]
fn where_tls_is_demanded_nobody_logs_in_before_it() {
    let program = r#"
wire = Wire()
wire.line()
for login in MORE:
    wire.say(login.encode(), NO_STARTTLS)
wire.say(STARTTLS, GO).secure()
wire.say(LOGIN, ASKED.replace(b"AUTH PLAIN LOGIN", b"AUTH PLAIN LOGIN CRAM-MD5 EXTERNAL XOAUTH2 OAUTHBEARER") + LOGGED_IN)
"#;
    for protocol in Protocol::ALL {
        let secured = Secured::new(protocol, &format!("starttls only; max_errors 100; {MECHANISMS}"));
        secured.talk(program, logins(protocol)).succeeded();
        let asked = secured.stage.auth.requests();
        assert_eq!(asked.len(), 1, "{asked:?}");
        assert_eq!(asked[0].header("Auth-SSL").as_deref(), Some("on"));
    }
}

// P58, S63.
#[test]
fn there_is_no_tls_inside_tls() {
    let program = r"
for wire in both():
    wire.say(STARTTLS, NO_STARTTLS).say(LOGIN, ASKED + LOGGED_IN)
";
    for protocol in Protocol::ALL {
        Secured::new(protocol, "").talk(program, &[]).succeeded();
    }
}

#[test]
fn where_it_is_off_tls_does_not_begin() {
    let program = "Wire().expect(GREETING).say(STARTTLS, NO_STARTTLS).say(LOGIN, ASKED + LOGGED_IN)";
    for protocol in Protocol::ALL {
        Secured::new(protocol, "starttls off;").talk(program, &[]).succeeded();
    }
}

// The NO STARTTLS attacks, from the client's side; P59, P60, S60.
#[test]
fn what_came_in_clear_behind_the_command_is_never_answered() {
    let program = r"
for injected in NOOP, LOGIN, NOOP + LOGIN, NOOP[:3]:
    wire = Wire().expect(GREETING).say(STARTTLS + injected, GO).secure()
    # The next answer is that to the next command.
    wire.say(NOOP, NOOP_OK)
    wire.say(STARTTLS, NO_STARTTLS)
";
    for protocol in Protocol::ALL {
        let secured = Secured::new(protocol, "");
        secured.talk(program, &[]).succeeded();
        assert_eq!(secured.stage.auth.requests(), [], "an injected login went through");
        assert_eq!(secured.stage.backend.connections(), 0);
    }
}

// P61, S64.
#[test]
fn a_client_that_goes_on_in_clear_is_closed_without_an_answer() {
    let program = "
wire = Wire().expect(GREETING).say(STARTTLS, GO)
wire.send(LOGIN)
wire.ends()
";
    for protocol in Protocol::ALL {
        let secured = Secured::new(protocol, "");
        secured.talk(program, &[]).succeeded();
        let log = secured.stage.proxy.wait_for_log("SSL_do_handshake() failed");
        let line = log.lines().find(|line| line.contains("SSL_do_handshake() failed")).unwrap_or_default();
        assert!(line.contains("[info] ") && line.contains("wrong version number"), "{line}");
        assert!(line.contains(" while in starttls state, client: "), "{line}");
        assert_eq!(secured.stage.auth.requests(), []);
    }
}

#[test]
fn an_exchange_that_is_under_way_is_no_place_to_begin_tls() {
    let cases = [
        (Protocol::Imap, "a AUTHENTICATE PLAIN\r\n", "+ \r\n", "a BAD invalid command\r\n"),
        (Protocol::Pop3, "AUTH PLAIN\r\n", "+ \r\n", "-ERR invalid command\r\n"),
        (Protocol::Smtp, "AUTH PLAIN\r\n", "334 \r\n", "500 5.5.1 Invalid command\r\n"),
    ];
    let program = "
auth, prompt, refusal = (text.encode() for text in MORE)
wire = Wire().expect(GREETING).say(auth, prompt).say(STARTTLS, refusal)
wire.say(STARTTLS, GO).secure().say(NOOP, NOOP_OK)
";
    for (protocol, auth, prompt, refusal) in cases {
        Secured::new(protocol, "").talk(program, &[auth, prompt, refusal]).succeeded();
    }
}

// S61.
#[test]
fn smtp_forgets_the_client_s_name_and_envelope() {
    let program = r#"
wire = Wire().expect(GREETING)
wire.say(b"EHLO before\r\n", b"250-proxy.example\r\n250 STARTTLS\r\n")
wire.say(b"MAIL FROM:<a@x>\r\n", b"250 2.0.0 OK\r\n")
wire.say(STARTTLS, GO).secure()
wire.say(b"RCPT TO:<b@x>\r\n", b"503 5.5.1 Bad sequence of commands\r\n")
wire.say(b"MAIL FROM:<c@x>\r\n", b"250 2.0.0 OK\r\n")
wire.say(b"RCPT TO:<d@x>\r\n", b"250 to d\r\n")
"#;
    let script = Protocol::Smtp
        .backend()
        .answer("MAIL FROM:<c@x>\r\n", "250 from c\r\n")
        .answer("RCPT TO:<d@x>\r\n", "250 to d\r\n");
    let secured = Secured::playing(Protocol::Smtp, "smtp_auth none;", script);
    secured.talk(program, &[]).succeeded();
    let request = secured.stage.auth.request(0);
    let told = ["Auth-SMTP-Helo", "Auth-SMTP-From", "Auth-SMTP-To"].map(|name| request.header(name).unwrap());
    assert_eq!(told, ["", "MAIL FROM:<c@x>", "RCPT TO:<d@x>"]);
}

// P37, P62.
#[test]
fn pop3_keeps_the_salt_of_the_greeting() {
    let program = r#"
wire = Wire()
salt = wire.line()[len(b"+OK POP3 ready "):].strip()
wire.say(STARTTLS, GO).secure()
wire.say(b"AUTH CRAM-MD5\r\n", b"+ " + base64.b64encode(salt) + b"\r\n")
print(salt.decode(), end="")
"#;
    let secured = Secured::new(Protocol::Pop3, "pop3_auth plain apop cram-md5;");
    let salt = secured.talk(program, &[]).succeeded().text();
    assert!(salt.starts_with('<') && salt.ends_with("@proxy.example>"), "{salt}");
}

#[test]
fn sessions_after_it_are_told_as_such() {
    let secured = Secured::answering(Protocol::Imap, "");
    let program = "
for wire in both():
    wire.say(LOGIN, ASKED + LOGGED_IN).say(b'x\\r\\n', b'bye\\r\\n').ends()
";
    secured.talk(program, &[]).succeeded();
    let log = secured.stage.proxy.wait_for_log("*2 proxied session done");
    for text in ["client logged in", "proxied session done"] {
        let lines: Vec<_> = log.lines().filter(|line| line.contains(text)).collect();
        assert!(lines[0].contains(", starttls: \"true\", login: \"u\", upstream: "), "{log}");
        assert!(!lines[1].contains("starttls"), "{log}");
    }
}

#[test]
fn clients_of_openssl_begin_tls() {
    for protocol in Protocol::ALL {
        let secured = Secured::answering(protocol, "starttls only;");
        let input = format!("{}hello\r\n", protocol.login());
        let ran = secured.s_client(Place::Clear, &["-quiet"], &input).succeeded();
        let said = ran.text();
        assert!(said.ends_with(&format!("{}bye\r\n", protocol.logged_in())), "{said}");
    }
}

// S62.
#[test]
fn an_upstream_does_not_hear_what_the_client_called_itself_before_tls() {
    let program = r#"
wire = Wire().expect(GREETING)
wire.say(b"EHLO before\r\n", b"250-proxy.example\r\n250-AUTH PLAIN LOGIN\r\n250 STARTTLS\r\n")
wire.say(STARTTLS, GO).secure().say(b"AUTH PLAIN AHUAcA==\r\n", b"235 2.0.0 OK\r\n")
wire.say(b"QUIT\r\n", b"221 bye\r\n")
"#;
    let script = Script::new()
        .say("220 smtp ready\r\n")
        .answer("EHLO proxy.example\r\n", "250-backend\r\n250 XCLIENT NAME ADDR LOGIN\r\n")
        .answer("XCLIENT ADDR=127.0.0.1 LOGIN=u NAME=[UNAVAILABLE]\r\n", "220 trusted\r\n")
        .answer("QUIT\r\n", "221 bye\r\n");
    Secured::playing(Protocol::Smtp, "xclient on;", script).talk(program, &[]).succeeded();
}
