//! POP3 by script.

use super::*;

async fn logged_in(store: &Backends, user: &str, password: &str) -> Client {
    let mut client = Client::greeted(store.pop3, "+OK").await;
    client.ask(&format!("USER {user}"), "+OK").await;
    client.ask(&format!("PASS {password}"), "+OK").await;
    client
}

#[tokio::test]
async fn nothing_is_shown_before_login() {
    let store = store().await;
    let mut client = Client::greeted(store.pop3, "+OK").await;
    for command in ["STAT", "RETR 1", "PASS wonderland", "XYZZY"] {
        client.ask(command, "-ERR").await;
    }
    assert!(client.ask("CAPA", ".").await.contains("\r\nUIDL\r\n"));
    client.ask("USER alice", "+OK").await;
    client.ask("PASS builder", "-ERR [AUTH]").await;
    client.ask("PASS wonderland", "-ERR").await;
}

#[tokio::test]
async fn a_mailbox_is_listed_and_read() {
    let store = store().await;
    let mut client = logged_in(&store, "alice", "wonderland").await;
    let stat = client.ask("STAT", "+OK 3 ").await;
    let list = client.ask("LIST", ".\r\n").await;
    let sizes: Vec<usize> = list.lines().filter_map(|line| line.split(' ').nth(1)?.parse().ok()).collect();
    assert_eq!(sizes.len(), 3);
    assert_eq!(stat, format!("+OK 3 {}\r\n", sizes.iter().sum::<usize>()));
    assert_eq!(client.ask("LIST 2", "+OK").await, format!("+OK 2 {}\r\n", sizes[1]));

    let message = client.ask("RETR 2", ".\r\n").await;
    assert!(message.starts_with(&format!("+OK {} octets\r\nReturn-Path: ", sizes[1])));
    assert!(message.contains("\r\n... and yes, this line begins with two dots"));
    let top = client.ask("TOP 2 1", ".\r\n").await;
    assert!(top.ends_with("\r\n\r\nHi Alice,\r\n.\r\n"));
    assert!(client.ask("TOP 2 0", ".\r\n").await.ends_with(": 8bit\r\n\r\n.\r\n"));
    for bad in
        ["RETR", "RETR 0", "RETR 4", "RETR x", "RETR 99999999999999999999", "TOP 1", "LIST 4", "USER bob"]
    {
        client.ask(bad, "-ERR").await;
    }
}

#[tokio::test]
async fn messages_are_deleted_at_quit_only() {
    let store = store().await;
    let mut client = logged_in(&store, "bob", "builder").await;
    let uids = client.ask("UIDL", ".\r\n").await;
    client.ask("DELE 1", "+OK").await;
    client.ask("RETR 1", "-ERR").await;
    client.ask("STAT", "+OK 1 ").await;
    client.ask("RSET", "+OK 2 ").await;
    client.ask("DELE 1", "+OK").await;
    drop(client);

    let mut client = logged_in(&store, "bob", "builder").await;
    assert_eq!(client.ask("UIDL", ".\r\n").await, uids, "no QUIT, nothing deleted");
    client.ask("DELE 1", "+OK").await;
    client.ask("QUIT", "+OK").await;
    assert_eq!(client.rest().await, "");

    let mut client = logged_in(&store, "bob", "builder").await;
    client.ask("STAT", "+OK 1 ").await;
    let left = client.ask("UIDL 1", "+OK").await;
    assert!(uids.contains(left.trim_start_matches("+OK 1").trim_end()), "UIDs stay: {left}");
}

#[tokio::test]
async fn a_client_that_only_errs_is_sent_away() {
    let store = store().await;
    let mut client = Client::greeted(store.pop3, "+OK").await;
    client.send("NOPE\r\n".repeat(100)).await;
    assert!(client.rest().await.ends_with("-ERR closing the connection\r\n"));
}
