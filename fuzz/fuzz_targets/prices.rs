//! Price files of every kind and packing, under every shipped market.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| headgate_feeds::fuzz::prices(data));
