//! The words in which a change set is described: the difference between two trees, path by
//! path. Nothing here reads a file.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use serde::{Serialize, Serializer};

use crate::risk::Risk;

/// What stands at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum NodeKind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link.
    Symlink,
    /// A named pipe, a socket or a device: never opened, never applied.
    Special,
    /// Not known: the workspace of a deletion could not be looked at.
    Unknown,
}

/// A moment as the file system keeps it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Moment {
    /// Seconds since 1970.
    pub seconds: i64,
    /// Nanoseconds within the second.
    pub nanos: u32,
}

/// What tells one state of a file from another without reading it. Programs can set
/// `modified` as they like, but not `changed`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Stamp {
    /// The device that it lies on.
    pub device: u64,
    /// Its inode.
    pub inode: u64,
    /// When its content was written last, as it says itself (mtime).
    pub modified: Moment,
    /// When the kernel last changed anything about it (ctime).
    pub changed: Moment,
}

/// What stands at a path on one side: before (the host's workspace) or after (inside).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// What it is.
    pub node: NodeKind,
    /// Permission bits, up to 0o7777.
    pub mode: u32,
    /// Size of a regular file, length of a link's target; 0 for everything else.
    pub bytes: u64,
    /// Names that this file has (hard links); a directory has one.
    #[serde(skip)]
    pub links: u64,
    /// Tells whether it is still what was looked at.
    #[serde(skip)]
    pub stamp: Stamp,
}

impl Entry {
    /// What a deletion removed, where the workspace cannot be looked at.
    pub(crate) const UNKNOWN: Self = Self {
        node: NodeKind::Unknown,
        mode: 0,
        bytes: 0,
        links: 0,
        stamp: Stamp {
            device: 0,
            inode: 0,
            modified: Moment { seconds: 0, nanos: 0 },
            changed: Moment { seconds: 0, nanos: 0 },
        },
    };

    /// Set-user-id or set-group-id: on the host it would run as somebody else.
    #[must_use]
    pub fn is_setid(&self) -> bool {
        self.node == NodeKind::File && self.mode & 0o6000 != 0
    }

    /// A file that somebody may execute.
    #[must_use]
    pub fn is_executable(&self) -> bool {
        self.node == NodeKind::File && self.mode & 0o111 != 0
    }
}

/// What happened at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ChangeKind {
    /// Nothing stood there before.
    Added,
    /// The same kind of thing stands there: its content or permissions are others now.
    Changed,
    /// Nothing stands there any more.
    Deleted,
    /// Something of another kind stands there: a link in place of a file.
    Replaced,
}

/// Whether two files of one path hold the same bytes. Times never decide.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Content {
    /// They do, or there is nothing to compare.
    Same,
    /// They do not, or only one side has any.
    Differs,
    /// Not compared, because a limit was reached or a side cannot be read: to be taken as
    /// different.
    Unknown,
}

/// One path at which the trees differ. A change set lists every such path: a deleted
/// directory is there with all that it held, a new one with all that it holds. To set each
/// path to `after` makes the one tree into the other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Change {
    /// Path relative to the workspace. Any bytes but NUL: escape it before showing it.
    #[serde(serialize_with = "lossless_path")]
    pub path: PathBuf,
    /// What happened.
    pub kind: ChangeKind,
    /// What stood there in the workspace.
    pub before: Option<Entry>,
    /// What stands there inside.
    pub after: Option<Entry>,
    /// Whether the content is another.
    pub content: Content,
    /// The content is the same, and attributes of programs (`user.`) are others.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub attributes: bool,
    /// Why a person should look before it reaches the host; filled by [`crate::judge`].
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub risks: Vec<Risk>,
    /// Git's rules, as they stood on the host, leave it out; filled by [`crate::judge`].
    pub ignored: bool,
    /// It meets a host file that changed since the sandbox began; filled by [`crate::Conflicts::mark`].
    pub conflict: bool,
}

impl Change {
    /// A change between two sides, of which at least one has something.
    #[must_use]
    pub fn new(path: PathBuf, before: Option<Entry>, after: Option<Entry>, content: Content) -> Self {
        let kind = match (&before, &after) {
            (None, _) => ChangeKind::Added,
            (Some(_), None) => ChangeKind::Deleted,
            (Some(before), Some(after)) if before.node == after.node => ChangeKind::Changed,
            (Some(_), Some(_)) => ChangeKind::Replaced,
        };
        Self {
            path,
            kind,
            before,
            after,
            content,
            attributes: false,
            risks: Vec::new(),
            ignored: false,
            conflict: false,
        }
    }

    /// What stands at the path now; for a deletion, what stood there.
    #[must_use]
    pub fn node(&self) -> NodeKind {
        self.after
            .or(self.before)
            .map_or(NodeKind::Unknown, |entry| entry.node)
    }

    /// Size of a regular file now; 0 for everything else.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.after
            .filter(|entry| entry.node == NodeKind::File)
            .map_or(0, |entry| entry.bytes)
    }

    /// The permission bits before and after, where both sides are of one kind and the bits
    /// are others.
    #[must_use]
    pub fn modes(&self) -> Option<(u32, u32)> {
        let (before, after) = (self.before?, self.after?);
        (before.node == after.node && before.node != NodeKind::Symlink && before.mode != after.mode)
            .then_some((before.mode, after.mode))
    }
}

/// How much changed. A directory counts apart from files, so that "4 files" means files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, serde::Deserialize)]
pub struct Counts {
    /// Files, links and special files that are new.
    pub added: u64,
    /// Files, links and special files that are different.
    pub changed: u64,
    /// Files, links and special files that are gone.
    pub deleted: u64,
    /// Directories that are new, gone or have other permissions.
    pub directories: u64,
    /// Total size of the regular files in the change set.
    pub bytes: u64,
}

/// A directory of a change set that could not be read: what is in it is unknown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Unread {
    /// The directory, relative to the workspace.
    #[serde(serialize_with = "lossless_path")]
    pub path: PathBuf,
    /// Why.
    pub why: String,
}

/// What a sandbox changed in its workspace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ChangeSet {
    /// How much changed.
    pub counts: Counts,
    /// Each change, sorted by path, a directory before what is in it.
    pub changes: Vec<Change>,
    /// A limit of the scan was reached, or a directory could not be read: there may be more
    /// changes than are told here.
    pub truncated: bool,
    /// Not all were counted: there may be more than [`ChangeSet::counts`] says. A list that is full
    /// is none of the reasons.
    #[serde(skip)]
    pub uncounted: bool,
    /// The first of the directories that could not be read.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unread: Vec<Unread>,
}

impl Counts {
    /// Files added, changed and deleted together: what a person calls "files changed".
    #[must_use]
    pub fn files(&self) -> u64 {
        self.added + self.changed + self.deleted
    }

    /// Everything together: what a person calls "changes".
    #[must_use]
    pub fn all(&self) -> u64 {
        self.files() + self.directories
    }

    /// True if nothing was counted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.all() == 0
    }

    /// Counts one more.
    pub fn add(&mut self, change: &Change) {
        self.bytes = self.bytes.saturating_add(change.bytes());
        let counter = match (change.kind, change.node()) {
            (_, NodeKind::Directory) => &mut self.directories,
            (ChangeKind::Deleted, _) => &mut self.deleted,
            (ChangeKind::Added, _) => &mut self.added,
            (ChangeKind::Changed | ChangeKind::Replaced, _) => &mut self.changed,
        };
        *counter += 1;
    }
}

/// JSON strings are Unicode and file names are not: a byte that is not UTF-8 becomes
/// `\xNN` and a backslash becomes `\\`, so that different names stay different.
pub(crate) fn lossless_path<S: Serializer>(path: &Path, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(&lossless(path.as_os_str()))
}

/// A name as Unicode, so that different names stay different.
#[must_use]
pub fn lossless(name: &OsStr) -> String {
    let mut text = String::with_capacity(name.len());
    for chunk in name.as_bytes().utf8_chunks() {
        text.push_str(&chunk.valid().replace('\\', "\\\\"));
        for byte in chunk.invalid() {
            text.push_str(&format!("\\x{byte:02x}"));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_differ_stay_different_in_json() {
        let broken = lossless(OsStr::from_bytes(b"a\xff"));
        let literal = lossless(OsStr::new("a\\xff"));
        assert_eq!(broken, "a\\xff");
        assert_eq!(literal, "a\\\\xff");
    }

    #[test]
    fn a_directory_counts_apart_from_files() {
        let directory = Entry {
            node: NodeKind::Directory,
            ..Entry::UNKNOWN
        };
        let mut counts = Counts::default();
        counts.add(&Change::new("d".into(), Some(directory), None, Content::Same));
        assert_eq!((counts.deleted, counts.directories), (0, 1));
    }
}
