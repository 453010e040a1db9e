//! Which repositories of a change set can be taken over as commits, and what each file in them is.

use std::path::{Path, PathBuf};

use super::dir::GitDir;
use super::error::GitError;
use super::form::{check, directories};
use super::modules::is_module;
use super::name::{Class, class};
use super::tell::is_repository;
use crate::change::ChangeSet;
use crate::trees::Trees;

/// The repositories in which something changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Repositories {
    /// Their `.git`, relative to the workspace, and what is wrong with it if something is.
    found: Vec<(PathBuf, Option<GitError>)>,
}

/// What a file is to git.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GitFile {
    /// It is taken with the commits of this repository.
    Data(PathBuf),
    /// Its repository was made into something else inside: none of it is taken.
    Broken,
    /// It is the state of something that is not finished.
    Unfinished,
    /// Never taken: git would look for objects elsewhere.
    Alternates,
    /// A file of a repository that is none of the above.
    Other,
}

impl Repositories {
    /// Looks at the form of each repository.
    #[must_use]
    pub fn find(trees: &Trees, set: &ChangeSet) -> Self {
        let mut found = Vec::new();
        for path in directories(set) {
            let dir = GitDir::new(trees, set, path);
            if is_repository(&dir) {
                let problem = check(&dir).err();
                found.push((dir.path, problem));
            }
        }
        Self { found }
    }

    /// Those that can be taken over as commits.
    pub fn understood(&self) -> impl Iterator<Item = &Path> {
        let found = self.found.iter().filter(|(_, problem)| problem.is_none());
        found.map(|(path, _)| path.as_path())
    }

    /// What a path is to git; none if it is a file like any other.
    #[must_use]
    pub fn file(&self, path: &Path) -> Option<GitFile> {
        let around = self.found.iter().filter(|(top, _)| path.starts_with(top));
        let (top, problem) = around.max_by_key(|(top, _)| top.components().count())?;
        let name = path.strip_prefix(top).ok()?;
        match (class(name), problem) {
            (Class::Alternates, _) => Some(GitFile::Alternates),
            (_, Some(GitError::Form { .. })) if is_module(top) => Some(GitFile::Other),
            (_, Some(GitError::Form { .. })) => None,
            (Class::Data | Class::Scratch, Some(_)) => Some(GitFile::Broken),
            (Class::Data | Class::Scratch, None) => Some(GitFile::Data(top.clone())),
            (Class::Unfinished, _) => Some(GitFile::Unfinished),
            (Class::Other, _) => Some(GitFile::Other),
        }
    }
}
