//! PROXY headers, versions 1 and 2: complete at one length, whatever follows; and what we write, we read.
#![no_main]

use std::net::SocketAddr;

use bytes::BytesMut;
use libfuzzer_sys::fuzz_target;
use proto::proxy_protocol::{Endpoints, Header, LONGEST, Parsed, parse, write_v1, write_v2};

/// Every prefix is looked at, so longer inputs only take longer.
const MOST_PREFIXES: usize = 600;

fn check_prefixes(input: &[u8]) {
    let whole = parse(input);
    for length in 0..input.len().min(MOST_PREFIXES) {
        match parse(&input[..length]) {
            Parsed::Incomplete => {}
            Parsed::Fault(_) => {
                assert!(matches!(whole, Parsed::Fault(_)), "a fault was forgiven");
                return;
            }
            done @ Parsed::Done { .. } => {
                assert_eq!(done, whole, "what follows a header changes it");
                return;
            }
        }
    }
}

fn check_again(header: &Header) {
    let Some(addresses) = &header.addresses else { return };
    let ends = [&addresses.source, &addresses.destination].map(|party| party.socket_addr());
    let [Some(source), Some(destination)] = ends else { return };
    let endpoints = Endpoints { source, destination };
    let (mut v1, mut v2) = (BytesMut::new(), BytesMut::new());
    write_v1(Some(endpoints), &mut v1);
    write_v2(Some(endpoints), Some(4), &mut v2);
    for written in [v1, v2] {
        let Parsed::Done { length, header } = parse(&written) else { panic!("unreadable: {written:?}") };
        assert_eq!(length, written.len());
        let again = header.addresses.expect("addresses were written");
        let one_family = endpoints.in_one_family();
        let read: [Option<SocketAddr>; 2] = [again.source.socket_addr(), again.destination.socket_addr()];
        assert_eq!(read, [Some(one_family.source), Some(one_family.destination)]);
    }
}

fuzz_target!(|input: &[u8]| {
    match parse(input) {
        Parsed::Incomplete => assert!(input.len() < LONGEST, "waits beyond the limit"),
        Parsed::Done { length, header } => {
            assert!(length <= input.len() && length <= LONGEST);
            let tlvs = header.tlvs.iter().count();
            assert!(tlvs <= length, "more facts than bytes");
            let _ = header.tlvs.ssl();
            check_again(&header);
        }
        Parsed::Fault(fault) => assert!(fault.to_string().is_ascii()),
    }
    check_prefixes(input);
});
