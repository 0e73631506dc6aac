//! Which bucket and object a host and a path name.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &str| sandkeep_gateway::fuzzing::target(input));
