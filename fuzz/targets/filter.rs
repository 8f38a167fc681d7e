//! See `rowcast::fuzzing::filter`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| rowcast::fuzzing::filter(input));
