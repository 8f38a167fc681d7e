//! See `rowcast::fuzzing::frames`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| rowcast::fuzzing::frames(input));
