//! Scans of change sets as overlayfs leaves them and as hostile code may shape them.

#![allow(clippy::expect_used, clippy::unwrap_used)] // a failing set-up is a failing test

mod patch;
mod replica;
mod review;
mod write;

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use rustix::fs::{FileType, Mode};
use stockade_workspace::{ChangeKind, ChangeSet, Content, NodeKind, ScanLimits, is_empty, scan};

struct Dirs {
    _root: tempfile::TempDir,
    upper: PathBuf,
    lower: PathBuf,
}

fn dirs() -> Dirs {
    let root = tempfile::tempdir().expect("a directory");
    let (upper, lower) = (root.path().join("upper"), root.path().join("lower"));
    fs::create_dir(&upper).expect("upper");
    fs::create_dir(&lower).expect("lower");
    Dirs {
        _root: root,
        upper,
        lower,
    }
}

fn found(dirs: &Dirs) -> ChangeSet {
    scan(&dirs.upper, &dirs.lower, ScanLimits::LIST).expect("a scan")
}

fn told(set: &ChangeSet) -> Vec<(ChangeKind, NodeKind, &str)> {
    set.changes
        .iter()
        .map(|c| (c.kind, c.node(), c.path.to_str().expect("UTF-8")))
        .collect()
}

fn whiteout(path: &Path) {
    rustix::fs::mknodat(rustix::fs::CWD, path, FileType::CharacterDevice, Mode::empty(), 0)
        .expect("a whiteout");
}

#[test]
fn an_empty_change_set_is_empty() {
    let dirs = dirs();
    assert!(is_empty(&dirs.upper).expect("readable"));
    assert!(found(&dirs).counts.is_empty());
}

#[test]
fn a_single_hidden_file_makes_it_not_empty() {
    let dirs = dirs();
    fs::write(dirs.upper.join(".x"), "").expect("a file");
    assert!(!is_empty(&dirs.upper).expect("readable"));
}

#[test]
fn added_and_changed_are_told_apart_by_the_workspace() {
    let dirs = dirs();
    fs::write(dirs.lower.join("old"), "1").expect("old");
    fs::write(dirs.upper.join("old"), "22").expect("old");
    fs::write(dirs.upper.join("new"), "333").expect("new");
    let set = found(&dirs);
    assert_eq!(
        told(&set),
        [
            (ChangeKind::Added, NodeKind::File, "new"),
            (ChangeKind::Changed, NodeKind::File, "old")
        ]
    );
    assert_eq!((set.counts.files(), set.counts.bytes), (2, 5));
}

#[test]
fn whiteouts_are_deletions_of_what_stood_there() {
    let dirs = dirs();
    fs::write(dirs.lower.join("file"), "").expect("file");
    fs::create_dir(dirs.lower.join("dir")).expect("dir");
    whiteout(&dirs.upper.join("file"));
    whiteout(&dirs.upper.join("dir"));
    assert_eq!(
        told(&found(&dirs)),
        [
            (ChangeKind::Deleted, NodeKind::Directory, "dir"),
            (ChangeKind::Deleted, NodeKind::File, "file")
        ]
    );
}

#[test]
fn a_whiteout_over_nothing_is_no_change() {
    let dirs = dirs();
    whiteout(&dirs.upper.join("never-there"));
    assert_eq!(told(&found(&dirs)), []);
}

#[test]
fn a_whiteout_by_attribute_is_a_deletion_too() {
    let dirs = dirs();
    fs::write(dirs.lower.join("file"), "1").expect("file");
    fs::write(dirs.upper.join("file"), "").expect("file");
    let set = rustix::fs::setxattr(
        dirs.upper.join("file"),
        "user.overlay.whiteout",
        b"y",
        rustix::fs::XattrFlags::empty(),
    );
    if set.is_err() {
        return; // this file system has no user attributes: there are no such whiteouts on it
    }
    assert_eq!(
        told(&found(&dirs)),
        [(ChangeKind::Deleted, NodeKind::File, "file")]
    );
}

#[test]
fn an_empty_file_without_the_attribute_is_a_file() {
    let dirs = dirs();
    fs::write(dirs.upper.join("empty"), "").expect("file");
    assert_eq!(
        told(&found(&dirs)),
        [(ChangeKind::Added, NodeKind::File, "empty")]
    );
}

#[test]
fn a_directory_that_only_holds_changes_is_no_change() {
    let dirs = dirs();
    fs::create_dir(dirs.lower.join("d")).expect("d");
    fs::create_dir(dirs.upper.join("d")).expect("d");
    fs::write(dirs.upper.join("d/new"), "").expect("new");
    assert_eq!(
        told(&found(&dirs)),
        [(ChangeKind::Added, NodeKind::File, "d/new")]
    );
}

#[test]
fn an_opaque_directory_deletes_what_it_hides_and_nothing_else() {
    let dirs = dirs();
    fs::create_dir_all(dirs.lower.join("d/deep")).expect("d");
    for name in ["d/gone", "d/deep/gone", "d/kept", "d/other"] {
        fs::write(dirs.lower.join(name), "old").expect("a file");
    }
    fs::create_dir(dirs.upper.join("d")).expect("d");
    fs::write(dirs.upper.join("d/kept"), "old").expect("kept");
    fs::write(dirs.upper.join("d/other"), "new").expect("other");
    let set = rustix::fs::setxattr(
        dirs.upper.join("d"),
        "user.overlay.opaque",
        b"y",
        rustix::fs::XattrFlags::empty(),
    );
    if set.is_err() {
        return; // no user attributes on this file system
    }
    assert_eq!(
        told(&found(&dirs)),
        [
            (ChangeKind::Deleted, NodeKind::Directory, "d/deep"),
            (ChangeKind::Deleted, NodeKind::File, "d/deep/gone"),
            (ChangeKind::Deleted, NodeKind::File, "d/gone"),
            (ChangeKind::Changed, NodeKind::File, "d/other"),
        ]
    );
}

#[test]
fn a_deleted_directory_is_told_with_all_that_it_held() {
    let dirs = dirs();
    fs::create_dir_all(dirs.lower.join("d/e")).expect("d/e");
    fs::write(dirs.lower.join("d/e/f"), "").expect("f");
    whiteout(&dirs.upper.join("d"));
    assert_eq!(
        told(&found(&dirs)),
        [
            (ChangeKind::Deleted, NodeKind::Directory, "d"),
            (ChangeKind::Deleted, NodeKind::Directory, "d/e"),
            (ChangeKind::Deleted, NodeKind::File, "d/e/f"),
        ]
    );
}

#[test]
fn a_directory_in_place_of_a_file_and_the_reverse() {
    let dirs = dirs();
    fs::write(dirs.lower.join("a"), "").expect("a");
    fs::create_dir(dirs.upper.join("a")).expect("a");
    fs::create_dir(dirs.lower.join("b")).expect("b");
    fs::write(dirs.lower.join("b/inner"), "").expect("inner");
    fs::write(dirs.upper.join("b"), "").expect("b");
    assert_eq!(
        told(&found(&dirs)),
        [
            (ChangeKind::Replaced, NodeKind::Directory, "a"),
            (ChangeKind::Replaced, NodeKind::File, "b"),
            (ChangeKind::Deleted, NodeKind::File, "b/inner"),
        ]
    );
}

#[test]
fn content_decides_and_not_the_time() {
    let dirs = dirs();
    for (name, before, after) in [("same", "1", "1"), ("forged", "1", "2")] {
        fs::write(dirs.lower.join(name), before).expect("before");
        fs::write(dirs.upper.join(name), after).expect("after");
    }
    let time = fs::metadata(dirs.lower.join("forged"))
        .expect("forged")
        .modified();
    let file = fs::File::options().write(true).open(dirs.upper.join("forged"));
    file.expect("forged")
        .set_modified(time.expect("a time"))
        .expect("set");
    assert_eq!(
        told(&found(&dirs)),
        [(ChangeKind::Changed, NodeKind::File, "forged")]
    );
}

#[test]
fn a_mode_alone_is_a_change_of_the_mode_alone() {
    use std::os::unix::fs::PermissionsExt;
    let dirs = dirs();
    for tree in [&dirs.lower, &dirs.upper] {
        fs::write(tree.join("f"), "1").expect("f");
    }
    fs::set_permissions(dirs.lower.join("f"), fs::Permissions::from_mode(0o640)).expect("chmod");
    fs::set_permissions(dirs.upper.join("f"), fs::Permissions::from_mode(0o4755)).expect("chmod");
    let set = found(&dirs);
    let change = set.changes.first().expect("a change");
    assert_eq!(
        (change.content, change.modes()),
        (Content::Same, Some((0o640, 0o4755)))
    );
}

#[test]
fn files_beyond_the_budget_are_taken_as_different() {
    let dirs = dirs();
    for tree in [&dirs.lower, &dirs.upper] {
        fs::write(tree.join("f"), "1234").expect("f");
    }
    let limits = ScanLimits {
        compared_bytes: 3,
        ..ScanLimits::LIST
    };
    let set = scan(&dirs.upper, &dirs.lower, limits).expect("a scan");
    assert_eq!(
        set.changes.first().map(|change| change.content),
        Some(Content::Unknown)
    );
    assert_eq!(told(&found(&dirs)), []);
}

#[test]
fn links_are_listed_and_never_followed() {
    let dirs = dirs();
    let outside = tempfile::tempdir().expect("outside");
    fs::write(outside.path().join("secret"), "canary").expect("canary");
    symlink(outside.path(), dirs.upper.join("link")).expect("link");
    // The positive control: the link does lead to the canary.
    assert!(dirs.upper.join("link/secret").exists());
    assert_eq!(
        told(&found(&dirs)),
        [(ChangeKind::Added, NodeKind::Symlink, "link")]
    );
}

#[test]
fn a_link_in_the_workspace_is_not_followed_for_comparison() {
    let dirs = dirs();
    let outside = tempfile::tempdir().expect("outside");
    fs::write(outside.path().join("f"), "").expect("f");
    symlink(outside.path(), dirs.lower.join("d")).expect("link");
    fs::create_dir(dirs.upper.join("d")).expect("d");
    fs::write(dirs.upper.join("d/f"), "").expect("f");
    assert_eq!(
        told(&found(&dirs)),
        [
            (ChangeKind::Replaced, NodeKind::Directory, "d"),
            (ChangeKind::Added, NodeKind::File, "d/f")
        ]
    );
}

#[test]
fn names_of_any_bytes_survive() {
    let dirs = dirs();
    let name = OsStr::from_bytes(b"\xff\x1b[31m\n");
    fs::write(dirs.upper.join(name), "").expect("file");
    assert_eq!(found(&dirs).changes[0].path.as_os_str(), name);
}

#[test]
fn pipes_and_sockets_do_not_block_the_scan() {
    let dirs = dirs();
    rustix::fs::mknodat(
        rustix::fs::CWD,
        dirs.upper.join("pipe"),
        FileType::Fifo,
        Mode::RUSR,
        0,
    )
    .expect("pipe");
    assert_eq!(
        told(&found(&dirs)),
        [(ChangeKind::Added, NodeKind::Special, "pipe")]
    );
}

#[test]
fn too_many_names_end_the_scan_and_are_told() {
    let dirs = dirs();
    for number in 0..20 {
        fs::write(dirs.upper.join(number.to_string()), "").expect("file");
    }
    let few = scan(
        &dirs.upper,
        &dirs.lower,
        ScanLimits {
            names: 5,
            listed: 5,
            compared_bytes: 0,
        },
    )
    .expect("a scan");
    assert!(few.truncated && few.uncounted);
    assert_eq!(few.changes.len(), 5);
    assert!(!found(&dirs).truncated);
    // A short list keeps nothing from being counted.
    let limits = ScanLimits {
        listed: 5,
        ..ScanLimits::COUNTS
    };
    let listed = scan(&dirs.upper, &dirs.lower, limits).expect("a scan");
    assert!(listed.truncated && !listed.uncounted);
    assert_eq!(listed.counts, found(&dirs).counts);
}

#[test]
fn a_tree_deeper_than_a_path_may_be_is_told() {
    use rustix::fs::{CWD, OFlags, mkdirat, openat};
    let dirs = dirs();
    let name = "d".repeat(200);
    let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC;
    let mut here = openat(CWD, &dirs.upper, flags, Mode::empty()).expect("upper");
    for _ in 0..40 {
        mkdirat(&here, &name, Mode::RWXU).expect("a level");
        here = openat(&here, &name, flags, Mode::empty()).expect("a level");
    }
    assert!(found(&dirs).truncated);
}

#[test]
fn a_missing_change_set_is_an_error_that_names_it() {
    let error = is_empty(Path::new("/nonexistent/upper")).expect_err("missing");
    assert!(error.to_string().contains("/nonexistent/upper"), "{error}");
}
