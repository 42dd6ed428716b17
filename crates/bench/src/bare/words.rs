//! What is said in the bare flow, known beforehand.

use std::net::{IpAddr, SocketAddr};

use memchr::memmem;

use crate::stub::PATIENT_USER;

/// Everybody else.
const USER: &str = "user@bench.test";

/// What a protocol makes everybody say.
#[derive(Debug)]
pub(super) struct Words {
    /// Where the environment says where to listen.
    pub(super) place: &'static str,
    /// As the auth service is told.
    name: &'static str,
    pub(super) greeting: &'static [u8],
    /// What the client is told in turn, before it has sent its password.
    pub(super) replies: &'static [&'static [u8]],
    /// What the upstream is told in turn, the first when it greets.
    pub(super) logins: &'static [&'static [u8]],
    /// What the client hears in place of what the upstream has said last.
    pub(super) welcome: Option<&'static [u8]>,
}

pub(super) static ALL: [Words; 3] = [
    Words {
        place: "BENCH_IMAP",
        name: "imap",
        greeting: b"* OK IMAP4 ready\r\n",
        replies: &[],
        logins: &[b"a LOGIN {15+}\r\nuser@bench.test {10+}\r\nopensesame\r\n"],
        welcome: None,
    },
    Words {
        place: "BENCH_POP3",
        name: "pop3",
        greeting: b"+OK POP3 ready\r\n",
        replies: &[b"+OK\r\n"],
        logins: &[b"USER user@bench.test\r\n", b"PASS opensesame\r\n"],
        welcome: None,
    },
    Words {
        place: "BENCH_SMTP",
        name: "smtp",
        greeting: b"220 mail.bench.test ESMTP ready\r\n",
        replies: &[b"250-mail.bench.test\r\n250 AUTH PLAIN LOGIN\r\n"],
        logins: &[
            b"EHLO mail.bench.test\r\n",
            b"XCLIENT ADDR=127.0.0.1 LOGIN=user@bench.test NAME=[UNAVAILABLE]\r\n",
            b"EHLO client.bench.test\r\n",
        ],
        welcome: Some(b"235 2.0.0 OK\r\n"),
    },
];

/// What the auth service is asked about the login that `said` is.
pub(super) fn question(words: &Words, said: &[u8]) -> Vec<u8> {
    let is_patient = memmem::find(said, PATIENT_USER.as_bytes()).is_some();
    let (user, protocol) = (if is_patient { PATIENT_USER } else { USER }, words.name);
    format!(
        "GET /auth HTTP/1.1\r\nHost: localhost\r\nAuth-Method: plain\r\nAuth-User: {user}\r\nAuth-Pass: opensesame\r\n\
         Auth-Protocol: {protocol}\r\nAuth-Login-Attempt: 1\r\nClient-IP: 127.0.0.1\r\n\r\n"
    )
    .into_bytes()
}

/// Where an answer of the auth service sends a session, if it does.
pub(super) fn server(answer: &[u8]) -> Option<SocketAddr> {
    let value = |name: &str| {
        let value = &answer[memmem::find(answer, name.as_bytes())? + name.len()..];
        std::str::from_utf8(&value[..memchr::memchr(b'\r', value)?]).ok()
    };
    let address: IpAddr = value("\r\nAuth-Server: ")?.parse().ok()?;
    Some(SocketAddr::new(address, value("\r\nAuth-Port: ")?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_says_where_to_go_or_nothing() {
        let answer =
            b"HTTP/1.1 200 OK\r\nAuth-Status: OK\r\nAuth-Server: 127.0.0.2\r\nAuth-Port: 143\r\n\r\n";
        assert_eq!(server(answer), Some(SocketAddr::from(([127, 0, 0, 2], 143))));
        assert_eq!(server(b"HTTP/1.1 200 OK\r\nAuth-Status: Invalid\r\nAuth-Wait: 3600\r\n\r\n"), None);
    }

    #[test]
    fn the_service_is_asked_about_the_user_that_is_refused() {
        let asked = |said: &[u8]| String::from_utf8(question(&ALL[0], said)).unwrap();
        assert!(asked(b"a LOGIN user@bench.test x\r\n").contains("\r\nAuth-User: user@bench.test\r\n"));
        let refused = format!("a LOGIN {PATIENT_USER} x\r\n");
        assert!(asked(refused.as_bytes()).contains(&format!("\r\nAuth-User: {PATIENT_USER}\r\n")));
    }
}
