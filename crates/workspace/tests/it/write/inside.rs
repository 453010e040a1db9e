//! Checkpoints that a sandbox asks for: they have bounds, and take nothing from those that
//! somebody outside took.

use std::fs;

use stockade_workspace::checkpoint::{Checkpoint, InsideLimits, Wish, list, take, take_inside};
use stockade_workspace::{Pause, WriteResult};

use super::world::{World, now_ms};

const ROOMY: InsideLimits = InsideLimits::DEFAULT;

fn ask(world: &World, name: Option<&str>, limits: InsideLimits) -> WriteResult<Checkpoint> {
    ask_until(world, name, limits, &|| false)
}

fn ask_until(
    world: &World,
    name: Option<&str>,
    limits: InsideLimits,
    stop: &dyn Fn() -> bool,
) -> WriteResult<Checkpoint> {
    ask_with(world, name, limits, stop, &|_| {})
}

fn ask_with(
    world: &World,
    name: Option<&str>,
    limits: InsideLimits,
    stop: &dyn Fn() -> bool,
    pause: Pause<'_>,
) -> WriteResult<Checkpoint> {
    let wish = Wish {
        sandbox: "box",
        name,
        now_ms: now_ms(),
        moving: false,
        limits,
        stop,
    };
    let trash = world.root().join("trash");
    take_inside(world.root(), &world.upper(), &trash, &wish, pause)
}

/// One of the two that there may be.
pub fn ask_watched(world: &World, pause: Pause<'_>) -> WriteResult<()> {
    let limits = InsideLimits {
        checkpoints: 2,
        ..ROOMY
    };
    ask_with(world, Some("asked"), limits, &|| false, pause).map(drop)
}

fn outside(world: &World, name: &str) -> Checkpoint {
    let trash = world.root().join("trash");
    take(
        world.root(),
        &world.upper(),
        &trash,
        Some(name),
        now_ms(),
        &|_| {},
    )
    .expect("taken")
}

/// Numbers, and who took them.
fn all(world: &World) -> Vec<(u64, bool)> {
    let all = list(world.root()).expect("a list");
    all.iter().map(|one| (one.number, one.inside.is_some())).collect()
}

fn has_draft(world: &World) -> bool {
    world.root().join("checkpoints/.draft").exists()
}

#[test]
fn the_oldest_of_those_asked_for_inside_makes_room_and_none_of_the_others() {
    let world = World::new();
    world.inside("a", "1");
    outside(&world, "mine");
    let limits = InsideLimits {
        checkpoints: 3,
        ..ROOMY
    };
    for name in ["1", "2", "3", "4", "5"] {
        ask(&world, Some(name), limits).expect("taken");
    }
    assert_eq!(all(&world), [(1, false), (4, true), (5, true), (6, true)]);
}

#[test]
fn all_that_is_asked_for_inside_has_a_size() {
    let world = World::new();
    world.inside("large", &"x".repeat(40_000));
    outside(&world, "mine");
    let limits = InsideLimits {
        bytes: 100_000,
        ..ROOMY
    };
    for name in ["1", "2", "3", "4"] {
        ask(&world, Some(name), limits).expect("taken");
    }
    // What is shared counts for each: two of 40,000 bytes are in the bound, and three are not.
    assert_eq!(all(&world), [(1, false), (4, true), (5, true)]);
}

#[test]
fn what_is_larger_than_all_of_them_may_be_is_refused_and_leaves_nothing() {
    let world = World::new();
    world.inside("a", "1");
    ask(&world, None, ROOMY).expect("taken");
    world.inside("large", &"x".repeat(400_000));
    world.inside("b", "1");
    for limits in [
        InsideLimits {
            bytes: 100_000,
            ..ROOMY
        },
        InsideLimits { nodes: 2, ..ROOMY },
    ] {
        let error = ask(&world, None, limits).expect_err("refused").to_string();
        assert!(error.contains("File too large"), "{error}");
        assert!(!has_draft(&world));
    }
    assert_eq!(all(&world), [(1, true)]);
    // The control: with room there is one.
    ask(&world, None, ROOMY).expect("taken");
    assert_eq!(all(&world).len(), 2);
}

#[test]
fn a_sparse_file_counts_for_what_it_has_on_disk() {
    let world = World::new();
    let file = fs::File::create(world.upper().join("sparse")).expect("a file");
    file.set_len(1 << 40).expect("a hole");
    let taken = ask(&world, None, ROOMY).expect("taken");
    assert!(taken.bytes < 1 << 20, "{}", taken.bytes);
}

#[test]
fn where_nothing_has_changed_there_is_no_other() {
    let world = World::new();
    world.inside("a", "1");
    let first = ask(&world, None, ROOMY).expect("taken");
    let again = ask(&world, None, ROOMY).expect("taken");
    assert_eq!(first, again);
    assert!(!has_draft(&world));
    // The controls: a name asks for one of its own, and so does a change.
    assert_eq!(ask(&world, Some("named"), ROOMY).expect("taken").number, 2);
    world.inside("b", "1");
    assert_eq!(ask(&world, None, ROOMY).expect("taken").number, 3);
}

#[test]
fn one_that_is_not_wanted_any_more_leaves_nothing() {
    let world = World::new();
    world.inside("a", "1");
    let error = ask_until(&world, None, ROOMY, &|| true).expect_err("ended");
    assert!(error.to_string().contains("canceled"), "{error}");
    assert!(!has_draft(&world));
    assert_eq!(all(&world), []);
}

#[test]
fn those_of_earlier_versions_are_read() {
    let world = World::new();
    world.inside("a", "1");
    outside(&world, "old");
    let about = world.root().join("checkpoints/1/about.json");
    let text = fs::read_to_string(&about).expect("read");
    let mut json: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    json.as_object_mut().expect("an object").remove("bytes");
    fs::write(&about, json.to_string()).expect("written");
    assert_eq!(all(&world), [(1, false)]);
}
