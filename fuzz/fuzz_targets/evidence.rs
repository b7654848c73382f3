//! Evidence files.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| overt_fuzz::evidence(data));
