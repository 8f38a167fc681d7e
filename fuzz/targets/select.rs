//! See `rowcast::fuzzing::select`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| rowcast::fuzzing::select(input));
