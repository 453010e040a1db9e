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
