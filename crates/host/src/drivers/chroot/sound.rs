//! Whether a tree that was kept is what was left: nobody but root can have changed it, but a backup, a
//! `chmod -R`, a mount or a hand may have, and what it shows would be taken for the host's own.
//!
//! An entry that is added, removed or replaced changes the time of its directory, so directories and copies
//! are looked at, not each of a hundred thousand links. A link is the host's own file, whose mode the host may
//! change: where Landlock does not keep it from being written all the same, each is looked at, too.

use std::ffi::{CStr, CString};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, ResolveFlags, Statx, StatxFlags};
use rustix::io::Errno;
use stockade_linux::posture::Process;

use super::marks::{Marks, Top};
use super::tree::{gives_capabilities, is_harmless};

/// Looks at a tree, which is at `place`.
///
/// # Errors
/// The first thing that is not as it was left, in words.
pub(super) fn check(tree: &OwnedFd, place: &Path, marks: &Marks, each_file: bool) -> Result<(), String> {
    let failed = |error: Errno| error.to_string();
    if top(tree).map_err(failed)? != marks.top {
        return Err("its top was changed".to_owned());
    }
    nothing_mounted(place)?;
    let mount = look(tree, c"", AtFlags::EMPTY_PATH).map_err(failed)?.stx_mnt_id;
    for mark in &marks.brought {
        let path = mark.path();
        let name = CString::new(path.as_os_str().as_bytes()).map_err(|error| said(path, &error))?;
        let seen = look(tree, &name, AtFlags::SYMLINK_NOFOLLOW).map_err(|error| said(path, &error))?;
        let changed = seen.stx_ctime;
        if seen.stx_mnt_id != mount {
            return Err(said(path, &MOUNTED));
        }
        if !mark.is(seen.stx_ino, changed.tv_sec, changed.tv_nsec.into()) {
            return Err(said(path, &"it was changed"));
        }
    }
    if each_file {
        return modes(tree, place);
    }
    Ok(())
}

const MOUNTED: &str = "something is mounted there";

/// What is told of the top of a tree.
pub(super) fn top(tree: &OwnedFd) -> rustix::io::Result<Top> {
    let stat = rustix::fs::fstat(tree)?;
    let mut names = Vec::new();
    for entry in Dir::read_from(tree)? {
        let entry = entry?;
        if !is_dots(entry.file_name()) {
            names.push((entry.file_name().to_bytes().to_vec(), entry.ino()));
        }
    }
    names.sort();
    Ok(Top {
        inode: stat.st_ino,
        mode: stat.st_mode,
        owner: (stat.st_uid, stat.st_gid),
        names,
    })
}

/// A mount on a linked file changes nothing else.
fn nothing_mounted(place: &Path) -> Result<(), String> {
    let place = place.canonicalize().map_err(|error| said(place, &error))?;
    let own = Process::open(rustix::process::getpid().as_raw_nonzero().get());
    let mounts = own
        .and_then(|own| own.mounts())
        .map_err(|error| error.to_string())?;
    match mounts
        .iter()
        .find_map(|mount| mount.point.strip_prefix(&place).ok())
    {
        Some(point) => Err(said(point, &MOUNTED)),
        None => Ok(()),
    }
}

/// That no file can be written by others or gives rights.
fn modes(tree: &OwnedFd, place: &Path) -> Result<(), String> {
    let mut pending = vec![PathBuf::new()];
    while let Some(at) = pending.pop() {
        let failed = |error: Errno| said(&at, &error);
        let directory = open_within(tree, &at).map_err(failed)?;
        for entry in Dir::read_from(&directory).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let name = entry.file_name();
            let path = at.join(std::ffi::OsStr::from_bytes(name.to_bytes()));
            match entry.file_type() {
                _ if is_dots(name) => {}
                FileType::Directory => pending.push(path),
                FileType::Symlink => {}
                _ => {
                    let seen = rustix::fs::statat(&directory, name, AtFlags::SYMLINK_NOFOLLOW);
                    let seen = seen.map_err(|error| said(&path, &error))?;
                    let is_file = FileType::from_raw_mode(seen.st_mode) == FileType::RegularFile;
                    let harmless = is_harmless(seen.st_uid, seen.st_mode);
                    if !is_file || !harmless || gives_capabilities(&place.join(&path), seen.st_mode) {
                        return Err(said(&path, &"others could write it, or it gives rights"));
                    }
                }
            }
        }
    }
    Ok(())
}

/// Opens a directory below the top, through no link and into no mount.
fn open_within(tree: &OwnedFd, at: &Path) -> rustix::io::Result<OwnedFd> {
    let at = if at == Path::new("") { Path::new(".") } else { at };
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_XDEV;
    rustix::fs::openat2(tree, at, flags, Mode::empty(), resolve)
}

/// Fails where the kernel does not tell the mount (before Linux 5.8): then nothing is handed on.
fn look(at: &OwnedFd, name: &CStr, flags: AtFlags) -> rustix::io::Result<Statx> {
    let wanted = StatxFlags::INO | StatxFlags::CTIME | StatxFlags::MNT_ID;
    let seen = rustix::fs::statx(at, name, flags, wanted)?;
    if !StatxFlags::from_bits_retain(seen.stx_mask).contains(wanted) {
        return Err(Errno::NOTSUP);
    }
    Ok(seen)
}

fn is_dots(name: &CStr) -> bool {
    matches!(name.to_bytes(), b"." | b"..")
}

fn said(path: &Path, what: &dyn std::fmt::Display) -> String {
    if path == Path::new("") {
        what.to_string()
    } else {
        format!("{}: {what}", path.display())
    }
}
