//! Forms of browsers, and their policies.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| sandkeep_gateway::fuzzing::form(input));
