//! The signed value envelope.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| overt_fuzz::signed_value(data));
