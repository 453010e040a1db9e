//! Any bytes are read as audit records to their end: each line is a record with its hash, or
//! is said to be none.

#![no_main]

use libfuzzer_sys::fuzz_target;
use stockade_host::audit::{Found, Redactor, Verifier, read_lines};

fuzz_target!(|bytes: &[u8]| {
    let mut lines = 0;
    read_lines(bytes, |line| {
        lines += 1;
        assert_eq!(line.number, lines);
        if let Found::Damage(damage) = line.found {
            assert!(!damage.why.is_empty(), "damage says what is wrong");
        }
        true
    })
    .expect("bytes in memory can be read");
    let mut verifier = Verifier::all();
    verifier.bytes("fuzz", bytes).expect("bytes in memory can be read");
    assert_eq!(verifier.finish().lines, lines);

    let text = String::from_utf8_lossy(bytes);
    let words: Vec<&str> = text.split('\0').collect();
    let redactor = Redactor::new([("TOKEN", "correct-horse")]);
    let clean = redactor.words(&words);
    assert_eq!(clean.len(), words.len());
});
