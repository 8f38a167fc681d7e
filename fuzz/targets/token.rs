//! See `rowcast::fuzzing::token`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| rowcast::fuzzing::token(input));
