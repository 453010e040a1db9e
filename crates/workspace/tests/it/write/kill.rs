//! A process that is killed at any effect leaves the tree as it was before or as it is after,
//! once the next one has looked at it.

use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};

use stockade_workspace::Decision;

use super::world::{Picture, World, contents, exactly};

const VARIABLE: &str = "STOCKADE_TEST_KILL";

/// Every kind of step: new files and directories, exchanged files, a directory that becomes a
/// file and one that is deleted, a mode, a path that stays.
fn prepare() -> World {
    let world = World::new();
    world.host("changed", "before");
    world.host("tree/a", "a");
    world.host("tree/b/c", "c");
    world.host("becomes-file/x", "x");
    world.host("gone", "gone");
    world.host("mode/x", "x");
    world.inside("changed", "after");
    world.inside("new", "new");
    world.inside("dir/one", "1");
    world.inside("dir/deep/two", "2");
    world.inside("becomes-file", "file");
    world.inside("stays", "pending");
    world.inside("mode/y", "y");
    super::set_mode(&world.upper().join("mode"), 0o711);
    world.gone("tree");
    world.gone("gone");
    world
}

fn decide(path: &str) -> Decision {
    if path == "stays" {
        Decision::Leave
    } else {
        Decision::Apply
    }
}

/// What the child does: everything up to an effect, and there it kills itself.
#[test]
fn child() {
    let Ok(task) = std::env::var(VARIABLE) else { return };
    let mut words = task.splitn(3, ' ');
    let (what, at) = (words.next().expect("a task"), words.next().expect("a number"));
    let world = World::at(Path::new(words.next().expect("a path")));
    let left = AtomicU64::new(at.parse().expect("a number"));
    let pause = |_: &'static str| {
        if left.fetch_sub(1, Ordering::Relaxed) == 0 {
            rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL)
                .expect("killed");
        }
    };
    match what {
        "apply" => drop(world.apply_watched(decide, &pause).expect("applied")),
        "undo" => drop(world.undo_watched(&pause).expect("undone")),
        _ => drop(world.history_watched(&pause).expect("recovered")),
    }
}

/// True if it was killed, false if it came to its end.
fn run_child(what: &str, at: u64, world: &World) -> bool {
    let output = Command::new(std::env::current_exe().expect("this program"))
        .args(["--exact", "write::kill::child", "--nocapture"])
        .env(VARIABLE, format!("{what} {at} {}", world.root().display()))
        .output()
        .expect("a child");
    let killed = output.status.signal() == Some(9);
    assert!(
        killed || output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    killed
}

struct Pictures {
    before: Picture,
    after: Picture,
}

fn check(world: &World, pictures: &Pictures, what: &str, at: u64) {
    drop(world.history().expect("recovered"));
    let now = contents(&world.project());
    assert!(
        now == pictures.before || now == pictures.after,
        "torn after {what} was killed at {at}: {now:#?}"
    );
    let leftovers: Vec<_> = std::fs::read_dir(world.root().join("history"))
        .expect("a listing")
        .map(|entry| entry.expect("an entry").file_name())
        .filter(|name| name.to_string_lossy().starts_with('.'))
        .collect();
    assert!(leftovers.is_empty(), "{leftovers:?}");
}

fn pictures() -> Pictures {
    let world = prepare();
    let before = contents(&world.project());
    world.apply(decide).expect("applied");
    let after = contents(&world.project());
    assert_ne!(before, after);
    Pictures { before, after }
}

#[test]
fn an_apply_killed_at_any_effect_leaves_the_tree_before_or_after() {
    let pictures = pictures();
    let mut at = 0;
    loop {
        let world = prepare();
        let exact = exactly(&world.project());
        let killed = run_child("apply", at, &world);
        check(&world, &pictures, "apply", at);
        if !killed {
            assert_eq!(contents(&world.project()), pictures.after);
            break;
        }
        if contents(&world.project()) == pictures.before {
            assert_eq!(exactly(&world.project()), exact, "killed at {at}");
            // Nothing of the attempt is in the way of the next one.
            world.apply(decide).expect("applied");
        }
        assert_eq!(contents(&world.project()), pictures.after, "killed at {at}");
        at += 1;
    }
    assert!(at > 30, "only {at} effects were seen");
}

#[test]
fn an_undo_killed_at_any_effect_leaves_the_tree_before_or_after() {
    let pictures = pictures();
    let mut at = 0;
    loop {
        let world = prepare();
        let exact = exactly(&world.project());
        world.apply(decide).expect("applied");
        let killed = run_child("undo", at, &world);
        check(&world, &pictures, "undo", at);
        if contents(&world.project()) == pictures.after {
            world.undo().expect("undone");
        }
        assert_eq!(exactly(&world.project()), exact, "killed at {at}");
        if !killed {
            break;
        }
        at += 1;
    }
    assert!(at > 10, "only {at} effects were seen");
}

#[test]
fn recovery_killed_at_any_effect_is_recovered_from() {
    let pictures = pictures();
    // Deep in the steps of an apply, so that there is much to take back.
    let middle = 26;
    let mut at = 0;
    loop {
        let world = prepare();
        let exact = exactly(&world.project());
        assert!(run_child("apply", middle, &world));
        let killed = run_child("recover", at, &world);
        check(&world, &pictures, "recovery", at);
        assert_eq!(exactly(&world.project()), exact, "killed at {at}");
        if !killed {
            break;
        }
        at += 1;
    }
    assert!(at > 5, "only {at} effects were seen");
}
