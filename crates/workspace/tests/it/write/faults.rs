//! Full disks, read-only projects, two at once, and how long it takes.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use stockade_workspace::{Decision, History, WriteError};

use super::world::{World, contents, exactly};

const VARIABLE: &str = "STOCKADE_TEST_FAULT";

/// Runs in a mount namespace of its own, with a small file system as the world's root.
#[test]
fn child() {
    let Ok(task) = std::env::var(VARIABLE) else { return };
    let (what, root) = task.split_once(' ').expect("a task");
    let world = World::in_directory(Path::new(root));
    world.host("a", "host");
    world.host("gone", "gone");
    world.inside("a", "inside");
    world.gone("gone");
    let error = match what {
        "full" => {
            world.inside("large", &"x".repeat(3 << 20));
            let before = exactly(&world.project());
            let error = world.apply_all().expect_err("no room");
            assert_eq!(exactly(&world.project()), before);
            error
        }
        _ => {
            let before = exactly(&world.project());
            let mut mount = Command::new("mount");
            mount
                .args(["--bind", "-o", "ro"])
                .arg(world.project())
                .arg(world.project());
            assert!(mount.status().expect("mount").success());
            let error = world.apply_all().expect_err("read-only");
            assert_eq!(exactly(&world.project()), before);
            error
        }
    };
    println!("told: {error}");
}

fn told_in_a_namespace(what: &str) -> Option<String> {
    let root = tempfile::tempdir().expect("a directory");
    let script =
        "mount -t tmpfs -o size=5m none \"$1\" && exec \"$0\" --exact write::faults::child --nocapture";
    let output = Command::new("unshare")
        .args(["--user", "--map-root-user", "--mount", "sh", "-c", script])
        .arg(std::env::current_exe().expect("this program"))
        .arg(root.path())
        .env(VARIABLE, format!("{what} {}", root.path().display()))
        .output()
        .ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    if errors.contains("unshare:") || errors.contains("mount: ") && !text.contains("running") {
        super::skip(what, &errors);
        return None;
    }
    let told = text.lines().find_map(|line| line.split_once("told: "));
    assert!(told.is_some(), "{text}{errors}");
    told.map(|(_, told)| format!("{told}{text}"))
}

#[test]
fn a_full_disk_changes_nothing_and_is_told() {
    let Some(told) = told_in_a_namespace("full") else {
        return;
    };
    assert!(
        told.contains("No space left") && told.contains("large") && told.contains("free space"),
        "{told}"
    );
}

#[test]
fn a_read_only_project_changes_nothing_and_is_told() {
    let Some(told) = told_in_a_namespace("read-only") else {
        return;
    };
    assert!(
        told.contains("read-only") || told.contains("another file system"),
        "{told}"
    );
}

#[test]
fn of_two_at_once_one_waits_and_is_then_told() {
    let world = World::new();
    world.inside("a", "1");
    let held = world.history().expect("a history");
    let (path, trash) = (world.root().join("history"), world.root().join("trash"));
    let open = || {
        History::open(
            &path,
            &trash,
            &world.project(),
            Duration::from_millis(50),
            &|_| {},
        )
    };
    let error = open().expect_err("refused");
    assert!(matches!(error, WriteError::Busy { .. }), "{error}");
    drop(held);
    assert!(world.apply_all().is_ok());
}

#[test]
fn a_failing_step_takes_back_those_before_it() {
    let world = World::new();
    for name in ["a", "b", "c"] {
        world.host(name, "host");
        world.inside(name, "inside");
    }
    let set = world.changes();
    let before = contents(&world.project());
    let steps = std::cell::Cell::new(0);
    let project = world.project();
    // Just before the last file is exchanged, somebody edits it.
    let pause = |what: &'static str| {
        if what == "step" {
            steps.set(steps.get() + 1);
            if steps.get() == 3 {
                std::thread::sleep(Duration::from_millis(25));
                std::fs::write(project.join("c"), "edited").expect("edited");
            }
        }
    };
    let error = world
        .apply_set(&set, |_| Decision::Apply, &pause)
        .expect_err("refused");
    assert!(matches!(error, WriteError::Changed { .. }), "{error}");
    let mut now = contents(&world.project());
    let edited = now.insert("c".into(), before[Path::new("c")].clone()).expect("c");
    assert_eq!(edited.content, b"edited");
    assert_eq!(now, before);
    assert_eq!(world.changes().changes.len(), 3);
}

#[test]
fn a_thousand_files_are_applied_quickly() {
    let world = World::new();
    for number in 0..1000 {
        world.inside(&format!("d{}/f{number}", number % 20), &"x".repeat(2000));
        if number % 2 == 0 {
            world.host(&format!("d{}/f{number}", number % 20), "old");
        }
    }
    let began = Instant::now();
    world.apply_all().expect("applied");
    let took = began.elapsed();
    println!("1,000 files in {took:?}");
    // Only what hangs fails: the machine may be slow. `cargo xtask bench` measures.
    assert!(took < Duration::from_secs(30), "{took:?}");
}
