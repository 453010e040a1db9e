//! A process that is killed at any effect leaves the tree as it was before or as it is after,
//! once the next one has looked at it.

use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};

use stockade_workspace::checkpoint::list;
use stockade_workspace::{Decision, Start};

use super::world::{Picture, World, contents, exactly};

const VARIABLE: &str = "STOCKADE_TEST_KILL";

/// Every kind of step: new files and directories, exchanged files, a directory that becomes a
/// file and one that is deleted, a mode, a path that stays.
pub fn prepare() -> World {
    prepare_in(World::new())
}

pub fn prepare_in(world: World) -> World {
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

pub fn decide(path: &str) -> Decision {
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
        "merge" => drop(world.apply_watched(|_| Decision::Merge, &pause).expect("merged")),
        "checkpoint" => drop(world.checkpoint_watched(None, &pause).expect("taken")),
        "asked" => super::inside::ask_watched(&world, &pause).expect("taken"),
        "bases" => world.run_ends_watched(&[start()], &pause).expect("kept"),
        "discard" => drop(
            world
                .apply_watched(|_| Decision::Keep, &pause)
                .expect("discarded"),
        ),
        "rewind" => drop(world.rewind_watched("1", &pause).expect("rewound")),
        "undo" => drop(world.undo_watched(&pause).expect("undone")),
        _ => drop(world.history_watched(&pause).expect("recovered")),
    }
}

/// True if it was killed, false if it came to its end.
pub fn run_child(what: &str, at: u64, world: &World) -> bool {
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

pub struct Pictures {
    pub before: Picture,
    pub after: Picture,
}

pub fn check(world: &World, pictures: &Pictures, what: &str, at: u64) {
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

pub fn pictures() -> Pictures {
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

#[test]
fn across_file_systems_an_apply_and_an_undo_are_whole_as_well() {
    let Some(world) = World::apart() else {
        return super::skip("across_file_systems", "/dev/shm is no other file system");
    };
    let world = prepare_in(world);
    let before = contents(&world.project());
    world.apply(decide).expect("applied");
    let pictures = Pictures {
        before,
        after: contents(&world.project()),
    };
    for what in ["apply", "undo"] {
        let mut at = 0;
        loop {
            let world = prepare_in(World::apart().expect("another file system"));
            let times = times(&world);
            if what == "undo" {
                world.apply(decide).expect("applied");
            }
            let killed = run_child(what, at, &world);
            check(&world, &pictures, what, at);
            if contents(&world.project()) == pictures.after {
                world.undo().expect("undone");
            }
            assert_eq!(
                contents(&world.project()),
                pictures.before,
                "{what} killed at {at}"
            );
            assert_eq!(self::times(&world), times, "{what} killed at {at}");
            if !killed {
                break;
            }
            at += 1;
        }
        assert!(at > 20, "only {at} effects were seen");
    }
}

/// Copies have other inodes, but the same times.
fn times(world: &World) -> Vec<(std::path::PathBuf, i64, i64)> {
    let all = exactly(&world.project()).into_iter();
    all.map(|(path, seen)| {
        let (seconds, nanos, ..) = seen.exact.expect("times");
        (path, seconds, nanos)
    })
    .collect()
}

#[test]
fn a_checkpoint_killed_at_any_effect_is_whole_or_not_there() {
    let mut at = 0;
    loop {
        let world = prepare();
        let before = contents(&world.upper());
        let killed = run_child("checkpoint", at, &world);
        let all = list(world.root()).expect("a list");
        assert!(all.len() <= 1);
        for one in &all {
            let copy = world.root().join(format!("checkpoints/{}/upper", one.number));
            assert_eq!(contents(&copy), before, "killed at {at}");
        }
        assert_eq!(contents(&world.upper()), before);
        world.checkpoint_watched(None, &|_| {}).expect("the next one");
        if !killed {
            break;
        }
        at += 1;
    }
    assert!(at > 10, "only {at} effects were seen");
}

/// A sandbox that begins now: it sees what the host has.
pub fn start() -> Start {
    let now = super::world::now_ms();
    Start {
        began_ms: now,
        stamp_ms: now,
    }
}

#[test]
fn an_asked_checkpoint_killed_at_any_effect_is_whole_and_leaves_those_that_were_there() {
    let mut at = 0;
    loop {
        let world = prepare();
        world.checkpoint_watched(Some("mine"), &|_| {}).expect("taken");
        for _ in 0..2 {
            super::inside::ask_watched(&world, &|_| {}).expect("taken");
        }
        world.inside("changed", "once more");
        let before = contents(&world.upper());
        let killed = run_child("asked", at, &world);
        assert_eq!(contents(&world.upper()), before);
        let all = list(world.root()).expect("a list");
        assert!(all.iter().any(|one| one.name.as_deref() == Some("mine")));
        let asked: Vec<_> = all.iter().filter(|one| one.inside.is_some()).collect();
        assert!(
            (2..=3).contains(&asked.len()),
            "{} when killed at {at}",
            asked.len()
        );
        let newest = asked.last().expect("one").number;
        if newest > 3 {
            let copy = world.root().join(format!("checkpoints/{newest}/upper"));
            assert_eq!(contents(&copy), before, "killed at {at}");
        }
        // The next one keeps the bound again.
        super::inside::ask_watched(&world, &|_| {}).expect("the next one");
        let all = list(world.root()).expect("a list");
        assert_eq!(all.iter().filter(|one| one.inside.is_some()).count(), 2);
        if !killed {
            break;
        }
        at += 1;
    }
    assert!(at > 10, "only {at} effects were seen");
}

#[test]
fn bases_that_are_being_kept_when_it_is_killed_are_whole_or_not_there() {
    let mut at = 0;
    loop {
        let world = prepare();
        let before = (exactly(&world.project()), contents(&world.upper()));
        let killed = run_child("bases", at, &world);
        assert_eq!((exactly(&world.project()), contents(&world.upper())), before);
        // What a later look does: drafts go, and what is not kept yet is.
        stockade_workspace::forget(world.root(), &world.upper()).expect("cleaned");
        let drafts = std::fs::read_dir(world.root().join("bases"))
            .into_iter()
            .flatten();
        let drafts = drafts.map(|entry| entry.expect("an entry").file_name());
        let drafts: Vec<_> = drafts.filter(|name| name.as_encoded_bytes()[0] == b'.').collect();
        assert!(drafts.is_empty(), "{drafts:?} when killed at {at}");
        world.run_ends(&[start()]);
        std::thread::sleep(std::time::Duration::from_millis(25));
        world.host("changed", "host");
        // The base is known: else that would be said.
        let why = world.three_way("changed").why_not().expect("one line of both");
        assert!(
            why.contains("both sides changed the same lines"),
            "{why} when killed at {at}"
        );
        if !killed {
            break;
        }
        at += 1;
    }
    assert!(at > 10, "only {at} effects were seen");
}

#[test]
fn a_discard_killed_at_any_effect_leaves_the_changes_before_or_after() {
    let mut at = 0;
    loop {
        let world = prepare();
        let (host, former) = (exactly(&world.project()), contents(&world.upper()));
        let count = world.changes().changes.len();
        let killed = run_child("discard", at, &world);
        drop(world.history().expect("recovered"));
        assert_eq!(exactly(&world.project()), host, "killed at {at}");
        let is_former = contents(&world.upper()) == former;
        assert!(
            is_former || world.changes().changes.is_empty(),
            "torn when it was killed at {at}"
        );
        if !is_former {
            world.undo().expect("undone");
            assert_eq!(world.changes().changes.len(), count, "killed at {at}");
        }
        if !killed {
            break;
        }
        at += 1;
    }
    assert!(at > 10, "only {at} effects were seen");
}

#[test]
fn a_rewind_killed_at_any_effect_does_not_forget_when_files_were_made() {
    let mut at = 0;
    loop {
        let world = World::new();
        world.host("a", "1");
        let tick = || {
            std::thread::sleep(std::time::Duration::from_millis(25));
            let start = start();
            std::thread::sleep(std::time::Duration::from_millis(25));
            start
        };
        let begun = tick();
        world.inside("a", "2");
        world.checkpoint_watched(None, &|_| {}).expect("taken");
        tick();
        world.host("a", "edited");
        let again = tick();
        world.rewind_watched("1", &|_| {}).expect("rewound");
        let killed = run_child("rewind", at, &world);
        assert_eq!(world.conflicts(&[begun, again]), [true], "killed at {at}");
        if !killed {
            break;
        }
        at += 1;
    }
    assert!(at > 5, "only {at} effects were seen");
}

#[test]
fn a_rewind_killed_at_any_effect_leaves_the_changes_before_or_after() {
    let mut at = 0;
    loop {
        let world = prepare();
        let former = contents(&world.upper());
        world.checkpoint_watched(None, &|_| {}).expect("taken");
        world.inside("changed", "once more");
        world.inside("dir/three", "3");
        let later = contents(&world.upper());
        let killed = run_child("rewind", at, &world);
        let now = contents(&world.upper());
        assert!(now == former || now == later, "torn when it was killed at {at}");
        world.rewind_watched("1", &|_| {}).expect("the next one");
        assert_eq!(contents(&world.upper()), former, "killed at {at}");
        if !killed {
            break;
        }
        at += 1;
    }
    assert!(at > 20, "only {at} effects were seen");
}
