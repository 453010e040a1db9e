//! A whole tree as it is: owners, modes, times, attributes, holes, deletions, and files with
//! several names.

use std::cell::Cell;
use std::collections::HashMap;
use std::ffi::{CStr, OsStr};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, Stat, Uid};
use rustix::io::Errno;

use super::{Fidelity, close_directory, copy_attributes, copy_file, copy_link, open_any};
use crate::place::Place;
use crate::scan::each_name;

/// What is copied, and into what. Every directory of the copy is open to us until the end.
pub(crate) struct TreeCopy<'a> {
    pub(crate) from: &'a Place,
    pub(crate) to: &'a Place,
    /// A file that is known to be the same as this one of another tree can be linked to it.
    pub(crate) same: &'a dyn Fn(&Path, &Stat) -> bool,
    /// That tree.
    pub(crate) twin: Option<&'a Place>,
    /// Bytes that may be copied: counted down by what cannot be shared.
    pub(crate) budget: Option<&'a Cell<u64>>,
    /// Called for each node with its path, what it was, and its copy. It can end the copying.
    pub(crate) told: &'a mut dyn FnMut(&Path, &Stat, &Stat) -> Result<(), Errno>,
}

/// A directory of which the copy is not closed yet.
struct Open {
    path: PathBuf,
    like: Stat,
}

impl TreeCopy<'_> {
    /// Copies all that lies in the one directory into the other, and makes that like it.
    pub(crate) fn copy(mut self) -> Result<(), (PathBuf, Errno)> {
        let mut names_of: HashMap<u64, PathBuf> = HashMap::new();
        let mut opened = Vec::new();
        let mut pending = vec![PathBuf::new()];
        while let Some(path) = pending.pop() {
            let failed = |cause: Errno| (path.clone(), cause);
            let names = self.directory(&path, &mut opened).map_err(failed)?;
            for name in names {
                let stat = self.node(&path, &name, &mut names_of);
                let inner = path.join(OsStr::from_bytes(name.to_bytes()));
                if stat.map_err(|cause| (inner.clone(), cause))? {
                    pending.push(inner);
                }
            }
        }
        // The innermost first: what is made in a directory changes its time.
        for open in opened.iter().rev() {
            self.close(open).map_err(|cause| (open.path.clone(), cause))?;
        }
        Ok(())
    }

    /// Names of a directory, and its attributes for the copy.
    fn directory(&mut self, path: &Path, opened: &mut Vec<Open>) -> Result<Vec<std::ffi::CString>, Errno> {
        let from = self.open_original(path)?;
        let like = rustix::fs::fstat(&from)?;
        let to = self.to.directory(path)?;
        copy_attributes(from.as_fd(), to.as_fd(), Fidelity::EXACT.keep)?;
        let mut names = Vec::new();
        each_name(&from, |name| {
            names.push(name.to_owned());
            true
        })?;
        opened.push(Open {
            path: path.to_owned(),
            like,
        });
        Ok(names)
    }

    fn open_original(&self, path: &Path) -> Result<std::os::fd::OwnedFd, Errno> {
        if path.as_os_str().is_empty() {
            return self.from.directory(path);
        }
        let (parent, name) = self.from.parent(path)?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Ok(open_any(parent.as_fd(), &name, flags)?.descriptor)
    }

    /// True for a directory: what is in it comes later.
    fn node(&mut self, at: &Path, name: &CStr, names_of: &mut HashMap<u64, PathBuf>) -> Result<bool, Errno> {
        let path = at.join(OsStr::from_bytes(name.to_bytes()));
        let (from, to) = (self.from.directory(at)?, self.to.directory(at)?);
        let stat = rustix::fs::statat(&from, name, AtFlags::SYMLINK_NOFOLLOW)?;
        let kind = FileType::from_raw_mode(stat.st_mode);
        let is_directory = kind == FileType::Directory;
        if is_directory {
            rustix::fs::mkdirat(&to, name, Mode::RWXU)?;
        } else if let Some(first) = names_of.get(&stat.st_ino) {
            let (parent, first) = self.to.parent(first)?;
            rustix::fs::linkat(&parent, first.as_c_str(), &to, name, AtFlags::empty())?;
        } else {
            if !self.link_twin(&path, &stat, to.as_fd(), name) {
                self.make(kind, &stat, from.as_fd(), to.as_fd(), name)?;
            }
            if stat.st_nlink > 1 {
                names_of.insert(stat.st_ino, path.clone());
            }
        }
        let copy = rustix::fs::statat(&to, name, AtFlags::SYMLINK_NOFOLLOW)?;
        (self.told)(&path, &stat, &copy)?;
        Ok(is_directory)
    }

    fn link_twin(&self, path: &Path, stat: &Stat, to: BorrowedFd<'_>, name: &CStr) -> bool {
        let Some(twin) = self.twin.filter(|_| (self.same)(path, stat)) else {
            return false;
        };
        let Ok((parent, old)) = twin.parent(path) else {
            return false;
        };
        rustix::fs::linkat(&parent, old.as_c_str(), to, name, AtFlags::empty()).is_ok()
    }

    fn make(
        &self,
        kind: FileType,
        stat: &Stat,
        from: BorrowedFd<'_>,
        to: BorrowedFd<'_>,
        name: &CStr,
    ) -> Result<(), Errno> {
        match kind {
            FileType::RegularFile => {
                let fidelity = Fidelity {
                    budget: self.budget,
                    ..Fidelity::EXACT
                };
                copy_file(from, name, to, name, fidelity).map(drop)
            }
            FileType::Symlink => copy_link(from, name, to, name, Fidelity::EXACT).map(drop),
            _ => {
                // A deletion is a device 0:0, which everybody may make; other devices are not there,
                // because nobody inside may.
                let mode = Mode::from_raw_mode(stat.st_mode & 0o7777);
                rustix::fs::mknodat(to, name, kind, mode, stat.st_rdev)?;
                if rustix::process::geteuid().is_root() {
                    let (uid, gid) = (Uid::from_raw(stat.st_uid), Gid::from_raw(stat.st_gid));
                    rustix::fs::chownat(to, name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)?;
                }
                Ok(())
            }
        }
    }

    fn close(&self, open: &Open) -> Result<(), Errno> {
        let directory = self.to.directory(&open.path)?;
        close_directory(directory.as_fd(), &open.like, Fidelity::EXACT)
    }
}
