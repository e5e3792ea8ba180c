//! Market files.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| headgate_feeds::fuzz::markets(data));
