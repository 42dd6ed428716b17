//! Every mechanism that each client has, against an auth server and a users file that check it.

use rig::tool;

use crate::stage::{Authority, REFUSED, STRANGER, Stage, TOKEN, USERS};

/// Mechanisms that need the password, with what the auth server calls them.
const BY_PASSWORD: &[(&str, &str)] = &[("PLAIN", "plain"), ("LOGIN", "plain"), ("CRAM-MD5", "cram-md5")];

/// What curl is asked once it has logged in, and what the upstream makes it show.
struct Look {
    protocol: &'static str,
    request: &'static [&'static str],
    shows: &'static str,
}

const LOOKS: &[Look] = &[
    Look { protocol: "imap", request: &[], shows: "* LIST (\\HasNoChildren) \".\" INBOX" },
    Look { protocol: "pop3", request: &["-X", "CAPA"], shows: "RESP-CODES" },
    Look { protocol: "smtp", request: &["-X", "VRFY ann@example.test"], shows: "252 2.0.0 ann@example.test" },
];

/// Logs in with curl and looks at what is there.
#[track_caller]
fn curl(stage: &Stage, look: &Look, mechanism: &str, options: &[&str]) {
    let choice = format!("AUTH={mechanism}");
    let url = format!("{}/", stage.url(look.protocol));
    let ran = stage.curl(&[options, look.request, &["--login-options", &choice, &url]].concat()).succeeded();
    assert!(ran.text().contains(look.shows), "{} {mechanism}: {}", look.protocol, ran.text());
}

#[test]
fn curl_logs_in_by_password_with_and_without_initial_response() {
    let stage = Stage::start(Authority::Server);
    for look in LOOKS {
        for (mechanism, method) in BY_PASSWORD {
            for options in [&[][..], &["--sasl-ir"]] {
                curl(&stage, look, mechanism, options);
                assert_eq!(stage.method(look.protocol), *method, "{} {mechanism}", look.protocol);
            }
        }
    }
    curl(&stage, &LOOKS[1], "+APOP", &[]);
    assert_eq!(stage.method("pop3"), "apop");
}

#[test]
fn curl_logs_in_by_token_with_and_without_initial_response() {
    let stage = Stage::start(Authority::Server);
    for Look { protocol, request, shows } in LOOKS {
        // curl takes OAUTHBEARER wherever it is offered.
        for (listener, method) in [("", "oauthbearer"), ("_xoauth2", "xoauth2")] {
            let url = format!("{protocol}://{}/", stage.at(&format!("{protocol}{listener}")));
            for option in ["--no-sasl-ir", "--sasl-ir"] {
                let ran =
                    stage.curl(&[&[option, "--oauth2-bearer", TOKEN, &url], *request].concat()).succeeded();
                assert!(ran.text().contains(shows), "{protocol} {method}: {}", ran.text());
                assert_eq!(stage.method(protocol), method, "{protocol}");
            }
        }
    }
}

#[test]
fn curl_logs_in_by_password_against_a_users_file() {
    let stage = Stage::start(Authority::File);
    for look in LOOKS {
        for (mechanism, _) in BY_PASSWORD {
            curl(&stage, look, mechanism, &[]);
        }
    }
    curl(&stage, &LOOKS[1], "+APOP", &[]);
    assert!(stage.auth.requests().is_empty(), "the auth server was asked");
}

#[test]
fn swaks_logs_in_with_each_of_its_mechanisms() {
    for authority in [Authority::Server, Authority::File] {
        let stage = Stage::start(authority);
        for (mechanism, _) in BY_PASSWORD {
            let ran = swaks(&stage, mechanism, USERS[1].1).succeeded();
            assert!(ran.text().contains("<-  235 2.0.0 OK"), "{}", ran.text());
        }
    }
}

fn swaks(stage: &Stage, mechanism: &str, password: &str) -> tool::Ran {
    let at = stage.at("smtp");
    let mut swaks = stage.command("swaks");
    swaks.args(["--server", &at.ip().to_string(), "--port", &at.port().to_string(), "--quit-after", "auth"]);
    swaks.args(["--to", "ann@example.test", "--from", "bob@example.test", "--auth", mechanism]);
    tool::run(swaks.args(["--auth-user", USERS[1].0, "--auth-password", password]), &[])
}

#[test]
fn python_logs_in_with_each_of_its_mechanisms() {
    let program = r#"
def imap(login):
    box = imaplib.IMAP4(*IMAP, timeout=10)
    login(box)
    assert box.select()[0] == "OK"
    assert box.logout()[0] == "BYE"
for user in ANN, BOB:
    imap(lambda box: box.login(*user))
    imap(lambda box: box.login_cram_md5(*user))
    imap(lambda box: box.authenticate("PLAIN", lambda _: "\0".join(("",) + user).encode()))
    answers = list(user)
    imap(lambda box: box.authenticate("LOGIN", lambda _: answers.pop(0).encode()))

def pop3(login):
    box = poplib.POP3(*POP3, timeout=10)
    login(box)
    assert box.stat() == (0, 0)
    box.quit()
for user, password in ANN, BOB:
    pop3(lambda box: (box.user(user), box.pass_(password)))
    pop3(lambda box: box.apop(user, password))

def smtp(login):
    with smtplib.SMTP(*SMTP, timeout=10) as out:
        out.ehlo()
        assert login(out)[0] == 235
        assert out.noop()[0] == 250
for user, password in ANN, BOB:
    for initial in True, False:
        for mechanism in "PLAIN", "LOGIN", "CRAM-MD5":
            def login(out):
                out.user, out.password = user, password
                method = getattr(out, "auth_" + mechanism.lower().replace("-", "_"))
                return out.auth(mechanism, method, initial_response_ok=initial)
            smtp(login)
    smtp(lambda out: out.login(user, password))
"#;
    for authority in [Authority::Server, Authority::File] {
        Stage::start(authority).python(program, &[]).succeeded();
    }
}

#[test]
fn clients_are_refused_in_the_auth_servers_words() {
    let stage = Stage::start(Authority::Server);
    let program = r#"
words = MORE[0].encode()
for login in "login", "login_cram_md5":
    try:
        getattr(imaplib.IMAP4(*IMAP, timeout=10), login)("ann", "wrong")
        raise SystemExit("let in")
    except imaplib.IMAP4.error as error:
        assert words.decode() in str(error), error
for login in (lambda box: (box.user("ann"), box.pass_("wrong"))), (lambda box: box.apop("ann", "wrong")):
    try:
        login(poplib.POP3(*POP3, timeout=10))
        raise SystemExit("let in")
    except poplib.error_proto as error:
        assert error.args[0] == b"-ERR " + words, error
out = smtplib.SMTP(*SMTP, timeout=10)
out.ehlo()
out.user, out.password = "nobody", "wrong"
try:
    out.auth("CRAM-MD5", out.auth_cram_md5)
    raise SystemExit("let in")
except smtplib.SMTPAuthenticationError as error:
    assert (error.smtp_code, error.smtp_error) == (535, b"5.7.0 " + words), error
"#;
    stage.python(program, &[REFUSED]).succeeded();
    for (mechanism, _) in BY_PASSWORD {
        let ran = swaks(&stage, mechanism, "wrong").failed();
        assert!(ran.text().contains(&format!("535 5.7.0 {REFUSED}")), "{}", ran.text());
    }
    for protocol in ["imap", "pop3", "smtp"] {
        let ran = stage.curl_as("ann:wrong", &["-v", &stage.url(protocol)]).failed();
        // CURLE_LOGIN_DENIED
        assert_eq!(ran.status.code(), Some(67), "{}", ran.stderr);
        assert!(ran.stderr.contains(REFUSED), "{}", ran.stderr);
    }
    for listener in ["imap", "imap_xoauth2"] {
        let url = format!("imap://{}", stage.at(listener));
        let ran = stage.curl(&["-v", "--oauth2-bearer", "wrong", &url]).failed();
        assert!(ran.stderr.contains(REFUSED), "{}", ran.stderr);
    }
    assert!(!stage.dovecot.log().contains("Login"), "{}", stage.dovecot.log());
}

#[test]
fn a_refusal_of_the_upstream_is_told_as_configured() {
    let stage = Stage::start(Authority::File);
    let login = format!("{}:{}", STRANGER.0, STRANGER.1);
    for (listener, told) in [
        ("imap", "* BAD internal server error"),
        ("pop3", "-ERR internal server error"),
        ("imap_told", " NO [AUTHENTICATIONFAILED] Authentication failed."),
        ("pop3_told", "-ERR [AUTH] Authentication failed."),
        ("smtp_told", "535 5.7.8 Error: authentication failed"),
        ("smtp_plain", "451 4.3.2 Internal server error"),
    ] {
        let protocol = &listener[..4];
        let ran = stage.curl_as(&login, &["-v", &format!("{protocol}://{}", stage.at(listener))]).failed();
        assert!(ran.stderr.contains(told), "{listener}: {}", ran.stderr);
    }
}

#[test]
fn a_users_file_refuses_wrong_passwords_and_unknown_users_alike() {
    let stage = Stage::start(Authority::File);
    for user in ["ann:wrong", "nobody:wrong"] {
        for (mechanism, _) in BY_PASSWORD {
            let login = format!("AUTH={mechanism}");
            let ran = stage.curl_as(user, &["-v", "--login-options", &login, &stage.url("imap")]).failed();
            assert!(ran.stderr.contains(" NO Authentication failed."), "{}", ran.stderr);
        }
    }
    assert!(!stage.dovecot.log().contains("Login"), "{}", stage.dovecot.log());
}
