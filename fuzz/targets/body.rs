//! See `rowcast::fuzzing::body`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| rowcast::fuzzing::body(input));
