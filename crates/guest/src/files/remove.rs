//! Removing, trees included, without ever following a link.

use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, Dir, Mode, OFlags, openat, unlinkat};
use rustix::io::{Errno, Result};
use stockade_wire::GuestPath;

use super::resolve::parent;

/// Directories inside each other, at most: each holds a descriptor.
const MAX_DEPTH: usize = 256;

/// Removes a file, a link or a directory.
pub fn remove(path: &GuestPath, recursive: bool) -> Result<()> {
    let (directory, name) = parent(path)?;
    match remove_one(directory.as_fd(), &name) {
        Err(Errno::NOTEMPTY | Errno::EXIST) if recursive => {}
        result => return result,
    }
    remove_tree(directory.as_fd(), name)
}

fn remove_one(directory: BorrowedFd<'_>, name: &CStr) -> Result<()> {
    match unlinkat(directory, name, AtFlags::empty()) {
        // What it says of directories depends on the file system.
        Err(Errno::ISDIR | Errno::PERM) => unlinkat(directory, name, AtFlags::REMOVEDIR),
        result => result,
    }
}

/// A directory that is being emptied, and its name in the one before.
struct Level {
    directory: OwnedFd,
    name: CString,
}

fn remove_tree(top: BorrowedFd<'_>, name: CString) -> Result<()> {
    let mut levels = vec![enter(top, name)?];
    while let Some(level) = levels.last() {
        if let Some(full) = empty(level.directory.as_fd())? {
            if levels.len() >= MAX_DEPTH {
                return Err(Errno::NAMETOOLONG);
            }
            let next = enter(level.directory.as_fd(), full)?;
            levels.push(next);
            continue;
        }
        let Some(done) = levels.pop() else { return Ok(()) };
        let above = levels.last().map_or(top, |level| level.directory.as_fd());
        unlinkat(above, &done.name, AtFlags::REMOVEDIR)?;
    }
    Ok(())
}

fn enter(above: BorrowedFd<'_>, name: CString) -> Result<Level> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let directory = openat(above, &name, flags, Mode::empty())?;
    Ok(Level { directory, name })
}

/// Removes all but directories that are not empty; gives the first of those.
fn empty(directory: BorrowedFd<'_>) -> Result<Option<CString>> {
    for entry in Dir::read_from(directory)? {
        let entry = entry?;
        let name = entry.file_name();
        if matches!(name.to_bytes(), b"." | b"..") {
            continue;
        }
        match remove_one(directory, name) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(Errno::NOTEMPTY | Errno::EXIST) => return Ok(Some(name.to_owned())),
            Err(errno) => return Err(errno),
        }
    }
    Ok(None)
}
