//! How it ends, and what is left.

use std::process::Stdio;
use std::time::{Duration, Instant};

use super::{launch, succeeded, text, with_image, world};
use crate::world::{World, is_empty_directory};

/// Nothing of a sandbox is on disk, and nothing runs that has its root.
pub fn is_clean(world: &World) -> bool {
    let state = world.path("state/stockade");
    is_empty_directory(&state.join("sandboxes"))
        && is_empty_directory(&state.join("trash"))
        && is_empty_directory(&state.join("trees"))
        && nobody_below(world)
}

fn nobody_below(world: &World) -> bool {
    let state = world.path("state");
    let processes = std::fs::read_dir("/proc").expect("/proc");
    !processes
        .filter_map(Result::ok)
        .any(|entry| std::fs::read_link(entry.path().join("root")).is_ok_and(|root| root.starts_with(&state)))
}

fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !holds() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn an_end_is_told_as_everywhere() {
    let Some(world) = world("an_end_is_told_as_everywhere") else {
        return;
    };
    let code = |flags: &[&str], script: &str| {
        with_image(&world, flags, &["/bin/sh", "-c", script])
            .status
            .code()
    };
    assert_eq!(code(&[], "exit 42"), Some(42));
    assert_eq!(code(&[], "kill -SEGV $$"), Some(139));
    assert_eq!(
        code(&["--timeout", "300ms"], "trap '' TERM; while :; do sleep 1; done"),
        Some(124)
    );
    assert_eq!(code(&[], "no-such-command"), Some(127));
    let missing = with_image(&world, &[], &["/bin/no-such"]);
    assert_eq!(missing.status.code(), Some(127), "{}", text(&missing.stderr));
}

/// Killed at any moment, its processes end by themselves, and `gc` removes the rest.
#[test]
fn a_killed_supervisor_leaves_nothing_that_gc_does_not_remove() {
    let Some(world) = world("a_killed_supervisor_leaves_nothing_that_gc_does_not_remove") else {
        return;
    };
    // From the first steps to a command that runs and has children.
    for wait_ms in [0, 3, 6, 10, 15, 20, 30, 50, 100, 1_000] {
        let script = "sleep 1000 & sleep 1000 & sleep 1000";
        let mut child = launch(&world, &[], &["/bin/sh", "-c", script])
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("it runs");
        std::thread::sleep(Duration::from_millis(wait_ms));
        child.kill().expect("it is ours");
        child.wait().expect("it is ours");
        eventually("its processes end", || nobody_below(&world));
        let told = world.stockade(&["gc"]).output().expect("it runs");
        assert_eq!(told.status.code(), Some(0), "{}", text(&told.stderr));
        assert!(
            !world.path("state/stockade").exists() || is_clean(&world),
            "after {wait_ms} ms"
        );
    }
}

#[test]
fn a_sandbox_without_a_terminal_runs_more_commands_and_is_stopped() {
    let Some(world) = world("a_sandbox_without_a_terminal_runs_more_commands_and_is_stopped") else {
        return;
    };
    let up = with_image(&world, &["-d", "--name", "box"], &["/bin/sleep", "1000"]);
    assert_eq!(up.status.code(), Some(0), "{}", text(&up.stderr));
    let ask = |words: &[&str]| world.stockade(words).output().expect("it runs");
    assert_eq!(
        succeeded(&ask(&["exec", "box", "--", "/bin/sh", "-c", "echo $HOME"])).trim(),
        world.path("home").to_str().expect("UTF-8")
    );
    let listed = succeeded(&ask(&["ls"]));
    assert!(listed.contains("box") && listed.contains("chroot"), "{listed}");
    succeeded(&ask(&["stop", "box"]));
    succeeded(&ask(&["rm", "box"]));
    succeeded(&ask(&["gc"]));
    assert!(is_clean(&world));
}

#[test]
fn a_terminal_is_one_of_its_own() {
    let Some(world) = world("a_terminal_is_one_of_its_own") else {
        return;
    };
    let mut terminal = crate::pty::Terminal::start(&launch(
        &world,
        &["-i", "-t"],
        &["/bin/sh", "-c", "test -t 0 && echo is-a-terminal; exit 7"],
    ));
    terminal.expect("is-a-terminal");
    assert_eq!(terminal.end(), 7);
}
