//! A private copy of a workspace, for sandboxes that cannot lay an overlay over it, and what was
//! changed in it.
//!
//! Which files were touched is told by inode and change time, which nobody but the kernel sets;
//! whether a touched one is different, by its content. The changes take the form of an
//! overlay's upper directory, so that whoever reads change sets knows one form.

mod distil;
mod former;
mod list;
mod live;
mod make;
pub mod mirror;
mod walk;

use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

pub use distil::{at, distil, gather, lost};
pub use live::{BASE, BASE_LIST, back, changed};
pub use make::{make, snapshot};
pub use walk::Calm;

/// The copy, in the directory of a change set. It may be a link to where the copy is.
pub const COPY: &str = "copy";
/// What the copy was like when it was made. It is there until the changes have been taken out.
pub const LIST: &str = "copy.list";
/// The list once all changes have been taken out and only have to be put in their place.
const DONE: &str = "copy.done";
/// The changes.
const UPPER: &str = "upper";
/// The changes while they are taken out.
const NEW: &str = "upper.new";
/// The changes of earlier sandboxes, when new ones have replaced them.
pub const OLD: &str = "upper.old";

/// How much may be copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CopyLimits {
    /// Names.
    pub names: u64,
    /// Bytes of regular files that could not be shared with the original.
    pub bytes: u64,
}

impl Default for CopyLimits {
    fn default() -> Self {
        Self {
            names: 200_000,
            bytes: 4 << 30,
        }
    }
}

/// Who owns the copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owner {
    /// Owner of what the workspace's owner owns.
    pub workload: (u32, u32),
    /// Owner of the rest: somebody that the workload is not.
    pub others: (u32, u32),
}

/// What is copied, and to where.
#[derive(Clone, Debug)]
pub struct Order {
    /// The workspace.
    pub source: PathBuf,
    /// The copy: made here.
    pub copy: PathBuf,
    /// Changes of earlier sandboxes that are to be in the copy: an overlay's upper directory.
    pub upper: Option<PathBuf>,
    /// The file that will tell what the copy was like.
    pub list: PathBuf,
    /// Nobody but the caller where there is none.
    pub owner: Option<Owner>,
    /// Below the workspace: made empty.
    pub hidden: Vec<PathBuf>,
    /// How much at most.
    pub limits: CopyLimits,
}

/// What was copied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Copied {
    /// Names.
    pub names: u64,
    /// Bytes that could not be shared with the original.
    pub bytes: u64,
    /// Sockets, pipes, devices and other file systems' directories, which are left out.
    pub left_out: u64,
}

/// What a copy was like, to ask for single names.
#[derive(Debug)]
pub struct Baseline(list::List);

impl Baseline {
    /// Of the copy in a change set's directory; none if there is no copy, or its list cannot be read.
    #[must_use]
    pub fn of(changes: &Path) -> Option<Self> {
        list::List::read(&changes.join(LIST)).ok().map(Self)
    }

    /// True if nothing has touched this since the copy was made.
    #[must_use]
    pub fn has(&self, path: &Path, now: &rustix::fs::Stat) -> bool {
        let was = self.0.names.get(path.as_os_str().as_bytes());
        was.is_some_and(|was| *was == list::Was::of(now))
    }
}

/// Opens a directory below a root, never through a link.
fn open_below(root: &OwnedFd, path: &Path) -> rustix::io::Result<OwnedFd> {
    crate::trees::open_below(root.as_fd(), path, crate::trees::DIRECTORY)
}
