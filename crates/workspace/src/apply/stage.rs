//! Making new things aside, from what lies in the change set.

use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

use rustix::fs::{AtFlags, OFlags};
use rustix::io::Errno;

use super::clock::Clock;
use crate::change::{Change, Entry, NodeKind};
use crate::copy::{self, Fidelity, Keep, Owners, Whose, acl};
use crate::journal::Mark;
use crate::place::Place;
use crate::write_error::{WriteError, WriteResult};

/// From where, and how.
pub(super) struct Maker<'a> {
    pub(super) project: &'a Place,
    pub(super) upper: &'a Place,
    pub(super) owners: Option<Owners>,
    pub(super) clock: Clock,
}

impl Maker<'_> {
    /// Makes a file or link in a directory of the stage, with another content if one is given.
    pub(super) fn leaf(
        &self,
        change: &Change,
        after: &Entry,
        to: &Place,
        path: &Path,
        content: Option<&[u8]>,
    ) -> WriteResult {
        let failed = |cause: Errno| WriteError::stage(&change.path, cause);
        let (from, name) = self.upper.parent(&change.path).map_err(failed)?;
        let (to, new_name) = to.parent(path).map_err(failed)?;
        let (from, to) = (from.as_fd(), to.as_fd());
        let fidelity = Fidelity {
            content,
            ..self.fidelity(after)
        };
        let read = match after.node {
            NodeKind::File => copy::copy_file(from, &name, to, &new_name, fidelity),
            NodeKind::Symlink => copy::copy_link(from, &name, to, &new_name, fidelity),
            NodeKind::Directory | NodeKind::Special | NodeKind::Unknown => Err(Errno::INVAL),
        };
        // What reaches the host is what was looked at: ctime is the kernel's, and no program
        // can set it.
        if !Mark::of(&read.map_err(failed)?).is_entry(after) {
            return Err(WriteError::changed(&change.path));
        }
        match after.node {
            NodeKind::File => self.access(change, (to, &new_name), after.mode).map_err(failed),
            _ => Ok(()),
        }
    }

    /// The access control list of the host's file, and the mode that goes with it.
    fn access(&self, change: &Change, (to, name): (BorrowedFd<'_>, &CStr), mode: u32) -> Result<(), Errno> {
        let is_file = change.before.is_some_and(|before| before.node == NodeKind::File);
        let hosts = if is_file {
            list_of(self.project, &change.path)?
        } else {
            None
        };
        let mode = match (hosts, list_of(self.upper, &change.path)?) {
            (None, None) => return Ok(()),
            (Some(hosts), _) => {
                acl::give(to, name, &hosts)?;
                mode
            }
            (None, Some(inside)) => acl::mode_without(&inside, mode),
        };
        let mode = rustix::fs::Mode::from_raw_mode(mode & 0o7777 & !copy::SETID);
        rustix::fs::chmodat(to, name, mode, AtFlags::empty())
    }

    /// Gives a file of the stage other permissions than the one inside has.
    pub(super) fn set_mode(&self, change: &Change, to: &Place, path: &Path, mode: u32) -> WriteResult {
        let set = || {
            let (parent, name) = to.parent(path)?;
            let raw = rustix::fs::Mode::from_raw_mode(mode & !copy::SETID);
            rustix::fs::chmodat(&parent, name.as_c_str(), raw, AtFlags::empty())?;
            self.access(change, (parent.as_fd(), &name), mode)
        };
        set().map_err(|cause| WriteError::stage(&change.path, cause))
    }

    /// Makes a directory, open to us.
    pub(super) fn directory(&self, change: &Change, to: &Place, path: &Path) -> WriteResult {
        let failed = |cause: Errno| WriteError::stage(&change.path, cause);
        let make = || {
            let (parent, name) = self.upper.parent(&change.path)?;
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let original = copy::open_any(parent.as_fd(), &name, flags)?.descriptor;
            let (to, new_name) = to.parent(path)?;
            let fidelity = Fidelity {
                keep: Keep::Plain,
                ..Fidelity::EXACT
            };
            copy::copy_directory(original.as_fd(), to.as_fd(), &new_name, fidelity)
        };
        make().map(drop).map_err(failed)
    }

    /// Gives a directory that is full its owner, time and mode. The outermost stays open to
    /// us, because moving a directory writes to it; the mode that it shall have is returned.
    pub(super) fn close(
        &self,
        change: &Change,
        after: &Entry,
        to: &Place,
        path: &Path,
        is_outermost: bool,
    ) -> WriteResult<Option<(u32, u32)>> {
        let failed = |cause: Errno| WriteError::stage(&change.path, cause);
        let close = || {
            let made = to.directory(path)?;
            let list = list_of(self.upper, &change.path)?;
            let mode = list.map_or(after.mode, |list| acl::mode_without(&list, after.mode)) & !copy::SETID;
            let for_now = if is_outermost { mode | 0o700 } else { mode };
            let mut like = self.upper.stat(&change.path)?.ok_or(Errno::NOENT)?;
            like.st_mode = like.st_mode & !0o7777 | for_now;
            copy::close_directory(made.as_fd(), &like, self.fidelity(after))?;
            Ok((for_now != mode).then_some((for_now, mode)))
        };
        close().map_err(failed)
    }

    fn fidelity(&self, after: &Entry) -> Fidelity<'_> {
        Fidelity {
            keep: Keep::Plain,
            owner: self.owners.as_ref().map_or(Whose::Maker, Whose::Mapped),
            modified: Some(self.clock.time(after.stamp.modified)),
            strip: copy::SETID,
            ..Fidelity::EXACT
        }
    }
}

/// The access control list at a path of a tree.
fn list_of(tree: &Place, path: &Path) -> Result<Option<Vec<u8>>, Errno> {
    match tree.parent(path) {
        Ok((parent, name)) => acl::of(parent.as_fd(), &name),
        Err(Errno::NOENT) => Ok(None),
        Err(error) => Err(error),
    }
}

/// What was made under a number.
pub(super) fn made(stage: &Place, number: usize, change: &Change) -> WriteResult<Mark> {
    let name = CString::new(number.to_string()).unwrap_or_default();
    rustix::fs::statat(stage.root(), name.as_c_str(), AtFlags::SYMLINK_NOFOLLOW)
        .map(|stat| Mark::of(&stat))
        .map_err(|cause| WriteError::stage(&change.path, cause))
}
