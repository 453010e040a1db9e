//! Any bytes are a description of workloads, or an error; whatever is read says something, since silence passes for clean.

#![no_main]

use std::collections::{BTreeMap, BTreeSet};

use libfuzzer_sys::fuzz_target;
use stockade_lint::{NothingBeside, Options, check, read, rules};

fuzz_target!(|bytes: &[u8]| {
    let variables = BTreeMap::new();
    let options = Options {
        variables: &variables,
        beside: &NothingBeside,
    };
    for name in ["fuzz.yml", "fuzz.toml"] {
        match read(name, bytes, &options) {
            Ok(document) => {
                let found = check(&document, &rules::all().expect("the table"), &BTreeSet::new());
                assert!(found.ignored.is_empty());
                let is_silent = document.workloads.is_empty() && document.unknown.is_empty() && document.notes.is_empty();
                assert!(!is_silent, "silence passes for clean");
            }
            Err(error) => assert!(!error.to_string().is_empty(), "an error says what is wrong"),
        }
    }
});
