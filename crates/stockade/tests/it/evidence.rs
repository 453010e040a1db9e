//! Signed evidence of runs, and what is believed of it.

use std::process::Output;

use serde_json::Value;

use crate::world::World;

fn told(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

/// A world with the evidence of a run that wrote a file.
fn world() -> World {
    let world = World::new();
    let ran = world
        .run_with(
            &["-q", "--evidence", "../evidence.json"],
            &["sh", "-c", "echo new > made"],
        )
        .output()
        .unwrap();
    assert!(ran.status.success(), "{}", told(&ran));
    world
}

fn verify(world: &World, flags: &[&str]) -> (i32, String) {
    let output = world
        .stockade(&[&["verify", "../evidence.json"], flags].concat())
        .output()
        .unwrap();
    (output.status.code().unwrap(), told(&output))
}

fn json(world: &World) -> Value {
    let output = world
        .stockade(&["verify", "--json", "../evidence.json"])
        .output()
        .unwrap();
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn a_run_leaves_evidence_that_is_believed_here() {
    let world = world();
    let (code, told) = verify(&world, &[]);
    assert_eq!(code, 0, "{told}");
    assert!(
        told.contains("genuine") && told.contains("sh -c echo new > made"),
        "{told}"
    );
    let run = &json(&world)["statement"]["predicate"];
    let controls = run["controls"].as_array().unwrap();
    let is_seen = |control: &Value| {
        control["evidence"]
            .as_array()
            .is_some_and(|seen| !seen.is_empty())
    };
    assert!(controls.len() > 10 && controls.iter().all(is_seen), "{run}");
    assert_eq!(
        (&run["changes"]["paths"], &run["ending"]["value"]),
        (&1.into(), &0.into())
    );
}

#[test]
fn a_gate_passes_what_is_so_and_stops_what_is_not() {
    let world = world();
    let (code, told) = verify(
        &world,
        &[
            "--require",
            "network=none,control=files-unreadable,exit=0,max-age=1h",
        ],
    );
    assert_eq!(code, 0, "{told}");
    let (code, told) = verify(&world, &["--require", "level=machine"]);
    assert_eq!(code, 1, "{told}");
    assert!(told.contains("required level=machine, but level="), "{told}");
    let (code, told) = verify(&world, &["--require", "network=host"]);
    assert_eq!(code, 125, "{told}");
    assert!(told.contains("networks are none and allowlist"), "{told}");
}

#[test]
fn what_was_changed_after_it_was_signed_is_not_believed() {
    let world = world();
    let path = world.path("evidence.json");
    let mut sealed: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    let payload = sealed["payload"].as_str().unwrap();
    // Its first characters are the same in every statement.
    let (start, end) = payload.split_at(payload.len() / 2);
    let first = if end.starts_with('A') { "B" } else { "A" };
    sealed["payload"] = format!("{start}{first}{}", &end[1..]).into();
    std::fs::write(&path, sealed.to_string()).unwrap();
    let (code, told) = verify(&world, &[]);
    assert_eq!(code, 125, "{told}");
    assert!(told.contains("the signature does not fit"), "{told}");
}

#[test]
fn another_machine_believes_it_with_the_key_that_is_shown() {
    let (here, there) = (world(), World::new());
    std::fs::copy(here.path("evidence.json"), there.path("evidence.json")).unwrap();
    let (code, told) = verify(&there, &[]);
    assert_eq!(code, 125, "{told}");
    assert!(
        told.contains("not signed by a key that is trusted here") && told.contains("--key"),
        "{told}"
    );
    let key = here.stockade(&["verify", "--show-key"]).output().unwrap().stdout;
    std::fs::write(there.path("key.pem"), key).unwrap();
    let (code, told) = verify(&there, &["--key", "../key.pem"]);
    assert_eq!(code, 0, "{told}");
}

#[test]
fn changes_that_are_not_those_of_the_run_are_told() {
    let world = world();
    let (code, told) = verify(&world, &["--changes"]);
    assert_eq!(code, 0, "{told}");
    let ran = world
        .run_with(&["-q"], &["sh", "-c", "echo more >> made"])
        .status()
        .unwrap();
    assert!(ran.success());
    let (code, told) = verify(&world, &["--changes"]);
    assert_eq!(code, 1, "{told}");
    assert!(told.contains("required changes="), "{told}");
}

#[test]
fn a_run_cannot_send_its_evidence_elsewhere() {
    let world = World::new();
    world.file("out.json", "");
    std::fs::write(world.path("victim"), "kept").unwrap();
    let victim = world.path("victim").display().to_string();
    let swap = format!("rm out.json; ln -s {victim} out.json");
    let flags = ["-q", "--workspace-mode", "rw", "--evidence", "out.json"];
    let ran = world.run_with(&flags, &["sh", "-c", &swap]).output().unwrap();
    assert!(ran.status.success(), "{}", told(&ran));
    assert_eq!(std::fs::read_to_string(world.path("victim")).unwrap(), "kept");
    assert!(
        world.project().join("out.json").is_symlink(),
        "the control: it was exchanged"
    );
}

#[test]
fn what_an_earlier_run_left_is_gone_before_the_next_begins() {
    let world = world();
    let flags = ["-q", "--evidence", "../evidence.json"];
    let failed = world.run_with(&flags, &["no-such-command"]).status().unwrap();
    assert_eq!(failed.code(), Some(127));
    let (code, told) = verify(&world, &[]);
    assert_eq!(code, 125, "{told}");
}

#[test]
fn secrets_of_the_command_line_are_not_in_it() {
    let world = World::new();
    let flags = [
        "-q",
        "--evidence",
        "../evidence.json",
        "--env",
        "MY_TOKEN=hunter2hunter2",
    ];
    let ran = world
        .run_with(&flags, &["sh", "-c", ": hunter2hunter2"])
        .output()
        .unwrap();
    assert!(ran.status.success(), "{}", told(&ran));
    let all = json(&world).to_string();
    assert!(all.contains("[redacted]") && !all.contains("hunter2"), "{all}");
}
