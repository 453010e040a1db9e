//! Git's ignore rules, as they stand on the host: those of the change set were written inside,
//! and could hide what they like. Git itself is never run.

use std::collections::HashMap;
use std::io::Read;
use std::path::{Path, PathBuf};

use ignore::Match;
use ignore::gitignore::{Gitignore, GitignoreBuilder};

use crate::trees::{Side, Trees};

/// More than any real file of rules has.
const MAX_BYTES: u64 = 1 << 20;

/// The rules of a workspace, read where they are needed.
pub struct IgnoreRules<'a> {
    trees: &'a Trees,
    files: HashMap<PathBuf, Gitignore>,
    exclude: Gitignore,
    /// Directories that were asked for already: the ignored one that they lie in.
    directories: HashMap<PathBuf, Option<PathBuf>>,
}

impl<'a> IgnoreRules<'a> {
    /// The rules of the workspace of a change set.
    #[must_use]
    pub fn new(trees: &'a Trees) -> Self {
        Self {
            trees,
            files: HashMap::new(),
            exclude: rules(trees, Path::new(".git/info/exclude")),
            directories: HashMap::new(),
        }
    }

    /// The ignored path that `path` is or lies in: the topmost.
    pub fn ignored(&mut self, path: &Path, is_directory: bool) -> Option<PathBuf> {
        let parent = path.parent()?;
        let above = match parent.as_os_str().is_empty() {
            true => None,
            false => self.directory(parent),
        };
        match above {
            Some(above) => Some(above),
            None => self.is_matched(path, is_directory).then(|| path.to_owned()),
        }
    }

    fn directory(&mut self, path: &Path) -> Option<PathBuf> {
        if let Some(known) = self.directories.get(path) {
            return known.clone();
        }
        // From the top down, without recursion: a path may be deep.
        let mut above = None;
        let parents: Vec<PathBuf> = path.ancestors().map(Path::to_owned).collect();
        for parent in parents
            .iter()
            .rev()
            .filter(|parent| !parent.as_os_str().is_empty())
        {
            if above.is_none() && self.is_matched(parent, true) {
                above = Some(parent.clone());
            }
            self.directories.insert(parent.clone(), above.clone());
        }
        above
    }

    /// The rules next to it decide before those further up.
    fn is_matched(&mut self, path: &Path, is_directory: bool) -> bool {
        for parent in path.ancestors().skip(1) {
            let Ok(below) = path.strip_prefix(parent) else {
                continue;
            };
            let trees = self.trees;
            let rules = self
                .files
                .entry(parent.to_owned())
                .or_insert_with(|| rules(trees, &parent.join(".gitignore")));
            match rules.matched(below, is_directory) {
                Match::None => {}
                found => return found.is_ignore(),
            }
        }
        self.exclude.matched(path, is_directory).is_ignore()
    }
}

/// A file of rules; none where there is no such file on the host.
fn rules(trees: &Trees, path: &Path) -> Gitignore {
    let mut bytes = Vec::new();
    let Ok(file) = trees.file(Side::Before, path) else {
        return Gitignore::empty();
    };
    if file.take(MAX_BYTES).read_to_end(&mut bytes).is_err() {
        return Gitignore::empty();
    }
    let mut builder = GitignoreBuilder::new("");
    for line in String::from_utf8_lossy(&bytes).lines() {
        // A rule that cannot be read hides nothing.
        let _ = builder.add_line(None, line);
    }
    builder.build().unwrap_or_else(|_| Gitignore::empty())
}
