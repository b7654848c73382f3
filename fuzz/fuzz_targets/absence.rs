//! Proof that a label does not exist.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| overt_fuzz::absence(data));
