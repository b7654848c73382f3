//! Contact monitoring: see `overt_fuzz::response`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| overt_fuzz::response("contact_monitor", data));
