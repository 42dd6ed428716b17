//! Where the reply of an upstream ends, by each of the rules: never beyond the limit, and never a second time.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Some((&limit, reply)) = bytes.split_first() else { return };
    let limit = usize::from(limit);
    let [line, lines, pop3, smtp] = proto::back::fuzzing::complete(reply, limit);
    for complete in [line, lines] {
        assert!(complete != Some(true) || reply.len() <= limit && reply.ends_with(b"\r\n"));
    }
    // A reply that is complete by more is complete by less, and whoever waits for more has room for it.
    assert!(lines != Some(true) || line == Some(true));
    assert!(smtp != Some(true) || pop3 == Some(true));
    assert!(
        [line, lines, pop3, smtp]
            .iter()
            .all(|complete| *complete != Some(false) || reply.len() < limit.max(1))
    );
    // The last reply of a login stays complete, whatever comes behind it.
    for (at, rule) in [(2, pop3), (3, smtp)] {
        if rule == Some(true) {
            let more = [reply, b"* and more"].concat();
            assert_eq!(proto::back::fuzzing::complete(&more, limit)[at], Some(true));
        }
    }
});
