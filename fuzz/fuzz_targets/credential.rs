//! Credentials and their updates.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| overt_fuzz::credential(data));
