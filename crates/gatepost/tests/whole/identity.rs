//! Who the client is: what balancers and proxies say of it, what DNS says, and what is passed on.

mod forwarding;
mod inbound;
mod names;
mod outbound;

use rig::auth_server::allow;
use rig::{AuthServer, Backend, Client, Request, Script};

use crate::stage::{Protocol, Stage};

/// What makes the proxy believe everybody on this machine.
const TRUST: &str = "set_real_ip_from 127.0.0.0/8;";

/// A PROXY header of a client that is not on this machine.
const V1: &str = "PROXY TCP4 192.0.2.1 198.51.100.2 4711 143\r\n";

/// The same in version 2, with a TLV that nobody knows.
const V2: &[u8] =
    b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x10\xc0\0\x02\x01\xc6\x33\x64\x02\x12\x67\0\x8f\xee\0\x01x";

/// A proxy that wants PROXY headers, in front of a backend that plays `script`.
#[track_caller]
fn behind_balancer(protocol: Protocol, settings: &str, script: Script) -> Stage {
    let backend = Backend::start(script);
    let auth = AuthServer::always(allow(backend.address()));
    Stage::listening(protocol, "proxy_protocol", settings, auth, backend)
}

/// A client that has sent this header and nothing else.
#[track_caller]
fn headed(stage: &Stage, header: impl AsRef<[u8]>) -> Client {
    let mut client = Client::connect(stage.address());
    client.send(header);
    client
}

/// Greets and logs in a client that has sent its header.
#[track_caller]
fn log_in(protocol: Protocol, client: &mut Client) {
    client.expect(protocol.greeting());
    client.exchange(protocol.login(), [protocol.asked(), protocol.logged_in()].concat());
}

fn value(request: &Request, name: &str) -> String {
    request.header(name).unwrap_or_default()
}
