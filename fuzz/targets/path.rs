//! See `rowcast::fuzzing::path`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| rowcast::fuzzing::path(input));
