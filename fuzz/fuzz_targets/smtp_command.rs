//! Lines of a SMTP client: words are parts of the line, in its order, and never empty.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| gatepost_fuzz::read_lines(bytes, proto::smtp::fuzzing::arguments));
