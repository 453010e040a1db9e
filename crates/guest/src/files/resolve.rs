//! From a path to a file: beneath the root, and never through the kernel's own links
//! (`/proc/self/…`), which lead to the guest's files instead of the command's.

use std::ffi::CString;
use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::fs::{CWD, Mode, OFlags, PROC_SUPER_MAGIC, ResolveFlags, fstatfs, openat, openat2};
use rustix::io::{Errno, Result};
use stockade_wire::GuestPath;

/// Opens a file.
pub fn open(path: &[u8], flags: OFlags, mode: Mode) -> Result<OwnedFd> {
    let root = openat(
        CWD,
        c"/",
        OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
        Mode::empty(),
    )?;
    let mut flags = flags | OFlags::CLOEXEC;
    // The kernel refuses it, as it would have no meaning, where nothing is opened.
    flags.set(OFlags::NOCTTY, !flags.contains(OFlags::PATH));
    openat2(
        root,
        path,
        flags,
        mode,
        ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS,
    )
}

/// Opens what a path names itself, to look at it or to work in it, without access to its
/// content.
pub fn open_place(path: &[u8], extra: OFlags) -> Result<OwnedFd> {
    open(path, OFlags::PATH | extra, Mode::empty())
}

/// Opens the directory that holds a name, and gives the name.
pub fn parent(path: &GuestPath) -> Result<(OwnedFd, CString)> {
    let mut path = path.as_bytes();
    while let Some(shorter) = path.strip_suffix(b"/") {
        path = shorter;
    }
    let cut = path.iter().rposition(|byte| *byte == b'/').ok_or(Errno::BUSY)?;
    let (directory, name) = path.split_at_checked(cut.saturating_add(1)).ok_or(Errno::INVAL)?;
    if matches!(name, b"" | b"." | b"..") {
        return Err(Errno::INVAL);
    }
    let name = CString::new(name).map_err(|_| Errno::INVAL)?;
    Ok((open_place(directory, OFlags::DIRECTORY)?, name))
}

/// Passes unless the file belongs to the kernel's view of processes, where nothing is data.
pub fn refuse_proc(fd: BorrowedFd<'_>) -> Result<()> {
    if fstatfs(fd)?.f_type == PROC_SUPER_MAGIC {
        Err(Errno::ACCESS)
    } else {
        Ok(())
    }
}
