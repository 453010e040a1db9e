//! Runs: exit codes, endings, the last line, events.

use std::process::Output;

use crate::world::World;

fn run(world: &World, flags: &[&str], words: &[&str]) -> Output {
    world.run_with(flags, words).output().expect("it runs")
}

/// The exit code and what was said on standard error.
fn ending(flags: &[&str], words: &[&str]) -> (Option<i32>, String) {
    let world = World::new();
    let output = run(&world, flags, words);
    (output.status.code(), world.tidy(&output.stderr))
}

#[test]
fn output_and_exit_code_are_the_commands_own() {
    let world = World::new();
    let output = run(&world, &[], &["sh", "-c", "echo out; echo err >&2; exit 42"]);
    assert_eq!(output.status.code(), Some(42));
    assert_eq!(output.stdout, b"out\n");
    let said = world.tidy(&output.stderr);
    assert!(
        said.contains("err\n") && said.contains("controls verified · exit 42"),
        "{said}"
    );
}

#[test]
fn a_signal_is_128_and_its_number() {
    let (code, said) = ending(&[], &["sh", "-c", "kill -SEGV $$"]);
    assert_eq!(code, Some(139), "{said}");
    assert!(said.contains("ended by signal 11 (SIGSEGV)"), "{said}");
}

#[test]
fn the_time_limit_is_124_and_named() {
    let (code, said) = ending(&["--timeout", "200ms"], &["sleep", "1000"]);
    assert_eq!(code, Some(124), "{said}");
    assert!(
        said.contains("killed: time limit (200 ms): raise with --timeout"),
        "{said}"
    );
}

#[test]
fn a_command_that_ignores_signals_cannot_outlive_the_time_limit() {
    let (code, said) = ending(
        &["--timeout", "200ms"],
        &["sh", "-c", "trap '' TERM INT HUP; while :; do sleep 1; done"],
    );
    assert_eq!(code, Some(124), "{said}");
}

#[test]
fn the_output_limit_is_137_and_named() {
    let (code, said) = ending(&["--output", "64K"], &["yes"]);
    assert_eq!(code, Some(137), "{said}");
    assert!(
        said.contains("killed: too much output (64 KiB): raise with --output"),
        "{said}"
    );
}

#[test]
fn a_command_that_does_not_exist_is_127() {
    let (code, said) = ending(&[], &["no-such-command-anywhere"]);
    assert_eq!(code, Some(127), "{said}");
    assert!(said.contains("no-such-command-anywhere"), "{said}");
}

#[test]
fn a_command_that_the_policy_hides_is_127_and_its_place_is_told() {
    let world = World::new();
    let tools = world.path("home/tools");
    std::fs::create_dir(&tools).expect("a directory");
    let tool = tools.join("my-tool");
    std::fs::copy("/bin/true", &tool).expect("a copy");
    let tool = tool.to_str().expect("UTF-8");
    let output = run(&world, &[], &[tool]);
    assert_eq!(output.status.code(), Some(127));
    let said = world.tidy(&output.stderr);
    assert!(
        said.contains("[world]/home/tools") && said.contains("--ro"),
        "{said}"
    );
    // The positive control: shown as the text says, it runs.
    let shown = run(&world, &["--ro", tools.to_str().expect("UTF-8")], &[tool]);
    assert_eq!(shown.status.code(), Some(0), "{}", world.tidy(&shown.stderr));
}

#[test]
fn a_file_that_is_no_program_is_126() {
    let world = World::new();
    world.file("data", "no program");
    let output = run(&world, &[], &["./data"]);
    assert_eq!(output.status.code(), Some(126), "{}", world.tidy(&output.stderr));
}

#[test]
fn quiet_says_nothing() {
    let (code, said) = ending(&["-q"], &["false"]);
    assert_eq!((code, said.as_str()), (Some(1), ""));
}

#[test]
fn the_last_line_can_be_json() {
    let (_, said) = ending(&["--json"], &["sh", "-c", "exit 3"]);
    let last: serde_json::Value = serde_json::from_str(said.lines().last().expect("a line")).expect("JSON");
    assert_eq!(
        (&last["cause"], &last["value"], &last["code"]),
        (&"code".into(), &3.into(), &3.into())
    );
    assert!(last["duration_ms"].is_u64(), "{last}");
    assert_eq!(last["verified"], last["controls"]);
}

#[test]
fn changes_are_kept_apart_and_counted() {
    let world = World::new();
    world.file("old", "1");
    world.file("gone", "1");
    let output = run(&world, &[], &["sh", "-c", "echo 2 > old; echo 3 > new; rm gone"]);
    let said = world.tidy(&output.stderr);
    assert!(
        said.contains("exit 0 · 3 files changed, kept apart (stockade changes)"),
        "{said}"
    );
    let mut names: Vec<_> = world
        .project()
        .read_dir()
        .expect("the project")
        .map(|entry| entry.expect("an entry").file_name())
        .collect();
    names.sort();
    assert_eq!(names, ["gone", "old"], "the host's project must be as it was");
    assert_eq!(
        std::fs::read_to_string(world.project().join("old")).expect("old"),
        "1"
    );
}

#[test]
fn writable_workspaces_are_written() {
    let world = World::new();
    run(&world, &["--workspace-mode", "rw"], &["sh", "-c", "echo 3 > new"]);
    assert!(world.project().join("new").exists());
}

#[test]
fn events_come_on_the_status_fd() {
    let world = World::new();
    let mut shell = world.host_shell();
    shell.args([
        "-c",
        &format!(
            "{} run -q --status-fd 3 -- sh -c 'exit 5' 3>events",
            world.program()
        ),
    ]);
    assert_eq!(shell.status().expect("bash").code(), Some(5));
    let events = std::fs::read_to_string(world.project().join("events")).expect("events");
    let events: Vec<serde_json::Value> = events
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    assert_eq!(events[0]["event"], "started");
    let last = events.last().expect("an event");
    assert_eq!(
        (&last["event"], &last["cause"], &last["code"]),
        (&"ended".into(), &"code".into(), &5.into())
    );
    assert!(
        last["receipt"]["entries"]
            .as_array()
            .is_some_and(|entries| !entries.is_empty())
    );
}

#[test]
fn a_refusal_is_an_event_that_lists_what_is_missing() {
    let world = World::new();
    world.file("p.toml", "version = 1\n[need]\nown-kernel = \"require\"\n");
    let mut shell = world.host_shell();
    shell.args([
        "-c",
        &format!(
            "{} run --policy p.toml --status-fd 3 -- true 3>events",
            world.program()
        ),
    ]);
    let output = shell.output().expect("bash");
    assert_eq!(output.status.code(), Some(125), "{}", world.tidy(&output.stderr));
    let events = std::fs::read_to_string(world.project().join("events")).expect("events");
    let failed: serde_json::Value = serde_json::from_str(&events).expect("one line of JSON");
    assert_eq!(
        (&failed["event"], &failed["code"]),
        (&"failed".into(), &125.into())
    );
}

#[test]
fn the_environment_is_clean_but_for_what_is_passed() {
    let world = World::new();
    let mut command = world.run_with(&["-e", "GIVEN=1", "-e", "PASSED"], &["env"]);
    let output = command
        .env("PASSED", "2")
        .env("SECRET", "3")
        .output()
        .expect("it runs");
    let text = world.tidy(&output.stdout);
    assert!(
        text.contains("GIVEN=1\n") && text.contains("PASSED=2\n"),
        "{text}"
    );
    assert!(!text.contains("SECRET"), "{text}");
}
