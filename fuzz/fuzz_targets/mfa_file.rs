#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| a2z_core::fuzzing::mfa_file(bytes));
