//! A users file of anything: entries, or a fault that names its line and no secret.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mail::auth::users::UsersFile;

fuzz_target!(|bytes: &[u8]| {
    match UsersFile::parse("users", bytes) {
        Ok(file) => assert!(!format!("{file:?}").is_empty()),
        Err(fault) => {
            let lines = bytes.split(|&byte| byte == b'\n').count();
            assert!((1..=lines).contains(&fault.line), "{fault}");
            assert!(!fault.to_string().contains(['\r', '\n', '\0']), "{fault}");
        }
    }
});
