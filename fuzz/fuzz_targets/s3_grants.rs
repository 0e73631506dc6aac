//! What a grant allows lies inside of it.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &str| sandkeep_gateway::fuzzing::grants(input));
