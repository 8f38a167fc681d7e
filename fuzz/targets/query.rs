//! See `rowcast::fuzzing::query`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| rowcast::fuzzing::query(input));
