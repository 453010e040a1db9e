//! What has been told and is not in the copy yet.

use std::ffi::CString;
use std::fs::{DirBuilder, File};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Mode, Timespec, Timestamps, UTIME_OMIT, XattrFlags};
use rustix::io::Errno;

use super::{PLAN, STAGE, Step, Traits, apply, failed, settled};
use crate::copy::{SETID, acl, is_plain};
use crate::error::{Error, Result};
use crate::trees::open_root;

/// A node that could not be made in the copy, and why.
pub type Skipped = (PathBuf, Errno);

/// A file under a number.
#[derive(Debug)]
pub struct Staged {
    /// The number.
    pub number: u32,
    file: File,
}

/// The stage of a copy. What is not committed goes with it.
#[derive(Debug)]
pub struct Stage {
    changes: PathBuf,
    trash: PathBuf,
    directory: OwnedFd,
    next: u32,
}

impl Stage {
    /// Begins one, in place of whatever an earlier one left. `trash` is a directory of the same file system.
    ///
    /// # Errors
    /// [`Error::Mirror`].
    pub fn begin(changes: &Path, trash: &Path) -> Result<Self> {
        let _calm = settled(changes)?;
        let stage = Self {
            changes: changes.to_owned(),
            trash: trash.to_owned(),
            directory: Self::make(changes, trash)?,
            next: 0,
        };
        Ok(stage)
    }

    fn make(changes: &Path, trash: &Path) -> Result<OwnedFd> {
        let path = changes.join(STAGE);
        discard(changes, trash)?;
        DirBuilder::new()
            .mode(0o700)
            .create(&path)
            .map_err(|cause| failed(STAGE, cause))?;
        open_root("what is taken in", &path)
    }

    /// A new file.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn file(&mut self) -> std::io::Result<Staged> {
        let number = self.number()?;
        let file = File::options()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(self.changes.join(STAGE).join(number.to_string()))?;
        Ok(Staged { number, file })
    }

    /// A new symbolic link.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn link(&mut self, target: &[u8], modified: (i64, u32)) -> std::io::Result<u32> {
        let number = self.number()?;
        let name = number.to_string();
        rustix::fs::symlinkat(target, &self.directory, &name)?;
        let flags = AtFlags::SYMLINK_NOFOLLOW;
        rustix::fs::utimensat(&self.directory, &name, &times(modified), flags)?;
        Ok(number)
    }

    fn number(&mut self) -> std::io::Result<u32> {
        let number = self.next;
        self.next = number.checked_add(1).ok_or(Errno::FBIG)?;
        Ok(number)
    }

    /// Brings all into the copy. What had no place there, because what was told does not fit together, is left out
    /// and named.
    ///
    /// # Errors
    /// [`Error::Mirror`]: before the plan was written, nothing has changed; after, the rest is done by whoever looks
    /// next, as soon as what stands in the way does not any more.
    pub fn commit(self, steps: Vec<Step>) -> Result<Vec<Skipped>> {
        let _calm = settled(&self.changes)?;
        apply::write(&self.changes, steps)?;
        apply::finish(&self.changes)
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        // A plan that could not be done to its end needs it. What stays is removed by the next one.
        if !self.changes.join(PLAN).exists() {
            let _ = discard(&self.changes, &self.trash);
        }
    }
}

fn discard(changes: &Path, trash: &Path) -> Result<()> {
    let path = changes.join(STAGE);
    for number in 0_u32.. {
        let to = trash.join(format!("stage-{}-{number}", std::process::id()));
        let (from, to) = ((rustix::fs::CWD, &path), (rustix::fs::CWD, &to));
        let flags = rustix::fs::RenameFlags::NOREPLACE;
        match rustix::fs::renameat_with(from.0, from.1, to.0, to.1, flags) {
            Ok(()) | Err(Errno::NOENT) => break,
            Err(Errno::EXIST) => {}
            Err(cause) => return Err(failed(STAGE, cause.into())),
        }
    }
    Ok(())
}

impl Staged {
    /// Writes a part.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn write(&self, at: u64, bytes: &[u8]) -> std::io::Result<()> {
        std::os::unix::fs::FileExt::write_all_at(&self.file, bytes, at)
    }

    /// All is written.
    ///
    /// # Errors
    /// What the kernel says; of a size, too, that no file here can have.
    pub fn finish(&self, size: u64, traits: &Traits) -> std::io::Result<()> {
        self.file.set_len(size)?;
        give(self.file.as_fd(), traits)
    }
}

/// Gives an open node its traits.
pub(super) fn give(node: BorrowedFd<'_>, traits: &Traits) -> std::io::Result<()> {
    let mut mode = traits.mode & 0o7777;
    // What runs as whoever owns it is not made for root out of what a guest says.
    if rustix::process::geteuid().is_root() {
        mode &= !SETID;
    }
    for (name, value) in &traits.attributes {
        let is_list = name == acl::NAME.as_bytes();
        if !is_list && !is_plain(name) {
            continue;
        }
        let name = CString::new(name.as_slice()).map_err(|_| Errno::INVAL)?;
        match rustix::fs::fsetxattr(node, &name, value, XattrFlags::empty()) {
            Ok(()) => {}
            // A list that cannot be had here must not widen what the group may do.
            Err(_) if is_list => mode = acl::mode_without(value, mode),
            Err(cause) => return Err(cause.into()),
        }
    }
    rustix::fs::fchmod(node, Mode::from_raw_mode(mode))?;
    Ok(rustix::fs::futimens(node, &times(traits.modified))?)
}

fn times((seconds, nanoseconds): (i64, u32)) -> Timestamps {
    const SECOND: u32 = 1_000_000_000;
    Timestamps {
        last_access: Timespec {
            tv_sec: 0,
            tv_nsec: UTIME_OMIT,
        },
        last_modification: Timespec {
            tv_sec: seconds,
            // Beyond a second it would mean something else to the kernel.
            tv_nsec: if nanoseconds < SECOND {
                nanoseconds.into()
            } else {
                0
            },
        },
    }
}

impl From<Skipped> for Error {
    fn from((path, cause): Skipped) -> Self {
        failed(path, cause.into())
    }
}
