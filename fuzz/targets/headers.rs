//! See `rowcast::fuzzing::headers`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| rowcast::fuzzing::headers(input));
