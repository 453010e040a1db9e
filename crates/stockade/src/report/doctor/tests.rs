//! Hosts that nobody has at hand, from their descriptions: one is written whole, as `doctor
//! --json` prints it under `observed`; the others say in what they differ from it.

use serde_json::Value;
use stockade_host::doctor::{checks, driver_report};
use stockade_host::drivers::native::Native;

use super::*;

const WHOLE: &str = include_str!("hosts/debian-12.json");

fn diagnosis(differs: &str) -> Diagnosis {
    let mut described: Value = serde_json::from_str(WHOLE).unwrap();
    merge(&mut described, &serde_json::from_str(differs).unwrap());
    let observed: Observed = serde_json::from_value(described).unwrap();
    let checks = checks(&observed);
    Diagnosis {
        version: "1.2.3",
        works: crate::service::doctor::works(&checks),
        drivers: vec![driver_report(&Native::new(), &observed.target)],
        probed: Vec::new(),
        checks,
        observed,
    }
}

fn shown(differs: &str) -> String {
    diagnosis_text(&diagnosis(differs), Paint::OFF)
}

/// Lays one description over another; null takes a key away.
fn merge(below: &mut Value, above: &Value) {
    let (Value::Object(below), Value::Object(above)) = (&mut *below, above) else {
        *below = above.clone();
        return;
    };
    for (key, value) in above {
        match value {
            Value::Null if key != "container" => {
                below.remove(key);
            }
            Value::Object(_) if below.get(key).is_some_and(Value::is_object) => {
                merge(&mut below[key], value);
            }
            _ => {
                below.insert(key.clone(), value.clone());
            }
        }
    }
}

#[test]
fn a_host_where_all_is_well() {
    insta::assert_snapshot!(shown("{}"));
}

#[test]
fn ubuntu_with_restricted_user_namespaces_names_the_profile() {
    insta::assert_snapshot!(shown(include_str!("hosts/ubuntu-24.04.json")));
}

#[test]
fn a_container_without_user_namespaces_names_what_forbids_them() {
    insta::assert_snapshot!(shown(include_str!("hosts/container.json")));
}

#[test]
fn an_enterprise_linux_lacks_landlock_and_a_delegated_processor() {
    insta::assert_snapshot!(shown(include_str!("hosts/rhel-9.json")));
}

#[test]
fn a_linux_on_windows_has_no_control_groups() {
    insta::assert_snapshot!(shown(include_str!("hosts/wsl-2.json")));
}

#[test]
fn what_could_not_be_tried_is_unknown_and_the_default_run_does_not_work() {
    let differs = include_str!("hosts/debian-11-hardened.json");
    assert!(!diagnosis(differs).works);
    insta::assert_snapshot!(shown(differs));
}

#[test]
fn a_file_that_nobody_looked_at_is_no_proof() {
    let mut diagnosis = diagnosis("{}");
    diagnosis.observed.files.clear();
    diagnosis.observed.namespaces.clear();
    let proven = |id: &str| {
        let checks = checks(&diagnosis.observed);
        checks.iter().any(|check| check.id == id && check.verdict.is_ok())
    };
    for id in ["max-user-namespaces", "apparmor-userns", "namespace-user"] {
        assert!(!proven(id), "{id}");
    }
    assert!(proven("kernel"), "the positive control");
}

#[test]
fn names_from_the_host_cannot_drive_the_terminal() {
    let text = shown(
        r#"{"system": {"name": "Evil\u001b[31m"}, "default_run": {"works": {"driver": "a\u001b[2Jb"}}}"#,
    );
    assert!(!text.contains('\u{1b}') && text.contains("Evil\\u{1b}"), "{text}");
}
