//! See `rowcast::fuzzing::order`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| rowcast::fuzzing::order(input));
