//! From a copy to a change set: only what is different stays, in the form of an overlay's upper
//! directory.

use std::ffi::{CString, OsStr};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, FileType, Mode, RenameFlags, Stat};
use rustix::io::Errno;

use super::list::List;
use super::live::gather_into;
use super::walk::{Calm, Difference, walk};
use super::{COPY, DONE, LIST, NEW, OLD, UPPER, mirror, open_below};
use crate::copy::{self, Fidelity, TreeCopy};
use crate::error::{Error, Result};
use crate::overlay::stat_at;
use crate::place::Place;
use crate::trees::open_root;

/// Takes the changes out of the copy in a change set's directory, if there is one that has not
/// been looked through. May be called again after it was interrupted. What is left of the copy
/// stays where it is. Nothing may write to the copy any more.
///
/// # Errors
/// [`Error::Open`], [`Error::List`] and [`Error::Distil`]; the list stays then, and so do all
/// changes, in the copy or taken out.
pub fn distil(changes: &Path) -> Result<bool> {
    if changes.join(DONE).exists() {
        return put_in_place(changes).map(|()| true);
    }
    let _calm = mirror::settled(changes)?;
    let Some((list, copy)) = open(changes)? else {
        return Ok(false);
    };
    let upper = changes.join(NEW);
    let root = rustix::fs::fstat(&copy).map_err(|cause| failed(Path::new("."), cause))?;
    match rustix::fs::mkdirat(CWD, &upper, Mode::RWXU) {
        Ok(()) => give(&upper, &root).map_err(|cause| failed(Path::new("."), cause))?,
        Err(Errno::EXIST) => {}
        Err(cause) => return Err(failed(Path::new("."), cause)),
    }
    let upper = open_root("the change set", &upper)?;
    let mut taking = Taking {
        copy: &copy,
        upper: &upper,
        how: How::Move,
        closed: Vec::new(),
    };
    walk(&copy, &list, Calm::Still, &mut |difference| {
        taking.take(&difference)
    })?;
    taking.close();
    std::fs::rename(changes.join(LIST), changes.join(DONE)).map_err(at_file(LIST))?;
    put_in_place(changes)?;
    Ok(true)
}

/// What [`distil`] would take out, copied to a new directory: for a look, or for a checkpoint, while
/// a sandbox uses the copy. False if there is no copy, and then nothing is made.
///
/// # Errors
/// As [`distil`]; what was made stays.
pub fn gather(changes: &Path, upper: &Path, calm: Calm) -> Result<bool> {
    let _calm = mirror::settled(changes)?;
    let Some((list, copy)) = open(changes)? else {
        return Ok(false);
    };
    gather_into(&copy, &list, upper, calm).map(|()| true)
}

/// All has been taken out: it takes the place of what earlier sandboxes changed, which is in it.
fn put_in_place(changes: &Path) -> Result<()> {
    let (upper, new) = (changes.join(UPPER), changes.join(NEW));
    if new.exists() {
        if upper.exists() {
            std::fs::rename(&upper, changes.join(OLD)).map_err(at_file(UPPER))?;
        }
        std::fs::rename(&new, &upper).map_err(at_file(NEW))?;
    }
    std::fs::remove_file(changes.join(DONE)).map_err(at_file(DONE))
}

fn at_file(name: &'static str) -> impl Fn(std::io::Error) -> Error {
    move |cause| Error::Distil {
        path: name.into(),
        cause,
    }
}

/// Where the copy in a change set's directory is, while its changes have not been taken out: it
/// is to be compared as a whole.
#[must_use]
pub fn at(changes: &Path) -> Option<PathBuf> {
    changes.join(LIST).exists().then_some(())?;
    std::fs::canonicalize(changes.join(COPY)).ok()
}

/// Where a copy was that lay elsewhere and has been removed before its changes were taken out.
#[must_use]
pub fn lost(changes: &Path) -> Option<PathBuf> {
    let at = std::fs::read_link(changes.join(COPY)).ok()?;
    let is_wanted = changes.join(LIST).exists();
    let is_gone = at.try_exists().is_ok_and(|there| !there);
    (is_wanted && is_gone).then_some(at)
}

fn open(changes: &Path) -> Result<Option<(List, OwnedFd)>> {
    let list = match List::read(&changes.join(LIST)) {
        Ok(list) => list,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(cause) => {
            return Err(Error::Distil {
                path: LIST.into(),
                cause,
            });
        }
    };
    if let Some(at) = lost(changes) {
        return Err(Error::CopyLost { at });
    }
    // Ours, and where the copy is: resolved, because a copy may lie elsewhere.
    let at = std::fs::canonicalize(changes.join(COPY)).map_err(|cause| Error::Distil {
        path: COPY.into(),
        cause,
    })?;
    Ok(Some((list, open_root("the copy of the workspace", &at)?)))
}

/// What becomes of what is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum How {
    /// It is not in the copy any more.
    Move,
    /// It is in both.
    Copy(Calm),
}

pub(super) struct Taking<'a> {
    pub copy: &'a OwnedFd,
    pub upper: &'a OwnedFd,
    pub how: How,
    /// Directories that get the mode they have in the copy once all is in them.
    pub closed: Vec<(PathBuf, Stat)>,
}

impl Taking<'_> {
    pub(super) fn take(&mut self, difference: &Difference) -> Result<()> {
        let (path, done) = match difference {
            Difference::File(path) => (path, self.carry(path)),
            Difference::NewDirectory(path, now) => (path, self.carry_directory(path, now)),
            Difference::Mode(path, now) => (path, self.directory(path, now)),
            Difference::Gone(path) => (path, self.whiteout(path)),
        };
        done.map_err(|cause| failed(path, cause))
    }

    pub(super) fn carry(&mut self, path: &Path) -> rustix::io::Result<()> {
        let (from, to) = (self.copy_parent(path)?, self.upper_parent(path)?);
        let name = path.file_name().ok_or(Errno::INVAL)?;
        match self.how {
            How::Move => rustix::fs::renameat_with(&from, name, &to, name, RenameFlags::empty()),
            How::Copy(calm) => copy_node(&from, &to, name, calm),
        }
    }

    /// Moving a directory writes its `..`, which its own mode may forbid.
    pub(super) fn carry_directory(&mut self, path: &Path, now: &Stat) -> rustix::io::Result<()> {
        if self.how != How::Move {
            return self.copy_directory(path);
        }
        match self.carry(path) {
            Err(Errno::ACCESS) => {
                let from = self.copy_parent(path)?;
                let name = path.file_name().ok_or(Errno::INVAL)?;
                rustix::fs::chmodat(&from, name, Mode::RWXU, AtFlags::empty())?;
                self.carry(path)?;
                let to = self.upper_parent(path)?;
                rustix::fs::chmodat(&to, name, Mode::from_raw_mode(now.st_mode), AtFlags::empty())
            }
            other => other,
        }
    }

    fn copy_directory(&mut self, path: &Path) -> rustix::io::Result<()> {
        let parent = self.upper_parent(path)?;
        rustix::fs::mkdirat(&parent, path.file_name().ok_or(Errno::INVAL)?, Mode::RWXU)?;
        let (from, to) = (open_below(self.copy, path)?, open_below(self.upper, path)?);
        let copied = TreeCopy {
            from: &Place::from(from),
            to: &Place::from(to),
            same: &|_, _| false,
            twin: None,
            budget: None,
            told: &mut |_, _, _| Ok(()),
        };
        copied.copy().map_err(|(_, cause)| cause)
    }

    pub(super) fn directory(&mut self, path: &Path, now: &Stat) -> rustix::io::Result<()> {
        self.upper_parent(&path.join("x"))?;
        self.closed.push((path.to_owned(), *now));
        Ok(())
    }

    /// A deletion, as overlay writes it: a character device 0:0, which needs no right (Linux 5.8).
    pub(super) fn whiteout(&mut self, path: &Path) -> rustix::io::Result<()> {
        let to = self.upper_parent(path)?;
        let name = path.file_name().ok_or(Errno::INVAL)?;
        match rustix::fs::mknodat(&to, name, FileType::CharacterDevice, Mode::empty(), 0) {
            // Taken out before this was interrupted.
            Ok(()) | Err(Errno::EXIST) => Ok(()),
            Err(cause) => Err(cause),
        }
    }

    fn copy_parent(&self, path: &Path) -> rustix::io::Result<OwnedFd> {
        open_below(self.copy, path.parent().unwrap_or(Path::new("")))
    }

    /// The directory that holds a path in the change set, made like that of the copy.
    pub(super) fn upper_parent(&mut self, path: &Path) -> rustix::io::Result<OwnedFd> {
        let parent = path.parent().unwrap_or(Path::new(""));
        match open_below(self.upper, parent) {
            Err(Errno::NOENT) => {}
            other => return other,
        }
        let (above, name) = (
            self.upper_parent(parent)?,
            parent.file_name().ok_or(Errno::INVAL)?,
        );
        rustix::fs::mkdirat(&above, name, Mode::RWXU)?;
        // By its name: it may be closed to its owner, too.
        let like = rustix::fs::statat(self.copy_parent(parent)?, name, AtFlags::SYMLINK_NOFOLLOW)?;
        let made = open_below(self.upper, parent)?;
        if rustix::process::geteuid().is_root() {
            let (uid, gid) = (
                rustix::fs::Uid::from_raw(like.st_uid),
                rustix::fs::Gid::from_raw(like.st_gid),
            );
            rustix::fs::fchown(&made, Some(uid), Some(gid))?;
        }
        self.closed.push((parent.to_owned(), like));
        Ok(made)
    }

    pub(super) fn close(&self) {
        for (path, like) in self.closed.iter().rev() {
            if let Ok(directory) = open_below(self.upper, path) {
                // A mode that could not be given shows as a change of mode, no more.
                let _ = rustix::fs::fchmod(&directory, Mode::from_raw_mode(like.st_mode & 0o7777));
            }
        }
    }
}

/// Copies what is no directory. What was removed meanwhile, and what no change set can hold, is
/// not there.
pub(super) fn copy_node(from: &OwnedFd, to: &OwnedFd, name: &OsStr, calm: Calm) -> rustix::io::Result<()> {
    let fidelity = Fidelity {
        force: calm == Calm::Still,
        ..Fidelity::EXACT
    };
    let name = CString::new(name.as_bytes()).map_err(|_| Errno::INVAL)?;
    let copied = match FileType::from_raw_mode(stat_at(from, &name)?.st_mode) {
        FileType::RegularFile => copy::copy_file(from.as_fd(), &name, to.as_fd(), &name, fidelity),
        FileType::Symlink => copy::copy_link(from.as_fd(), &name, to.as_fd(), &name, fidelity),
        _ => return Ok(()),
    };
    match copied {
        Ok(_) => Ok(()),
        Err(Errno::NOENT) if calm == Calm::Moving => Ok(()),
        Err(cause) => Err(cause),
    }
}

pub(super) fn give(upper: &Path, like: &Stat) -> rustix::io::Result<()> {
    if rustix::process::geteuid().is_root() {
        let (uid, gid) = (
            rustix::fs::Uid::from_raw(like.st_uid),
            rustix::fs::Gid::from_raw(like.st_gid),
        );
        rustix::fs::chown(upper, Some(uid), Some(gid))?;
    }
    rustix::fs::chmod(upper, Mode::from_raw_mode(like.st_mode & 0o7777))
}

pub(super) fn failed(path: &Path, cause: Errno) -> Error {
    Error::Distil {
        path: path.to_owned(),
        cause: cause.into(),
    }
}
