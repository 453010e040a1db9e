//! The two trees of a change set, opened: paths are resolved beneath them and nowhere else.

use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FileType, Mode, OFlags, ResolveFlags, Stat};
use rustix::io::Errno;

use crate::change::{Entry, Moment, NodeKind, Stamp};
use crate::error::{Error, Result};

/// One of the two trees.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    /// The host's workspace.
    Before,
    /// What stands inside: the upper directory. It holds nothing that is unchanged.
    After,
}

/// The upper directory of a change set and the workspace below it, both opened.
#[derive(Debug)]
pub struct Trees {
    upper: OwnedFd,
    lower: Option<OwnedFd>,
}

/// How directories are opened: nothing that could block, no link.
pub(crate) const DIRECTORY: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC)
    .union(OFlags::NONBLOCK);
/// How files are opened: a pipe that was put in place of a file does not block, and a
/// terminal does not become ours.
pub(crate) const FILE: OFlags = OFlags::RDONLY
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC)
    .union(OFlags::NONBLOCK)
    .union(OFlags::NOCTTY);
/// How anything is opened that is only looked at: with both flags the last part of a path may
/// be a link, and it is the link that is opened (openat2(2)).
const NODE: OFlags = OFlags::PATH.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
/// An overlay does not look across mounts either.
const BENEATH: ResolveFlags = ResolveFlags::BENEATH
    .union(ResolveFlags::NO_SYMLINKS)
    .union(ResolveFlags::NO_MAGICLINKS)
    .union(ResolveFlags::NO_XDEV);

impl Trees {
    /// Opens the upper directory of an overlay and the workspace that is its lower one.
    /// Where the workspace is gone, the change set can still be read.
    ///
    /// # Errors
    /// [`Error::Open`] if the change set cannot be opened.
    pub fn open(upper: &Path, lower: &Path) -> Result<Self> {
        Ok(Self {
            upper: open_root("the change set", upper)?,
            lower: open_root("the workspace", lower).ok(),
        })
    }

    /// From directories that are open already.
    #[must_use]
    pub fn new(upper: OwnedFd, lower: Option<OwnedFd>) -> Self {
        Self { upper, lower }
    }

    /// False if the workspace is gone: what was changed cannot be told from what was added.
    #[must_use]
    pub fn has_workspace(&self) -> bool {
        self.lower.is_some()
    }

    /// The root of one side.
    #[must_use]
    pub fn root(&self, side: Side) -> Option<BorrowedFd<'_>> {
        match side {
            Side::Before => self.lower.as_ref().map(AsFd::as_fd),
            Side::After => Some(self.upper.as_fd()),
        }
    }

    /// Opens a directory of one side.
    pub(crate) fn directory(&self, side: Side, path: &Path) -> rustix::io::Result<OwnedFd> {
        open_below(self.root(side).ok_or(Errno::NOENT)?, path, DIRECTORY)
    }

    /// Opens a regular file of one side, never through a link.
    ///
    /// # Errors
    /// [`Error::Read`] if it cannot be opened or is no regular file (any more).
    pub fn file(&self, side: Side, path: &Path) -> Result<File> {
        let error = |cause: std::io::Error| Error::Read {
            path: path.to_owned(),
            cause,
        };
        let root = self.root(side).ok_or_else(|| error(Errno::NOENT.into()))?;
        let file = open_below(root, path, FILE).map_err(|errno| error(errno.into()))?;
        regular(file).map_err(|errno| error(errno.into()))
    }

    /// The target of a link of one side.
    ///
    /// # Errors
    /// [`Error::Read`] if it is no link (any more).
    pub fn link(&self, side: Side, path: &Path) -> Result<PathBuf> {
        use std::os::unix::ffi::OsStringExt;
        let read = || {
            let root = self.root(side).ok_or(Errno::NOENT)?;
            let link = open_below(root, path, NODE)?;
            rustix::fs::readlinkat(&link, c"", Vec::new())
        };
        read()
            .map(|target| PathBuf::from(std::ffi::OsString::from_vec(target.into_bytes())))
            .map_err(|errno| Error::Read {
                path: path.to_owned(),
                cause: errno.into(),
            })
    }

    /// What stands at a path of one side now; none if nothing does.
    ///
    /// # Errors
    /// [`Error::Read`] if its directory cannot be looked into.
    pub fn entry(&self, side: Side, path: &Path) -> Result<Option<Entry>> {
        let Some(root) = self.root(side) else {
            return Ok(None);
        };
        match open_below(root, path, NODE).and_then(|there| rustix::fs::fstat(&there)) {
            Ok(stat) => Ok(Some(entry(&stat))),
            // Where a directory on the way is a link or a mount, nothing of the tree is there.
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::XDEV) => Ok(None),
            Err(errno) => Err(Error::Read {
                path: path.to_owned(),
                cause: errno.into(),
            }),
        }
    }
}

/// What a path has, in our words.
pub(crate) fn entry(stat: &Stat) -> Entry {
    let node = node_kind(stat);
    let is_sized = matches!(node, NodeKind::File | NodeKind::Symlink);
    Entry {
        node,
        mode: stat.st_mode & 0o7777,
        bytes: if is_sized {
            u64::try_from(stat.st_size).unwrap_or(0)
        } else {
            0
        },
        links: if node == NodeKind::Directory {
            1
        } else {
            stat.st_nlink
        },
        stamp: Stamp {
            device: stat.st_dev,
            inode: stat.st_ino,
            modified: moment(stat.st_mtime, stat.st_mtime_nsec),
            changed: moment(stat.st_ctime, stat.st_ctime_nsec),
        },
    }
}

fn moment(seconds: i64, nanos: impl TryInto<u32>) -> Moment {
    Moment {
        seconds,
        nanos: nanos.try_into().unwrap_or(0),
    }
}

pub(crate) fn node_kind(stat: &Stat) -> NodeKind {
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => NodeKind::File,
        FileType::Directory => NodeKind::Directory,
        FileType::Symlink => NodeKind::Symlink,
        _ => NodeKind::Special,
    }
}

/// A descriptor as a file, if it is one. What was listed may have been exchanged meanwhile.
pub(crate) fn regular(descriptor: OwnedFd) -> rustix::io::Result<File> {
    let stat = rustix::fs::fstat(&descriptor)?;
    if node_kind(&stat) == NodeKind::File {
        Ok(File::from(descriptor))
    } else {
        Err(Errno::INVAL)
    }
}

pub(crate) fn open_root(what: &'static str, path: &Path) -> Result<OwnedFd> {
    rustix::fs::openat(CWD, path, DIRECTORY, Mode::empty()).map_err(|cause| Error::Open {
        what,
        path: path.to_owned(),
        cause: cause.into(),
        remedy: "it was removed or belongs to another user; see `stockade changes`",
    })
}

pub(crate) fn open_below(root: BorrowedFd<'_>, path: &Path, flags: OFlags) -> rustix::io::Result<OwnedFd> {
    if path.as_os_str().is_empty() {
        return rustix::fs::openat(root, c".", flags, Mode::empty());
    }
    rustix::fs::openat2(root, path, flags, Mode::empty(), BENEATH)
}
