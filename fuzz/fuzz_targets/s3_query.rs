//! Parameters of a request, and which operation they select.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &str| sandkeep_gateway::fuzzing::query(input));
