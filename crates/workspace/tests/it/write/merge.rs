//! Files that changed inside and on the host: their bases, and both sides put together.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::time::Duration;

use stockade_workspace::{
    Decision, MAX_MERGE_BYTES, Merges, Room, Start, ThreeWay, Trees, WriteError, forget,
};

use super::kill::run_child;
use super::world::{World, contents, exactly, now_ms};

const BASE: &str = "1\n2\n3\n4\n5\n";
const INSIDE: &str = "1\n2\n3\n4\nsandbox\n";
const HOST: &str = "host\n2\n3\n4\n5\n";
const BOTH: &str = "host\n2\n3\n4\nsandbox\n";

/// The kernel's clock of files moves in ticks of up to 10 ms.
fn wait_a_tick() -> Start {
    std::thread::sleep(Duration::from_millis(25));
    let now = now_ms();
    std::thread::sleep(Duration::from_millis(25));
    Start {
        began_ms: now,
        stamp_ms: now,
    }
}

/// A file that a run changed, that was kept when the run ended, and that the host changed then.
fn prepare() -> (World, Start) {
    let world = World::new();
    world.host("file", BASE);
    let begun = wait_a_tick();
    world.inside("file", INSIDE);
    world.run_ends(&[begun]);
    wait_a_tick();
    world.host("file", HOST);
    (world, begun)
}

fn why(world: &World, path: &str) -> String {
    world.three_way(path).why_not().expect("no clean merge")
}

#[test]
fn both_sides_are_put_together_and_an_undo_brings_the_hosts_back() {
    let (world, begun) = prepare();
    assert_eq!(world.conflicts(&[begun]), [true]);
    assert_eq!(world.three_way("file").merges(), Merges::Cleanly);
    let before = exactly(&world.project());
    world.apply(|_| Decision::Merge).expect("merged");
    assert_eq!(world.read("file"), BOTH);
    assert!(world.changes().changes.is_empty());
    world.undo().expect("undone");
    assert_eq!(exactly(&world.project()), before);
    assert_eq!(world.changes().changes.len(), 1);
    // Its base has gone and come with it.
    forget(world.root(), &world.upper()).expect("cleaned");
    assert_eq!(world.three_way("file").merges(), Merges::Cleanly);
}

#[test]
fn where_both_changed_the_same_lines_there_is_no_merge_but_marks_on_demand() {
    let (world, _) = prepare();
    wait_a_tick();
    world.host("file", "1\n2\n3\n4\nhost\n");
    let three = world.three_way("file");
    assert_eq!(three.merged(false), None);
    assert_eq!(
        why(&world, "file"),
        "both sides changed the same lines: line 5 of the host's file"
    );
    world.apply(|_| Decision::Merge).expect("marked");
    assert_eq!(
        world.read("file"),
        "1\n2\n3\n4\n<<<<<<< host\nhost\n||||||| base\n5\n=======\nsandbox\n>>>>>>> sandbox\n"
    );
}

#[test]
fn what_a_later_run_wrote_anew_is_still_a_conflict() {
    let (world, begun) = prepare();
    let again = wait_a_tick();
    // As editors do: another file takes the place.
    world.inside("new", "sandbox again\n2\n");
    fs::rename(world.upper().join("new"), world.upper().join("file")).expect("renamed");
    assert_eq!(world.conflicts(&[begun, again]), [true]);
    // The control: with nothing kept, the second run counts as having seen the host's.
    fs::remove_dir_all(world.root().join("bases")).expect("removed");
    assert_eq!(world.conflicts(&[begun, again]), [false]);
}

#[test]
fn what_the_host_changed_before_a_look_has_no_base_and_stays_a_conflict() {
    let world = World::new();
    world.host("file", BASE);
    let begun = wait_a_tick();
    world.inside("file", INSIDE);
    world.host("file", HOST);
    world.run_ends(&[begun]);
    assert!(why(&world, "file").starts_with("base not known"));
    let ThreeWay::Apart(apart) = world.three_way("file") else {
        panic!("it is not merged");
    };
    let (what, hunks) = apart.shown.expect("two sides");
    assert_eq!((what, hunks.len()), ("host → sandbox", 1));
    // A later run does not make it known.
    let again = wait_a_tick();
    world.inside("new", "sandbox again\n");
    fs::rename(world.upper().join("new"), world.upper().join("file")).expect("renamed");
    world.run_ends(&[begun, again]);
    assert_eq!(world.conflicts(&[begun, again]), [true]);
    assert!(why(&world, "file").starts_with("base not known"));
}

/// What the host changes after the sandbox is merged; what it changed before, or during the look, is not known.
#[test]
fn what_is_kept_while_a_sandbox_runs_is_what_it_saw_and_nothing_else() {
    let world = World::new();
    for path in ["file", "changed-first", "large"] {
        world.host(path, BASE);
    }
    let begun = wait_a_tick();
    let look = |paths: &[&str], room: &mut Room| {
        let trees = Trees::open(&world.upper(), &world.project()).expect("trees");
        let paths = paths.iter().map(Path::new);
        let facts = world.facts(&[begun]);
        facts.keep_early(world.root(), &trees, paths, room).expect("kept");
    };
    world.host("changed-first", HOST);
    for path in ["file", "changed-first", "large"] {
        world.inside(path, INSIDE);
    }
    look(
        &["file", "changed-first", "no-such", "../file"],
        &mut Room::default(),
    );
    assert_eq!(
        fs::read_dir(world.root().join("bases")).expect("bases").count(),
        1
    );
    world.host("file", HOST);
    world.run_ends(&[begun]);
    assert_eq!(world.conflicts(&[begun]), [true, true, false]);
    let whole = world.three_way("file").merged(false).expect("merged");
    assert_eq!(whole.content, BOTH.as_bytes());
    assert!(why(&world, "changed-first").starts_with("base not known"));
}

/// Nothing stood there when it was made inside, and a later run wrote it anew.
#[test]
fn what_both_sides_made_is_a_conflict_and_is_never_merged_in_silence() {
    let world = World::new();
    let begun = wait_a_tick();
    world.inside("new", INSIDE);
    world.inside("tree/deep/new", INSIDE);
    world.run_ends(&[begun]);
    let bases = || fs::read_dir(world.root().join("bases")).expect("bases").count();
    assert_eq!(bases(), 2, "a new directory stands for what is in it");
    wait_a_tick();
    world.host("new", HOST);
    world.host("tree/deep/new", HOST);
    world.host("tree/deep/other", HOST);
    let again = wait_a_tick();
    let write_anew = |path: &str| {
        world.inside("draft", "sandbox again\n");
        fs::rename(world.upper().join("draft"), world.upper().join(path)).expect("renamed");
    };
    write_anew("new");
    write_anew("tree/deep/new");
    assert_eq!(world.conflicts(&[begun, again]), [true, true]);
    for path in ["new", "tree/deep/new"] {
        let three = world.three_way(path);
        assert!(three.merged(false).is_none());
        let marked = String::from_utf8(three.merged(true).expect("marked").content).expect("text");
        assert!(
            marked.contains("||||||| base\n=======\nsandbox again\n"),
            "{marked}"
        );
    }
    // The control: with nothing kept, the second run counts as having seen the host's.
    fs::remove_dir_all(world.root().join("bases")).expect("removed");
    assert_eq!(world.conflicts(&[begun, again]), [false, false]);
}

#[test]
fn what_was_new_is_no_conflict_once_it_was_applied_and_is_one_again_after_an_undo() {
    let world = World::new();
    let begun = wait_a_tick();
    world.inside("new", INSIDE);
    world.run_ends(&[begun]);
    world.apply_all().expect("applied");
    let again = wait_a_tick();
    world.inside("new", "again\n");
    assert_eq!(world.conflicts(&[begun, again]), [false]);
    fs::remove_file(world.upper().join("new")).expect("removed");
    world.undo().expect("undone");
    wait_a_tick();
    world.host("new", HOST);
    assert_eq!(world.conflicts(&[begun, wait_a_tick()]), [true]);
}

#[test]
fn what_has_left_the_change_set_has_another_base_when_it_comes_again() {
    let (world, begun) = prepare();
    world.apply(|_| Decision::Merge).expect("merged");
    assert_eq!(
        fs::read_dir(world.root().join("bases")).expect("bases").count(),
        0
    );
    let again = wait_a_tick();
    world.inside("file", "host\n2\n3\n4\nagain\n");
    world.run_ends(&[begun, again]);
    assert_eq!(world.conflicts(&[begun, again]), [false]);
    wait_a_tick();
    world.host("file", "host too\n2\n3\n4\nsandbox\n");
    world.apply(|_| Decision::Merge).expect("merged");
    assert_eq!(world.read("file"), "host too\n2\n3\n4\nagain\n");
}

#[test]
fn what_still_is_in_the_change_set_keeps_its_base() {
    let world = World::new();
    for path in ["changed", "gone", "tree/a", "tree/b", "replaced/x"] {
        world.host(path, BASE);
    }
    let begun = wait_a_tick();
    world.inside("changed", INSIDE);
    world.gone("gone");
    world.gone("tree");
    world.inside("replaced", "a file");
    world.run_ends(&[begun]);
    let count = || fs::read_dir(world.root().join("bases")).expect("bases").count();
    assert_eq!(count(), 5);
    fs::write(world.root().join("bases/.left-by-a-killed-process"), "").expect("a draft");
    forget(world.root(), &world.upper()).expect("cleaned");
    assert_eq!(count(), 5);
    fs::remove_file(world.upper().join("tree")).expect("undone inside");
    fs::remove_file(world.upper().join("replaced")).expect("undone inside");
    forget(world.root(), &world.upper()).expect("cleaned");
    assert_eq!(count(), 2);
}

#[test]
fn what_one_side_deleted_is_not_merged_and_is_a_conflict() {
    let world = World::new();
    world.host("inside", BASE);
    world.host("outside", BASE);
    let begun = wait_a_tick();
    world.gone("inside");
    world.inside("outside", INSIDE);
    world.run_ends(&[begun]);
    wait_a_tick();
    world.host("inside", HOST);
    fs::remove_file(world.project().join("outside")).expect("removed");
    assert_eq!(world.conflicts(&[begun]), [true, true]);
    assert_eq!(
        why(&world, "inside"),
        "it was deleted inside and changed on the host"
    );
    assert_eq!(
        why(&world, "outside"),
        "it was changed inside and deleted on the host"
    );
    let ThreeWay::Apart(apart) = world.three_way("outside") else {
        panic!("it is not merged");
    };
    assert_eq!(apart.shown.expect("one side").0, "base → sandbox");
    assert!(world.apply(|_| Decision::Merge).is_err());
    assert_eq!(world.read("inside"), HOST);
    // Each side can be chosen.
    world.apply(|_| Decision::Apply).expect("applied");
    assert_eq!(world.read("outside"), INSIDE);
    assert!(!world.project().join("inside").exists());
}

#[test]
fn binary_large_and_other_kinds_of_files_are_not_merged() {
    let world = World::new();
    let large = "x\n".repeat(usize::try_from(MAX_MERGE_BYTES / 2).expect("small") + 1);
    for path in ["binary", "grown", "link", "type"] {
        world.host(path, BASE);
    }
    world.host("large", &large);
    let begun = wait_a_tick();
    for path in ["binary", "grown", "large", "type"] {
        world.inside(path, INSIDE);
    }
    symlink("elsewhere", world.upper().join("link")).expect("a link");
    world.run_ends(&[begun]);
    wait_a_tick();
    world.host("binary", "host\n2\n3\n4\n5\n\0");
    // A file that grew without end: nothing reads it.
    let grown = fs::File::options()
        .write(true)
        .open(world.project().join("grown"))
        .expect("grown");
    grown.set_len(1 << 40).expect("a sparse file");
    world.host("large", HOST);
    world.host("link", HOST);
    fs::remove_file(world.project().join("type")).expect("removed");
    symlink("elsewhere", world.project().join("type")).expect("a link");
    assert_eq!(world.conflicts(&[begun]), [true; 5]);
    let whys = ["binary", "grown", "large", "link", "type"].map(|path| why(&world, path));
    assert_eq!(
        whys,
        [
            "it is binary",
            "files of more than 1 MiB are not merged",
            "base not known: the host's file was changed before it was kept, or was new",
            "it is not a regular file on both sides",
            "it is not a regular file on both sides",
        ]
    );
}

#[test]
fn of_permissions_the_side_that_changed_them_decides_and_two_are_a_conflict() {
    let mode = |path: &Path, mode: u32| {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("a mode");
    };
    for (host, inside, merged) in [
        (0o755, 0o644, Some(0o755)),
        (0o644, 0o755, Some(0o755)),
        (0o600, 0o600, Some(0o600)),
        (0o600, 0o755, None),
        // What runs as its owner is not made of what a sandbox wrote.
        (0o4755, 0o644, Some(0o755)),
    ] {
        let world = World::new();
        world.host("file", BASE);
        mode(&world.project().join("file"), 0o644);
        let begun = wait_a_tick();
        world.inside("file", INSIDE);
        mode(&world.upper().join("file"), inside);
        world.run_ends(&[begun]);
        wait_a_tick();
        world.host("file", HOST);
        mode(&world.project().join("file"), host);
        let found = world.three_way("file").merged(false).map(|merged| merged.mode);
        assert_eq!(found, merged, "{host:o} {inside:o}");
        let Some(merged) = merged else {
            assert_eq!(why(&world, "file"), "both sides changed its permissions");
            continue;
        };
        world.apply(|_| Decision::Merge).expect("merged");
        let now = fs::metadata(world.project().join("file"))
            .expect("a file")
            .permissions()
            .mode();
        assert_eq!((now & 0o7777, world.read("file").as_str()), (merged, BOTH));
    }
}

/// What was merged is what is applied: neither a link nor a later edit.
#[test]
fn a_file_that_changes_between_the_look_and_the_merge_ends_it() {
    let outside = tempfile::tempdir().expect("outside");
    let canary = outside.path().join("canary");
    fs::write(&canary, BASE).expect("a canary");
    for what in ["link", "edit", "inside"] {
        let (world, _) = prepare();
        let path = world.project().join("file");
        let changed = std::cell::Cell::new(false);
        let pause = |step: &'static str| {
            if step == "prepare" && !changed.replace(true) {
                wait_a_tick();
                match what {
                    "link" => {
                        fs::remove_file(&path).expect("removed");
                        symlink(&canary, &path).expect("a link");
                    }
                    "edit" => world.host("file", "edited at the last moment\n"),
                    _ => world.inside("file", "written at the last moment\n"),
                }
            }
        };
        let error = world
            .apply_watched(|_| Decision::Merge, &pause)
            .expect_err("refused");
        assert!(matches!(error, WriteError::Changed { .. }), "{what}: {error}");
        assert_eq!(fs::read_to_string(&canary).expect("a canary"), BASE);
        assert_ne!(world.read("file"), BOTH, "{what}");
    }
    // The control: undisturbed it is merged.
    let (world, _) = prepare();
    world.apply(|_| Decision::Merge).expect("merged");
    assert_eq!(world.read("file"), BOTH);
}

#[test]
fn a_link_in_place_of_the_hosts_file_is_never_read_through() {
    let (world, begun) = prepare();
    let outside = tempfile::tempdir().expect("outside");
    fs::write(outside.path().join("secret"), "secret\n2\n3\n4\n5\n").expect("a secret");
    fs::remove_file(world.project().join("file")).expect("removed");
    symlink(outside.path().join("secret"), world.project().join("file")).expect("a link");
    assert_eq!(world.conflicts(&[begun]), [true]);
    let three = world.three_way("file");
    assert_eq!(
        three.why_not().as_deref(),
        Some("it is not a regular file on both sides")
    );
    assert!(!format!("{three:?}").contains("secret"));
}

/// Two files that are merged and one that is only applied.
fn prepare_many() -> World {
    let world = World::new();
    for path in ["one", "d/two", "plain"] {
        world.host(path, BASE);
    }
    let begun = wait_a_tick();
    for path in ["one", "d/two"] {
        world.inside(path, INSIDE);
    }
    world.run_ends(&[begun]);
    wait_a_tick();
    for path in ["one", "d/two"] {
        world.host(path, HOST);
    }
    world
}

#[test]
fn a_merge_killed_at_any_effect_leaves_the_tree_before_or_after() {
    let mut at = 0;
    loop {
        let world = prepare_many();
        let exact = exactly(&world.project());
        let killed = run_child("merge", at, &world);
        drop(world.history().expect("recovered"));
        let both = |text: &str| world.read("one") == text && world.read("d/two") == text;
        assert!(both(HOST) || both(BOTH), "torn when killed at {at}");
        if both(HOST) {
            assert_eq!(exactly(&world.project()), exact, "killed at {at}");
            world.apply(|_| Decision::Merge).expect("merged");
        }
        assert!(both(BOTH), "killed at {at}");
        let merged = contents(&world.project());
        world.undo().expect("undone");
        assert_eq!(exactly(&world.project()), exact, "killed at {at}");
        assert_ne!(contents(&world.project()), merged);
        if !killed {
            break;
        }
        at += 1;
    }
    assert!(at > 7, "only {at} effects were seen");
}
