//! The root that is built once and handed on: what somebody did to it meanwhile, or while it was built, is never
//! used in silence.

mod building;
mod tampering;

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use super::{image, succeeded, text};
use crate::world::World;

/// What says that a tree was not as it should be.
const WARNING: &str = "is not as it was left";
/// What is shown of the tree.
const LOOK: &str = "cat /usr/share/1/linked /usr/share/2/copied; ls /usr/share/3";
/// What that is.
const SHOWN: &str = "linked\ncopied\n";

/// An image whose `/usr` is large enough to be handed on, with a file that is linked and one that is copied.
fn world(test: &str) -> Option<World> {
    let world = super::world(test)?;
    let share = image(&world).join("usr/share");
    for number in 0..40 {
        std::fs::create_dir_all(share.join(number.to_string())).expect("a directory");
    }
    write(&share.join("1/linked"), "linked\n", 0o644);
    write(&share.join("2/copied"), "copied\n", 0o664);
    Some(world)
}

fn write(path: &Path, content: &str, mode: u32) {
    std::fs::write(path, content).expect("a file");
    set_mode(path, mode);
}

fn set_mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("a mode");
}

fn look_with(world: &World, flags: &[&str]) -> Output {
    super::with_image(world, flags, &["/bin/sh", "-c", LOOK])
}

/// The places of kept trees: the directory that has `tree` and `marks`.
fn places(world: &World) -> Vec<PathBuf> {
    let list = std::fs::read_dir(world.path("state/stockade/trees"))
        .into_iter()
        .flatten();
    list.map(|entry| entry.expect("an entry").path()).collect()
}

/// The only one, after a first run.
fn kept(world: &World) -> PathBuf {
    assert_eq!(succeeded(&look_with(world, &[])), SHOWN);
    let places = places(world);
    assert_eq!(places.len(), 1, "{places:?}");
    places[0].clone()
}

fn inode(path: &Path) -> u64 {
    std::fs::symlink_metadata(path).expect("it is there").ino()
}

/// The next run sees the host's files and takes the tree that is kept, without a word.
fn is_used_again(world: &World, tree: u64) {
    let output = look_with(world, &[]);
    assert_eq!(succeeded(&output), SHOWN);
    let said = text(&output.stderr);
    assert!(!said.contains(WARNING), "{said}");
    let kept: Vec<u64> = places(world)
        .iter()
        .map(|place| inode(&place.join("tree")))
        .collect();
    assert!(
        kept.contains(&tree),
        "another tree was made: {kept:?}, not {tree}"
    );
}

/// A script of the host with the program and its flags for the image as `"$@"`; in a mount namespace of its own.
fn in_own_mounts(world: &World, script: &str) -> Command {
    let mut command = Command::new("unshare");
    command.args([
        "--mount",
        "--propagation",
        "private",
        "/bin/sh",
        "-ec",
        script,
        "sh",
    ]);
    let run = super::launch(world, &[], &["/bin/sh", "-c", LOOK]);
    command.arg(run.get_program()).args(run.get_args());
    command.current_dir(world.project()).env_clear();
    for (name, value) in run.get_envs() {
        command.env(name, value.expect("a value"));
    }
    command.env("STATE", world.path("state"));
    command
}

/// Whether mounts can be made here; a container may forbid them.
fn can_mount(test: &str) -> bool {
    let probe = Command::new("unshare").args(["--mount", "true"]).output();
    let can = probe.is_ok_and(|output| output.status.success());
    if !can {
        crate::detached::skip(test, "no mount namespace can be made here");
    }
    can
}
