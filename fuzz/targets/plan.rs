//! See `rowcast::fuzzing::plan`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| rowcast::fuzzing::plan(input));
