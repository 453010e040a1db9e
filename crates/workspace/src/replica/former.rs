//! Changes of earlier sandboxes, laid over the copy: what a later one goes on with.

use std::ffi::{CString, OsStr};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FileType, Mode, Stat};
use rustix::io::Errno;

use super::make::Making;
use super::open_below;
use crate::error::Result;
use crate::overlay::{is_opaque, is_whiteout, stat_at};
use crate::scan::each_name;

impl Making<'_> {
    /// Lays an overlay's upper directory over the copy. What stands in the list stays there, so
    /// that a former deletion is one again; what came from here is in no list, so that it is a
    /// change again.
    pub(super) fn lay_over(&mut self, upper: &OwnedFd) -> Result<()> {
        let mut pending = vec![PathBuf::new()];
        while let Some(at) = pending.pop() {
            let from = self.step(&at, open_below(upper, &at))?;
            let mut names: Vec<CString> = Vec::new();
            let listed = each_name(&from, |name| {
                names.push(name.to_owned());
                true
            });
            self.step(&at, listed)?;
            for name in names {
                let path = at.join(OsStr::from_bytes(name.as_bytes()));
                self.count(&path)?;
                let laid = self.lay_one(&from, &name, &path, upper);
                if self.step(&path, laid)? {
                    pending.push(path);
                }
            }
        }
        Ok(())
    }

    /// True for a directory, whose names follow.
    fn lay_one(
        &mut self,
        from: &OwnedFd,
        name: &CString,
        path: &Path,
        upper: &OwnedFd,
    ) -> rustix::io::Result<bool> {
        let stat = stat_at(from, name)?;
        let to = open_below(self.copy(), path.parent().unwrap_or(Path::new("")))?;
        let stood = stat_at(&to, name).ok();
        let was_directory = stood.as_ref().is_some_and(is_directory);
        if is_whiteout(from, name, &stat) {
            return self.remove(&to, name, path, stood.as_ref()).map(|()| false);
        }
        if is_directory(&stat) {
            let opaque = open_below(upper, path).is_ok_and(is_opaque);
            if opaque || !was_directory {
                self.remove(&to, name, path, stood.as_ref())?;
                rustix::fs::mkdirat(&to, name, Mode::RWXU)?;
            }
            self.forget(path, &stat);
            return Ok(true);
        }
        self.remove(&to, name, path, stood.as_ref())?;
        self.copy_node(from, &to, name, &stat)?;
        Ok(false)
    }

    /// Removes what stands in the copy: it is ours, and nobody else has it open yet.
    fn remove(
        &self,
        to: &OwnedFd,
        name: &CString,
        path: &Path,
        stood: Option<&Stat>,
    ) -> rustix::io::Result<()> {
        match stood {
            None => Ok(()),
            Some(stat) if is_directory(stat) => std::fs::remove_dir_all(self.place(path))
                .map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO)),
            Some(_) => rustix::fs::unlinkat(to, name, AtFlags::empty()),
        }
    }
}

fn is_directory(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::Directory
}
