//! Meters, hash prices and exchange rates.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| headgate_feeds::fuzz::series(data));
