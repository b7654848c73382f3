//! Structures of the wire: what decodes is encoded the same.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| overt_fuzz::decode(data));
