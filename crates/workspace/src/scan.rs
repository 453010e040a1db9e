//! A bounded walk over a change set.

use std::collections::BTreeSet;
use std::ffi::{CStr, CString, OsStr};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, RawDir};
use rustix::io::Errno;

use crate::change::{Change, ChangeSet, Content, Entry, NodeKind, Unread};
use crate::compare::Budget;
use crate::copy::plain_attributes;
use crate::error::{Error, Result};
use crate::overlay::{is_opaque, is_whiteout, stat_at};
use crate::trees::{FILE, Side, Trees, entry, open_root, regular};

/// How much a scan looks at before it says that there is more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScanLimits {
    /// Names looked at, in both trees.
    pub names: u64,
    /// Changes kept in the list; further ones are only counted.
    pub listed: usize,
    /// Bytes read on each side to compare files whose size is the same. Those beyond are
    /// taken as different.
    pub compared_bytes: u64,
}

impl ScanLimits {
    /// For the line after a run: counts, no list.
    pub const COUNTS: Self = Self {
        names: 200_000,
        listed: 0,
        compared_bytes: 16 << 20,
    };
    /// For a list that a person asked for, or that is applied.
    pub const LIST: Self = Self {
        names: 5_000_000,
        listed: 1_000_000,
        compared_bytes: 16 << 30,
    };
}

/// Directories that could not be read and are named; more are only noted.
const NAMED_UNREAD: usize = 100;

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
/// # Errors
/// As [`Trees::open`] and [`Trees::scan`].
pub fn scan(upper: &Path, lower: &Path, limits: ScanLimits) -> Result<ChangeSet> {
    Trees::open(upper, lower)?.scan(limits)
}

impl Trees {
    /// Lists every path at which the trees differ. Costs with what was changed, not with the
    /// size of the workspace.
    ///
    /// Where the workspace is gone, what was changed cannot be told from what was added:
    /// all is called added.
    ///
    /// # Errors
    /// [`Error::List`] if the change set cannot be listed. What is wrong further down is told
    /// in the result.
    pub fn scan(&self, limits: ScanLimits) -> Result<ChangeSet> {
        self.scan_from(limits, false)
    }

    /// The same for a tree that holds everything, what is unchanged too: costs with the size of
    /// the workspace.
    ///
    /// # Errors
    /// As [`Trees::scan`].
    pub fn scan_whole(&self, limits: ScanLimits) -> Result<ChangeSet> {
        self.scan_from(limits, true)
    }

    fn scan_from(&self, limits: ScanLimits, pure: bool) -> Result<ChangeSet> {
        let mut scan = Scan {
            trees: self,
            limits,
            names_left: limits.names,
            budget: Budget {
                bytes: limits.compared_bytes,
            },
            pending: vec![Pending {
                path: PathBuf::new(),
                before: true,
                after: true,
                pure,
            }],
            found: ChangeSet::default(),
        };
        // One path at a time and no recursion: depth costs neither stack nor descriptors.
        while let Some(directory) = scan.pending.pop() {
            scan.directory(&directory)?;
        }
        scan.found.changes.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(scan.found)
    }
}

/// A directory still to be read.
struct Pending {
    path: PathBuf,
    /// The workspace has a directory here.
    before: bool,
    /// The upper directory has one here.
    after: bool,
    /// Nothing of the workspace shows through: the directory is opaque, or lies in one that
    /// is or that replaced something. It is the opposite of merged.
    pure: bool,
}

struct Scan<'a> {
    trees: &'a Trees,
    limits: ScanLimits,
    names_left: u64,
    budget: Budget,
    pending: Vec<Pending>,
    found: ChangeSet,
}

impl Scan<'_> {
    fn directory(&mut self, at: &Pending) -> Result<()> {
        let upper = match at.after.then(|| self.trees.directory(Side::After, &at.path)) {
            None => None,
            Some(Ok(upper)) => Some(upper),
            // A live sandbox removed it meanwhile.
            Some(Err(Errno::NOENT | Errno::NOTDIR)) => return Ok(()),
            Some(Err(cause)) => return self.unread(at, cause),
        };
        let lower = match at.before.then(|| self.trees.directory(Side::Before, &at.path)) {
            None | Some(Err(Errno::NOENT | Errno::NOTDIR | Errno::XDEV)) => None,
            Some(Ok(lower)) => Some(lower),
            // Whatever lies below cannot be compared or told to be deleted.
            Some(Err(cause)) if !at.path.as_os_str().is_empty() => {
                self.note_unread(at, cause);
                None
            }
            Some(Err(cause)) => return self.unread(at, cause),
        };
        let pure = at.pure || upper.as_ref().is_some_and(is_opaque);
        let inside = match &upper {
            Some(upper) => self.names(upper, at)?,
            None => BTreeSet::new(),
        };
        if let (true, Some(lower)) = (pure || upper.is_none(), &lower) {
            for name in self.names(lower, at)?.into_iter() {
                if !inside.contains(&name) {
                    self.hidden(lower, at, &name);
                }
            }
        }
        let upper = upper.as_ref();
        for name in &inside {
            if let Some(upper) = upper {
                self.name(upper, lower.as_ref(), at, name, pure);
            }
        }
        Ok(())
    }

    /// The root of the change set has to be readable; of everything else it is told.
    fn unread(&mut self, at: &Pending, cause: Errno) -> Result<()> {
        if at.path.as_os_str().is_empty() {
            return Err(Error::List {
                path: PathBuf::from("."),
                cause: cause.into(),
            });
        }
        self.note_unread(at, cause);
        Ok(())
    }

    fn note_unread(&mut self, at: &Pending, cause: Errno) {
        self.not_all_counted();
        if self.found.unread.len() < NAMED_UNREAD {
            self.found.unread.push(Unread {
                path: at.path.clone(),
                why: std::io::Error::from(cause).to_string(),
            });
        }
    }

    fn not_all_counted(&mut self) {
        self.found.truncated = true;
        self.found.uncounted = true;
    }

    /// Sorted, so that two scans of the same trees take the same time and tell the same.
    fn names(&mut self, directory: &OwnedFd, at: &Pending) -> Result<BTreeSet<CString>> {
        let mut names = BTreeSet::new();
        let names_left = &mut self.names_left;
        let mut truncated = false;
        let listed = each_name(directory, |name| {
            if *names_left == 0 {
                truncated = true;
                return false;
            }
            *names_left -= 1;
            names.insert(name.to_owned());
            true
        });
        if truncated {
            self.not_all_counted();
        }
        match listed {
            Ok(()) => Ok(names),
            Err(cause) => self.unread(at, cause).map(|()| names),
        }
    }

    /// A name of the upper directory.
    fn name(&mut self, upper: &OwnedFd, lower: Option<&OwnedFd>, at: &Pending, name: &CStr, pure: bool) {
        let Ok(now) = stat_at(upper, name) else {
            return; // removed meanwhile
        };
        let stood = lower.and_then(|directory| stat_at(directory, name).ok());
        let before = stood.as_ref().map(entry);
        let path = at.path.join(OsStr::from_bytes(name.to_bytes()));
        if is_whiteout(upper, name, &now) {
            self.whiteout(path, before);
            return;
        }
        let after = entry(&now);
        let was_directory = before.is_some_and(|before| before.node == NodeKind::Directory);
        let is_directory = after.node == NodeKind::Directory;
        let content = match (&before, lower) {
            (Some(before), Some(lower)) => self.content(name, (lower, before), (upper, &after)),
            _ if is_directory => Content::Same,
            _ => Content::Differs,
        };
        let is_same = before.is_some_and(|before| before.node == after.node && content == Content::Same);
        let is_same_mode =
            before.is_some_and(|before| before.mode == after.mode || after.node == NodeKind::Symlink);
        let attributes = is_same
            && after.node == NodeKind::File
            && lower.is_some_and(|lower| has_other_attributes(lower, upper, name));
        if was_directory || is_directory {
            self.pending.push(Pending {
                path: path.clone(),
                before: was_directory,
                after: is_directory,
                pure: pure || !was_directory,
            });
        }
        if !is_same || !is_same_mode || attributes {
            let change = Change::new(path, before, Some(after), content);
            self.record(Change { attributes, ..change });
        }
    }

    /// A name that a deletion stands for. Over nothing, it is what is left of a file that
    /// was made and removed.
    fn whiteout(&mut self, path: PathBuf, before: Option<Entry>) {
        let unknown = (!self.trees.has_workspace()).then_some(Entry::UNKNOWN);
        if let Some(before) = before.or(unknown) {
            self.deleted(path, before);
        }
    }

    /// A name of the workspace that an opaque or deleted directory hides.
    fn hidden(&mut self, lower: &OwnedFd, at: &Pending, name: &CStr) {
        if let Ok(stat) = stat_at(lower, name) {
            self.deleted(at.path.join(OsStr::from_bytes(name.to_bytes())), entry(&stat));
        }
    }

    fn deleted(&mut self, path: PathBuf, before: Entry) {
        if before.node == NodeKind::Directory {
            self.pending.push(Pending {
                path: path.clone(),
                before: true,
                after: false,
                pure: true,
            });
        }
        let content = if before.node == NodeKind::Directory {
            Content::Same
        } else {
            Content::Differs
        };
        self.record(Change::new(path, Some(before), None, content));
    }

    fn content(&mut self, name: &CStr, before: (&OwnedFd, &Entry), after: (&OwnedFd, &Entry)) -> Content {
        let ((lower, was), (upper, is)) = (before, after);
        match (was.node, is.node) {
            (NodeKind::File, NodeKind::File) if was.bytes != is.bytes => Content::Differs,
            (NodeKind::File, NodeKind::File) => match (open_file(lower, name), open_file(upper, name)) {
                (Ok(before), Ok(after)) => self.budget.compare(before, after, is.bytes),
                _ => Content::Unknown,
            },
            (NodeKind::Symlink, NodeKind::Symlink) => {
                let target = |directory: &OwnedFd| rustix::fs::readlinkat(directory, name, Vec::new());
                match (target(lower), target(upper)) {
                    (Ok(before), Ok(after)) if before == after => Content::Same,
                    (Ok(_), Ok(_)) => Content::Differs,
                    _ => Content::Unknown,
                }
            }
            (NodeKind::Directory, NodeKind::Directory) => Content::Same,
            // Which device or pipe it is does not matter: none is ever applied.
            _ => Content::Differs,
        }
    }

    fn record(&mut self, change: Change) {
        self.found.counts.add(&change);
        if self.found.changes.len() < self.limits.listed {
            self.found.changes.push(change);
        } else if self.limits.listed > 0 {
            self.found.truncated = true;
        }
    }
}

/// What cannot be read is taken as different.
fn has_other_attributes(lower: &OwnedFd, upper: &OwnedFd, name: &CStr) -> bool {
    let read = |directory| plain_attributes(open_file(directory, name).ok()?.as_fd()).ok();
    let (before, after) = (read(lower), read(upper));
    before.is_none() || before != after
}

fn open_file(directory: &OwnedFd, name: &CStr) -> rustix::io::Result<std::fs::File> {
    regular(rustix::fs::openat(directory, name, FILE, Mode::empty())?)
}

/// Calls `each` with every name of a directory until it says no.
pub(crate) fn each_name(directory: impl AsFd, mut each: impl FnMut(&CStr) -> bool) -> rustix::io::Result<()> {
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
