//! `run --dry-run`: shows all, creates nothing.

use crate::world::{World, is_empty_directory};

#[test]
fn a_dry_run_shows_controls_files_and_steps_and_creates_nothing() {
    let world = World::new();
    let output = world
        .stockade(&["run", "--dry-run", "--", "true"])
        .output()
        .expect("it runs");
    let text = world.tidy(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{}", world.tidy(&output.stderr));
    for shown in [
        "CONTROL",
        "network-none",
        "require",
        "host kernel",
        "memory",
        "prefer",
        "[world]/project",
        "Set-up",
        "  1. ",
    ] {
        assert!(text.contains(shown), "{shown}: {text}");
    }
    assert!(is_empty_directory(&world.path("state")));
}

#[test]
fn a_dry_run_in_json_is_the_plan() {
    let world = World::new();
    let output = world
        .stockade(&["run", "--dry-run", "--json", "--timeout", "77s", "--", "true"])
        .output()
        .expect("it runs");
    let plan: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(plan["plan"]["driver"], "native");
    assert_eq!(plan["plan"]["spec"]["limits"]["wall_time"], 77_000);
    assert!(plan["steps"].as_array().is_some_and(|steps| !steps.is_empty()));
}

#[test]
fn a_flag_is_named_as_the_origin() {
    let world = World::new();
    let output = world
        .stockade(&["run", "--dry-run", "--output", "512M", "--", "true"])
        .output()
        .expect("it runs");
    let text = world.tidy(&output.stdout);
    let line = text
        .lines()
        .find(|line| line.starts_with("output"))
        .expect("a line about output");
    assert!(line.contains("512 MiB") && line.ends_with("--output"), "{line}");
}

/// The row of a control in what `--dry-run` shows, or the refusal.
fn control(name: &str, flags: &[&str]) -> String {
    let world = World::new();
    let output = world
        .stockade(&[&["run", "--dry-run"], flags, &["--", "true"]].concat())
        .output()
        .expect("it runs");
    let text = world.tidy(&[output.stdout, output.stderr].concat());
    let row = text.lines().find(|line| line.trim_start().starts_with(name));
    row.unwrap_or_else(|| panic!("no {name}: {text}")).to_owned()
}

#[test]
fn a_preferred_limit_is_watched_and_a_required_one_refused() {
    let preferred = control("disk", &["--disk", "1G", "--prefer", "disk"]);
    assert!(
        preferred.contains("prefer") && preferred.ends_with("--prefer disk"),
        "{preferred}"
    );
    let flags: [&[&str]; 3] = [
        &["--disk", "1G"],
        &["--disk", "1G", "--require", "disk"],
        &["--disk", "1G", "--require", "disk", "--prefer", "disk"],
    ];
    for flags in flags {
        let refused = control("disk", flags);
        assert!(
            refused.contains("can only be watched here"),
            "{flags:?}: {refused}"
        );
    }
}

#[test]
fn a_flag_asks_for_a_control_that_the_policy_does_not_name() {
    let required = control("own-machine", &["--require", "own-machine"]);
    assert!(
        required.contains("(--require own-machine): native runs on"),
        "{required}"
    );
    let preferred = control("own-machine", &["--prefer", "own-machine"]);
    assert!(preferred.contains("prefer"), "{preferred}");
}

#[test]
fn a_limit_that_is_turned_off_is_not_demanded() {
    let world = World::new();
    let output = world
        .stockade(&["run", "--dry-run", "--memory", "none", "--", "true"])
        .output()
        .expect("it runs");
    let text = world.tidy(&output.stdout);
    assert!(!text.lines().any(|line| line.starts_with("memory")), "{text}");
}
