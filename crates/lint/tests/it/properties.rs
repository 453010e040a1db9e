//! Whatever a file holds, its reader ends in order, and what is dangerous is seen through its disguises.

use proptest::prelude::*;

use crate::world::{broken, checked, document, unknown};

/// Words of the formats, so that random texts get far.
fn words() -> impl Strategy<Value = String> {
    let known = [
        "services:",
        "web:",
        "image:",
        "x",
        "volumes:",
        "- ",
        "\n",
        "\n  ",
        "\n    ",
        "kind: ",
        "Pod",
        "List",
        "apiVersion: v1",
        "spec:",
        "containers:",
        "[",
        "]",
        "{",
        "}",
        "&a ",
        "*a",
        "<<: ",
        "extends: ",
        "include: ",
        "${A:-",
        "$",
        "'",
        "\"",
        "HostConfig",
        ",",
        "---\n",
        "!t ",
        "null",
        "privileged: true",
        "version = 1\n",
    ];
    let word = prop_oneof![9 => prop::sample::select(known.to_vec()).prop_map(str::to_owned), 1 => ".{0,4}"];
    prop::collection::vec(word, 0..40).prop_map(|words| words.concat())
}

proptest! {
    #[test]
    fn no_text_makes_a_reader_panic(text in words(), name in prop::sample::select(vec!["f.yml", "f.json", "f.toml", "stdin"])) {
        match document(name, &text) {
            Ok(document) => {
                let found = checked(&document);
                let says_something = !document.workloads.is_empty() || !document.unknown.is_empty() || !document.notes.is_empty();
                prop_assert!(says_something, "silence would pass for clean");
                let is_filled = found.findings.iter().all(|one| !one.what.contains("{}"));
                prop_assert!(is_filled, "a title lacks its value");
            }
            Err(error) => prop_assert!(!error.to_string().is_empty()),
        }
    }

    #[test]
    fn a_socket_is_seen_through_detours(detours in prop::collection::vec(prop::sample::select(vec!["/.", "/", "/x/..", "/run/../run/.."]), 0..6), ro in any::<bool>()) {
        let path = format!("{}/var/run/docker.sock", detours.concat());
        let option = if ro { ":ro" } else { "" };
        let short = format!("services: {{a: {{image: x, volumes: ['{path}:/s{option}']}}}}");
        let long = format!("services: {{a: {{image: x, volumes: [{{type: bind, source: '{path}', target: /s, read_only: {ro}}}]}}}}");
        let pod = format!("{{kind: Pod, apiVersion: v1, spec: {{volumes: [{{name: v, hostPath: {{path: '{path}'}}}}], containers: [{{name: c, image: x}}]}}}}");
        for text in [short, long, pod] {
            prop_assert!(broken("f.yml", &text).contains("engine-socket"), "{}", text);
        }
    }

    #[test]
    fn a_key_that_nobody_knows_is_never_passed_over(key in "[a-w][a-z]{4,9}q") {
        let service = format!("services: {{a: {{image: x, {key}: true}}}}");
        let pod = format!("{{kind: Pod, apiVersion: v1, spec: {{containers: [{{name: c, image: x, securityContext: {{{key}: true}}}}]}}}}");
        for text in [service, pod] {
            prop_assert_eq!(unknown("f.yml", &text).len(), 1, "{}", text);
        }
    }
}
