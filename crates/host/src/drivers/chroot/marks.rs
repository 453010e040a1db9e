//! By what it is told that a tree of the host is still what it was, and that what was brought of it is: inode
//! and change time, which no program can set, of directories and of the files that were copied. What was
//! linked is the host's own file, so its content cannot differ.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

/// The form of what follows; one of another version of this program is not read.
const HEADER: &[u8] = b"stockade tree 2\n";
/// More than the marks of the largest tree need.
const MAX_BYTES: u64 = 256 << 20;

/// One directory or file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Mark {
    /// Relative to the top; empty for the top itself.
    path: Vec<u8>,
    inode: u64,
    changed_seconds: i64,
    changed_nanoseconds: u64,
}

/// The top of what was brought. A `rename` that hands it on sets its change time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Top {
    pub inode: u64,
    pub mode: u32,
    pub owner: (u32, u32),
    /// Names with inodes, sorted.
    pub names: Vec<(Vec<u8>, u64)>,
}

/// What is written beside a tree.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Marks {
    /// The host's directory, when the tree was brought.
    pub source: Vec<Mark>,
    /// Directories of the tree but its top, and the files in it that are copies.
    pub brought: Vec<Mark>,
    pub top: Top,
}

/// Why marks are not there.
#[derive(Debug)]
pub(super) enum Unread {
    /// Another version of this program wrote them.
    OtherForm,
    /// Somebody damaged them.
    Damaged(String),
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

    pub(super) fn path(&self) -> &Path {
        Path::new(OsStr::from_bytes(&self.path))
    }

    /// Whether something has this inode and change time.
    pub(super) fn is(&self, inode: u64, seconds: i64, nanoseconds: u64) -> bool {
        (self.inode, self.changed_seconds, self.changed_nanoseconds) == (inode, seconds, nanoseconds)
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
            let seen = if mark.path.is_empty() {
                rustix::fs::fstat(&root)
            } else {
                rustix::fs::statat(&root, mark.path(), AtFlags::SYMLINK_NOFOLLOW)
            };
            seen.is_ok_and(|seen| Mark::new(mark.path(), &seen) == *mark)
        })
}

pub(super) fn write(path: &Path, marks: &Marks) -> std::io::Result<()> {
    let bytes = postcard::to_allocvec(marks).map_err(std::io::Error::other)?;
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut file = File::from(rustix::fs::open(path, flags, Mode::RUSR | Mode::WUSR)?);
    file.write_all(HEADER)?;
    file.write_all(&bytes)
}

/// Reads those of a place, through no link, and only what is root's own.
pub(super) fn read(place: &OwnedFd, name: &str) -> Result<Marks, Unread> {
    let damaged = |error: &dyn std::fmt::Display| Unread::Damaged(format!("its marks: {error}"));
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = rustix::fs::openat(place, name, flags, Mode::empty());
    let file = file.map_err(|error: Errno| damaged(&error))?;
    let stat = rustix::fs::fstat(&file).map_err(|error| damaged(&error))?;
    let is_ours = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile
        && stat.st_uid == rustix::process::geteuid().as_raw()
        && stat.st_mode & 0o077 == 0;
    if !is_ours {
        return Err(damaged(&"others could have written them"));
    }
    let mut bytes = Vec::new();
    let read = File::from(file).take(MAX_BYTES + 1).read_to_end(&mut bytes);
    read.map_err(|error| damaged(&error))?;
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > MAX_BYTES {
        return Err(damaged(&"too large"));
    }
    let Some(body) = bytes.strip_prefix(HEADER) else {
        return Err(Unread::OtherForm);
    };
    match postcard::take_from_bytes(body) {
        Ok((marks, [])) => Ok(marks),
        Ok(_) => Err(damaged(&"something follows")),
        Err(error) => Err(damaged(&error)),
    }
}
