//! Checkpoints: whole, cheap, apart from what changes later, and gone back to.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::time::Instant;

use rustix::fs::{CWD, FileType, Mode, XattrFlags};
use stockade_workspace::checkpoint::{Checkpoint, Rewound, list, rewind, take};
use stockade_workspace::{Start, WriteResult};

use super::world::{World, contents, now_ms};

impl World {
    fn checkpoint(&self, name: Option<&str>) -> WriteResult<Checkpoint> {
        self.checkpoint_watched(name, &|_| {})
    }

    pub fn checkpoint_watched(
        &self,
        name: Option<&str>,
        pause: &dyn Fn(&'static str),
    ) -> WriteResult<Checkpoint> {
        take(
            self.root(),
            &self.upper(),
            &self.root().join("trash"),
            name,
            now_ms(),
            pause,
        )
    }

    fn rewind(&self, which: &str) -> WriteResult<Rewound> {
        self.rewind_watched(which, &|_| {})
    }

    pub fn rewind_watched(&self, which: &str, pause: &dyn Fn(&'static str)) -> WriteResult<Rewound> {
        rewind(self.root(), &self.root().join("trash"), which, now_ms(), pause)
    }
}

/// Everything that can stand in a change set.
fn prepare() -> World {
    let world = World::new();
    world.inside("a", "1");
    world.inside("d/e/b", "2");
    super::set_mode(&world.upper().join("a"), 0o640);
    super::set_mode(&world.upper().join("d/e"), 0o555);
    std::os::unix::fs::symlink("/nowhere", world.upper().join("link")).expect("a link");
    fs::hard_link(world.upper().join("a"), world.upper().join("same")).expect("a link");
    rustix::fs::mknodat(CWD, world.upper().join("pipe"), FileType::Fifo, Mode::RUSR, 0).expect("a pipe");
    world.gone("gone");
    let _ = rustix::fs::setxattr(
        world.upper().join("d"),
        "user.overlay.opaque",
        b"y",
        XattrFlags::empty(),
    );
    world
}

#[test]
fn a_rewind_brings_back_all_that_a_change_set_holds() {
    let world = prepare();
    let before = contents(&world.upper());
    let taken = world.checkpoint(Some("first")).expect("taken");
    assert_eq!((taken.number, taken.name.as_deref()), (1, Some("first")));
    // Written in place, as an overlay does.
    fs::write(world.upper().join("a"), "other").expect("written");
    fs::remove_file(world.upper().join("gone")).expect("removed");
    world.inside("new", "3");
    let later = contents(&world.upper());
    let rewound = world.rewind("first").expect("rewound");
    assert_eq!(contents(&world.upper()), before);
    let inode = |name: &str| fs::metadata(world.upper().join(name)).expect("there").ino();
    assert_eq!(inode("a"), inode("same"));
    let mut opaque = [0; 1];
    if rustix::fs::getxattr(world.upper().join("d"), "user.overlay.opaque", &mut opaque).is_err() {
        super::skip("a_rewind_brings_back", "no user attributes here");
    }
    // And forth again.
    world.rewind(&rewound.saved.number.to_string()).expect("rewound");
    assert_eq!(contents(&world.upper()), later);
    assert_eq!(list(world.root()).expect("a list").len(), 3);
}

#[test]
fn what_is_brought_back_is_apart_from_the_checkpoint() {
    let world = prepare();
    world.checkpoint(None).expect("taken");
    for _ in 0..2 {
        world.rewind("1").expect("rewound");
        assert_eq!(fs::read_to_string(world.upper().join("a")).expect("a file"), "1");
        fs::write(world.upper().join("a"), "spoilt").expect("written");
    }
}

#[test]
fn a_file_that_did_not_change_is_copied_once() {
    let world = prepare();
    world.inside("large", &"x".repeat(1 << 20));
    world.checkpoint(None).expect("taken");
    world.inside("other", "1");
    world.checkpoint(None).expect("taken");
    let inode = |number: u32| {
        let copy = world.root().join(format!("checkpoints/{number}/upper/large"));
        fs::metadata(copy).expect("a copy").ino()
    };
    assert_eq!(inode(1), inode(2));
    std::thread::sleep(std::time::Duration::from_millis(25));
    world.inside("large", &"y".repeat(1 << 20));
    world.checkpoint(None).expect("taken");
    assert_ne!(inode(2), inode(3));
}

#[test]
fn a_rewound_file_still_counts_as_made_when_it_was() {
    let world = World::new();
    world.host("a", "1");
    let begun = pass();
    world.inside("a", "2");
    world.checkpoint(None).expect("taken");
    pass();
    world.host("a", "edited");
    let again = pass();
    world.rewind("1").expect("rewound");
    let found = world.conflicts(&[begun, again].map(|ms| Start {
        began_ms: ms,
        stamp_ms: ms,
    }));
    assert_eq!(found, [true]);
}

fn pass() -> u64 {
    std::thread::sleep(std::time::Duration::from_millis(25));
    let now = now_ms();
    std::thread::sleep(std::time::Duration::from_millis(25));
    now
}

#[test]
fn an_unknown_checkpoint_is_told() {
    let world = prepare();
    let error = world.rewind("7").expect_err("there is none").to_string();
    assert!(error.contains("\"7\"") && error.contains("none"), "{error}");
    world.checkpoint(None).expect("taken");
    let error = world.rewind("7").expect_err("there is none").to_string();
    assert!(error.contains("the last one is 1"), "{error}");
}

#[test]
fn a_hundred_files_are_kept_quickly() {
    let world = World::new();
    for number in 0..100 {
        world.inside(&format!("d/f{number}"), &"x".repeat(4000));
    }
    let began = Instant::now();
    world.checkpoint(None).expect("taken");
    let took = began.elapsed();
    println!("100 files in {took:?}");
    assert!(took.as_secs() < 10, "{took:?}");
}
