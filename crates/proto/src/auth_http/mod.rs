//! The `auth_http` exchange without its transport: which headers to send, and what an answer means.
//!
//! [`Request`] gives the headers behind `Host`, in the order and letter case of the originals; [`Answer`] takes
//! the headers that came back and [`Answer::decide`] says what follows from them. Connections, HTTP itself,
//! time limits and the repetition of `WAIT` belong to the caller.
//!
//! What a caller must know: an answer **without** `Auth-Status` grants the login, as in the originals. A header
//! line that cannot be read must therefore never be dropped if it could be one of ours; an answer with such a
//! line has to count as broken. [`parse_bare`] keeps this rule for answers without a status line.

mod answer;
mod bare;
mod request;
mod server;

pub use answer::{Answer, Decision, LONGEST_TEXT, LONGEST_WAIT, Unusable, Wait};
pub use bare::{BareError, parse_bare};
pub use request::{Certificate, Header, Proxied, Request, Tls, Verification, Verify};
pub use server::{Server, ServerTls, TlsMode};
