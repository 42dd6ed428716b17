//! Messages to send and to fetch, with what is easily damaged on the way.

/// What an IMAP client appends or an SMTP client sends: 8-bit bytes, dots at line starts, white space at line ends.
pub(crate) const AWKWARD: &[u8] = b"From: ann@example.test\r\n\
Date: Thu, 1 Jan 2026 00:00:00 +0000\r\n\
Message-ID: <awkward@example.test>\r\n\
To: bob@example.test\r\n\
Subject: awkward\r\n\
MIME-Version: 1.0\r\n\
Content-Type: text/plain; charset=utf-8\r\n\
Content-Transfer-Encoding: 8bit\r\n\
\r\n\
Gr\xc3\xbc\xc3\x9fe, \xe4\xf6\xfc in Latin-1, \xff and \x80\r\n\
.\x20\r\n\
.one dot\r\n\
..two dots\r\n\
...three dots\r\n\
\ttab and trailing blanks \t \r\n\
\x1b\x07\x01 controls\r\n\
\r\n\
From here on\r\n\
QUIT\r\n\
a LOGOUT\r\n\
..\r\n\
end\r\n";

/// With everything that Postfix would add if it were missing.
const HEAD: &[u8] = b"From: ann@example.test\r\n\
Date: Thu, 1 Jan 2026 00:00:00 +0000\r\n\
Message-ID: <large@example.test>\r\n\
Subject: large\r\n\
\r\n";

/// A message of 20 MB in which no two lines are alike, so that nothing can be lost, doubled or moved unseen.
pub(crate) fn large() -> Vec<u8> {
    let mut message = HEAD.to_vec();
    let filler = b"x".repeat(160);
    for number in 0.. {
        message.extend_from_slice(format!("{number:08} \u{fc}").as_bytes());
        message.extend_from_slice(&filler[number % 40..]);
        message.extend_from_slice(b"\r\n");
        if message.len() >= 20_000_000 {
            break;
        }
    }
    message
}

/// How a message looks where lines end in LF.
pub(crate) fn on_disk(message: &[u8]) -> Vec<u8> {
    let mut stored = Vec::with_capacity(message.len());
    for line in message.split_inclusive(|byte| *byte == b'\n') {
        match line.strip_suffix(b"\r\n") {
            Some(text) => stored.extend_from_slice(&[text, b"\n"].concat()),
            None => stored.extend_from_slice(line),
        }
    }
    stored
}
