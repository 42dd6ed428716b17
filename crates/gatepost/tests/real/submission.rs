//! Mail to Postfix: who sent it according to XCLIENT, with and without login, one command at a time and pipelined.

use rig::{Client, Request, tool};

use crate::stage::{Authority, Stage, USERS};

/// Where clients come from: a loopback address that is nobody else's.
const HOME: &str = "127.9.8.7";

#[test]
fn postfix_learns_who_the_client_is() {
    let program = r#"
with smtplib.SMTP(*SMTP, timeout=10, local_hostname="laptop.example.test", source_address=(MORE[0], 0)) as out:
    out.login(*ANN)
    assert "xclient" in out.esmtp_features or out.ehlo()[0] == 250
    # Only somebody who has logged in may send mail elsewhere, and nothing here knows the way.
    assert out.mail("ann@example.test")[0] == 250
    assert out.rcpt("stranger@elsewhere.test")[0] == 250
    assert out.rset()[0] == 250
    out.sendmail("ann@example.test", ["bob@example.test"], b"Subject: hello\r\n\r\nbody\r\n")
"#;
    for authority in [Authority::Server, Authority::File] {
        let stage = Stage::start(authority);
        stage.python(program, &[HOME]).succeeded();
        let log = stage.postfix.wait_for_log("status=sent");
        let known = format!("client=unknown[{HOME}], sasl_method=XCLIENT, sasl_username=ann");
        assert!(log.contains(&known), "{log}");
        let delivered = String::from_utf8(stage.inbox("bob").remove(0)).expect("text");
        let received = format!("Received: from laptop.example.test (unknown [{HOME}])");
        assert!(delivered.contains(&received), "{delivered}");
    }
}

#[test]
fn the_proxy_logs_in_to_postfix_for_the_client() {
    let program = r#"
for at in MORE:
    for mechanism in "PLAIN", "CRAM-MD5":
        with smtplib.SMTP(*place(at), timeout=10) as out:
            out.ehlo()
            out.user, out.password = BOB
            assert out.auth(mechanism, getattr(out, "auth_" + mechanism.lower().replace("-", "_")))[0] == 235
            assert out.mail("bob@example.test")[0] == 250
            assert out.rcpt("stranger@elsewhere.test")[0] == 250
"#;
    for authority in [Authority::Server, Authority::File] {
        let stage = Stage::start(authority);
        let [told, plain] = ["smtp_told", "smtp_plain"].map(|name| stage.at(name).to_string());
        stage.python(program, &[&told, &plain]).succeeded();
        let log = stage.postfix.log();
        assert_eq!(log.matches("sasl_method=PLAIN, sasl_username=bob").count(), 4, "{log}");
    }
}

#[test]
fn mail_of_strangers_is_accepted_without_login() {
    let stage = Stage::start(Authority::Server);
    let at = stage.at("mx");
    let mut swaks = stage.command("swaks");
    swaks.args(["--server", &at.ip().to_string(), "--port", &at.port().to_string()]);
    swaks.args(["--local-interface", HOME, "--helo", "mx.elsewhere.test", "--from", "carol@elsewhere.test"]);
    swaks.args(["--to", "bob@example.test,ann@example.test", "--body", "from far away"]);
    tool::run(&mut swaks, &[]).succeeded();

    let request = stage.auth.request(0);
    let said = |name: &str| Request::header(&request, name).unwrap_or_default();
    assert_eq!(said("Auth-Method"), "none");
    assert_eq!(said("Client-IP"), HOME);
    assert_eq!(said("Auth-SMTP-Helo"), "mx.elsewhere.test");
    assert_eq!(said("Auth-SMTP-From"), "MAIL FROM:<carol@elsewhere.test>");
    assert_eq!(said("Auth-SMTP-To"), "RCPT TO:<bob@example.test>");

    let log = stage.postfix.wait_for_removed(1);
    assert!(log.contains(&format!("client=unknown[{HOME}]\n")), "{log}");
    for user in ["ann", "bob"] {
        let delivered = String::from_utf8(stage.inbox(user).remove(0)).expect("text");
        assert!(delivered.contains(&format!("from mx.elsewhere.test (unknown [{HOME}])")), "{delivered}");
        assert!(delivered.ends_with("from far away\n\n\n"), "{delivered:?}");
    }
}

#[test]
fn postfix_refuses_to_relay_for_strangers_and_the_session_goes_on() {
    let stage = Stage::start(Authority::Server);
    let program = r#"
with smtplib.SMTP(*place(MORE[0]), timeout=10) as out:
    refused = out.sendmail("carol@elsewhere.test", ["dave@elsewhere.test", "bob@example.test"], b"Subject: a\r\n\r\nb\r\n")
    assert list(refused) == ["dave@elsewhere.test"], refused
    assert refused["dave@elsewhere.test"] == (554, b"5.7.1 <dave@elsewhere.test>: Relay access denied"), refused
"#;
    stage.python(program, &[&stage.at("mx").to_string()]).succeeded();
    stage.postfix.wait_for_removed(1);
    assert_eq!(stage.inbox("bob").len(), 1);
}

#[test]
fn swaks_pipelines_after_login() {
    let stage = Stage::start(Authority::File);
    let at = stage.at("smtp");
    let mut swaks = stage.command("swaks");
    swaks.args(["--server", &at.ip().to_string(), "--port", &at.port().to_string(), "--pipeline"]);
    swaks.args(["--from", "ann@example.test", "--to", "ann@example.test,bob@example.test"]);
    swaks.args(["--auth", "PLAIN", "--auth-user", USERS[0].0, "--auth-password", USERS[0].1]);
    let ran = tool::run(&mut swaks, &[]).succeeded();
    let at_once = " -> RCPT TO:<bob@example.test>\n -> DATA\n<-  250 2.1.0 Ok\n";
    assert!(ran.text().contains(at_once), "{}", ran.text());
    stage.postfix.wait_for_removed(1);
    assert_eq!((stage.inbox("ann").len(), stage.inbox("bob").len()), (1, 1));
}

/// Everything behind the greeting in one segment, though nothing was answered yet.
#[test]
fn a_whole_conversation_in_one_segment_reaches_postfix_in_order() {
    let stage = Stage::start(Authority::Server);
    let replies = "250 2.1.5 Ok\r\n354 End data with <CR><LF>.<CR><LF>\r\n250 2.0.0 Ok: queued as ";
    let mail = "MAIL FROM:<ann@example.test>\r\nRCPT TO:<bob@example.test>\r\nDATA\r\n\
                Subject: at once\r\n\r\nbody\r\n.\r\nQUIT\r\n";
    let mut client = Client::connect(stage.at("smtp"));
    client.expect("220 gate.example.test ESMTP ready\r\n");
    // base64 of NUL ann NUL "secret one"
    client.send(format!("EHLO c\r\nAUTH PLAIN AGFubgBzZWNyZXQgb25l\r\n{mail}"));
    client.until("250 AUTH PLAIN LOGIN CRAM-MD5 XOAUTH2 OAUTHBEARER\r\n");
    client.expect("235 2.0.0 OK\r\n250 2.1.0 Ok\r\n").expect(replies).until("\r\n");
    client.expect("221 2.0.0 Bye\r\n").expect_end();

    let mut client = Client::connect(stage.at("mx"));
    client.expect("220 gate.example.test ESMTP ready\r\n");
    client.send(format!("EHLO c\r\n{mail}")).until("SIZE 50000000\r\n");
    // The proxy answers to MAIL itself: who may send is not asked before there is a recipient.
    client.expect("250 2.0.0 OK\r\n").expect(replies).until("\r\n");
    client.expect("221 2.0.0 Bye\r\n").expect_end();
    stage.postfix.wait_for_removed(2);
    assert_eq!(stage.inbox("bob").len(), 2);
}
