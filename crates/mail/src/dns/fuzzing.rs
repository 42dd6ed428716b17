//! The private reading of packets, for its fuzz target only: not there in any other build.

use super::HostName;
use super::message::{Answer, Datum, Kind, Question, Reading};
use super::name::to_ask;

/// What a packet means for a question about `host`; addresses and valid host names as text. `None`: no answer.
///
/// `kind`: 0 asks for IPv4 addresses, 1 for IPv6 addresses, anything else for the name of an address.
pub fn read(host: &str, kind: u8, id: u16, packet: &[u8]) -> Option<Vec<String>> {
    let name = to_ask(host)?;
    let kind = match kind {
        0 => Kind::A,
        1 => Kind::Aaaa,
        _ => Kind::Ptr,
    };
    let Reading::Answer(answer) = (Question { name, kind }).read(id, packet) else { return None };
    Some(match answer {
        Answer::Found { data, .. } => data.iter().filter_map(text).collect(),
        Answer::Alias { .. } | Answer::Nothing { .. } => Vec::new(),
    })
}

/// The packet that asks for the IPv4 addresses of `host`.
pub fn packet(host: &str, id: u16) -> Option<Vec<u8>> {
    Some(Question { name: to_ask(host)?, kind: Kind::A }.packet(id))
}

fn text(datum: &Datum) -> Option<String> {
    match datum {
        Datum::Addr(addr) => Some(addr.to_string()),
        Datum::Host(name) => HostName::new(name).ok().map(|name| name.to_string()),
    }
}
