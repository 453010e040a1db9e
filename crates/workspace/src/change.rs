//! The words in which a change set is described.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use serde::{Serialize, Serializer};

/// What happened to a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ChangeKind {
    /// It did not exist before.
    Added,
    /// It existed: its content, kind or permissions are others now.
    Changed,
    /// It is gone.
    Deleted,
    /// A directory whose former content is hidden as a whole.
    Replaced,
}

/// What stands at a path after the change (for a deletion: what stood there).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum NodeKind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link.
    Symlink,
    /// A named pipe, a socket or a device.
    Special,
    /// Not known: the workspace of a deletion could not be looked at.
    Unknown,
}

/// One change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Change {
    /// What happened.
    pub kind: ChangeKind,
    /// To what.
    pub node: NodeKind,
    /// Path relative to the workspace. Any bytes but NUL: escape it before showing it.
    #[serde(serialize_with = "lossless_path")]
    pub path: PathBuf,
    /// Size of a regular file now; 0 for everything else.
    pub bytes: u64,
}

/// How much changed. A directory counts apart from files, so that "4 files" means files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Files, links and special files that are new.
    pub added: u64,
    /// Files, links and special files that are different.
    pub changed: u64,
    /// Names that are gone; a deleted directory counts as one.
    pub deleted: u64,
    /// Directories that are new, replaced or have other permissions.
    pub directories: u64,
    /// Total size of the regular files in the change set.
    pub bytes: u64,
}

/// What a sandbox changed in its workspace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ChangeSet {
    /// How much changed.
    pub counts: Counts,
    /// Each change, sorted by path.
    pub changes: Vec<Change>,
    /// A limit of the scan was reached: there are more changes than are told here.
    pub truncated: bool,
}

impl Counts {
    /// Files and deleted names together: what a person calls "files changed".
    #[must_use]
    pub fn files(&self) -> u64 {
        self.added + self.changed + self.deleted
    }

    /// True if nothing was counted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.files() == 0 && self.directories == 0
    }

    pub(crate) fn add(&mut self, change: &Change) {
        self.bytes = self.bytes.saturating_add(change.bytes);
        let counter = match (change.kind, change.node) {
            (ChangeKind::Deleted, _) => &mut self.deleted,
            (_, NodeKind::Directory) => &mut self.directories,
            (ChangeKind::Added, _) => &mut self.added,
            (ChangeKind::Changed | ChangeKind::Replaced, _) => &mut self.changed,
        };
        *counter += 1;
    }
}

/// JSON strings are Unicode and file names are not: a byte that is not UTF-8 becomes
/// `\xNN` and a backslash becomes `\\`, so that different names stay different.
fn lossless_path<S: Serializer>(path: &Path, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(&escape(path.as_os_str()))
}

fn escape(name: &OsStr) -> String {
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
        let broken = escape(OsStr::from_bytes(b"a\xff"));
        let literal = escape(OsStr::new("a\\xff"));
        assert_eq!(broken, "a\\xff");
        assert_eq!(literal, "a\\\\xff");
    }

    #[test]
    fn a_deleted_directory_counts_as_a_deletion() {
        let mut counts = Counts::default();
        let path = PathBuf::from("d");
        counts.add(&Change {
            kind: ChangeKind::Deleted,
            node: NodeKind::Directory,
            path,
            bytes: 0,
        });
        assert_eq!((counts.deleted, counts.directories), (1, 0));
    }
}
