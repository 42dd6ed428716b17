//! What breaks around the proxy: upstreams, auth servers, DNS, disks, and its own limits.
//!
//! Each time the client gets the right reply, the log the right line, all that was held is given back, and a session of
//! somebody else goes on.

mod auth_server;
mod places;
mod system;
mod upstream;

use rig::auth_server::allow;
use rig::{AuthServer, Backend, Script};

use crate::hostile::Siege;
use crate::stage::{Protocol, Stage};

/// A stage whose first client is let in, and whose others meet these scripts at the backend, one each.
#[track_caller]
fn behind(protocol: Protocol, settings: &str, scripts: impl IntoIterator<Item = Script>) -> Siege {
    behind_first(protocol, protocol.backend().echo(), settings, scripts)
}

/// The same; the first client meets this script.
#[track_caller]
fn behind_first(
    protocol: Protocol,
    first: Script,
    settings: &str,
    scripts: impl IntoIterator<Item = Script>,
) -> Siege {
    let backend = Backend::start_each([first].into_iter().chain(scripts));
    // A kept connection would be a descriptor that nobody gives back.
    let auth = AuthServer::always(allow(backend.address()).close());
    Siege::of(Stage::new(protocol, settings, auth, backend))
}

/// The client is told of an internal error, and that is the end.
#[track_caller]
fn fails(siege: &Siege, context: &str) {
    let protocol = siege.stage.protocol;
    let mut client = siege.attacker();
    client.send(protocol.login());
    let expected = [protocol.asked(), protocol.internal_error()].concat();
    assert_eq!(rig::show(&client.rest()), rig::show(expected.as_bytes()), "{context}");
}
