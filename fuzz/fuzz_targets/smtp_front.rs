//! A client that says anything to the SMTP front, in any pieces.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| gatepost_fuzz::play_front(proto::Protocol::Smtp, bytes));
