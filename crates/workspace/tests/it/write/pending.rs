//! What an undo makes pending again, where a later sandbox has written to the same change set.

use std::fs;

use stockade_workspace::{Decision, WriteError};

use super::kill::run_child;
use super::random::make_opaque;
use super::set_mode;
use super::world::{World, contents, exactly};

/// What a later sandbox does, in a word.
type Obstacle = (&'static str, fn(&World));

fn apply_all(world: &World) {
    world.apply(|_| Decision::Apply).expect("applied");
}

#[test]
fn a_later_change_of_the_same_file_keeps_an_undo_away_and_nothing_is_lost() {
    let world = World::new();
    world.host("file", "1");
    world.inside("file", "2");
    apply_all(&world);
    world.inside("file", "3");
    let (project, upper) = (exactly(&world.project()), exactly(&world.upper()));
    let error = world.undo().expect_err("refused");
    let WriteError::Pending { paths } = &error else {
        panic!("{error}");
    };
    assert_eq!(paths, &[std::path::PathBuf::from("file")]);
    assert!(error.to_string().contains("--set-aside"), "{error}");
    assert_eq!(
        (exactly(&world.project()), exactly(&world.upper())),
        (project, upper)
    );
    // The control: out of the way, it is undone, and the first change is pending.
    fs::rename(world.upper().join("file"), world.root().join("kept")).expect("aside");
    world.undo().expect("undone");
    assert_eq!(world.read("file"), "1");
    assert_eq!(
        fs::read_to_string(world.upper().join("file")).expect("pending"),
        "2"
    );
}

#[test]
fn changes_of_several_levels_come_back_between_later_ones() {
    let world = World::new();
    for path in ["d/a", "d/b", "d/c", "d/e/f"] {
        world.host(path, "1");
    }
    let before = contents(&world.project());
    world.inside("d/a", "2");
    world.inside("d/e/f", "2");
    apply_all(&world);
    world.inside("d/b", "2");
    apply_all(&world);
    world.inside("d/c", "2");
    // Directories are copied up whenever something in them changes: they are no obstacle.
    fs::create_dir(world.upper().join("d/e")).expect("copied up");
    world.undo().expect("undone");
    world.undo().expect("undone");
    assert_eq!(contents(&world.project()), before);
    for path in ["d/a", "d/b", "d/c", "d/e/f"] {
        assert_eq!(fs::read_to_string(world.upper().join(path)).expect(path), "2");
    }
    assert_eq!(world.changes().counts.changed, 4);
}

#[test]
fn what_a_later_sandbox_deleted_replaced_or_closed_is_not_mixed_with_what_comes_back() {
    let obstacles: [Obstacle; 4] = [
        ("deleted", |world| world.gone("d")),
        ("replaced", |world| world.inside("d", "a file")),
        ("made anew", |world| {
            world.inside("d/new", "2");
            if !make_opaque(&world.upper().join("d")) {
                world.gone("d/a"); // no user attributes on this file system
            }
        }),
        ("closed", |world| {
            world.inside("d/new", "2");
            set_mode(&world.upper().join("d"), 0o500);
        }),
    ];
    for (what, obstacle) in obstacles {
        let world = World::new();
        world.host("d/a", "1");
        world.inside("d/a", "2");
        apply_all(&world);
        obstacle(&world);
        let error = world.undo().expect_err(what);
        assert!(matches!(error, WriteError::Pending { .. }), "{what}: {error}");
        assert_eq!(world.read("d/a"), "2", "{what}");
        set_mode(&world.upper(), 0o755);
        if what == "closed" {
            set_mode(&world.upper().join("d"), 0o755);
        }
    }
}

#[test]
fn directories_that_have_left_the_change_set_are_made_again() {
    let world = World::new();
    world.host("d/e/a", "1");
    world.host("d/e/b", "1");
    set_mode(&world.project().join("d/e"), 0o750);
    world.inside("d/e/a", "2");
    world.inside("d/e/b", "2");
    let only_a = |path: &str| match path {
        "d/e/a" => Decision::Apply,
        _ => Decision::Leave,
    };
    world.apply(only_a).expect("applied");
    // All that was left is set aside.
    fs::rename(world.upper(), world.root().join("aside")).expect("aside");
    fs::create_dir(world.upper()).expect("a new set");
    world.undo().expect("undone");
    assert_eq!(
        fs::read_to_string(world.upper().join("d/e/a")).expect("pending"),
        "2"
    );
    let changes = world.changes();
    assert_eq!((changes.counts.changed, changes.counts.directories), (1, 0));
}

#[test]
fn an_undo_between_later_changes_killed_at_any_effect_loses_nothing() {
    let prepare = || {
        let world = World::new();
        for path in ["d/a", "d/e/b", "d/c"] {
            world.host(path, "1");
        }
        world.inside("d/a", "2");
        world.inside("d/e/b", "2");
        apply_all(&world);
        world.inside("d/c", "2");
        fs::create_dir(world.upper().join("d/e")).expect("copied up");
        world
    };
    let mut at = 0;
    loop {
        let world = prepare();
        let killed = run_child("undo", at, &world);
        drop(world.history().expect("recovered"));
        if world.read("d/a") == "2" {
            world.undo().expect("undone");
        }
        for path in ["d/a", "d/e/b", "d/c"] {
            assert_eq!(world.read(path), "1", "killed at {at}");
            let pending = fs::read_to_string(world.upper().join(path)).expect(path);
            assert_eq!(pending, "2", "killed at {at}");
        }
        if !killed {
            break;
        }
        at += 1;
    }
    assert!(at > 3, "only {at} effects were seen");
}
