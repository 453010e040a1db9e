//! Parts of a change set, what stays, and what comes back.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, SystemTime};

use stockade_workspace::{Decision, Start, WriteError};

use super::world::{World, contents, exactly, now_ms};

fn only(path: &'static str) -> impl Fn(&str) -> Decision {
    move |other| {
        if other == path {
            Decision::Apply
        } else {
            Decision::Leave
        }
    }
}

#[test]
fn a_path_is_applied_alone_and_leaves_the_change_set() {
    let world = World::new();
    world.host("a", "1");
    world.inside("a", "2");
    world.inside("b", "3");
    let applied = world.apply(only("a")).expect("applied");
    assert_eq!((applied.applied, applied.left), (1, 1));
    assert_eq!(world.read("a"), "2");
    assert!(!world.project().join("b").exists());
    let left: Vec<_> = world
        .changes()
        .changes
        .into_iter()
        .map(|change| change.path)
        .collect();
    assert_eq!(left, [std::path::PathBuf::from("b")]);
    assert!(!world.upper().join("a").exists());
}

#[test]
fn a_new_file_brings_the_new_directories_it_lies_in() {
    let world = World::new();
    world.inside("d/e/f", "1");
    world.inside("d/g", "2");
    world.apply(only("d/e/f")).expect("applied");
    assert_eq!(world.read("d/e/f"), "1");
    assert!(!world.project().join("d/g").exists());
}

#[test]
fn a_directory_is_not_removed_while_something_in_it_stays() {
    let world = World::new();
    world.host("d/a", "1");
    world.host("d/b", "2");
    world.gone("d");
    let keep_b = |path: &str| {
        if path == "d/b" {
            Decision::Leave
        } else {
            Decision::Apply
        }
    };
    let applied = world.apply(keep_b).expect("applied");
    assert_eq!(applied.left, 2);
    assert!(!world.project().join("d/a").exists());
    assert_eq!(world.read("d/b"), "2");
}

#[test]
fn a_kept_file_of_the_host_ends_the_change() {
    let world = World::new();
    world.host("a", "host");
    world.inside("a", "inside");
    world.apply(|_| Decision::Keep).expect("applied");
    assert_eq!(world.read("a"), "host");
    assert!(world.changes().changes.is_empty());
    world.undo().expect("undone");
    assert_eq!(world.changes().changes.len(), 1);
}

#[test]
fn a_file_beside_leaves_the_host_its_own() {
    let world = World::new();
    world.host("d/a.txt", "host");
    world.inside("d/a.txt", "inside");
    world.apply(|_| Decision::Beside).expect("applied");
    assert_eq!(world.read("d/a.txt"), "host");
    assert_eq!(world.read("d/a.txt.stockade"), "inside");
}

#[test]
fn levels_of_undo_go_back_one_by_one() {
    let world = World::new();
    world.host("a", "0");
    world.host("d/x", "x");
    let mut former = vec![exactly(&world.project())];
    for level in ["1", "2", "3"] {
        world.inside("a", level);
        world.inside(&format!("d/new{level}"), level);
        world.apply_all().expect("applied");
        former.push(exactly(&world.project()));
    }
    former.pop();
    while let Some(expected) = former.pop() {
        let undone = world.undo().expect("undone");
        assert_eq!(undone.left, former.len());
        assert_eq!(exactly(&world.project()), expected);
        // What comes back into the change set would be applied again.
        fs::remove_dir_all(world.upper()).expect("thrown away");
        fs::create_dir(world.upper()).expect("empty");
    }
    assert!(matches!(world.undo(), Err(WriteError::NothingToUndo { .. })));
}

#[test]
fn an_undo_refuses_where_the_host_changed_since_and_names_the_file() {
    let world = World::new();
    world.host("a", "0");
    world.inside("a", "1");
    world.inside("d/deep/new", "2");
    world.host("gone", "3");
    world.gone("gone");
    world.apply_all().expect("applied");
    let applied = contents(&world.project());
    for (path, content) in [
        ("a", "edited"),
        ("d/deep/new", "edited"),
        ("d/deep/more", "x"),
        ("gone", "x"),
    ] {
        let there = fs::read(world.project().join(path)).ok();
        let times = |path: &str| world.project().join(path);
        let directory = times("d/deep");
        let modified = fs::metadata(&directory)
            .and_then(|of| of.modified())
            .expect("a time");
        world.host(path, content);
        let error = world.undo().expect_err("refused").to_string();
        assert!(
            error.contains(path) || error.contains("d/deep"),
            "{path}: {error}"
        );
        match there {
            Some(there) => {
                let time = fs::metadata(times(path))
                    .and_then(|of| of.modified())
                    .expect("a time");
                fs::write(times(path), there).expect("back");
                let _ = time;
            }
            None => fs::remove_file(times(path)).expect("removed"),
        }
        fs::File::open(&directory)
            .and_then(|file| file.set_modified(modified))
            .expect("a time");
        assert_eq!(contents(&world.project()), applied);
    }
}

#[test]
fn a_file_that_changed_on_the_host_since_the_run_began_is_a_conflict() {
    let world = World::new();
    world.host("early", "1");
    world.host("late", "1");
    let begun = wait_a_tick();
    world.inside("early", "2");
    world.inside("late", "2");
    let found =
        |world: &World, runs: &[u64]| world.conflicts(&runs.iter().copied().map(at).collect::<Vec<_>>());
    assert_eq!(found(&world, &[begun]), [false, false]);
    wait_a_tick();
    world.host("late", "edited");
    assert_eq!(found(&world, &[begun]), [false, true]);
    assert_eq!(found(&world, &[]), [true, true]);
    // A later run that wrote the file anew has seen what the host wrote.
    fs::remove_file(world.upper().join("late")).expect("removed");
    let again = wait_a_tick();
    world.inside("late", "3");
    assert_eq!(found(&world, &[begun, again]), [false, false]);
}

/// A run that began when the clocks agreed.
fn at(ms: u64) -> Start {
    Start {
        began_ms: ms,
        stamp_ms: ms,
    }
}

#[test]
fn a_file_made_in_the_first_moment_of_a_run_is_that_runs() {
    let world = World::new();
    world.host("file", "1");
    let begun = wait_a_tick();
    world.host("file", "edited");
    wait_a_tick();
    world.inside("file", "2");
    let born = now_ms();
    // The clock that stamps files lags behind the one that says when a run began.
    let again = Start {
        began_ms: born + 4,
        stamp_ms: born.saturating_sub(15),
    };
    let found = |runs: &[Start]| world.conflicts(runs);
    assert_eq!(found(&[at(begun)]), [true]);
    assert_eq!(found(&[at(begun), again]), [false]);
}

#[test]
fn what_was_undone_can_be_applied_again_without_a_conflict() {
    let world = World::new();
    world.host("a", "1");
    world.host("b", "1");
    let begun = wait_a_tick();
    world.inside("a", "2");
    world.gone("b");
    for _ in 0..3 {
        wait_a_tick();
        world.apply_all().expect("applied");
        world.undo().expect("undone");
        assert_eq!(world.conflicts(&[at(begun)]), [false, false]);
    }
    wait_a_tick();
    world.host("a", "edited");
    assert_eq!(world.conflicts(&[at(begun)]), [true, false]);
}

/// The kernel's clock of files moves in ticks of up to 10 ms.
fn wait_a_tick() -> u64 {
    std::thread::sleep(Duration::from_millis(25));
    let now = now_ms();
    std::thread::sleep(Duration::from_millis(25));
    now
}

#[test]
fn applied_files_are_new_and_keep_the_order_of_their_times() {
    let world = World::new();
    world.inside("source", "1");
    world.inside("product", "2");
    let long_ago = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
    let set = |name: &str, time| {
        let file = fs::File::options()
            .write(true)
            .open(world.upper().join(name))
            .expect("a file");
        file.set_modified(time).expect("a time");
    };
    set("source", long_ago);
    set("product", long_ago + Duration::from_secs(5));
    let before = SystemTime::now() - Duration::from_secs(60);
    world.apply_all().expect("applied");
    let time = |name: &str| {
        fs::metadata(world.project().join(name))
            .and_then(|of| of.modified())
            .expect("a time")
    };
    assert!(before < time("source") && time("source") < time("product"));
}

#[test]
fn closed_directories_are_filled_emptied_and_closed_again() {
    let world = World::new();
    world.host("d/a", "1");
    world.host("e/x", "1");
    super::set_mode(&world.project().join("e"), 0o555);
    world.inside("d/b", "2");
    super::set_mode(&world.upper().join("d"), 0o555);
    world.inside("new/c", "3");
    super::set_mode(&world.upper().join("new"), 0o500);
    world.gone("e");
    let before = exactly(&world.project());
    world.apply_all().expect("applied");
    let mode = |name: &str| {
        fs::metadata(world.project().join(name))
            .expect("there")
            .permissions()
            .mode()
            & 0o7777
    };
    assert_eq!((mode("d"), mode("new")), (0o555, 0o500));
    assert!(!world.project().join("e").exists());
    world.undo().expect("undone");
    assert_eq!(exactly(&world.project()), before);
    // So that the directory of the test can be removed.
    super::set_mode(&world.project().join("e"), 0o755);
    for name in ["d", "new"] {
        super::set_mode(&world.upper().join(name), 0o755);
    }
}

#[test]
fn files_with_several_names_are_applied_and_linked_again_by_an_undo() {
    let world = World::new();
    world.host("a", "1");
    world.host("d/keep", "x");
    fs::hard_link(world.project().join("a"), world.project().join("b")).expect("a link");
    fs::hard_link(world.project().join("a"), world.project().join("d/c")).expect("a link");
    world.inside("a", "2");
    world.inside("b", "3");
    world.gone("d/c");
    // An overlay gives all deletions of a run the same inode.
    world.host("gone", "4");
    fs::hard_link(world.upper().join("d/c"), world.upper().join("gone")).expect("a link");
    let before = exactly(&world.project());
    world.apply_all().expect("applied");
    assert_eq!((world.read("a").as_str(), world.read("b").as_str()), ("2", "3"));
    assert!(!world.project().join("d/c").exists() && !world.project().join("gone").exists());
    world.undo().expect("undone");
    assert_eq!(exactly(&world.project()), before);
}
