//! Removal in two steps. A directory is first renamed into `trash/`, which is one cheap and
//! atomic step, and freed later, when nobody waits: freeing a directory's block waits for
//! the disk on some hosts (57 µs to 4 ms each, measured on ext4 with `discard`).
//!
//! What lies in the trash may have been written by untrusted code: it may be deep, wide, and
//! without permission bits. So there is no recursion: a directory that is not empty gives
//! its subdirectories to the trash itself, whatever the depth, and work can stop at any
//! point and go on later.

use std::ffi::{CStr, CString, OsStr};
use std::num::NonZeroUsize;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rustix::fs::{AtFlags, CWD, Mode, OFlags, RenameFlags};
use rustix::io::Errno;
use rustix::path::Arg;

use super::files::{Dir, each_name};
use crate::error::Result;

/// Names read from a directory at a time.
const BATCH: usize = 256;

/// Where each removal waits for the device, as many can wait at once; measured, more help no more.
pub const REMOVERS: NonZeroUsize = NonZeroUsize::new(8).unwrap();

static SERIAL: AtomicU64 = AtomicU64::new(0);

/// What a call of [`Trash::empty`] has done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Emptied {
    /// Files and directories that were removed.
    pub removed: u64,
    /// There is more.
    pub more: bool,
    /// Entries that could not be removed.
    pub failed: u64,
    /// The first of them, and why.
    pub first_failed: Option<(PathBuf, Errno)>,
}

/// What one remover did with its share of a batch.
#[derive(Default)]
struct Share {
    done: Emptied,
    stuck: Vec<CString>,
}

impl Share {
    fn join(&mut self, other: Self) {
        self.done.removed += other.done.removed;
        self.done.failed += other.done.failed;
        self.done.more |= other.done.more;
        if self.done.first_failed.is_none() {
            self.done.first_failed = other.done.first_failed;
        }
        self.stuck.extend(other.stuck);
    }
}

/// The trash of a state directory.
#[derive(Debug)]
pub(crate) struct Trash {
    dir: Dir,
}

impl Trash {
    pub(crate) fn new(dir: Dir) -> Self {
        Self { dir }
    }

    /// Takes a directory; it is gone from its place at once.
    pub(crate) fn take(&self, from: BorrowedFd<'_>, name: &str) -> Result<(), Errno> {
        take(from, name, self.dir.fd())
    }

    /// Takes a directory that may forbid everything by its permission bits, as the one that
    /// overlay makes does: moving it writes its `..`.
    pub(crate) fn take_any(&self, from: BorrowedFd<'_>, name: &str) -> Result<(), Errno> {
        match self.take(from, name) {
            Err(Errno::ACCESS) => {
                let name = CString::new(name).map_err(|_| Errno::INVAL)?;
                open_any(from, &name)?;
                take(from, name.as_c_str(), self.dir.fd())
            }
            other => other,
        }
    }

    /// Frees what lies here, until there is no more or the time is over, in so many threads. A directory's
    /// subdirectories become entries of the trash, so a single tree is soon shared by all of them.
    pub(crate) fn empty(&self, time: Duration, removers: NonZeroUsize) -> Result<Emptied> {
        let deadline = Instant::now() + time;
        let mut all = Share::default();
        loop {
            let names = self.batch(&all.stuck)?;
            if names.is_empty() {
                return Ok(all.done);
            }
            let next = AtomicUsize::new(0);
            let work = || self.free_some(&names, &next, deadline);
            std::thread::scope(|scope| {
                let others = removers.get().min(names.len()) - 1;
                let others: Vec<_> = (0..others)
                    // Without a thread the work is done all the same.
                    .filter_map(|_| std::thread::Builder::new().spawn_scoped(scope, work).ok())
                    .collect();
                all.join(work());
                for other in others {
                    // One that panicked left its names, which come again.
                    all.join(other.join().unwrap_or_default());
                }
            });
            if all.done.more || all.stuck.len() >= BATCH {
                return Ok(all.done);
            }
        }
    }

    /// Frees names that nobody else has taken yet.
    fn free_some(&self, names: &[CString], next: &AtomicUsize, deadline: Instant) -> Share {
        let mut share = Share::default();
        while let Some(name) = names.get(next.fetch_add(1, Ordering::Relaxed)) {
            if Instant::now() >= deadline {
                share.done.more = true;
                return share;
            }
            match self.free(name, deadline, &mut share.done) {
                // Another process empties it, too, and was faster.
                Ok(()) | Err(Errno::NOENT) => {}
                Err(error) => {
                    share.done.failed += 1;
                    let path = self.dir.path().join(OsStr::from_bytes(name.to_bytes()));
                    share.done.first_failed.get_or_insert((path, error));
                    share.stuck.push(name.clone());
                }
            }
        }
        share
    }

    fn batch(&self, stuck: &[CString]) -> Result<Vec<CString>> {
        let own = open_directory(self.dir.fd(), c".").map_err(|error| self.dir.error("list", "", error))?;
        let mut names = Vec::new();
        each_name(own.as_fd(), |name| {
            if !stuck.iter().any(|known| known.as_c_str() == name) {
                names.push(name.to_owned());
            }
            names.len() < BATCH
        })
        .map_err(|error| self.dir.error("list", "", error))?;
        Ok(names)
    }

    /// Removes one entry; its subdirectories become entries themselves.
    fn free(&self, name: &CStr, deadline: Instant, done: &mut Emptied) -> Result<(), Errno> {
        match rustix::fs::unlinkat(self.dir.fd(), name, AtFlags::REMOVEDIR) {
            Ok(()) => {
                done.removed += 1;
                return Ok(());
            }
            Err(Errno::NOENT) => return Ok(()),
            Err(Errno::NOTDIR) => {
                rustix::fs::unlinkat(self.dir.fd(), name, AtFlags::empty())?;
                done.removed += 1;
                return Ok(());
            }
            Err(Errno::NOTEMPTY | Errno::EXIST) => {}
            Err(error) => return Err(error),
        }
        let directory = open_any(self.dir.fd(), name)?;
        if self.free_content(&directory, deadline, done)? {
            rustix::fs::unlinkat(self.dir.fd(), name, AtFlags::REMOVEDIR)?;
            done.removed += 1;
        }
        Ok(())
    }

    /// True when the directory is empty. What resists keeps nothing else from being removed.
    fn free_content(
        &self,
        directory: &OwnedFd,
        deadline: Instant,
        done: &mut Emptied,
    ) -> Result<bool, Errno> {
        loop {
            let own = open_directory(directory.as_fd(), c".")?;
            let mut names = Vec::new();
            each_name(own.as_fd(), |name| {
                names.push(name.to_owned());
                names.len() < BATCH
            })?;
            if names.is_empty() {
                return Ok(true);
            }
            let mut failed = None;
            for name in names {
                if Instant::now() >= deadline {
                    return Ok(false);
                }
                match self.free_child(directory, &name) {
                    Ok(removed) => done.removed += u64::from(removed),
                    Err(error) => failed = failed.or(Some(error)),
                }
            }
            if let Some(error) = failed {
                return Err(error);
            }
        }
    }

    fn free_child(&self, directory: &OwnedFd, name: &CStr) -> Result<bool, Errno> {
        match rustix::fs::unlinkat(directory, name, AtFlags::empty()) {
            Ok(()) => return Ok(true),
            Err(Errno::NOENT) => return Ok(false),
            Err(Errno::ISDIR | Errno::PERM) => {}
            Err(error) => return Err(error),
        }
        match rustix::fs::unlinkat(directory, name, AtFlags::REMOVEDIR) {
            Ok(()) => return Ok(true),
            Err(Errno::NOTEMPTY | Errno::EXIST) => {}
            // A file that cannot be removed, by a flag of its own or of its directory.
            Err(Errno::NOTDIR) => return Err(Errno::PERM),
            Err(error) => return Err(error),
        }
        // Moving a directory writes its `..`, which needs permission on the directory itself.
        open_any(directory.as_fd(), name)?;
        take(directory.as_fd(), name, self.dir.fd()).map(|()| false)
    }
}

/// Renames a directory to a new name in the trash.
fn take(from: BorrowedFd<'_>, name: impl Arg + Copy, trash: BorrowedFd<'_>) -> Result<(), Errno> {
    loop {
        let serial = SERIAL.fetch_add(1, Ordering::Relaxed);
        let new = format!("{}-{serial}", std::process::id());
        match rustix::fs::renameat_with(from, name, trash, &new, RenameFlags::NOREPLACE) {
            Err(Errno::EXIST) => {}
            Err(Errno::INVAL) => return rustix::fs::renameat(from, name, trash, &new),
            other => return other,
        }
    }
}

fn open_directory(at: BorrowedFd<'_>, name: &CStr) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(at, name, flags, Mode::empty())
}

/// Opens a directory even if its permission bits forbid it. They are changed through a
/// descriptor, so that what is changed is what was looked at.
fn open_any(at: BorrowedFd<'_>, name: &CStr) -> Result<OwnedFd, Errno> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let place = rustix::fs::openat(at, name, flags, Mode::empty())?;
    let mode = rustix::fs::fstat(&place)?.st_mode;
    if mode & 0o700 != 0o700 {
        let path = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&place));
        rustix::fs::chmodat(CWD, path, Mode::RWXU, AtFlags::empty())?;
    }
    open_directory(place.as_fd(), c".")
}
