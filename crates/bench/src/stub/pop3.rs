//! The POP3 server: every command succeeds.

use std::io;

use tokio::net::TcpStream;

use super::{Answer, answer_lines};
use crate::wire::Wire;

pub(super) async fn serve(stream: TcpStream) -> io::Result<()> {
    let mut wire = Wire::new(stream);
    wire.send(b"+OK Dovecot ready.\r\n").await?;
    answer_lines(&mut wire, |verb| match verb.to_ascii_uppercase().as_slice() {
        b"PASS" => Answer::Line(b"+OK Logged in.\r\n"),
        b"QUIT" => Answer::Last(b"+OK Logging out.\r\n"),
        _ => Answer::Line(b"+OK\r\n"),
    })
    .await
}
