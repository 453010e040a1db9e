//! Paths below the new root. Every path is resolved by `openat2` with `RESOLVE_IN_ROOT`
//! and without magic links, so that a link in an image cannot lead elsewhere (CVE-2019-19921,
//! CVE-2026-41579: mount targets that are links).

use std::ffi::OsStr;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use super::{CallResult, InCall};

const RESOLVE: ResolveFlags = ResolveFlags::IN_ROOT.union(ResolveFlags::NO_MAGICLINKS);

/// Opens a path of the new root without reading it.
pub(super) fn find(at: &Path) -> Result<OwnedFd, Errno> {
    rustix::fs::openat2(
        CWD,
        at,
        OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC,
        Mode::empty(),
        RESOLVE,
    )
}

/// Opens a mount point, making it (and what leads to it) if it is missing.
pub(super) fn mount_point(at: &Path, directory: bool) -> CallResult<OwnedFd> {
    let found = match find(at) {
        Err(Errno::NOENT) => {
            make(at, directory)?;
            find(at)
        }
        other => other,
    }
    .in_call(|| format!("openat2 {}", at.display()))?;
    let kind = rustix::fs::fstat(&found)
        .in_call(|| format!("fstat {}", at.display()))?
        .st_mode;
    let is_directory = FileType::from_raw_mode(kind) == FileType::Directory;
    if is_directory == directory && FileType::from_raw_mode(kind) != FileType::Symlink {
        return Ok(found);
    }
    Err(if directory { Errno::NOTDIR } else { Errno::ISDIR })
        .in_call(|| format!("use {} as a mount point", at.display()))
}

fn make(at: &Path, directory: bool) -> CallResult {
    let (parent, name) = parent_of(at)?;
    if directory {
        return make_directory(&parent, name, at, 0o755);
    }
    rustix::fs::openat(
        &parent,
        name,
        OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC,
        Mode::from_raw_mode(0o444),
    )
    .map(drop)
    .in_call(|| format!("create {}", at.display()))
}

/// Writes a file that must not exist yet.
pub(super) fn write_new(at: &Path, content: &[u8]) -> CallResult {
    let (parent, name) = parent_of(at)?;
    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = rustix::fs::openat(&parent, name, flags, Mode::from_raw_mode(0o444))
        .in_call(|| format!("create {}", at.display()))?;
    let mut rest = content;
    while !rest.is_empty() {
        let count = rustix::io::write(&file, rest).in_call(|| format!("write {}", at.display()))?;
        rest = rest.get(count..).unwrap_or_default();
    }
    Ok(())
}

/// The directory that holds a path, made if it is missing, and the last name.
fn parent_of(at: &Path) -> CallResult<(OwnedFd, &OsStr)> {
    let (Some(parent), Some(name)) = (at.parent(), at.file_name()) else {
        return Err(Errno::INVAL).in_call(|| format!("find the parent of {}", at.display()));
    };
    Ok((open_directory(parent)?, name))
}

fn open_directory(at: &Path) -> CallResult<OwnedFd> {
    let open = || {
        rustix::fs::openat2(
            CWD,
            at,
            OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
            Mode::empty(),
            RESOLVE,
        )
    };
    match open() {
        Err(Errno::NOENT) => {
            let (parent, name) = parent_of(at)?;
            make_directory(&parent, name, at, 0o755)?;
            open().in_call(|| format!("openat2 {}", at.display()))
        }
        other => other.in_call(|| format!("openat2 {}", at.display())),
    }
}

fn make_directory(parent: &OwnedFd, name: &OsStr, at: &Path, mode: u32) -> CallResult {
    match rustix::fs::mkdirat(parent, name, Mode::from_raw_mode(mode)) {
        Ok(()) | Err(Errno::EXIST) => Ok(()),
        Err(error) => Err(error).in_call(|| format!("mkdirat {}", at.display())),
    }
}

pub(super) fn directory(at: &Path, mode: u32) -> CallResult {
    let (parent, name) = parent_of(at)?;
    make_directory(&parent, name, at, mode)
}

pub(super) fn symlink(at: &Path, target: &Path) -> CallResult {
    let (parent, name) = parent_of(at)?;
    rustix::fs::symlinkat(target, &parent, name).in_call(|| format!("symlinkat {}", at.display()))
}

/// Writes a file that exists only for a moment; `RESOLVE_IN_ROOT` opened its directory.
pub(super) fn write_test(at: &Path) -> CallResult {
    const NAME: &str = ".stockade-write-test";
    let directory = open_directory(at)?;
    let file = rustix::fs::openat(
        &directory,
        NAME,
        OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC,
        Mode::from_raw_mode(0o600),
    )
    .in_call(|| format!("create {NAME} in {} as the workload", at.display()))?;
    let written = rustix::io::write(&file, b"x").in_call(|| format!("write {NAME} in {}", at.display()));
    rustix::fs::unlinkat(&directory, NAME, AtFlags::empty())
        .in_call(|| format!("unlink {NAME} in {}", at.display()))?;
    written.map(drop)
}

/// Makes a directory the root of all paths, and the current one. What was open outside of it must be closed
/// before anybody else runs here: it would be a way out. Tells device and inode of the new root.
pub(super) fn change_root(at: &Path) -> CallResult<(u64, u64)> {
    let before = identity("/")?;
    rustix::process::chroot(at).in_call(|| format!("chroot {}", at.display()))?;
    rustix::process::chdir("/").in_call(|| "chdir /")?;
    let after = identity("/")?;
    if before == after || identity("/..")? != after {
        return Err(Errno::XDEV).in_call(|| "leave the former root");
    }
    Ok(after)
}

#[allow(clippy::useless_conversion)] // widths differ by architecture
fn identity(path: &str) -> CallResult<(u64, u64)> {
    let seen = rustix::fs::stat(path).in_call(|| format!("stat {path}"))?;
    Ok((seen.st_dev.into(), seen.st_ino.into()))
}

/// Standard streams of the guest: the sandbox's own null device.
pub(super) fn null_standard_streams() -> CallResult {
    let null = rustix::fs::openat2(
        CWD,
        "/dev/null",
        OFlags::RDWR | OFlags::CLOEXEC,
        Mode::empty(),
        RESOLVE,
    )
    .in_call(|| "open /dev/null")?;
    rustix::stdio::dup2_stdin(null.as_fd()).in_call(|| "dup2 0")?;
    rustix::stdio::dup2_stdout(null.as_fd()).in_call(|| "dup2 1")?;
    rustix::stdio::dup2_stderr(null.as_fd()).in_call(|| "dup2 2")?;
    if rustix::fd::AsRawFd::as_raw_fd(&null) <= 2 {
        // It is one of the three itself and must stay.
        std::mem::forget(null);
    }
    Ok(())
}
