//! The SMTP server: takes XCLIENT, envelopes and messages, and forgets them.

use std::io;

use tokio::net::TcpStream;

use super::{Answer, answer_lines};
use crate::wire::Wire;

/// As Postfix greets a proxy that may send XCLIENT.
const EHLO: &[u8] = b"250-backend.bench.test\r\n\
    250-PIPELINING\r\n\
    250-SIZE 52428800\r\n\
    250-XCLIENT NAME ADDR PROTO HELO LOGIN\r\n\
    250-ENHANCEDSTATUSCODES\r\n\
    250 8BITMIME\r\n";
const GREETING: &[u8] = b"220 backend.bench.test ESMTP Postfix\r\n";

pub(super) async fn serve(stream: TcpStream) -> io::Result<()> {
    let mut wire = Wire::new(stream);
    wire.send(GREETING).await?;
    answer_lines(&mut wire, |verb| match verb.to_ascii_uppercase().as_slice() {
        b"EHLO" => Answer::Line(EHLO),
        b"XCLIENT" => Answer::Line(GREETING),
        b"AUTH" => Answer::Line(b"235 2.7.0 Authentication successful\r\n"),
        b"DATA" => Answer::Message {
            go_on: b"354 End data with <CR><LF>.<CR><LF>\r\n",
            taken: b"250 2.0.0 Ok: queued as 4XbenchBENCHz\r\n",
        },
        b"QUIT" => Answer::Last(b"221 2.0.0 Bye\r\n"),
        _ => Answer::Line(b"250 2.1.0 Ok\r\n"),
    })
    .await
}
