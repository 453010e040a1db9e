//! Mounts of the new root, by the file-descriptor API of Linux 5.2: no path of the host
//! is named twice, so nothing can be exchanged between check and use.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{CWD, FileType};
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MoveMountFlags, OpenTreeFlags, UnmountFlags, fsconfig_create,
    fsconfig_set_flag, fsconfig_set_string, fsmount, fsopen, move_mount, open_tree, unmount,
};

use super::place::{self, find, mount_point};
use super::{CallResult, InCall};
use crate::ops::{Source, SourceId};
use crate::sys::{
    MOUNT_ATTR_NODEV, MOUNT_ATTR_NOSUID, MOUNT_ATTR_RDONLY, MS_PRIVATE, MountAttr, mount_setattr,
};

/// Directories that exist on every host, used as mount points in our own copy of the
/// host's tree until that is detached as a whole.
const STAGE: Stage = Stage {
    root: "/usr",
    lower: "/etc",
    changes: "/dev",
};
struct Stage {
    root: &'static str,
    lower: &'static str,
    changes: &'static str,
}

/// Size of the root's own file system: directories, links and small files only.
const ROOT_SIZE: &str = "4m";

/// Trees of the host, opened before anything covers them; each is used once.
#[derive(Default)]
pub(super) struct Sources(Vec<Option<OwnedFd>>);

impl Sources {
    pub(super) fn open(sources: &[Source], given: Vec<OwnedFd>) -> CallResult<Self> {
        let mut given = given.into_iter();
        let mut open = Vec::with_capacity(sources.len());
        for source in sources {
            let tree = match source {
                Source::Path { path, null_device } => open_path(path, *null_device)?,
                Source::Given => given
                    .next()
                    .ok_or(Errno::BADF)
                    .in_call(|| "take a tree that the supervisor should have passed")?,
            };
            open.push(Some(tree));
        }
        Ok(Self(open))
    }

    pub(super) fn take(&mut self, id: SourceId) -> CallResult<OwnedFd> {
        usize::try_from(id)
            .ok()
            .and_then(|index| self.0.get_mut(index))
            .and_then(Option::take)
            .ok_or(Errno::BADF)
            .in_call(|| format!("use tree {id}"))
    }
}

/// A detached copy of a tree of the host, submounts included (they are locked together in
/// a user namespace).
pub(super) fn open_path(path: &Path, null_device: bool) -> CallResult<OwnedFd> {
    let tree = clone_tree(CWD, path).in_call(|| format!("open_tree {}", path.display()))?;
    if null_device {
        check_null_device(&tree).in_call(|| format!("check that {} is the null device", path.display()))?;
    }
    Ok(tree)
}

fn clone_tree(directory: BorrowedFd<'_>, path: &Path) -> Result<OwnedFd, Errno> {
    open_tree(
        directory,
        path,
        OpenTreeFlags::OPEN_TREE_CLONE
            | OpenTreeFlags::OPEN_TREE_CLOEXEC
            | OpenTreeFlags::AT_RECURSIVE
            | OpenTreeFlags::AT_SYMLINK_NOFOLLOW,
    )
}

/// The source of masks must be the real null device, not a link or file in its place
/// (CVE-2025-31133).
fn check_null_device(tree: &OwnedFd) -> io::Result<()> {
    let seen = rustix::fs::fstat(tree)?;
    let is_null = FileType::from_raw_mode(seen.st_mode) == FileType::CharacterDevice
        && rustix::fs::major(seen.st_rdev) == 1
        && rustix::fs::minor(seen.st_rdev) == 3;
    if is_null {
        Ok(())
    } else {
        Err(io::Error::other("it is not character device 1:3"))
    }
}

fn move_to(tree: &OwnedFd, to: BorrowedFd<'_>) -> Result<(), Errno> {
    move_mount(
        tree,
        "",
        to,
        "",
        MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH,
    )
}

fn move_to_path(tree: &OwnedFd, to: &str) -> CallResult {
    move_mount(tree, "", CWD, to, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)
        .in_call(|| format!("move_mount {to}"))
}

/// Makes a file system instance with these options.
fn make(
    kind: &'static str,
    options: &[(&str, &str)],
    flags: &[&str],
    attributes: MountAttrFlags,
) -> CallResult<OwnedFd> {
    let context = fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC).in_call(|| format!("fsopen {kind}"))?;
    for (key, value) in options {
        fsconfig_set_string(&context, *key, *value).in_call(|| format!("fsconfig {kind} {key}={value}"))?;
    }
    for flag in flags {
        fsconfig_set_flag(&context, *flag).in_call(|| format!("fsconfig {kind} {flag}"))?;
    }
    fsconfig_create(&context).in_call(|| format!("create a {kind} file system"))?;
    fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, attributes).in_call(|| format!("fsmount {kind}"))
}

const QUIET: MountAttrFlags = MountAttrFlags::MOUNT_ATTR_NOSUID.union(MountAttrFlags::MOUNT_ATTR_NODEV);

pub(super) fn new_root() -> CallResult<OwnedFd> {
    let root = make("tmpfs", &[("size", ROOT_SIZE), ("mode", "0755")], &[], QUIET)?;
    Ok(root)
}

pub(super) fn make_proc() -> CallResult<OwnedFd> {
    make("proc", &[], &[], QUIET | MountAttrFlags::MOUNT_ATTR_NOEXEC)
}

/// `userxattr` because trusted attributes need the initial user namespace; `volatile`
/// because unmounting would otherwise sync the host's whole file system.
pub(super) fn make_overlay(lower: &OwnedFd, changes: &OwnedFd) -> CallResult<OwnedFd> {
    move_to_path(lower, STAGE.lower)?;
    move_to_path(changes, STAGE.changes)?;
    let upper = format!("{}/upper", STAGE.changes);
    let work = format!("{}/work", STAGE.changes);
    make(
        "overlay",
        &[
            ("lowerdir", STAGE.lower),
            ("upperdir", &upper),
            ("workdir", &work),
            ("source", "workspace"),
        ],
        &["userxattr", "volatile"],
        QUIET,
    )
}

/// After this, nothing of the host is reachable by path.
pub(super) fn enter_root(root: Option<OwnedFd>) -> CallResult {
    let root = root.ok_or(Errno::BADF).in_call(|| "use the new root")?;
    move_to_path(&root, STAGE.root)?;
    rustix::process::fchdir(&root).in_call(|| "fchdir to the new root")?;
    rustix::process::pivot_root(".", ".").in_call(|| "pivot_root")?;
    unmount(".", UnmountFlags::DETACH).in_call(|| "umount2 the host's tree")?;
    rustix::process::chdir("/").in_call(|| "chdir /")
}

/// Nothing propagates between the host's mount and ours, in either direction.
pub(super) fn harden(tree: &OwnedFd, read_only: bool) -> CallResult {
    let attr = MountAttr {
        set: MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | if read_only { MOUNT_ATTR_RDONLY } else { 0 },
        propagation: MS_PRIVATE,
        ..MountAttr::default()
    };
    mount_setattr(tree.as_fd(), true, &attr).in_call(|| "mount_setattr")
}

pub(super) fn bind(tree: &OwnedFd, at: &Path, directory: bool, read_only: bool) -> CallResult {
    harden(tree, read_only)?;
    let target = mount_point(at, directory)?;
    move_to(tree, target.as_fd()).in_call(|| format!("move_mount {}", at.display()))
}

/// A device node: no `nodev`, everything else as for a bind; writing to a device is not
/// writing to its file system.
pub(super) fn device(tree: &OwnedFd, at: &Path) -> CallResult {
    let attr = MountAttr {
        set: MOUNT_ATTR_NOSUID | crate::sys::MOUNT_ATTR_NOEXEC | MOUNT_ATTR_RDONLY,
        propagation: MS_PRIVATE,
        ..MountAttr::default()
    };
    mount_setattr(tree.as_fd(), true, &attr).in_call(|| "mount_setattr")?;
    let target = mount_point(at, false)?;
    move_to(tree, target.as_fd()).in_call(|| format!("move_mount {}", at.display()))
}

pub(super) fn attach(tree: Option<OwnedFd>, at: &Path) -> CallResult {
    let tree = tree
        .ok_or(Errno::BADF)
        .in_call(|| "use the prepared file system")?;
    let target = mount_point(at, true)?;
    move_to(&tree, target.as_fd()).in_call(|| format!("move_mount {}", at.display()))
}

/// Directory entries cost kernel memory that the size does not count, so they are bounded
/// as well.
const PRIVATE_INODES: &str = "1m";

pub(super) fn private(at: &Path, mode: u32, size_bytes: Option<u64>) -> CallResult {
    let mode = format!("{mode:o}");
    let size = size_bytes.map(|size| size.to_string());
    let mut options = vec![("mode", mode.as_str()), ("nr_inodes", PRIVATE_INODES)];
    if let Some(size) = &size {
        options.push(("size", size));
    }
    let tree = make("tmpfs", &options, &[], QUIET)?;
    attach(Some(tree), at)
}

/// A new file is written in place: the root becomes read-only later. Over an existing one
/// (in a tree of the host) comes a mount of a file whose name is removed afterwards.
pub(super) fn file(at: &Path, content: &[u8]) -> CallResult {
    const NAME: &str = "/.stockade-file";
    if matches!(find(at), Err(Errno::NOENT)) {
        return place::write_new(at, content);
    }
    place::write_new(Path::new(NAME), content)?;
    let tree = clone_tree(CWD, Path::new(NAME)).in_call(|| format!("open_tree {NAME}"))?;
    bind(&tree, at, false, true)?;
    rustix::fs::unlinkat(CWD, NAME, rustix::fs::AtFlags::empty()).in_call(|| format!("unlink {NAME}"))
}

/// An own instance: terminals of the host and of other sandboxes do not exist in it.
pub(super) fn terminals(at: &Path) -> CallResult {
    let attributes = MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NOEXEC;
    let tree = make(
        "devpts",
        &[("mode", "0620"), ("ptmxmode", "0666")],
        &[],
        attributes,
    )?;
    attach(Some(tree), at)
}

pub(super) fn mask(at: &Path) -> CallResult {
    let target = match find(at) {
        Err(Errno::NOENT | Errno::ACCESS) => return Ok(()),
        other => other.in_call(|| format!("openat2 {}", at.display()))?,
    };
    let kind = rustix::fs::fstat(&target)
        .in_call(|| format!("fstat {}", at.display()))?
        .st_mode;
    if FileType::from_raw_mode(kind) == FileType::Directory {
        let empty = make(
            "tmpfs",
            &[("size", "0"), ("nr_inodes", "1"), ("mode", "0555")],
            &[],
            QUIET | MountAttrFlags::MOUNT_ATTR_RDONLY,
        )?;
        return move_to(&empty, target.as_fd()).in_call(|| format!("move_mount {}", at.display()));
    }
    let null = clone_tree(CWD, Path::new("/dev/null")).in_call(|| "open_tree /dev/null")?;
    check_null_device(&null).in_call(|| "check that /dev/null is the null device")?;
    move_to(&null, target.as_fd()).in_call(|| format!("move_mount {}", at.display()))
}

/// A path that is a mount itself gets the flag; any other gets a read-only copy of itself.
pub(super) fn read_only(at: &Path) -> CallResult {
    let target = match find(at) {
        Err(Errno::NOENT) => return Ok(()),
        other => other.in_call(|| format!("openat2 {}", at.display()))?,
    };
    let attr = MountAttr {
        set: MOUNT_ATTR_RDONLY,
        ..MountAttr::default()
    };
    if mount_setattr(target.as_fd(), false, &attr).is_ok() {
        return Ok(());
    }
    let tree = clone_tree(CWD, at).in_call(|| format!("open_tree {}", at.display()))?;
    harden(&tree, true)?;
    move_to(&tree, target.as_fd()).in_call(|| format!("move_mount {}", at.display()))
}
