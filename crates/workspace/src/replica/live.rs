//! A workspace that is written in place, and the copy of it that was made before: what differs, and
//! what brings the former state back. Both take the form of an overlay's upper directory.

use std::ffi::{CString, OsStr};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, FileType, Mode, XattrFlags};
use rustix::io::Errno;

use super::distil::{How, Taking, failed, give};
use super::list::List;
use super::open_below;
use super::walk::{Calm, Difference, walk};
use crate::copy::TreeCopy;
use crate::error::{Error, Result};
use crate::overlay::{is_opaque, is_whiteout, stat_at};
use crate::place::Place;
use crate::scan::each_name;
use crate::trees::open_root;

/// The copy, in the directory of a change set.
pub const BASE: &str = "base";
/// What the workspace was like when it was copied.
pub const BASE_LIST: &str = "base.list";

/// What was changed in place since the copy was made, as copies in a new directory. The change set's
/// directory holds the copy.
///
/// # Errors
/// [`Error::Open`], [`Error::List`] and [`Error::Distil`]; what was made stays.
pub fn changed(changes: &Path, project: &Path, upper: &Path) -> Result<()> {
    let project = open_root("the workspace", project)?;
    gather_into(&project, &list(changes)?, upper, Calm::Moving)
}

/// What makes the project again what it was when it was copied, or, with `over`, what it was at a
/// later checkpoint.
///
/// # Errors
/// As [`changed`], and [`Error::Distil`] for what was changed but could not be copied then.
pub fn back(changes: &Path, project: &Path, over: Option<&Path>, upper: &Path) -> Result<()> {
    let list = list(changes)?;
    let project = open_root("the workspace", project)?;
    let base = open_root("the checkpoint", &changes.join(BASE))?;
    let to = new_upper(&project, upper)?;
    let mut returning = Returning {
        place: upper,
        list: &list,
        taking: Taking {
            copy: &base,
            upper: &to,
            how: How::Copy(Calm::Moving),
            closed: Vec::new(),
        },
    };
    walk(&project, &list, Calm::Moving, &mut |difference| {
        returning.one(&difference)
    })?;
    if let Some(over) = over {
        let over = open_root("the checkpoint", over)?;
        returning.lay_over(&over)?;
    }
    returning.taking.close();
    Ok(())
}

pub(super) fn gather_into(tree: &OwnedFd, list: &List, upper: &Path, calm: Calm) -> Result<()> {
    let to = new_upper(tree, upper)?;
    let mut taking = Taking {
        copy: tree,
        upper: &to,
        how: How::Copy(calm),
        closed: Vec::new(),
    };
    walk(tree, list, calm, &mut |difference| taking.take(&difference))?;
    taking.close();
    Ok(())
}

fn new_upper(like: &OwnedFd, upper: &Path) -> Result<OwnedFd> {
    let at_top = |cause| failed(Path::new("."), cause);
    let root = rustix::fs::fstat(like).map_err(at_top)?;
    rustix::fs::mkdirat(CWD, upper, Mode::RWXU).map_err(at_top)?;
    give(upper, &root).map_err(at_top)?;
    open_root("a draft of the change set", upper)
}

fn list(changes: &Path) -> Result<List> {
    List::read(&changes.join(BASE_LIST)).map_err(|cause| Error::Distil {
        path: BASE_LIST.into(),
        cause,
    })
}

struct Returning<'a> {
    /// Where the draft is.
    place: &'a Path,
    list: &'a List,
    /// From the copy.
    taking: Taking<'a>,
}

impl Returning<'_> {
    fn one(&mut self, difference: &Difference) -> Result<()> {
        let (path, done) = match difference {
            Difference::File(path) | Difference::Gone(path) | Difference::NewDirectory(path, _) => {
                (path, self.bring(path))
            }
            Difference::Mode(path, _) => (path, self.mode(path)),
        };
        done.map_err(|cause| failed(path, cause))
    }

    fn bring(&mut self, path: &Path) -> rustix::io::Result<()> {
        let was = self.list.names.contains_key(path.as_os_str().as_bytes());
        let name =
            CString::new(path.file_name().ok_or(Errno::INVAL)?.as_bytes()).map_err(|_| Errno::INVAL)?;
        let stat = open_below(self.taking.copy, path.parent().unwrap_or(Path::new("")))
            .and_then(|parent| stat_at(&parent, &name));
        match stat {
            Ok(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::Directory => {
                self.taking.carry_directory(path, &stat)
            }
            Ok(_) => self.taking.carry(path),
            Err(Errno::NOENT) if !was => self.taking.whiteout(path),
            // It was there and could not be read: to delete it now would be a loss.
            Err(Errno::NOENT) => Err(Errno::NODATA),
            Err(cause) => Err(cause),
        }
    }

    fn mode(&mut self, path: &Path) -> rustix::io::Result<()> {
        let parent = open_below(self.taking.copy, path.parent().unwrap_or(Path::new("")))?;
        let name = path.file_name().ok_or(Errno::INVAL)?;
        let was = rustix::fs::statat(&parent, name, AtFlags::SYMLINK_NOFOLLOW)?;
        self.taking.directory(path, &was)
    }

    /// What a checkpoint says stands over what the copy says.
    fn lay_over(&mut self, over: &OwnedFd) -> Result<()> {
        let mut pending = vec![PathBuf::new()];
        while let Some(at) = pending.pop() {
            let at_dir = |cause| failed(&at, cause);
            let from = open_below(over, &at).map_err(at_dir)?;
            let mut names: Vec<CString> = Vec::new();
            each_name(&from, |name| {
                names.push(name.to_owned());
                true
            })
            .map_err(at_dir)?;
            for name in names {
                let path = at.join(OsStr::from_bytes(name.as_bytes()));
                if self
                    .lay_one(over, &from, &name, &path)
                    .map_err(|cause| failed(&path, cause))?
                {
                    pending.push(path);
                }
            }
        }
        Ok(())
    }

    /// True for a directory that stands on both sides.
    fn lay_one(
        &mut self,
        over: &OwnedFd,
        from: &OwnedFd,
        name: &CString,
        path: &Path,
    ) -> rustix::io::Result<bool> {
        let stat = stat_at(from, name)?;
        let to = self.taking.upper_parent(path)?;
        let stands = stat_at(&to, name).ok();
        let is_directory = |mode| FileType::from_raw_mode(mode) == FileType::Directory;
        let replaces = stands
            .as_ref()
            .is_some_and(|stands| is_whiteout(&to, name, stands));
        if !is_directory(stat.st_mode) {
            self.remove(
                &to,
                name,
                path,
                stands.is_some_and(|stands| is_directory(stands.st_mode)),
            )?;
            if is_whiteout(from, name, &stat) {
                return self.taking.whiteout(path).map(|()| false);
            }
            return super::distil::copy_node(from, &to, OsStr::from_bytes(name.as_bytes()), Calm::Still)
                .map(|()| false);
        }
        if stands.as_ref().is_some_and(|stands| is_directory(stands.st_mode)) {
            return Ok(true);
        }
        let opaque = replaces || open_below(over, path).is_ok_and(is_opaque);
        self.remove(&to, name, path, false)?;
        rustix::fs::mkdirat(&to, name, Mode::RWXU)?;
        let (from, to) = (open_below(over, path)?, open_below(self.taking.upper, path)?);
        if opaque {
            rustix::fs::fsetxattr(to.as_fd(), "user.overlay.opaque", b"y", XattrFlags::empty())?;
        }
        let copied = TreeCopy {
            from: &Place::from(from),
            to: &Place::from(to),
            same: &|_, _| false,
            twin: None,
            budget: None,
            told: &mut |_, _, _| Ok(()),
        };
        copied.copy().map(|()| false).map_err(|(_, cause)| cause)
    }

    /// Removes from the draft, which is ours.
    fn remove(&self, to: &OwnedFd, name: &CString, path: &Path, directory: bool) -> rustix::io::Result<()> {
        if directory {
            return std::fs::remove_dir_all(self.place.join(path))
                .map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO));
        }
        match rustix::fs::unlinkat(to, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(cause) => Err(cause),
        }
    }
}
