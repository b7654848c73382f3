//! Walking distinguished heads: see `overt_fuzz::response`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| overt_fuzz::response("distinguished", data));
