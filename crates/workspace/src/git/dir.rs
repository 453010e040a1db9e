//! The directory of one repository, as it stands on the host and inside.

use std::io::Read;
use std::path::{Path, PathBuf};

use super::error::{GitError, GitResult};
use super::modules;
use crate::change::{Change, ChangeSet, Entry, NodeKind};
use crate::trees::{Side, Trees};

/// A `.git` directory of which something changed.
pub(crate) struct GitDir<'a> {
    pub(crate) trees: &'a Trees,
    pub(crate) set: &'a ChangeSet,
    /// Where it is, relative to the workspace.
    pub(crate) path: PathBuf,
    worktree: PathBuf,
}

impl<'a> GitDir<'a> {
    pub(crate) fn new(trees: &'a Trees, set: &'a ChangeSet, path: PathBuf) -> Self {
        let parent = path.parent().unwrap_or(Path::new("")).to_owned();
        let mut dir = Self {
            trees,
            set,
            path,
            worktree: parent,
        };
        if dir.is_module() {
            // Where there is none, `check` says so before anything asks.
            dir.worktree = modules::worktree(&dir).unwrap_or_else(|_| dir.path.clone());
        }
        dir
    }

    /// The directory whose history it keeps.
    pub(crate) fn worktree(&self) -> &Path {
        &self.worktree
    }

    /// It is the repository of a submodule.
    pub(crate) fn is_module(&self) -> bool {
        modules::is_module(&self.path)
    }

    /// True if the host has none yet.
    pub(crate) fn is_new(&self) -> bool {
        self.change(&self.path)
            .is_some_and(|change| change.before.is_none())
    }

    /// What changed at a path of the workspace.
    pub(crate) fn change(&self, path: &Path) -> Option<&'a Change> {
        let changes = &self.set.changes;
        let found = changes.binary_search_by(|change| change.path.as_path().cmp(path));
        found.ok().and_then(|found| changes.get(found))
    }

    /// Everything that changed below a name of this directory.
    pub(crate) fn changes_below(&self, name: &str) -> impl Iterator<Item = &'a Change> + use<'a> {
        let top = self.path.join(name);
        let changes = &self.set.changes;
        let first = changes.partition_point(|change| change.path < top);
        let rest = changes.get(first..).unwrap_or_default();
        rest.iter()
            .take_while(move |change| change.path.starts_with(&top))
    }

    /// What stands at a name on one side: of the inside, the host's where nothing changed.
    pub(crate) fn entry(&self, side: Side, name: &Path) -> GitResult<Option<Entry>> {
        let path = self.path.join(name);
        if let Some(change) = self.change(&path) {
            return Ok(match side {
                Side::Before => change.before,
                Side::After => change.after,
            });
        }
        let entry = self.trees.entry(Side::Before, &path);
        entry.map_err(|error| GitError::file(&path, error))
    }

    /// The content of a file of one side; none if there is no such file.
    pub(crate) fn read(&self, side: Side, name: &Path, max_bytes: u64) -> GitResult<Option<Vec<u8>>> {
        let path = self.path.join(name);
        let Some(entry) = self.entry(side, name)? else {
            return Ok(None);
        };
        if entry.node != NodeKind::File {
            return match entry.node {
                NodeKind::Directory => Ok(None),
                _ => Err(GitError::file(&path, "it is a link or a special file")),
            };
        }
        if entry.bytes > max_bytes {
            return Err(GitError::file(
                &path,
                format!("it has more than {max_bytes} bytes"),
            ));
        }
        let file = self.file(side, &path)?;
        let mut bytes = Vec::new();
        let read = file.take(max_bytes).read_to_end(&mut bytes);
        read.map_err(|error| GitError::file(&path, error))?;
        Ok(Some(bytes))
    }

    /// Opens a file that stands at a path of the workspace.
    pub(crate) fn file(&self, side: Side, path: &Path) -> GitResult<std::fs::File> {
        let side = match self.change(path) {
            Some(_) => side,
            None => Side::Before,
        };
        self.trees
            .file(side, path)
            .map_err(|error| GitError::file(path, error))
    }
}
