//! A DNS server that answers anything: only valid host names come out, and only answers to what was asked.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mail::dns::fuzzing::{packet, read};

const HOST: &str = "a.example";

fuzz_target!(|bytes: &[u8]| {
    let Some((&kind, packet_of_peer)) = bytes.split_first() else { return };
    let [high, low] = packet_of_peer.first_chunk().copied().unwrap_or_default();
    let id = u16::from_be_bytes([high, low]);
    if let Some(data) = read(HOST, kind % 3, id, packet_of_peer) {
        let is_host = |text: &String| {
            !text.is_empty()
                && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b':'))
        };
        assert!(data.iter().all(is_host), "{data:?}");
        // With another id, or for another name, it is somebody else's.
        assert_eq!(read(HOST, kind % 3, id ^ 1, packet_of_peer), None);
        assert_eq!(read("b.example", kind % 3, id, packet_of_peer), None);
    }
    // Our own question is no answer to itself.
    if let Some(question) = packet(HOST, id) {
        assert_eq!(read(HOST, 0, id, &question), None);
    }
});
