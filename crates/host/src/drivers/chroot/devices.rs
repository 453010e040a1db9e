//! The device nodes of a root: six that are harmless to everybody.

use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{CWD, FileType, Mode, OFlags, makedev};
use rustix::io::Errno;

use super::NAME;
use super::root::Root;
use crate::error::{Error, Result};

/// Names and numbers (Documentation/admin-guide/devices.txt of Linux).
pub(super) const NODES: [(&str, (u32, u32)); 6] = [
    ("null", (1, 3)),
    ("zero", (1, 5)),
    ("full", (1, 7)),
    ("random", (1, 8)),
    ("urandom", (1, 9)),
    ("tty", (5, 0)),
];

/// Links that programs expect.
const LINKS: [(&str, &str); 4] = [
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
];

/// Makes them in /dev of a root. `shared` owns the directory for shared memory.
pub(super) fn make(root: &Root, shared: (u32, u32)) -> Result<()> {
    let dev = root.directory(Path::new("/dev"), 0o755, None)?;
    for (name, number) in NODES {
        node(&dev, name, number)?;
    }
    for (name, target) in LINKS {
        root.link(&Path::new("/dev").join(name), Path::new(target))?;
    }
    root.directory(Path::new("/dev/shm"), 0o1777, Some(shared))
        .map(drop)
}

fn node(dev: &OwnedFd, name: &str, (major, minor): (u32, u32)) -> Result<()> {
    const FIX: &str = "set XDG_STATE_HOME to a file system that is mounted with devices (no `nodev`), and let root \
                       make nodes (CAP_MKNOD)";
    let failed = |what: &str, error: Errno| Error::Create {
        driver: NAME.to_owned(),
        step: format!("{what} the device node /dev/{name}"),
        cause: std::io::Error::from(error).to_string(),
        remedy: Some(FIX.to_owned()),
    };
    let mode = Mode::from_raw_mode(0o666);
    rustix::fs::mknodat(dev, name, FileType::CharacterDevice, mode, makedev(major, minor))
        .map_err(|error| failed("make", error))?;
    rustix::fs::chmodat(dev, name, mode, rustix::fs::AtFlags::empty())
        .map_err(|error| failed("make", error))?;
    if name == "tty" {
        return Ok(()); // opens only where there is a terminal
    }
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOCTTY | OFlags::NOFOLLOW;
    rustix::fs::openat(dev, name, flags, Mode::empty())
        .map(drop)
        .map_err(|error| failed("open", error))
}

/// What is no node of ours in a directory of nodes, if anything is.
pub(super) fn stranger(dev: &Path) -> std::io::Result<Option<String>> {
    for entry in std::fs::read_dir(dev)? {
        let entry = entry?;
        let seen = rustix::fs::statat(CWD, entry.path(), rustix::fs::AtFlags::SYMLINK_NOFOLLOW)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let number = (rustix::fs::major(seen.st_rdev), rustix::fs::minor(seen.st_rdev));
        let known = match FileType::from_raw_mode(seen.st_mode) {
            FileType::CharacterDevice => NODES.contains(&(name.as_str(), number)),
            FileType::Symlink => true,
            FileType::Directory => name == "shm",
            _ => false,
        };
        if !known {
            return Ok(Some(name));
        }
    }
    Ok(None)
}
