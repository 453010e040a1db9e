//! A disk that is full at any point: what was to be done is done, or nothing is, and it is done once
//! there is room again.

use std::fs;
use std::path::Path;
use std::process::Command;

use stockade_workspace::{Decision, WriteError};

use super::kill::{Pictures, check, decide, pictures, prepare_in};
use super::world::{World, contents, exactly};

const VARIABLE: &str = "STOCKADE_TEST_FULL";
/// Bytes of the file system.
const SIZE: usize = 4 << 20;
/// The unit in which tmpfs gives away space.
const PAGE: usize = 4096;
/// Much more than any of these needs.
const MAX_PAGES: usize = 400;

/// Something that is done to a change set.
struct Work {
    name: &'static str,
    /// What comes before, with room.
    before: fn(&World),
    act: fn(&World) -> Result<(), WriteError>,
}

const ALL: [Work; 7] = [
    Work {
        name: "apply",
        before: |_| {},
        act: |world| world.apply(decide).map(drop),
    },
    Work {
        name: "discard",
        before: |_| {},
        act: |world| world.apply(|_| Decision::Keep).map(drop),
    },
    Work {
        name: "undo",
        before: |world| drop(world.apply(decide).expect("applied")),
        act: |world| world.undo().map(drop),
    },
    Work {
        name: "checkpoint",
        before: |_| {},
        act: |world| world.checkpoint_watched(None, &|_| {}).map(drop),
    },
    Work {
        name: "asked checkpoint",
        before: |_| {},
        act: |world| super::inside::ask_watched(world, &|_| {}),
    },
    Work {
        name: "rewind",
        before: |world| {
            world.checkpoint_watched(None, &|_| {}).expect("taken");
            world.inside("changed", "once more");
            world.inside("dir/three", "3");
        },
        act: |world| world.rewind_watched("1", &|_| {}).map(drop),
    },
    Work {
        name: "bases",
        before: |_| {},
        act: |world| world.run_ends_watched(&[super::kill::start()], &|_| {}),
    },
];

/// Runs in a mount namespace of its own, with a small file system at the path that is named.
#[test]
fn child() {
    let Ok(root) = std::env::var(VARIABLE) else { return };
    let pictures = pictures();
    for work in &ALL {
        let mut refused = 0;
        for pages in 0..MAX_PAGES {
            if one(Path::new(&root), work, pages, &pictures) {
                println!("done: {} after {refused} without room", work.name);
                break;
            }
            refused += 1;
        }
        assert!(
            refused > 1 && refused < MAX_PAGES,
            "{}: {refused} refused",
            work.name
        );
    }
}

/// False if there was too little room; then nothing has changed.
fn one(root: &Path, work: &Work, pages: usize, pictures: &Pictures) -> bool {
    let place = root.join("world");
    fs::create_dir(&place).expect("a world");
    let world = prepare_in(World::in_directory(&place));
    (work.before)(&world);
    let states = || (exactly(&world.project()), contents(&world.upper()));
    let before = states();
    let ballast = fill(root, pages);
    let done = (work.act)(&world);
    if let Err(error) = &done {
        let error = error.to_string();
        assert!(
            error.contains("No space left"),
            "{} with {pages} pages: {error}",
            work.name
        );
        // Taking back needs no room; noting that it was taken back may have to wait for some.
        if let Err(error) = world.history() {
            assert!(error.to_string().contains("No space left"), "{error}");
        }
        // An undo that is told to have failed may have come to its end but for that note.
        let is_undone = work.name == "undo" && contents(&world.project()) == pictures.before;
        assert!(
            states() == before || is_undone,
            "{} with {pages} pages",
            work.name
        );
    }
    fs::remove_file(ballast).expect("removed");
    check(&world, pictures, work.name, pages as u64);
    let is_undone = work.name == "undo" && contents(&world.project()) == pictures.before;
    if done.is_err() && !is_undone {
        (work.act)(&world).expect(work.name);
    }
    if work.name == "undo" {
        assert_eq!(contents(&world.project()), pictures.before);
        assert_eq!(
            contents(&world.upper()),
            contents(&prepare_in(elsewhere(root)).upper())
        );
    }
    fs::remove_dir_all(&place).expect("removed");
    done.is_ok()
}

/// Another world, in an empty directory.
fn elsewhere(root: &Path) -> World {
    let place = root.join("other");
    let _ = fs::remove_dir_all(&place);
    fs::create_dir(&place).expect("a world");
    World::in_directory(&place)
}

/// Leaves so many pages free.
fn fill(root: &Path, pages: usize) -> std::path::PathBuf {
    let path = root.join("ballast");
    let zeros = vec![0; PAGE];
    let mut file = fs::File::create(&path).expect("a file");
    let mut written = 0_u64;
    while std::io::Write::write_all(&mut file, &zeros).is_ok() {
        written += PAGE as u64;
        assert!(written <= SIZE as u64);
    }
    file.set_len(written.saturating_sub((pages * PAGE) as u64))
        .expect("cut");
    path
}

#[test]
fn whatever_finds_no_room_at_any_point_changes_nothing_and_is_done_later() {
    let root = tempfile::tempdir().expect("a directory");
    let script = format!(
        "mount -t tmpfs -o size={SIZE} none \"$1\" && exec \"$0\" --exact write::full::child --nocapture"
    );
    let output = Command::new("unshare")
        .args(["--user", "--map-root-user", "--mount", "sh", "-c", &script])
        .arg(std::env::current_exe().expect("this program"))
        .arg(root.path())
        .env(VARIABLE, root.path())
        .output()
        .expect("unshare");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    if !text.contains("running") {
        return super::skip("without_room", &errors);
    }
    let done = text.lines().filter(|line| line.contains("done: ")).count();
    assert!(output.status.success() && done == ALL.len(), "{text}{errors}");
}
