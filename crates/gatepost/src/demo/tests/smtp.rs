//! SMTP by script.

use super::*;

const ALICE: &str = "AUTH PLAIN AGFsaWNlAHdvbmRlcmxhbmQ=";

async fn greeted(store: &Backends) -> Client {
    let mut client = Client::greeted(store.smtp, "220 ").await;
    client.ask("EHLO me.example.org", "250 ").await;
    client
}

/// The last message of a user, over IMAP.
async fn last_message(store: &Backends, login: &str) -> String {
    let mut client = Client::greeted(store.imap, "* OK").await;
    client.ask(&format!("a LOGIN {login}"), "a OK").await;
    client.ask("b SELECT INBOX", "b OK").await;
    client.ask("c FETCH * BODY[]", "c OK").await
}

#[tokio::test]
async fn only_users_may_send_and_only_to_users() {
    let store = store().await;
    let mut client = greeted(&store).await;
    client.ask("MAIL FROM:<alice@example.org>", "530").await;
    client.ask("AUTH PLAIN AGFsaWNlAA==", "535").await;
    client.ask("AUTH PLAIN", "334").await;
    client.ask("AGFsaWNlAHdvbmRlcmxhbmQ=", "235").await;
    client.ask(ALICE, "503").await;
    client.ask("RCPT TO:<bob@example.org>", "503").await;
    client.ask("MAIL FROM:<alice@example.org> SIZE=99999999", "552").await;
    client.ask("MAIL FROM:<alice@example.org> SIZE=10", "250").await;
    client.ask("DATA", "503").await;
    client.ask("RCPT TO:<carol@example.org>", "550").await;
    client.ask("RCPT TO:<bob@example.com>", "550").await;
    client.ask("RCPT TO:<BOB@example.org>", "250").await;
    client.ask("RSET", "250").await;
    client.ask("DATA", "503").await;
    client.ask("QUIT", "221").await;
    assert_eq!(client.rest().await, "");
}

#[tokio::test]
async fn what_is_sent_can_be_read() {
    let store = store().await;
    let mut client = greeted(&store).await;
    // All at once, as a client that pipelines sends it.
    let transaction = "MAIL FROM:<alice@example.org>\r\nRCPT TO:<bob@example.org>\r\nDATA\r\n";
    client.send(format!("{ALICE}\r\n{transaction}")).await;
    client.until("354").await;
    client.send("Subject: hi\r\n\r\n..dot\r\nbare\n.\nend\r\n.\r\nNOOP\r\n").await;
    client.expect("250 2.0.0 delivered").await;
    client.expect("250").await;
    let message = last_message(&store, "bob builder").await;
    assert!(
        message.contains(
            "}\r\nReturn-Path: <alice@example.org>\r\nReceived: from me.example.org (unknown [127.0.0.1])\r\n"
        ),
        "{message}"
    );
    assert!(message.contains("\r\nSubject: hi\r\n\r\n.dot\r\nbare\r\n.\r\nend\r\n FLAGS ("), "{message}");
    assert!(message.contains("\r\nDate: ") && message.contains("\r\nMessage-ID: <"), "{message}");
}

#[tokio::test]
async fn a_proxy_logs_its_client_in_and_the_trace_shows_the_client() {
    let store = store().await;
    let mut client = greeted(&store).await;
    client.ask("XCLIENT ADDR=192.0.2.7 LOGIN=nobody NAME=[UNAVAILABLE]", "550").await;
    client.ask("XCLIENT ADDR=192.0.2.7 LOGIN=bob NAME=[UNAVAILABLE]", "220").await;
    client.ask("MAIL FROM:<bob@example.org>", "503").await;
    client.ask("EHLO behind", "250 ").await;
    client.ask("MAIL FROM:<bob@example.org>", "250").await;
    client.ask("XCLIENT NAME=a", "503").await;
    client.ask("RCPT TO:<alice@example.org>", "250").await;
    client.ask("DATA", "354").await;
    client.ask(".", "250").await;
    let message = last_message(&store, "alice wonderland").await;
    assert!(message.contains("Received: from behind (unknown [192.0.2.7])\r\n"), "{message}");
}

#[tokio::test]
async fn a_message_too_large_is_refused_and_the_session_goes_on() {
    let store = store().await;
    let mut client = greeted(&store).await;
    client.ask(ALICE, "235").await;
    client.ask("MAIL FROM:<>", "250").await;
    client.ask("RCPT TO:<bob@example.org>", "250").await;
    client.ask("DATA", "354").await;
    let line = [&[b'x'; 1022][..], b"\r\n"].concat();
    for _ in 0..33 {
        client.send(line.repeat(1024)).await;
    }
    client.ask("\r\n.", "552").await;
    client.ask("NOOP", "250").await;
}
