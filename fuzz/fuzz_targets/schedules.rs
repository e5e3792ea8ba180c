//! What is agreed by interval: positions, awards, calls, base points, units, peaks.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| headgate_feeds::fuzz::schedules(data));
