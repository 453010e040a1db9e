//! The two mounts that a copy-on-write workspace needs: an overlay inside a user namespace, and
//! an id-mapped view of files that belong to other ids.

use std::fs;
use std::io;
use std::path::Path;

use rustix::mount::{MountFlags, MountPropagationFlags, mount, mount_change};

use super::{Tried, sys};
use crate::apply::open_tree;
use crate::idmap::{self, Identity};

/// Where the overlay is tried: in a private mount namespace, so that any directory will do.
const PLACE: &str = "/tmp";

/// Mounts an overlay in a user namespace and writes through it. The calling process must be
/// single-threaded and is confined afterwards: it should have no other purpose.
#[must_use]
pub fn overlay() -> Tried {
    match try_overlay() {
        Ok(()) => Tried::Works,
        Err((step, error)) => Tried::refused(step, error),
    }
}

type Step<T> = std::result::Result<T, (&'static str, io::Error)>;

fn try_overlay() -> Step<()> {
    let (uid, gid) = (rustix::process::geteuid(), rustix::process::getegid());
    sys::unshare(libc::CLONE_NEWUSER | libc::CLONE_NEWNS)
        .map_err(|error| ("make a user and a mount namespace", error))?;
    fs::write("/proc/self/setgroups", "deny").map_err(|error| ("write /proc/self/setgroups", error))?;
    fs::write("/proc/self/uid_map", format!("0 {} 1", uid.as_raw()))
        .map_err(|error| ("write /proc/self/uid_map", error))?;
    fs::write("/proc/self/gid_map", format!("0 {} 1", gid.as_raw()))
        .map_err(|error| ("write /proc/self/gid_map", error))?;
    let at = |step: &'static str| move |error: rustix::io::Errno| (step, io::Error::from(error));
    let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
    mount_change("/", private).map_err(at("make mounts private"))?;
    mount("tmpfs", PLACE, "tmpfs", MountFlags::empty(), None).map_err(at("mount a tmpfs"))?;
    let place = Path::new(PLACE);
    for name in ["lower", "upper", "work", "merged"] {
        fs::create_dir(place.join(name)).map_err(|error| ("make a directory", error))?;
    }
    fs::write(place.join("lower/file"), "below").map_err(|error| ("write a file", error))?;
    mount(
        "overlay",
        place.join("merged"),
        "overlay",
        MountFlags::empty(),
        c"lowerdir=/tmp/lower,upperdir=/tmp/upper,workdir=/tmp/work,userxattr",
    )
    .map_err(at("mount an overlay"))?;
    written_apart(place).map_err(|error| ("write through the overlay", error))
}

/// The point of it: what is written is seen above, and below nothing has changed.
fn written_apart(place: &Path) -> io::Result<()> {
    fs::write(place.join("merged/file"), "above")?;
    if fs::read(place.join("upper/file"))? == b"above" && fs::read(place.join("lower/file"))? == b"below" {
        Ok(())
    } else {
        Err(io::Error::other("the change did not stay apart"))
    }
}

/// Maps the ids of a detached copy of the mount that holds `directory`, as a sandbox started
/// by root has it. Needs CAP_SYS_ADMIN over that mount's file system.
#[must_use]
pub fn idmapped_mount(directory: &Path) -> Tried {
    let tree = match open_tree(directory, false) {
        Ok(tree) => tree,
        Err((step, error)) => return Tried::refused(&step, error),
    };
    let Some(map) = Identity::slot(0, 0, 0).mount_map(0, 0) else {
        return Tried::unknown("there is no map to try");
    };
    let namespace = match map.namespace() {
        Ok(namespace) => namespace,
        Err(error) => return Tried::refused("make a user namespace with this map", error),
    };
    match idmap::apply(&tree, false, &namespace) {
        Ok(()) => Tried::Works,
        Err(error) => Tried::refused("mount_setattr", error),
    }
}
