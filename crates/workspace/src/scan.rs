//! A bounded walk over a change set.

use std::ffi::{CString, OsStr};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FileType, Mode, OFlags, RawDir, ResolveFlags, Stat};

use crate::change::{Change, ChangeKind, ChangeSet, NodeKind};
use crate::error::{Error, Result};
use crate::overlay::{is_opaque, is_whiteout, stat_at};

/// How much a scan looks at before it says that there is more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScanLimits {
    /// Names looked at.
    pub names: u64,
    /// Changes kept in the list; further ones are only counted.
    pub listed: usize,
}

impl ScanLimits {
    /// For the line after a run: counts, no list.
    pub const COUNTS: Self = Self {
        names: 200_000,
        listed: 0,
    };
    /// For a list that a person asked for.
    pub const LIST: Self = Self {
        names: 5_000_000,
        listed: 1_000_000,
    };
}

const DIRECTORY: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC)
    .union(OFlags::NONBLOCK);

/// True if a change set holds nothing. Costs one directory read: it is on every run's path.
///
/// # Errors
/// [`Error::Open`] and [`Error::List`].
pub fn is_empty(upper: &Path) -> Result<bool> {
    let directory = open_root("the change set", upper)?;
    let mut empty = true;
    each_name(&directory, |_| {
        empty = false;
        false
    })
    .map_err(|cause| Error::List {
        path: PathBuf::from("."),
        cause: cause.into(),
    })?;
    Ok(empty)
}

/// Reads the change set in `upper`, the upper directory of an overlay over `lower`.
///
/// Where `lower` is gone, what was changed cannot be told from what was added: all is
/// called added.
///
/// # Errors
/// [`Error::Open`] if the change set cannot be opened, [`Error::List`] if a directory in it
/// cannot be listed.
pub fn scan(upper: &Path, lower: &Path, limits: ScanLimits) -> Result<ChangeSet> {
    let mut scan = Scan {
        upper: open_root("the change set", upper)?,
        lower: open_root("the workspace", lower).ok(),
        limits,
        names_left: limits.names,
        pending: vec![Pending {
            path: PathBuf::new(),
            covered: true,
        }],
        found: ChangeSet::default(),
    };
    // One path at a time and no recursion: depth costs neither stack nor descriptors.
    while let Some(directory) = scan.pending.pop() {
        scan.directory(&directory)?;
    }
    scan.found
        .changes
        .sort_by(|a, b| a.path.as_os_str().cmp(b.path.as_os_str()));
    Ok(scan.found)
}

/// A directory still to be read.
struct Pending {
    path: PathBuf,
    /// The workspace may have a directory at this path.
    covered: bool,
}

struct Scan {
    upper: OwnedFd,
    lower: Option<OwnedFd>,
    limits: ScanLimits,
    names_left: u64,
    pending: Vec<Pending>,
    found: ChangeSet,
}

impl Scan {
    fn directory(&mut self, at: &Pending) -> Result<()> {
        let upper = match open_below(&self.upper, &at.path) {
            Ok(upper) => upper,
            // A live sandbox removed it meanwhile, or its path is longer than the kernel takes.
            Err(rustix::io::Errno::NOENT | rustix::io::Errno::NOTDIR) => return Ok(()),
            Err(rustix::io::Errno::NAMETOOLONG | rustix::io::Errno::LOOP | rustix::io::Errno::XDEV) => {
                self.found.truncated = true;
                return Ok(());
            }
            // Closed by its own permission bits: what is in it stays unknown, and that is told.
            Err(rustix::io::Errno::ACCESS) if !at.path.as_os_str().is_empty() => {
                self.found.truncated = true;
                return Ok(());
            }
            Err(cause) => {
                return Err(Error::List {
                    path: at.path.clone(),
                    cause: cause.into(),
                });
            }
        };
        let lower = match &self.lower {
            Some(root) if at.covered => open_below(root, &at.path).ok(),
            _ => None,
        };
        let mut names = Vec::new();
        let names_left = &mut self.names_left;
        let mut truncated = false;
        each_name(&upper, |name| {
            if *names_left == 0 {
                truncated = true;
                return false;
            }
            *names_left -= 1;
            names.push(name.to_owned());
            true
        })
        .map_err(|cause| Error::List {
            path: at.path.clone(),
            cause: cause.into(),
        })?;
        self.found.truncated |= truncated;
        names.sort_unstable();
        // Pushed in reverse so that the walk goes on in order.
        for name in names.iter().rev() {
            self.name(&upper, lower.as_ref(), at, name);
        }
        Ok(())
    }

    fn name(&mut self, upper: &OwnedFd, lower: Option<&OwnedFd>, at: &Pending, name: &CString) {
        let Ok(now) = stat_at(upper, name) else {
            return; // removed meanwhile
        };
        let before = lower.and_then(|directory| stat_at(directory, name).ok());
        let path = at.path.join(OsStr::from_bytes(name.as_bytes()));
        if is_whiteout(upper, name, &now) {
            // A whiteout over nothing is what is left of a file that was made and removed.
            if let Some(node) = deleted_node(self.lower.is_some(), before.as_ref()) {
                self.record(ChangeKind::Deleted, node, path, 0);
            }
            return;
        }
        if node_kind(&now) == NodeKind::Directory {
            self.subdirectory(path, &now, before.as_ref());
            return;
        }
        let kind = if before.is_some() {
            ChangeKind::Changed
        } else {
            ChangeKind::Added
        };
        let node = node_kind(&now);
        let bytes = if node == NodeKind::File {
            u64::try_from(now.st_size).unwrap_or(0)
        } else {
            0
        };
        self.record(kind, node, path, bytes);
    }

    fn subdirectory(&mut self, path: PathBuf, now: &Stat, before: Option<&Stat>) {
        let was_directory = before.is_some_and(|stat| node_kind(stat) == NodeKind::Directory);
        let opaque = open_below(&self.upper, &path).is_ok_and(is_opaque);
        let kind = match before {
            None => Some(ChangeKind::Added),
            Some(_) if !was_directory || opaque => Some(ChangeKind::Replaced),
            Some(stat) if stat.st_mode != now.st_mode => Some(ChangeKind::Changed),
            Some(_) => None,
        };
        if let Some(kind) = kind {
            self.record(kind, NodeKind::Directory, path.clone(), 0);
        }
        self.pending.push(Pending {
            path,
            covered: was_directory,
        });
    }

    fn record(&mut self, kind: ChangeKind, node: NodeKind, path: PathBuf, bytes: u64) {
        let change = Change {
            kind,
            node,
            path,
            bytes,
        };
        self.found.counts.add(&change);
        if self.found.changes.len() < self.limits.listed {
            self.found.changes.push(change);
        } else if self.limits.listed > 0 {
            self.found.truncated = true;
        }
    }
}

fn deleted_node(lower_known: bool, before: Option<&Stat>) -> Option<NodeKind> {
    match before {
        Some(stat) => Some(node_kind(stat)),
        None if lower_known => None,
        None => Some(NodeKind::Unknown),
    }
}

fn node_kind(stat: &Stat) -> NodeKind {
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => NodeKind::File,
        FileType::Directory => NodeKind::Directory,
        FileType::Symlink => NodeKind::Symlink,
        _ => NodeKind::Special,
    }
}

fn open_root(what: &'static str, path: &Path) -> Result<OwnedFd> {
    rustix::fs::openat(CWD, path, DIRECTORY, Mode::empty()).map_err(|cause| Error::Open {
        what,
        path: path.to_owned(),
        cause: cause.into(),
        remedy: "it was removed or belongs to another user; see `stockade changes`",
    })
}

fn open_below(root: &OwnedFd, path: &Path) -> rustix::io::Result<OwnedFd> {
    if path.as_os_str().is_empty() {
        return rustix::fs::openat(root, c".", DIRECTORY, Mode::empty());
    }
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    rustix::fs::openat2(root, path, DIRECTORY, Mode::empty(), resolve)
}

/// Calls `each` with every name of a directory until it says no.
fn each_name(directory: impl AsFd, mut each: impl FnMut(&std::ffi::CStr) -> bool) -> rustix::io::Result<()> {
    let mut buffer = [MaybeUninit::uninit(); 8192];
    let mut entries = RawDir::new(directory.as_fd(), &mut buffer);
    while let Some(entry) = entries.next() {
        let entry = entry?;
        let name = entry.file_name();
        if name == c"." || name == c".." {
            continue;
        }
        if !each(name) {
            return Ok(());
        }
    }
    Ok(())
}
