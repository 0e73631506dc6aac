//! Bodies in chunks.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| sandkeep_gateway::fuzzing::chunks(input));
