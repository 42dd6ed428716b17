//! Lists of ciphers, suites and groups in OpenSSL's syntax: no suite twice, and none of nothing.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mail::tls::fuzzing;

fn is_a_choice(chosen: &[&str]) -> bool {
    chosen.iter().enumerate().all(|(at, name)| !chosen[..at].contains(name))
}

fuzz_target!(|list: &str| {
    if let Some(chosen) = fuzzing::cipher_list(list) {
        assert!(!chosen.is_empty() && is_a_choice(&chosen), "{chosen:?}");
        // What was chosen, said by name, chooses the same in the same order.
        assert_eq!(fuzzing::cipher_list(&chosen.join(":")), Some(chosen));
    }
    if let Some(chosen) = fuzzing::cipher_suites(list) {
        assert!(chosen.is_empty() == list.is_empty() && is_a_choice(&chosen), "{chosen:?}");
    }
    assert_ne!(fuzzing::groups(list), Some(0));
});
