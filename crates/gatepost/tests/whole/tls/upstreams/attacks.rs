//! Upstreams, or those in between, that talk a proxy out of TLS. All of it is in clear.

use rig::pki::{Key, Root};
use rig::{AuthServer, Backend, Script, auth_server, show};

use super::wanting;
use crate::stage::{Protocol, Stage};

/// What an attacker does, and what we say to it before we go away.
struct Attack {
    script: Script,
    heard: String,
}

/// What we say up to the command that begins TLS, each with the honest answer.
fn before(protocol: Protocol) -> &'static [(&'static str, &'static str)] {
    match protocol {
        Protocol::Imap => &[("", "* OK ready\r\n"), ("TLS STARTTLS\r\n", "TLS OK begin\r\n")],
        Protocol::Pop3 => &[("", "+OK ready\r\n"), ("STLS\r\n", "+OK begin\r\n")],
        Protocol::Smtp => &[
            ("", "220 ready\r\n"),
            ("EHLO proxy.example\r\n", "250-x\r\n250 STARTTLS\r\n"),
            ("STARTTLS\r\n", "220 begin\r\n"),
        ],
    }
}

/// An attacker that is honest for so many steps, then answers with these words.
fn attack(protocol: Protocol, honest: usize, words: &str) -> Attack {
    let steps = before(protocol);
    let mut script = Script::new();
    for (said, reply) in &steps[..honest] {
        script = script.answer(said, reply);
    }
    script = script.answer(steps[honest].0, words);
    let heard = steps[..=honest].iter().map(|(said, _)| *said).collect();
    Attack { script, heard }
}

/// Every client hears of an internal error and nothing else, and no attacker hears more than is meant for it.
#[track_caller]
fn repelled(protocol: Protocol, attacks: Vec<Attack>, reason: &str) {
    let root = Root::new(Key::Ec, "Test root");
    let (scripts, heard): (Vec<_>, Vec<_>) = attacks.into_iter().map(|a| (a.script, a.heard)).unzip();
    let backend = Backend::start_each(scripts);
    let auth = AuthServer::always(auth_server::allow(backend.address()));
    let stage = Stage::new(protocol, &wanting("starttls", &root), auth, backend);
    for (number, heard) in heard.iter().enumerate() {
        let mut client = stage.client();
        client.send(protocol.login());
        let expected = [protocol.asked(), protocol.internal_error()].concat();
        assert_eq!(show(&client.rest()), show(expected.as_bytes()), "attack {number}");
        let received = stage.backend.finished(number);
        assert_eq!(show(&received), show(heard.as_bytes()), "attack {number}");
        let log = stage.proxy.wait_for_log(&format!("*{} {reason}", number + 1));
        assert!(log.contains("[error] "), "{log}");
    }
}

const NO_TLS: &str = "upstream did not start TLS";

/// Attacks with these words in each protocol, after so many honest steps.
fn words(protocol: Protocol, imap: &[&str], pop3: &[&str], smtp: &[&str], honest: usize) -> Vec<Attack> {
    let all = match protocol {
        Protocol::Imap => imap,
        Protocol::Pop3 => pop3,
        Protocol::Smtp => smtp,
    };
    all.iter().map(|words| attack(protocol, honest, words)).collect()
}

fn last(protocol: Protocol) -> usize {
    before(protocol).len() - 1
}

// B_1 to B_3.
#[test]
fn nothing_is_believed_that_came_in_clear_behind_the_go_ahead() {
    for protocol in Protocol::ALL {
        let attacks = words(
            protocol,
            &[
                "TLS OK begin\r\n* CAPABILITY IMAP4rev1\r\n",
                "TLS OK begin\r\na OK logged in\r\n",
                "TLS OK begin\r\n+ go\r\n",
                "TLS OK begin\r\n* ",
                "TLS OK begin\r\n\x16\x03\x03",
            ],
            &["+OK begin\r\n+OK logged in\r\n", "+OK begin\r\n\r\n"],
            &["220 begin\r\n250 x\r\n", "220 begin\r\n235 ok\r\n", "220-begin\r\n220 again\r\n"],
            last(protocol),
        );
        repelled(protocol, attacks, NO_TLS);
    }
}

// O_1 to O_4, and the odd replies of "SMTP others" and "POP3 others".
#[test]
fn an_upstream_that_refuses_tls_gets_no_password() {
    for protocol in Protocol::ALL {
        let attacks = words(
            protocol,
            &[
                "TLS NO not now\r\n",
                "TLS BAD what?\r\n",
                "x OK begin\r\n",
                "* BYE\r\n",
                "* BAD what?\r\nTLS NO no\r\n",
                "+ go\r\n",
                "TLS PREAUTH\r\n",
            ],
            &["-ERR no\r\n", "OK\r\n", "+\r\n", "+NO\r\n", "\r\n"],
            &[
                "454 4.7.0 not now\r\n",
                "502 what?\r\n",
                "554 no\r\n",
                "221 bye\r\n",
                "250 ok\r\n",
                "354 go\r\n",
                "421 bye\r\n",
            ],
            last(protocol),
        );
        repelled(protocol, attacks, NO_TLS);
    }
}

// "SMTP others" around EHLO; one that hides STARTTLS (D_1) is asked for it all the same.
#[test]
fn odd_replies_to_ehlo_do_not_get_a_password() {
    let hello = |words| attack(Protocol::Smtp, 1, words);
    let mut attacks: Vec<_> = [
        "250-x\r\n250 STARTTLS\r\n220 begin\r\n",
        "250 x\r\n235 ok\r\n",
        "500 what?\r\n",
        "220 x\r\n",
        "354 go\r\n",
    ]
    .map(hello)
    .into();
    let Attack { script, heard } = hello("250 x\r\n");
    let script = script.answer("STARTTLS\r\n", "502 what?\r\n");
    attacks.push(Attack { script, heard: heard + "STARTTLS\r\n" });
    repelled(Protocol::Smtp, attacks, NO_TLS);
}

#[test]
fn an_upstream_that_hangs_up_instead_gets_no_password() {
    for protocol in Protocol::ALL {
        let attacks = (0..=last(protocol))
            .map(|step| {
                let Attack { script, heard } = attack(protocol, step, "");
                Attack { script: script.close(), heard }
            })
            .collect();
        repelled(protocol, attacks, "upstream prematurely closed connection");
    }
}

// D_1 to D_3.
#[test]
fn an_upstream_that_does_not_answer_gets_no_password() {
    for protocol in Protocol::ALL {
        let root = Root::new(Key::Ec, "Test root");
        let Attack { script, heard } = attack(protocol, last(protocol), "");
        let backend = Backend::start(script);
        let auth = AuthServer::always(auth_server::allow(backend.address()));
        let settings = format!("{} timeout 1s;", wanting("starttls", &root));
        let stage = Stage::new(protocol, &settings, auth, backend);
        let mut client = stage.client();
        client.send(protocol.login());
        let expected = [protocol.asked(), protocol.internal_error()].concat();
        assert_eq!(show(&client.rest()), show(expected.as_bytes()));
        assert_eq!(show(&stage.backend.finished(0)), show(heard.as_bytes()));
        stage.proxy.wait_for_log("upstream timed out (110: Connection timed out)");
    }
}

// P and P_1 to P_5, and greetings with more behind them.
#[test]
fn greetings_that_leave_no_place_for_tls_end_the_attempt() {
    for protocol in Protocol::ALL {
        let attacks = words(
            protocol,
            &[
                "* PREAUTH welcome\r\n",
                "* PREAUTH [CAPABILITY IMAP4rev1 STARTTLS] welcome\r\n",
                "* preauth\r\n",
                "* BYE go away\r\n",
                "* OK ready\r\nTLS OK begin\r\n",
                "* OK ready\r\na OK logged in\r\n",
                "TLS OK begin\r\n",
            ],
            &["-ERR go away\r\n", "+OK ready\r\n+OK begin\r\n", "* OK\r\n"],
            &["554 go away\r\n", "421 busy\r\n", "250 ok\r\n", "220 ready\r\n250 ok\r\n220 begin\r\n"],
            0,
        );
        repelled(protocol, attacks, NO_TLS);
    }
}

// L_1, M_1, M_2, and the texts of "UI spoofing": all refused logins are passed on otherwise.
#[test]
fn words_and_referrals_in_clear_reach_no_client() {
    for protocol in Protocol::ALL {
        let attacks = words(
            protocol,
            &[
                "TLS NO [REFERRAL imap://evil.example/] go there\r\n",
                "* BYE [REFERRAL imap://evil.example/] go there\r\n",
                "* OK [REFERRAL imap://evil.example/] go there\r\nTLS NO no\r\n",
                "TLS NO [ALERT] call 0900 1234\r\n",
                "* OK [ALERT] call 0900 1234\r\nTLS BAD [BADCHARSET (x)] no\r\n",
                "* NO [PARSE] call 0900 1234\r\n* LIST () \"/\" evil\r\nTLS NO no\r\n",
            ],
            &["-ERR [SYS/PERM] call 0900 1234\r\n", "-ERR [AUTH] call 0900 1234\r\n"],
            &["554 5.7.0 call 0900 1234\r\n", "551 <evil@example.org> go there\r\n"],
            last(protocol),
        );
        repelled(protocol, attacks, NO_TLS);
    }
}

#[test]
fn where_the_auth_server_demands_tls_it_is_no_less_demanded() {
    for protocol in Protocol::ALL {
        let refusal = match protocol {
            Protocol::Imap => "TLS NO no\r\n",
            Protocol::Pop3 => "-ERR no\r\n",
            Protocol::Smtp => "454 no\r\n",
        };
        let Attack { script, heard } = attack(protocol, last(protocol), refusal);
        let backend = Backend::start(script);
        let header = "Auth-Server-SSL: starttls";
        let auth = AuthServer::always(auth_server::allow_with(backend.address(), &[header]));
        let stage = Stage::new(protocol, "", auth, backend);
        let mut client = stage.client();
        client.send(protocol.login());
        let expected = [protocol.asked(), protocol.internal_error()].concat();
        assert_eq!(show(&client.rest()), show(expected.as_bytes()));
        assert_eq!(show(&stage.backend.finished(0)), show(heard.as_bytes()));
    }
}

#[test]
fn an_upstream_in_clear_at_a_tls_port_gets_no_password() {
    for protocol in Protocol::ALL {
        let root = Root::new(Key::Ec, "Test root");
        let backend = Backend::start(Script::new().say(before(protocol)[0].1));
        let auth = AuthServer::always(auth_server::allow(backend.address()));
        let stage = Stage::new(protocol, &wanting("on", &root), auth, backend);
        let mut client = stage.client();
        client.send(protocol.login());
        let expected = [protocol.asked(), protocol.internal_error()].concat();
        assert_eq!(show(&client.rest()), show(expected.as_bytes()));
        // It hears the beginning of a handshake (RFC 8446, section 5.1).
        assert_eq!(stage.backend.finished(0)[..2], [22, 3]);
        let log = stage.proxy.wait_for_log("SSL_do_handshake() failed");
        assert!(log.contains(" while SSL handshaking to upstream, client: "), "{log}");
    }
}
