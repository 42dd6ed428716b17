//! IMAP by script.

use super::*;

async fn logged_in(store: &Backends) -> Client {
    let mut client = Client::greeted(store.imap, "* OK [CAPABILITY IMAP4rev1 ").await;
    client.ask("a LOGIN alice wonderland", "a OK").await;
    client
}

async fn selected(store: &Backends) -> Client {
    let mut client = logged_in(store).await;
    client.ask("a SELECT inbox", "a OK [READ-WRITE]").await;
    client
}

#[tokio::test]
async fn every_way_to_log_in_works() {
    let store = store().await;
    for (login, end) in [
        ("a LOGIN \"alice\" \"wonderland\"", "a OK"),
        ("a LOGIN {5+}\r\nalice {10+}\r\nwonderland", "a OK"),
        ("a AUTHENTICATE PLAIN AGFsaWNlAHdvbmRlcmxhbmQ=", "a OK"),
        ("a AUTHENTICATE PLAIN\r\nAGFsaWNlAHdvbmRlcmxhbmQ=", "a OK"),
        ("a AUTHENTICATE PLAIN\r\n*", "a BAD"),
        ("a AUTHENTICATE PLAIN =", "a BAD"),
        ("a AUTHENTICATE LOGIN", "a NO"),
        ("a LOGIN alice builder", "a NO [AUTHENTICATIONFAILED]"),
        ("a LOGIN alice", "a BAD"),
        ("a SELECT INBOX", "a BAD log in first"),
        ("a FETCH 1 FLAGS", "a BAD log in first"),
        ("a CAPABILITY", "a OK"),
        ("a ID NIL", "a OK"),
        ("a LOGOUT", "a OK"),
        ("a NONSENSE", "a BAD"),
        ("", "* BAD"),
        ("a", "a BAD"),
    ] {
        Client::greeted(store.imap, "* OK").await.ask(login, end).await;
    }
}

#[tokio::test]
async fn a_waiting_literal_is_asked_for_or_refused() {
    let store = store().await;
    let mut client = Client::greeted(store.imap, "* OK").await;
    client.ask("a LOGIN {5}", "+ ").await;
    client.ask("alice {10}", "+ ").await;
    client.ask("wonderland", "a OK").await;
    client.ask("b APPEND INBOX {999999999}", "b NO").await;
    client.ask("c LIST \"\" {5000}", "c NO").await;
    client.send([&b"d SELECT {5000+}\r\n"[..], &[b'x'; 5000], b"\r\n"].concat()).await;
    client.until("d NO").await;
    client.ask("e NOOP", "e OK").await;
    client.ask("f APPEND INBOX {999999999+}", "* BYE").await;
}

#[tokio::test]
async fn mailboxes_are_made_listed_renamed_and_removed() {
    let store = store().await;
    let mut client = logged_in(&store).await;
    client.ask("a CREATE work/2025/", "a OK").await;
    client.ask("a CREATE Inbox", "a NO").await;
    client.ask("a RENAME work/2025 \"work/old ones\"", "a OK").await;
    let list = client.ask("a LIST \"\" *", "a OK").await;
    let expected =
        "* LIST () \"/\" \"INBOX\"\r\n* LIST () \"/\" \"Sent\"\r\n* LIST () \"/\" \"work/old ones\"\r\na OK";
    assert!(list.starts_with(expected), "{list}");
    assert_eq!(client.ask("a LSUB \"\" %", "a OK").await.lines().count(), 3);
    client.ask("a LIST \"\" \"\"", "* LIST (\\Noselect) \"/\" \"\"").await;
    client.ask("a SUBSCRIBE Sent", "a OK").await;
    client.ask("a UNSUBSCRIBE Sent", "a NO").await;
    client.ask("a NAMESPACE", "* NAMESPACE ((\"\" \"/\")) NIL NIL").await;
    client.ask("a DELETE \"work/old ones\"", "a OK").await;
    client.ask("a DELETE INBOX", "a NO").await;
    client.ask("a STATUS work/2025 (MESSAGES)", "a NO").await;
    let status = client.ask("a STATUS INBOX (MESSAGES UNSEEN RECENT UIDNEXT)", "a OK").await;
    assert!(status.contains("* STATUS \"INBOX\" (MESSAGES 3 UNSEEN 2 RECENT 3 UIDNEXT 4)\r\n"), "{status}");
}

#[tokio::test]
async fn a_selected_mailbox_is_described() {
    let store = store().await;
    let mut client = logged_in(&store).await;
    let answer = client.ask("a SELECT INBOX", "a OK [READ-WRITE]").await;
    for expected in ["* 3 EXISTS\r\n", "* 3 RECENT\r\n", "[UNSEEN 2]", "[UIDNEXT 4]", "[PERMANENTFLAGS (\\A"]
    {
        assert!(answer.contains(expected), "{expected} in {answer}");
    }
    let answer = client.ask("a EXAMINE INBOX", "a OK [READ-ONLY]").await;
    assert!(answer.contains("* 0 RECENT\r\n"), "the first session has claimed them: {answer}");
    for refused in ["STORE 1 FLAGS ()", "EXPUNGE", "MOVE 1 Sent"] {
        client.ask(&format!("a {refused}"), "a NO [READ-ONLY]").await;
    }
    client.ask("a FETCH 2 BODY[TEXT]", "a OK").await;
    assert!(client.ask("a FETCH 2 FLAGS", "a OK").await.contains("FLAGS (\\Flagged)"));
    client.ask("a SELECT nowhere", "a NO").await;
    client.ask("a CHECK", "a BAD no mailbox").await;
}

#[tokio::test]
async fn messages_are_fetched() {
    let store = store().await;
    let mut client = selected(&store).await;
    let envelope = client.ask("a FETCH 2 ENVELOPE", "a OK").await;
    assert!(envelope.contains(r#"(("Liddell, Alice" NIL "alice" "example.org"))"#), "{envelope}");
    assert!(
        envelope.contains(r#"(("=?utf-8?Q?Caf=C3=A9_am_Platz?=" NIL "cafe" "example.com"))"#),
        "{envelope}"
    );
    let structure = client.ask("a UID FETCH 3 BODYSTRUCTURE", "a OK").await;
    assert!(structure.starts_with("* 3 FETCH (UID 3 BODYSTRUCTURE ((\"text\" \"plain\" "), "{structure}");
    assert!(structure.contains("\"mixed\" (\"boundary\" \"=_week_10\")"), "{structure}");
    let part = client.ask("a FETCH 3 BODY[2]", "a OK").await;
    assert!(part.contains("\r\nZGF5LHZpc2l0b3JzDQptb24sMTIwDQp0dWUsMTM0DQp3ZWQsOTkNCg==\r\n"), "{part}");
    assert!(part.contains(" FLAGS (\\Seen \\Recent))\r\n"), "reading marks it: {part}");
    let all = client.ask("a FETCH 1:* (UID FLAGS)", "a OK").await;
    assert_eq!(all.matches(" FETCH (").count(), 3);
    client.ask("a FETCH 9 FLAGS", "a OK").await;
    client.ask("a FETCH 1 NONSENSE", "a BAD").await;
}

#[tokio::test]
async fn messages_are_appended_copied_moved_and_expunged() {
    let store = store().await;
    let mut client = selected(&store).await;
    let line = "a APPEND INBOX (\\Seen) \"17-Jul-1996 02:44:25 -0700\" {13+}\r\nA: b\r\n\r\ntext\n";
    let answer = client.ask(line, "a OK [APPENDUID ").await;
    assert!(answer.starts_with("* 4 EXISTS\r\n* 4 RECENT\r\n"), "{answer}");
    let fetched = client.ask("a FETCH 4 (INTERNALDATE RFC822)", "a OK").await;
    assert!(
        fetched.contains("\"17-Jul-1996 09:44:25 +0000\" RFC822 {14}\r\nA: b\r\n\r\ntext\r\n)"),
        "{fetched}"
    );

    assert!(client.ask("a COPY 1,4 Sent", "a OK").await.contains(" 1,4 1:2] copied"));
    client.ask("a COPY 1 nowhere", "a NO [TRYCREATE]").await;
    let moved = client.ask("a UID MOVE 4 Sent", "a OK").await;
    assert!(
        moved.starts_with("* OK [COPYUID ") && moved.contains(" 4 3] moved\r\n* 4 EXPUNGE\r\n"),
        "{moved}"
    );

    let stored = client.ask("a STORE 1:2 +FLAGS (\\Deleted keyword)", "a OK").await;
    assert!(
        stored.starts_with("* 1 FETCH (FLAGS (\\Deleted \\Seen \\Recent))\r\n* 2 FETCH (FLAGS "),
        "{stored}"
    );
    assert!(client.ask("a UID EXPUNGE 2:*", "a OK").await.starts_with("* 2 EXPUNGE\r\na OK"));
    assert!(client.ask("a EXPUNGE", "a OK").await.starts_with("* 1 EXPUNGE\r\na OK"));
    client.ask("a STORE 1 FLAGS.SILENT \\Deleted", "a OK").await;
    assert_eq!(client.ask("a CLOSE", "a ").await, "a OK closed\r\n");
    assert!(client.ask("a SELECT INBOX", "a OK").await.contains("* 0 EXISTS\r\n"));
}

#[tokio::test]
async fn messages_are_searched() {
    let store = store().await;
    let mut client = selected(&store).await;
    for (keys, expected) in [
        ("ALL", "* SEARCH 1 2 3\r\n"),
        ("UNSEEN FROM bob", "* SEARCH 2\r\n"),
        ("SUBJECT \"report: visitors\"", "* SEARCH 3\r\n"),
        ("CHARSET UTF-8 TEXT {5+}\r\ncaf\u{e9}", "* SEARCH 2\r\n"),
        ("SINCE 4-Mar-2025 NOT FLAGGED", "* SEARCH 3\r\n"),
        ("DELETED", "* SEARCH\r\n"),
    ] {
        let answer = client.ask(&format!("a SEARCH {keys}"), "a OK").await;
        assert!(answer.starts_with(expected), "{keys}: {answer}");
    }
    client.ask("a SEARCH CHARSET KOI8-R TEXT x", "a NO [BADCHARSET").await;
    client.ask("a SEARCH", "a BAD").await;
}

#[tokio::test]
async fn an_idle_client_hears_of_a_delivery() {
    let store = store().await;
    let mut idle = selected(&store).await;
    idle.ask("i IDLE", "+ ").await;
    let mut other = logged_in(&store).await;
    other.ask("a APPEND INBOX {4+}\r\n\r\nx\n", "a OK").await;
    idle.expect("* 4 EXISTS").await;
    idle.expect("* 4 RECENT").await;
    other.ask("a SELECT INBOX", "a OK").await;
    other.ask("a STORE 1 FLAGS (\\Deleted)", "a OK").await;
    idle.expect("* 1 FETCH (FLAGS (\\Deleted \\Recent))").await;
    other.ask("a EXPUNGE", "a OK").await;
    idle.expect("* 1 EXPUNGE").await;
    idle.ask("DONE", "i OK").await;
}

#[tokio::test]
async fn numbers_stay_while_messages_are_asked_for() {
    let store = store().await;
    let (mut one, mut other) = (selected(&store).await, selected(&store).await);
    other.ask("a STORE 1 +FLAGS.SILENT (\\Deleted)", "a OK").await;
    other.ask("a EXPUNGE", "a OK").await;
    let fetched = one.ask("a FETCH 1:3 (UID)", "a OK").await;
    assert!(
        fetched.starts_with("* 1 FETCH (UID 1)\r\n* 2 FETCH (UID 2)\r\n* 3 FETCH (UID 3)\r\na OK"),
        "{fetched}"
    );
    let stored = one.ask("a STORE 1 +FLAGS (\\Seen)", "a OK").await;
    assert!(!stored.contains("EXPUNGE"), "{stored}");
    assert!(one.ask("a NOOP", "a OK").await.starts_with("* 1 EXPUNGE\r\na OK"));
    assert!(one.ask("a FETCH 1 (UID)", "a OK").await.starts_with("* 1 FETCH (UID 2)\r\n"));
}

#[tokio::test]
async fn a_removed_mailbox_is_empty_to_those_who_are_in_it() {
    let store = store().await;
    let mut one = logged_in(&store).await;
    one.ask("a CREATE x", "a OK").await;
    one.ask("a APPEND x {4+}\r\n\r\nx\n", "a OK").await;
    one.ask("a SELECT x", "a OK").await;
    logged_in(&store).await.ask("a DELETE x", "a OK").await;
    assert!(one.ask("a NOOP", "a OK").await.starts_with("* 1 EXPUNGE\r\na OK"));
    one.ask("a FETCH 1 FLAGS", "a OK").await;
}

#[tokio::test]
async fn a_client_that_only_errs_is_sent_away() {
    let store = store().await;
    let mut client = Client::greeted(store.imap, "* OK").await;
    client.send("a LOGIN alice guess\r\n".repeat(100)).await;
    assert!(client.rest().await.ends_with("* BYE too many errors\r\n"));
}
