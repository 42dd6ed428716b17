//! An upstream that says anything to the POP3 back, in any pieces.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| gatepost_fuzz::play_back(proto::Protocol::Pop3, bytes));
