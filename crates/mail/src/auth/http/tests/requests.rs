//! What goes out, to the byte.

use std::sync::Arc;

use bytes::Bytes;
use proto::{Envelope, Method, Protocol, Secret};

use super::peer::{Peer, Play};
use super::*;
use crate::auth::http::SetupError;
use crate::files::Files;

/// The head of the only request that `login` makes.
async fn request(adapt: impl FnOnce(&mut AuthHttp), login: &Login, client: &Client) -> String {
    let peer = Peer::unix([Play::answer(GRANT)]);
    let mut settings = settings([url(peer.target())]);
    adapt(&mut settings);
    let authority =
        HttpAuthority::new(&settings, Arc::new(Names::default()), &Files::on_disk()).expect("an authority");
    let verdict = authority.authenticate(login, client, &|_| {}).await;
    assert!(matches!(verdict, Verdict::Granted(_)), "{}", short(&verdict));
    peer.seen().requests[0].escape_ascii().to_string().replace("\\r\\n", "\n")
}

#[tokio::test]
async fn names_keep_their_case_and_their_order_and_empty_values_their_space() {
    let mut login = login();
    login.credentials.user = Bytes::new();
    login.credentials.password = Secret::from(&b"pa ss%\x7f\xe9\r\nX: y"[..]);
    let adapt = |settings: &mut AuthHttp| {
        settings.urls[0].uri = "/auth?x=1".to_owned();
        settings.headers = [("X-KEY", "abc"), ("x-empty", ""), ("X-Key", "again"), ("Auth-Method", "me")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .to_vec();
    };
    let expected = "GET /auth?x=1 HTTP/1.1\nHost: auth.example\nAuth-Method: plain\nAuth-User: \n\
                    Auth-Pass: pa%20ss%25%7F\\xe9%0D%0AX:%20y\nAuth-Protocol: imap\nAuth-Login-Attempt: 1\n\
                    Client-IP: 192.0.2.1\nX-KEY: abc\nx-empty: \nX-Key: again\nAuth-Method: me\n\n";
    assert_eq!(request(adapt, &login, &client()).await, expected);
}

#[tokio::test]
async fn a_query_without_a_path_gets_no_slash() {
    let adapt = |settings: &mut AuthHttp| settings.urls[0].uri = "?query".to_owned();
    let request = request(adapt, &login(), &client()).await;
    assert!(request.starts_with("GET ?query HTTP/1.1\nHost: auth.example\n"), "{request}");
}

#[tokio::test]
async fn an_smtp_transaction_is_told_without_breaking_a_line() {
    let mut login = login();
    login.credentials = Credentials { method: Method::None, user: Bytes::new(), password: Secret::default() };
    login.helo = Bytes::from_static(b"me\x00you");
    login.envelope = Some(Envelope {
        mail: Bytes::from_static(b"MAIL FROM:<a@x>   SIZE=10"),
        rcpt: Bytes::from_static(b"RCPT TO:<\xe9@x>\tNOTIFY=NEVER"),
    });
    let client =
        Client { host: Some("[UNAVAILABLE]".to_owned()), ..Client::new(Protocol::Smtp, ClientAddr::Unix) };
    let expected = "GET /auth HTTP/1.1\nHost: auth.example\nAuth-Method: none\nAuth-User: \nAuth-Pass: \n\
                    Auth-Protocol: smtp\nAuth-Login-Attempt: 1\nClient-IP: unix:\nClient-Host: [UNAVAILABLE]\n\
                    Auth-SMTP-Helo: me%00you\nAuth-SMTP-From: MAIL FROM:<a@x>   SIZE=10\n\
                    Auth-SMTP-To: RCPT TO:<\\xe9@x>%09NOTIFY=NEVER\n\n";
    assert_eq!(request(|_| {}, &login, &client).await, expected);
}

#[tokio::test]
async fn a_request_larger_than_any_socket_buffer_goes_out_whole() {
    let mut login = login();
    login.credentials.password = Secret::new(vec![b'x'; 1024 * 1024]);
    let request = request(|_| {}, &login, &client()).await;
    assert!(request.contains(&format!("\nAuth-Pass: {}\nAuth-Protocol: imap\n", "x".repeat(1024 * 1024))));
}

#[test]
fn without_a_url_there_is_no_authority() {
    let result = HttpAuthority::new(&settings([]), Arc::new(Names::default()), &Files::on_disk());
    assert!(matches!(result.err(), Some(SetupError::NoServer)));
}
