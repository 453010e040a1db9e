//! By what it is told that a tree of the host is still what it was: inode and change time, which no
//! program can set, of its directories and of the files that were copied from it. What was linked is
//! the host's own file, so it cannot differ.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Mode, OFlags, Stat};
use serde::{Deserialize, Serialize};

/// More than the marks of the largest tree need.
const MAX_BYTES: u64 = 128 << 20;

/// One directory or file of the source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Mark {
    /// Relative to the source.
    path: Vec<u8>,
    inode: u64,
    changed_seconds: i64,
    changed_nanoseconds: u64,
}

impl Mark {
    pub(super) fn new(path: &Path, stat: &Stat) -> Self {
        Self {
            path: path.as_os_str().as_bytes().to_vec(),
            inode: stat.st_ino,
            changed_seconds: stat.st_ctime,
            changed_nanoseconds: stat.st_ctime_nsec,
        }
    }
}

/// Whether all of a source that is marked is as it was.
pub(super) fn hold(source: &Path, marks: &[Mark]) -> bool {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let Ok(root) = rustix::fs::openat(CWD, source, flags, Mode::empty()) else {
        return false;
    };
    !marks.is_empty()
        && marks.iter().all(|mark| {
            let path = Path::new(OsStr::from_bytes(&mark.path));
            let seen = if mark.path.is_empty() {
                rustix::fs::fstat(&root)
            } else {
                rustix::fs::statat(&root, path, AtFlags::SYMLINK_NOFOLLOW)
            };
            seen.is_ok_and(|seen| Mark::new(path, &seen) == *mark)
        })
}

pub(super) fn write(path: &Path, marks: &[Mark]) -> std::io::Result<()> {
    let bytes = postcard::to_allocvec(marks).map_err(std::io::Error::other)?;
    let mut file = File::options()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(&bytes)
}

pub(super) fn read(path: &Path) -> std::io::Result<Vec<Mark>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(MAX_BYTES + 1).read_to_end(&mut bytes)?;
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > MAX_BYTES {
        return Err(std::io::Error::other("it is too large"));
    }
    postcard::from_bytes(&bytes).map_err(std::io::Error::other)
}
