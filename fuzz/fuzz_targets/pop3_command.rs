//! Lines of a POP3 client: words are parts of the line, in its order, and never empty.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| gatepost_fuzz::read_lines(bytes, proto::pop3::fuzzing::arguments));
