//! `stockade doctor` on the host at hand.

use serde_json::Value;

use crate::world::{World, is_empty_directory};

fn diagnosis(world: &World) -> (Option<i32>, Value) {
    let output = world.stockade(&["doctor", "--json"]).output().expect("it runs");
    let told = serde_json::from_slice(&output.stdout);
    (output.status.code(), told.expect("JSON"))
}

fn check<'a>(diagnosis: &'a Value, id: &str) -> &'a Value {
    let checks = diagnosis["checks"].as_array().expect("checks");
    checks.iter().find(|check| check["id"] == id).expect("the check")
}

#[test]
fn it_agrees_with_a_run_about_the_default_run() {
    let world = World::new();
    let run = world.run(&["true"]).output().expect("it runs");
    let (code, diagnosis) = diagnosis(&world);
    assert_eq!(
        code == Some(0),
        run.status.success(),
        "{}",
        check(&diagnosis, "default-run")
    );
    assert_eq!(diagnosis["works"], run.status.success());
}

#[test]
fn a_default_run_that_fails_is_told_with_its_reason() {
    let world = World::new();
    let mut command = world.stockade(&["doctor"]);
    let output = command
        .env("XDG_STATE_HOME", "/proc/nowhere")
        .output()
        .expect("it runs");
    let text = world.tidy(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(
        text.contains("The default run does not work.") && text.contains("/proc/nowhere"),
        "{text}"
    );
}

#[test]
fn every_try_has_an_outcome_here() {
    let world = World::new();
    let (_, diagnosis) = diagnosis(&world);
    let seen = &diagnosis["observed"];
    for (kind, tried) in seen["namespaces"].as_object().expect("namespaces") {
        assert!(tried.get("unknown").is_none(), "{kind}: {tried}");
    }
    assert!(seen["overlay"].get("unknown").is_none(), "{}", seen["overlay"]);
    assert!(
        seen["kvm"].get("unknown").is_none() || cfg!(not(target_arch = "x86_64")),
        "{}",
        seen["kvm"]
    );
}

#[test]
fn what_is_seen_can_be_read_back() {
    let world = World::new();
    let (_, diagnosis) = diagnosis(&world);
    let seen: stockade_host::doctor::Observed =
        serde_json::from_value(diagnosis["observed"].clone()).expect("a description");
    let again = serde_json::to_value(stockade_host::doctor::checks(&seen)).expect("JSON");
    assert_eq!(again, diagnosis["checks"]);
}

#[test]
fn it_leaves_nothing_behind_and_colours_nothing_in_a_pipe() {
    let world = World::new();
    let temporary = world.path("tmp");
    std::fs::create_dir(&temporary).expect("a directory");
    let mut command = world.stockade(&["doctor"]);
    let output = command.env("TMPDIR", &temporary).output().expect("it runs");
    assert!(!output.stdout.contains(&0x1b), "{}", world.tidy(&output.stdout));
    assert!(is_empty_directory(&temporary));
    let listed = world.stockade(&["ls", "-q"]).output().expect("it runs");
    assert!(listed.stdout.is_empty(), "{}", world.tidy(&listed.stdout));
}
