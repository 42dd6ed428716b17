//! The IMAP server: greets like Dovecot, lets everybody in, and has one message of any size.

use std::io;

use tokio::net::TcpStream;

use crate::wire::Wire;

const GREETING: &[u8] = b"* OK [CAPABILITY IMAP4rev1 SASL-IR LOGIN-REFERRALS ID ENABLE IDLE LITERAL+ \
    AUTH=PLAIN] Dovecot ready.\r\n";
const LOGGED_IN: &[u8] =
    b" OK [CAPABILITY IMAP4rev1 SASL-IR LOGIN-REFERRALS ID ENABLE IDLE LITERAL+] Logged in\r\n";

/// The message is this block, again and again.
static BLOCK: [u8; 256 * 1024] = [b'x'; 256 * 1024];

pub(super) async fn serve(stream: TcpStream) -> io::Result<()> {
    let mut wire = Wire::new(stream);
    wire.send(GREETING).await?;
    loop {
        let Command { mut tag, verb } = command(&mut wire).await?;
        match verb {
            Verb::Login => tag.extend_from_slice(LOGGED_IN),
            Verb::Logout => {
                let mut reply = b"* BYE Logging out\r\n".to_vec();
                reply.append(&mut tag);
                reply.extend_from_slice(b" OK Logout completed.\r\n");
                return wire.send(&reply).await;
            }
            Verb::Fetch(size) => {
                message(&mut wire, size).await?;
                tag.extend_from_slice(b" OK Fetch completed.\r\n");
            }
            Verb::Other => tag.extend_from_slice(b" OK Completed.\r\n"),
        }
        wire.send(&tag).await?;
    }
}

async fn message(wire: &mut Wire<TcpStream>, size: u64) -> io::Result<()> {
    wire.send(format!("* 1 FETCH (BODY[]<0> {{{size}}}\r\n").as_bytes()).await?;
    let mut left = usize::try_from(size).map_err(io::Error::other)?;
    while left > 0 {
        let part = left.min(BLOCK.len());
        wire.send(&BLOCK[..part]).await?;
        left -= part;
    }
    wire.send(b")\r\n").await
}

#[derive(Debug, PartialEq, Eq)]
struct Command {
    tag: Vec<u8>,
    verb: Verb,
}

#[derive(Debug, PartialEq, Eq)]
enum Verb {
    Login,
    Logout,
    /// `FETCH 1 BODY[]<0.SIZE>`: the size that was asked for is the size that there is.
    Fetch(u64),
    Other,
}

/// Reads a command with all its literals, of either kind.
async fn command(wire: &mut Wire<TcpStream>) -> io::Result<Command> {
    let line = wire.line().await?;
    let command = parse(line);
    let mut next = literal(line);
    while let Some(Literal { size, waits }) = next {
        if waits {
            wire.send(b"+ OK\r\n").await?;
        }
        wire.skip(size, &mut [0; 256]).await?;
        next = literal(wire.line().await?);
    }
    Ok(command)
}

fn parse(line: &[u8]) -> Command {
    let mut words = line.split(|byte| *byte == b' ');
    let tag = words.next().unwrap_or_default().to_vec();
    let verb = match words.next().unwrap_or_default().to_ascii_uppercase().as_slice() {
        b"LOGIN" => Verb::Login,
        b"LOGOUT" => Verb::Logout,
        b"FETCH" => Verb::Fetch(partial(line).unwrap_or_default()),
        _ => Verb::Other,
    };
    Command { tag, verb }
}

/// The SIZE of a trailing `<0.SIZE>`.
fn partial(line: &[u8]) -> Option<u64> {
    let inside = line.strip_suffix(b">")?;
    number(&inside[inside.iter().rposition(|byte| *byte == b'.')? + 1..])
}

/// RFC 3501, section 4.3, and RFC 7888.
#[derive(Debug, PartialEq, Eq)]
struct Literal {
    size: u64,
    /// The client waits for a continuation request before it sends the bytes.
    waits: bool,
}

/// The literal that a line announces at its end.
fn literal(line: &[u8]) -> Option<Literal> {
    let inside = line.strip_suffix(b"}")?;
    let digits = &inside[inside.iter().rposition(|byte| *byte == b'{')? + 1..];
    let (digits, waits) = digits.strip_suffix(b"+").map_or((digits, true), |digits| (digits, false));
    Some(Literal { size: number(digits)?, waits })
}

fn number(digits: &[u8]) -> Option<u64> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    #[test]
    fn literals_say_whether_their_client_waits() {
        assert_eq!(literal(b"a LOGIN {4}"), Some(Literal { size: 4, waits: true }));
        assert_eq!(literal(b"secret {17+}"), Some(Literal { size: 17, waits: false }));
        assert_eq!(literal(b"a LOGIN user {}"), None);
        assert_eq!(literal(b"a LOGIN user pass"), None);
    }

    #[test]
    fn a_fetch_gets_what_it_asks_for() {
        assert_eq!(parse(b"a FETCH 1 BODY[]<0.16777216>").verb, Verb::Fetch(16_777_216));
    }

    /// Plays `client` to the server, and returns what the server sent after its greeting.
    async fn play(client: &[&[u8]]) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = tokio::spawn(async move { serve(listener.accept().await.unwrap().0).await });
        let mut wire = Wire::new(TcpStream::connect(address).await.unwrap());
        assert_eq!(wire.line().await.unwrap(), GREETING.trim_ascii_end());
        let mut heard = String::new();
        for bytes in client {
            wire.send(bytes).await.unwrap();
            heard.push_str(std::str::from_utf8(wire.line().await.unwrap()).unwrap());
            heard.push('\n');
        }
        wire.send(b"z LOGOUT\r\n").await.unwrap();
        assert_eq!(wire.line().await.unwrap(), b"* BYE Logging out");
        assert_eq!(wire.line().await.unwrap(), b"z OK Logout completed.");
        server.await.unwrap().unwrap();
        heard
    }

    #[tokio::test]
    async fn a_login_is_taken_in_every_legal_form() {
        const IN: &str =
            "a OK [CAPABILITY IMAP4rev1 SASL-IR LOGIN-REFERRALS ID ENABLE IDLE LITERAL+] Logged in\n";
        assert_eq!(play(&[b"a LOGIN user pass\r\n"]).await, IN);
        assert_eq!(play(&[b"a login \"us er\" \"pa}ss\"\r\n"]).await, IN);
        assert_eq!(play(&[b"a LOGIN {4+}\r\nuser {4+}\r\npass\r\n"]).await, IN);
        let waited = play(&[b"a LOGIN {4}\r\n", b"user {4}\r\n", b"pass\r\n"]).await;
        assert_eq!(waited, format!("+ OK\n+ OK\n{IN}"));
    }
}
