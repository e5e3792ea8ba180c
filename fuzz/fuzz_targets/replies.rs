//! What machines answer, to every family and for everything wanted of them.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| headgate_drivers::fuzz::replies(data));
