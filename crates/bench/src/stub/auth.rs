//! The auth service: one answer for everybody, made beforehand.
//!
//! It keeps the connection of a client that speaks HTTP/1.1, and closes that of one that speaks HTTP/1.0.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use memchr::memmem;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{PATIENT_USER, Places, addresses};

/// Requests are shorter than this.
const REQUEST: usize = 4096;
const HEAD_END: &[u8] = b"\r\n\r\n";

/// What there is to answer, without status line.
#[derive(Clone, Debug)]
pub(super) struct Answers {
    imap: Arc<[String]>,
    pop3: Arc<[String]>,
    smtp: Arc<[String]>,
    turn: Arc<AtomicUsize>,
}

impl Answers {
    pub(super) fn new(places: &Places) -> Self {
        Self {
            imap: welcome(places.imap),
            pop3: welcome(places.pop3),
            smtp: welcome(places.smtp),
            turn: Arc::default(),
        }
    }

    /// The answer to a request; each address of the mail server has its turn.
    fn answer(&self, request: &[u8]) -> &str {
        if memmem::find(request, PATIENT_USER.as_bytes()).is_some() {
            return "Auth-Status: Invalid login or password\r\nAuth-Wait: 3600\r\n\r\n";
        }
        let answers = match protocol(request) {
            Some(b'i') => &self.imap,
            Some(b'p') => &self.pop3,
            _ => &self.smtp,
        };
        &answers[self.turn.fetch_add(1, Ordering::Relaxed) % answers.len()]
    }
}

fn welcome(port: u16) -> Arc<[String]> {
    addresses()
        .map(|address| format!("Auth-Status: OK\r\nAuth-Server: {address}\r\nAuth-Port: {port}\r\n\r\n"))
        .collect()
}

/// The first letter of the protocol.
fn protocol(request: &[u8]) -> Option<u8> {
    const NAME: &[u8] = b"\r\nauth-protocol: ";
    let at = memmem::find(&request.to_ascii_lowercase(), NAME)?;
    request.get(at + NAME.len()).copied()
}

pub(super) async fn serve(mut stream: TcpStream, answers: Answers) -> io::Result<()> {
    let mut buffer = Vec::with_capacity(REQUEST);
    loop {
        let end = loop {
            if let Some(at) = memmem::find(&buffer, HEAD_END) {
                break at + HEAD_END.len();
            }
            if buffer.len() > REQUEST || stream.read_buf(&mut buffer).await? == 0 {
                return Ok(());
            }
        };
        let kept = keeps(&buffer[..end]);
        let head = if kept { "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n" } else { "HTTP/1.0 200 OK\r\n" };
        let answer = [head, answers.answer(&buffer[..end])].concat();
        stream.write_all(answer.as_bytes()).await?;
        if !kept {
            return Ok(());
        }
        buffer.drain(..end);
    }
}

/// Does the connection outlive this request (RFC 9112, section 9.3)?
fn keeps(request: &[u8]) -> bool {
    let line = request.split(|byte| *byte == b'\r').next().unwrap_or_default();
    line.ends_with(b" HTTP/1.1")
        && memmem::find(&request.to_ascii_lowercase(), b"\r\nconnection: close\r\n").is_none()
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use tokio::net::TcpListener;

    use super::*;

    const PLACES: Places = Places {
        auth: std::net::SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 1),
        imap: 143,
        pop3: 110,
        smtp: 25,
    };

    /// Sends `requests` in one go and returns all that comes back up to the end.
    async fn exchange(requests: &str) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server =
            tokio::spawn(
                async move { serve(listener.accept().await.unwrap().0, Answers::new(&PLACES)).await },
            );
        let mut client = TcpStream::connect(address).await.unwrap();
        client.write_all(requests.as_bytes()).await.unwrap();
        client.shutdown().await.unwrap();
        let mut heard = String::new();
        client.read_to_string(&mut heard).await.unwrap();
        server.await.unwrap().unwrap();
        heard
    }

    #[tokio::test]
    async fn http_1_0_is_answered_once() {
        let heard = exchange("GET /auth HTTP/1.0\r\nHost: localhost\r\nAuth-Protocol: pop3\r\n\r\n").await;
        assert_eq!(
            heard,
            "HTTP/1.0 200 OK\r\nAuth-Status: OK\r\nAuth-Server: 127.0.0.1\r\nAuth-Port: 110\r\n\r\n"
        );
    }

    #[tokio::test]
    async fn http_1_1_is_answered_as_often_as_it_asks_and_with_other_addresses() {
        let heard = exchange(&"GET / HTTP/1.1\r\nauth-protocol: imap\r\n\r\n".repeat(2)).await;
        let answer = |last: u8| {
            format!(
                "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nAuth-Status: OK\r\nAuth-Server: 127.0.0.{last}\r\nAuth-Port: 143\r\n\r\n"
            )
        };
        assert_eq!(heard, answer(1) + &answer(2));
    }

    #[tokio::test]
    async fn the_patient_user_has_to_wait() {
        let heard = exchange(&format!("GET / HTTP/1.0\r\nAuth-User: {PATIENT_USER}\r\n\r\n")).await;
        assert!(heard.ends_with("\r\nAuth-Wait: 3600\r\n\r\n"), "{heard}");
    }
}
