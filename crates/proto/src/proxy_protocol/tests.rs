//! Tables of headers, each cut at every byte, and bytes of any kind.

use std::net::SocketAddr;

use bytes::BytesMut;

use super::*;

fn addr(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn endpoints(source: &str, destination: &str) -> Endpoints {
    Endpoints { source: addr(source), destination: addr(destination) }
}

/// A header of version 2.
fn v2(what: u8, family: u8, block: &[u8]) -> Vec<u8> {
    let length = u16::try_from(block.len()).unwrap().to_be_bytes();
    [&v2::SIGNATURE[..], &[what, family], &length, block].concat()
}

const TCP4_BLOCK: [u8; 12] = [192, 0, 2, 1, 192, 0, 2, 2, 0x12, 0x67, 0, 143];

fn tlv(kind: u8, value: &[u8]) -> Vec<u8> {
    [&[kind], &u16::try_from(value.len()).unwrap().to_be_bytes()[..], value].concat()
}

/// A TCP4 header of version 2 with these TLVs.
fn with_tlvs(tlvs: &[u8]) -> Vec<u8> {
    v2(0x21, 0x11, &[&TCP4_BLOCK[..], tlvs].concat())
}

/// Both ends as text, `None` without addresses.
fn done(input: &[u8]) -> Option<String> {
    match parse(input) {
        Parsed::Done { header, .. } => header.addresses.map(|Addresses { source, destination }| {
            format!("{}|{}|{}|{}", source.text, source.port, destination.text, destination.port)
        }),
        other => panic!("{}: {other:?}", input.escape_ascii()),
    }
}

fn fault(input: &[u8]) -> String {
    match parse(input) {
        Parsed::Fault(fault) => fault.to_string(),
        other => panic!("{}: {other:?}", input.escape_ascii()),
    }
}

/// Every header that is one, in both versions.
fn headers() -> Vec<(Vec<u8>, Option<&'static str>)> {
    let long = "9".repeat(2000);
    let mut tcp6 = vec![0; 36];
    (tcp6[15], tcp6[31], tcp6[33], tcp6[35]) = (1, 2, 25, 26);
    let text = [
        ("PROXY TCP4 192.0.2.1 192.0.2.2 4711 143\r\n", Some("192.0.2.1|4711|192.0.2.2|143")),
        ("PROXY TCP6 2001:DB8::1 ::1 0 65535\r\n", Some("2001:DB8::1|0|::1|65535")),
        ("PROXY TCP4 2001:db8::1 192.0.2.2 00080 1\r\n", Some("2001:db8::1|80|192.0.2.2|1")),
        ("PROXY TCP6 ffff.:  1 2\r\n", Some("ffff.:|1||2")),
        ("PROXY UNKNOWN\r\n", None),
        ("PROXY UNKNOWN ff::1 \n \r anything\r\n", None),
        ("PROXY UNKNOWNX\r\n", None),
    ];
    let mut headers: Vec<_> = text.into_iter().map(|(text, said)| (text.as_bytes().to_vec(), said)).collect();
    headers.push((format!("PROXY UNKNOWN {long}\r\n").into_bytes(), None));
    headers.extend([
        (with_tlvs(&[]), Some("192.0.2.1|4711|192.0.2.2|143")),
        (with_tlvs(&tlv(0x04, &[0; 500])), Some("192.0.2.1|4711|192.0.2.2|143")),
        (with_tlvs(&[0x20, 0xff, 0xff, 0]), Some("192.0.2.1|4711|192.0.2.2|143")),
        (v2(0x21, 0x21, &tcp6), Some("::1|25|::2|26")),
        (v2(0x20, 0x11, &TCP4_BLOCK), None),
        (v2(0x20, 0x00, &[]), None),
        (v2(0x2f, 0x11, &[1, 2, 3]), None),
        (v2(0x21, 0x12, &TCP4_BLOCK), None),
        (v2(0x21, 0x31, &[b'/'; 216]), None),
        (v2(0x21, 0x00, &[]), None),
    ]);
    headers
}

#[test]
fn both_versions_are_read_as_the_originals_read_them() {
    for (header, said) in headers() {
        assert_eq!(done(&header).as_deref(), said, "{}", header.escape_ascii());
    }
}

#[test]
fn a_header_may_arrive_in_pieces_and_leaves_what_follows_it() {
    for (header, _) in headers() {
        for cut in 0..header.len() {
            assert_eq!(parse(&header[..cut]), Parsed::Incomplete, "{}", header[..cut].escape_ascii());
        }
        let followed = [&header[..], b"a1 NOOP\r\nPROXY UNKNOWN\r\n"].concat();
        assert_eq!(parse(&followed), parse(&header));
        let Parsed::Done { length, .. } = parse(&followed) else { panic!("it was complete") };
        assert_eq!(length, header.len());
    }
}

#[test]
fn what_is_no_header_of_version_1_is_logged_up_to_the_end_of_the_line() {
    for (input, text) in [
        ("proxy TCP4 192.0.2.1 192.0.2.2 1 2\r\n", "proxy TCP4 192.0.2.1 192.0.2.2 1 2"),
        ("PROXY TCP4 192.0.2.1 192.0.2.2 1 2\n", "PROXY TCP4 192.0.2.1 192.0.2.2 1 2"),
        ("PROXY TCP4 192.0.2.1 192.0.2.2 1 2 \r\n", "PROXY TCP4 192.0.2.1 192.0.2.2 1 2 "),
        ("PROXY TCP4 192.0.2.1 192.0.2.2 1 65536\r\n", "PROXY TCP4 192.0.2.1 192.0.2.2 1 65536"),
        ("PROXY TCP4 192.0.2.1 192.0.2.2 1 -2\r\n", "PROXY TCP4 192.0.2.1 192.0.2.2 1 -2"),
        ("PROXY TCP4 192.0.2.1 192.0.2.2 +1 2\r\n", "PROXY TCP4 192.0.2.1 192.0.2.2 +1 2"),
        ("PROXY TCP4 192.0.2.1 192.0.2.2  1\r\n", "PROXY TCP4 192.0.2.1 192.0.2.2  1"),
        ("PROXY TCP4 localhost 192.0.2.2 1 2\r\n", "PROXY TCP4 localhost 192.0.2.2 1 2"),
        ("PROXY TCP4 fe80::1%1 ::1 1 2\r\n", "PROXY TCP4 fe80::1%1 ::1 1 2"),
        ("PROXY TCP5 192.0.2.1 192.0.2.2 1 2\r\n", "PROXY TCP5 192.0.2.1 192.0.2.2 1 2"),
        ("PROXY  UNKNOWN\r\n", "PROXY  UNKNOWN"),
        ("PRO\r\n", "PRO"),
        ("proxy it\r\n", "proxy it"),
        ("\x16\x03\x01", "\\x16\\x03\\x01"),
        ("\r\n\r\nQUIT\r\n", ""),
        ("x\"y", "x\\\"y"),
    ] {
        assert_eq!(fault(input.as_bytes()), format!("broken header: \"{text}\""));
    }
}

#[test]
fn of_a_client_that_speaks_mail_at_once_no_password_is_logged() {
    for (input, text) in [
        ("a1 LOGIN joe hush\r\n", "a1"),
        ("PASS hush\r\n", "PASS"),
        (" hush\r\n", ""),
        ("GET / HTTP/1.1\r\n", "GET"),
    ] {
        assert_eq!(fault(input.as_bytes()), format!("broken header: \"{text}\""));
    }
}

#[test]
fn a_header_that_ends_with_its_connection_is_logged_as_far_as_it_came() {
    for (input, text) in [
        (&b""[..], ""),
        (b"PROXY TC", "PROXY TC"),
        (&v2::SIGNATURE, ""),
        (b"PROXY UNKNOWN x\r", "PROXY UNKNOWN x"),
    ] {
        assert_eq!(parse(input), Parsed::Incomplete);
        assert_eq!(Fault::ended(input).to_string(), format!("broken header: \"{text}\""));
    }
}

#[test]
fn a_header_of_version_1_ends_within_4096_bytes() {
    let longest = format!("PROXY UNKNOWN{}\r\n", "x".repeat(LONGEST - 15));
    assert_eq!(longest.len(), LONGEST);
    assert_eq!(done(longest.as_bytes()), None);
    let endless = format!("PROXY UNKNOWN{}", "x".repeat(LONGEST));
    assert_eq!(parse(&endless.as_bytes()[..LONGEST - 1]), Parsed::Incomplete);
    for length in [LONGEST, LONGEST + 1, endless.len()] {
        let Parsed::Fault(Fault::Broken(text)) = parse(&endless.as_bytes()[..length]) else {
            panic!("endless")
        };
        assert_eq!(text, endless.as_bytes()[..LONGEST]);
    }
}

#[test]
fn a_header_of_version_2_that_cannot_be_used_is_known_at_once() {
    for (input, text) in [
        (v2(0x11, 0x11, &TCP4_BLOCK), "unknown PROXY protocol version: 1"),
        (v2(0xf0, 0x11, &[])[..16].to_vec(), "unknown PROXY protocol version: 15"),
        (v2(0x21, 0x11, &vec![0; LONGEST - 15])[..16].to_vec(), "header is too large"),
        (v2(0x20, 0x00, &vec![0; 65535]), "header is too large"),
        (v2(0x21, 0x11, &TCP4_BLOCK[..11]), "no room for addresses in header"),
        (v2(0x21, 0x21, &[0; 35]), "no room for addresses in header"),
        (v2(0x21, 0x21, &[]), "no room for addresses in header"),
    ] {
        assert_eq!(fault(&input), text);
    }
    assert_eq!(done(&v2(0x20, 0x00, &vec![0; LONGEST - 16])), None);
}

#[test]
fn facts_about_tls_are_read_from_version_2() {
    let sub = [tlv(0x21, b"TLSv1.3"), tlv(0x25, b"RSA2048"), tlv(0x22, b"user"), tlv(0x23, b"AES")].concat();
    let ssl = |flags, verify: u32| [&[flags][..], &verify.to_be_bytes(), &sub].concat();
    let header = |value: &[u8]| {
        let tlvs =
            [tlv(0x01, b"imap"), tlv(0x02, b"mail.example"), tlv(0x05, b"id"), tlv(0x20, value)].concat();
        let Parsed::Done { header, .. } = parse(&with_tlvs(&tlvs)) else { panic!("it is one") };
        header
    };
    let facts = Ssl {
        active: true,
        certificate: true,
        verified: true,
        version: Some(b"TLSv1.3"),
        common_name: Some(b"user"),
        cipher: Some(b"AES"),
    };
    let all = header(&ssl(0x05, 0));
    let expected =
        [Tlv::Alpn(b"imap"), Tlv::Authority(b"mail.example"), Tlv::UniqueId(b"id"), Tlv::Ssl(facts)];
    assert!(all.tlvs.iter().eq(expected));
    assert_eq!(header(&ssl(0x07, 1)).tlvs.ssl(), Some(Ssl { verified: false, ..facts }));
    let without = Ssl { certificate: false, verified: false, ..facts };
    assert_eq!(header(&ssl(0x01, 0)).tlvs.ssl(), Some(without));
    assert_eq!(header(&[1, 0, 0, 0]).tlvs.ssl(), None, "too short to be one");
}

#[test]
fn tlvs_that_are_cut_short_or_too_long_are_no_facts() {
    let tlvs = |bytes: &[u8]| {
        let Parsed::Done { header, .. } = parse(&with_tlvs(bytes)) else { panic!("they do not matter") };
        header.tlvs
    };
    for bytes in [&[][..], &[1], &[1, 0], &[1, 0, 1], &[0x20, 0xff, 0xff, 0, 0, 0, 0, 0]] {
        assert_eq!(tlvs(bytes).iter().count(), 0, "{bytes:?}");
    }
    assert_eq!(tlvs(&[1, 0, 0, 2, 0, 9]).iter().collect::<Vec<_>>(), [Tlv::Alpn(b"")]);
    let long = tlv(0x05, &[7; 129]);
    assert_eq!(tlvs(&long).iter().next(), Some(Tlv::Other { kind: 5, value: &[7; 129] }));
    let nested = tlv(0x20, &[1, 0, 0, 0, 0, 0x21, 0, 9]);
    assert_eq!(tlvs(&nested).ssl().unwrap().version, None);
}

#[test]
fn the_hops_that_are_left_are_read_where_a_gatepost_has_written_them() {
    let hops = |bytes: &[u8]| match parse(bytes) {
        Parsed::Done { header, .. } => header.tlvs.hops(),
        other => panic!("{other:?}"),
    };
    for left in [None, Some(0), Some(4), Some(255)] {
        let mut output = BytesMut::new();
        write_v2(Some(endpoints("192.0.2.1:1", "[2001:db8::1]:2")), left, &mut output);
        assert_eq!(hops(&output), left);
    }
    let mut output = BytesMut::new();
    write_v2(Some(endpoints("192.0.2.1:4711", "192.0.2.2:143")), Some(4), &mut output);
    let written = [&[0xe7, 0, 9][..], b"gatepost\x04", &[3, 0, 4]].concat();
    assert_eq!(output[28..43], written);
    for others in [&b"\x04"[..], b"", b"gatepost", b"gatepost\x04\x04", b"somebody\x04"] {
        assert_eq!(hops(&with_tlvs(&tlv(0xe7, others))), None, "the kind is free for anybody");
    }
}

#[test]
fn any_bit_that_changes_under_a_checksum_is_noticed() {
    let mut header = BytesMut::new();
    write_v2(Some(endpoints("192.0.2.1:4711", "192.0.2.2:143")), None, &mut header);
    assert!(done(&header).is_some());
    for at in 16..28 {
        let mut changed = header.clone();
        changed[at] ^= 1;
        assert_eq!(parse(&changed), Parsed::Fault(Fault::Checksum), "byte {at}");
    }
    assert_eq!(parse(&with_tlvs(&tlv(0x03, &[1, 2, 3]))), Parsed::Fault(Fault::Checksum));
}

#[test]
fn version_1_is_written_in_the_family_of_the_client() {
    for (from, to, line) in [
        ("192.0.2.1:1", "192.0.2.2:2", "PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n"),
        ("[2001:db8::1]:1", "[::1]:2", "PROXY TCP6 2001:db8::1 ::1 1 2\r\n"),
        ("[2001:db8::1]:123", "127.0.0.1:31016", "PROXY TCP6 2001:db8::1 ::ffff:127.0.0.1 123 31016\r\n"),
        ("192.0.2.1:1", "[::ffff:192.0.2.2]:2", "PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n"),
        ("192.0.2.1:1", "[2001:db8::2]:2", "PROXY TCP6 ::ffff:192.0.2.1 2001:db8::2 1 2\r\n"),
        (
            "[::ffff:192.0.2.1]:1",
            "[::ffff:192.0.2.2]:2",
            "PROXY TCP6 ::ffff:192.0.2.1 ::ffff:192.0.2.2 1 2\r\n",
        ),
    ] {
        let mut output = BytesMut::from("before");
        write_v1(Some(endpoints(from, to)), &mut output);
        assert_eq!(output, format!("before{line}"));
    }
}

#[test]
fn a_client_without_an_address_is_unknown_or_local() {
    let mut output = BytesMut::new();
    write_v1(None, &mut output);
    assert_eq!(output, "PROXY UNKNOWN\r\n");
    output.clear();
    write_v2(None, Some(3), &mut output);
    assert_eq!(output[12..19], [0x20, 0x00, 0, 7, 3, 0, 4]);
    assert_eq!(done(&output), None);
}

#[test]
fn version_2_has_the_checksum_that_others_compute() {
    let mut output = BytesMut::new();
    write_v2(Some(endpoints("127.0.0.1:1", "127.0.0.1:2")), None, &mut output);
    let facts = [0x21, 0x11, 0, 19, 127, 0, 0, 1, 127, 0, 0, 1, 0, 1, 0, 2, 3, 0, 4];
    assert_eq!(output[..31], [&v2::SIGNATURE[..], &facts].concat());
    assert_eq!(tlv::checksum(&[b"123456789"]), 0xe306_9283, "the check value of CRC-32/ISCSI");
}

#[test]
fn what_we_write_is_what_we_read() {
    let ends = ["192.0.2.1:1", "[2001:db8::1]:65535", "[::ffff:192.0.2.2]:0", "255.255.255.255:25"];
    for (from, to) in ends.iter().flat_map(|from| ends.iter().map(move |to| (from, to))) {
        let v2 = |ends, output: &mut BytesMut| write_v2(ends, None, output);
        let with_hops = |ends, output: &mut BytesMut| write_v2(ends, Some(3), output);
        let writers: [&dyn Fn(_, &mut BytesMut); 3] = [&write_v1, &v2, &with_hops];
        for write in writers {
            let sent = endpoints(from, to);
            let mut output = BytesMut::new();
            write(Some(sent), &mut output);
            let Parsed::Done { length, header } = parse(&output) else { panic!("{output:?}") };
            let Addresses { source, destination } = header.addresses.unwrap();
            let read = (source.socket_addr().unwrap(), destination.socket_addr().unwrap());
            let sent = sent.in_one_family();
            assert_eq!((length, read), (output.len(), (sent.source, sent.destination)));
        }
    }
}

/// Bytes that look random and are the same in every run (xorshift64).
struct Noise(u64);

impl Noise {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).unwrap() % limit
    }
}

#[test]
fn no_bytes_panic_and_a_verdict_never_changes_as_more_arrive() {
    let mut noise = Noise(0x9e37_79b9_7f4a_7c15);
    let headers: Vec<_> = headers().into_iter().map(|(header, _)| header).filter(|h| h.len() < 300).collect();
    for _ in 0..4000 {
        let mut input = headers[noise.below(headers.len())].clone();
        for _ in 0..noise.below(4) {
            let at = noise.below(input.len());
            input[at] = u8::try_from(noise.below(256)).unwrap();
        }
        let verdicts: Vec<_> = (0..=input.len()).map(|cut| parse(&input[..cut])).collect();
        let settled = verdicts.iter().skip_while(|verdict| **verdict == Parsed::Incomplete);
        let same = |a: &&Parsed, b: &&Parsed| match (a, b) {
            // The text grows with what there is to show.
            (Parsed::Fault(Fault::Broken(a)), Parsed::Fault(Fault::Broken(b))) => b.starts_with(a),
            (a, b) => a == b,
        };
        assert!(settled.is_sorted_by(same), "{}", input.escape_ascii());
        for verdict in &verdicts {
            if let Parsed::Done { header, .. } = verdict {
                header.tlvs.iter().for_each(drop);
            }
        }
    }
}

#[test]
fn the_auth_server_is_told_the_text_of_the_header() {
    let Parsed::Done { header, .. } = parse(b"PROXY TCP6 2001:DB8:0::1 1.2.3.4.5 7 8\r\n") else {
        panic!("it is one")
    };
    let addresses = header.addresses.unwrap();
    assert_eq!((addresses.source.ip, addresses.destination.ip), (Some("2001:db8::1".parse().unwrap()), None));
    let proxied = Proxied::from(&addresses);
    assert_eq!((&*proxied.source, proxied.source_port), ("2001:DB8:0::1", 7));
    assert_eq!((&*proxied.destination, proxied.destination_port), ("1.2.3.4.5", 8));
}
