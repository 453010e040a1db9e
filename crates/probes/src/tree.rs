//! A directory as a value: everything that can be told of it from outside.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

/// Every file below a directory with type, mode, owner, time and content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tree(BTreeMap<PathBuf, String>);

impl Tree {
    /// Reads a directory; what cannot be read is part of the value, too.
    #[must_use]
    pub fn of(root: &Path) -> Self {
        Self::read(root, true)
    }

    /// The same for a driver whose sandboxes see other names of the same files: how many names a file
    /// has is not told.
    #[must_use]
    pub fn whatever_names(root: &Path) -> Self {
        Self::read(root, false)
    }

    /// Without a path and all below it.
    #[must_use]
    pub fn without(mut self, gone: &Path) -> Self {
        self.0.retain(|path, _| !path.starts_with(gone));
        self
    }

    fn read(root: &Path, names: bool) -> Self {
        let mut entries = BTreeMap::new();
        take(root, Path::new(""), names, &mut entries);
        Self(entries)
    }

    /// The differences, a line each, at most ten.
    #[must_use]
    pub fn differences(&self, later: &Self) -> String {
        let mut text = String::new();
        let all: std::collections::BTreeSet<&PathBuf> = self.0.keys().chain(later.0.keys()).collect();
        for path in all
            .into_iter()
            .filter(|path| self.0.get(*path) != later.0.get(*path))
            .take(10)
        {
            let show = |tree: &Self| tree.0.get(path).cloned().unwrap_or_else(|| "nothing".to_owned());
            let _ = write!(text, "\n  {}: {} -> {}", path.display(), show(self), show(later));
        }
        text
    }
}

fn take(root: &Path, below: &Path, names: bool, entries: &mut BTreeMap<PathBuf, String>) {
    let path = if below.as_os_str().is_empty() {
        root.to_path_buf()
    } else {
        root.join(below)
    };
    entries.insert(below.to_path_buf(), describe(&path, names));
    let is_directory = path.symlink_metadata().is_ok_and(|found| found.is_dir());
    if is_directory {
        for entry in path.read_dir().into_iter().flatten().flatten() {
            take(root, &below.join(entry.file_name()), names, entries);
        }
    }
}

fn describe(path: &Path, names: bool) -> String {
    let found = match path.symlink_metadata() {
        Ok(found) => found,
        Err(error) => return error.to_string(),
    };
    let content = if found.is_symlink() {
        path.read_link()
            .map_or_else(|error| error.to_string(), |target| target.display().to_string())
    } else if found.is_file() {
        std::fs::read(path).map_or_else(|error| error.to_string(), |bytes| hash(&bytes))
    } else {
        String::new()
    };
    // Shared by all worlds of the suite.
    let is_payload = path.file_name().is_some_and(|name| name == "attack");
    format!(
        "{:o} {}:{} {} links {} mtime {}.{} {content}",
        found.mode(),
        found.uid(),
        found.gid(),
        if found.is_file() { found.size() } else { 0 },
        if found.is_file() && names && !is_payload {
            found.nlink()
        } else {
            0
        },
        found.mtime(),
        found.mtime_nsec()
    )
}

/// The SHA-256 of some bytes, in hexadecimal.
#[must_use]
pub fn hash(bytes: &[u8]) -> String {
    Sha256::digest(bytes)
        .iter()
        .fold(String::new(), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_change_shows() {
        let place = tempfile::tempdir().unwrap();
        let file = place.path().join("a");
        std::fs::write(&file, "1").unwrap();
        let before = Tree::of(place.path());
        assert_eq!(before, Tree::of(place.path()));
        std::fs::write(&file, "2").unwrap();
        let later = Tree::of(place.path());
        assert_ne!(before, later);
        assert!(before.differences(&later).contains("\n  a: "));
    }

    #[test]
    fn a_further_name_shows_unless_that_is_asked_for() {
        let place = tempfile::tempdir().unwrap();
        let root = place.path().join("root");
        std::fs::create_dir(&root).unwrap();
        std::fs::write(root.join("a"), "1").unwrap();
        let (all, most) = (Tree::of(&root), Tree::whatever_names(&root));
        std::fs::hard_link(root.join("a"), place.path().join("b")).unwrap();
        assert_ne!(all, Tree::of(&root));
        assert_eq!(most, Tree::whatever_names(&root));
    }

    #[test]
    fn a_missing_directory_is_a_value() {
        let place = tempfile::tempdir().unwrap();
        assert_ne!(Tree::of(&place.path().join("none")), Tree::of(place.path()));
    }
}
