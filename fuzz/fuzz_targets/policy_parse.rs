//! Any bytes are a policy or an error with a place and a remedy; none makes the parser panic.

#![no_main]

use libfuzzer_sys::fuzz_target;
use stockade_domain::policy::parse_bytes;

fuzz_target!(|bytes: &[u8]| {
    if let Err(error) = parse_bytes(bytes, "fuzz.toml") {
        assert!(!error.to_string().is_empty(), "an error says what is wrong");
    }
});
