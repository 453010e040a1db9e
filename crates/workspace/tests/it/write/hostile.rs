//! What untrusted code can leave in a change set, or somebody put in the way on the host.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt, symlink};
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{CWD, FileType, Mode, RenameFlags, XattrFlags};
use stockade_workspace::{Decision, WriteError};

use super::world::{World, contents, exactly};

#[test]
fn a_directory_that_became_a_link_is_not_followed() {
    let world = World::new();
    let outside = tempfile::tempdir().expect("outside");
    fs::write(outside.path().join("file"), "canary").expect("a canary");
    world.host("d/file", "host");
    world.inside("d/file", "inside");
    let set = world.changes();
    fs::rename(world.project().join("d"), world.project().join("moved")).expect("moved");
    symlink(outside.path(), world.project().join("d")).expect("a link");
    // The control: who follows links writes to the canary.
    assert_eq!(world.read("d/file"), "canary");
    let error = world
        .apply_set(&set, |_| Decision::Apply, &|_| {})
        .expect_err("refused");
    assert!(error.to_string().contains("d/file"), "{error}");
    assert_eq!(
        fs::read_to_string(outside.path().join("file")).expect("a canary"),
        "canary"
    );
    assert_eq!(world.read("moved/file"), "host");
}

#[test]
fn a_file_that_became_a_link_is_not_written_through() {
    let world = World::new();
    let outside = tempfile::tempdir().expect("outside");
    let canary = outside.path().join("canary");
    fs::write(&canary, "canary").expect("a canary");
    world.host("file", "host");
    world.inside("file", "inside");
    let set = world.changes();
    fs::remove_file(world.project().join("file")).expect("removed");
    symlink(&canary, world.project().join("file")).expect("a link");
    let error = world
        .apply_set(&set, |_| Decision::Apply, &|_| {})
        .expect_err("refused");
    assert!(matches!(error, WriteError::Changed { .. }), "{error}");
    assert_eq!(fs::read_to_string(&canary).expect("a canary"), "canary");
}

/// A directory of the project that changes places with a link that leads out, all the time.
pub struct Race {
    world: World,
    outside: tempfile::TempDir,
}

impl Race {
    pub fn new() -> Self {
        let outside = tempfile::tempdir().expect("outside");
        fs::write(outside.path().join("file"), "canary").expect("a canary");
        let world = World::new();
        world.host("d/file", "host");
        symlink(outside.path(), world.root().join("link")).expect("a link");
        Self { world, outside }
    }

    pub fn world(&self) -> &World {
        &self.world
    }

    pub fn exchange_until(&self, is_over: &AtomicBool) {
        let (directory, link) = (self.world.project().join("d"), self.world.root().join("link"));
        while !is_over.load(Ordering::Relaxed) {
            rustix::fs::renameat_with(CWD, &directory, CWD, &link, RenameFlags::EXCHANGE).expect("exchanged");
        }
    }

    /// What the canary says; the file is the only one outside.
    pub fn canary(&self) -> String {
        assert_eq!(fs::read_dir(self.outside.path()).expect("a listing").count(), 1);
        fs::read_to_string(self.outside.path().join("file")).expect("a canary")
    }
}

/// Applies while they race.
pub fn race(times: u32) {
    let race = Race::new();
    let is_over = AtomicBool::new(false);
    let (mut written, mut refused, mut unseen) = (0_u32, 0_u32, 0_u32);
    std::thread::scope(|scope| {
        scope.spawn(|| race.exchange_until(&is_over));
        let world = race.world();
        for number in 0..times {
            world.inside("d/file", &number.to_string());
            let Ok(set) = stockade_workspace::scan(&world.upper(), &world.project(), super::world::LIMITS)
            else {
                unseen += 1;
                continue;
            };
            match world.apply_set(&set, |_| Decision::Apply, &|_| {}) {
                Ok(_) => written += 1,
                Err(_) => refused += 1,
            }
        }
        is_over.store(true, Ordering::Relaxed);
    });
    println!("{times} races: {written} written, {refused} refused, {unseen} not even looked at");
    assert_eq!(race.canary(), "canary");
    assert!(
        written > 0 && refused > 0,
        "{written} written, {refused} refused: nothing raced"
    );
}

#[test]
fn directories_and_links_that_change_places_all_the_time_lead_nowhere() {
    race(2_000);
}

#[test]
fn a_hard_link_to_outside_is_not_written_through_and_comes_back() {
    let world = World::new();
    world.host("file", "shared");
    let outside = world.root().join("outside");
    fs::hard_link(world.project().join("file"), &outside).expect("a link");
    world.inside("file", "inside");
    super::set_mode(&world.upper().join("file"), 0o777);
    world.apply_all().expect("applied");
    assert_eq!(world.read("file"), "inside");
    assert_eq!(fs::read_to_string(&outside).expect("a file"), "shared");
    assert_ne!(
        fs::metadata(&outside).expect("there").permissions().mode() & 0o777,
        0o777
    );
    world.undo().expect("undone");
    let inode = |path: &std::path::Path| fs::metadata(path).expect("there").ino();
    assert_eq!(inode(&world.project().join("file")), inode(&outside));
}

#[test]
fn set_user_id_bits_stay_behind_and_other_bits_do_not() {
    let world = World::new();
    world.inside("tool", "#!/bin/sh\n");
    world.inside("d/tool", "#!/bin/sh\n");
    super::set_mode(&world.upper().join("tool"), 0o6755);
    super::set_mode(&world.upper().join("d/tool"), 0o4711);
    super::set_mode(&world.upper().join("d"), 0o2755);
    world.apply_all().expect("applied");
    let mode = |path: &str| {
        fs::metadata(world.project().join(path))
            .expect("there")
            .permissions()
            .mode()
            & 0o7777
    };
    assert_eq!((mode("tool"), mode("d/tool"), mode("d")), (0o755, 0o711, 0o755));
}

#[test]
fn pipes_never_reach_the_host_and_block_nothing() {
    let world = World::new();
    world.inside("d/file", "1");
    for path in ["pipe", "d/pipe"] {
        rustix::fs::mknodat(CWD, world.upper().join(path), FileType::Fifo, Mode::RUSR, 0).expect("a pipe");
    }
    let applied = world.apply_all().expect("applied");
    assert_eq!((applied.applied, applied.left), (2, 2));
    assert_eq!(world.read("d/file"), "1");
    assert!(!world.project().join("pipe").exists() && !world.project().join("d/pipe").exists());
}

#[test]
fn names_of_any_bytes_arrive_and_go_back() {
    let world = World::new();
    let names: [&[u8]; 6] = [b"a\nb", b"\x1b[2J", b"\xff\xfe", b"-rf", b" x ", &[b'n'; 255]];
    for name in names {
        let name = OsStr::from_bytes(name);
        fs::write(world.upper().join(name), "new").expect("a file");
        if name.len() < 5 {
            fs::write(world.project().join(name), "old").expect("a file");
        }
    }
    let before = exactly(&world.project());
    world.apply_all().expect("applied");
    for name in names {
        assert_eq!(
            fs::read(world.project().join(OsStr::from_bytes(name))).expect("a file"),
            b"new"
        );
    }
    world.undo().expect("undone");
    assert_eq!(exactly(&world.project()), before);
}

#[test]
fn holes_stay_holes() {
    let world = World::new();
    let file = fs::File::create(world.upper().join("sparse")).expect("a file");
    file.write_all_at(b"end", 1 << 30).expect("written");
    file.write_all_at(b"start", 0).expect("written");
    world.apply_all().expect("applied");
    let copy = fs::metadata(world.project().join("sparse")).expect("there");
    assert_eq!(copy.len(), (1 << 30) + 3);
    assert!(copy.blocks() * 512 < 1 << 20, "{} blocks", copy.blocks());
    let copy = fs::File::open(world.project().join("sparse")).expect("a file");
    let mut bytes = [0; 3];
    copy.read_exact_at(&mut bytes, 1 << 30).expect("read");
    assert_eq!(&bytes, b"end");
}

#[test]
fn attributes_of_programs_arrive_and_those_of_the_overlay_do_not() {
    let world = World::new();
    world.inside("d/file", "1");
    let set = |path: &str, name: &str| {
        rustix::fs::setxattr(world.upper().join(path), name, b"y", XattrFlags::empty())
    };
    if set("d/file", "user.mine").is_err() {
        return super::skip(
            "attributes_of_programs",
            "this file system has no user attributes",
        );
    }
    for path in ["d", "d/file"] {
        for name in [
            "user.mine",
            "user.overlay.opaque",
            "user.overlay.redirect",
            "user.overlay.metacopy",
        ] {
            set(path, name).expect("an attribute");
        }
    }
    world.apply_all().expect("applied");
    for path in ["d", "d/file"] {
        let path = world.project().join(path);
        let has = |name: &str| rustix::fs::getxattr(&path, name, &mut [0_u8; 8]).is_ok();
        assert!(has("user.mine"), "{path:?}");
        assert!(
            !has("user.overlay.opaque") && !has("user.overlay.redirect"),
            "{path:?}"
        );
    }
}

#[test]
fn files_that_nobody_may_read_inside_are_read_by_their_owner() {
    let world = World::new();
    world.inside("closed", "1");
    super::set_mode(&world.upper().join("closed"), 0);
    world.apply_all().expect("applied");
    let copy = world.project().join("closed");
    assert_eq!(
        fs::metadata(&copy).expect("there").permissions().mode() & 0o7777,
        0
    );
    super::set_mode(&copy, 0o600);
    assert_eq!(fs::read_to_string(&copy).expect("a file"), "1");
}

#[test]
fn a_tree_deeper_than_a_path_may_be_is_taken_and_brought_back() {
    let world = World::new();
    let mut place = world.project();
    fs::create_dir(place.join("deep")).expect("a level");
    place.push("deep");
    let flags = rustix::fs::OFlags::DIRECTORY | rustix::fs::OFlags::CLOEXEC;
    let mut here = rustix::fs::openat(CWD, &place, flags, Mode::empty()).expect("a level");
    let name = "d".repeat(200);
    for _ in 0..10 {
        rustix::fs::mkdirat(&here, &name, Mode::RWXU).expect("a level");
        here = rustix::fs::openat(&here, &name, flags, Mode::empty()).expect("a level");
    }
    world.inside("other", "1");
    let before = contents(&world.project());
    world.gone("deep");
    world.apply_all().expect("applied");
    assert!(!world.project().join("deep").exists());
    world.undo().expect("undone");
    assert_eq!(contents(&world.project()), before);
}

#[test]
fn a_file_that_changes_inside_after_it_was_looked_at_is_not_applied() {
    let world = World::new();
    world.inside("file", "looked at");
    let set = world.changes();
    std::thread::sleep(std::time::Duration::from_millis(25));
    world.inside("file", "other text");
    let error = world
        .apply_set(&set, |_| Decision::Apply, &|_| {})
        .expect_err("refused");
    assert!(matches!(error, WriteError::Changed { .. }), "{error}");
    assert!(!world.project().join("file").exists());
}
