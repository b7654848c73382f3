//! The directory descriptor.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| overt_fuzz::descriptor(data));
