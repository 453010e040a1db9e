//! Why a repository's changes cannot be read as commits and references.

use std::path::{Path, PathBuf};

use crate::name::shown;

/// Result of what reads a repository.
pub type GitResult<T = ()> = std::result::Result<T, GitError>;

/// What is wrong. The object or file is named; nothing of it reaches the host.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GitError {
    /// The repository has a form that is not understood, so it is left as the files it is.
    #[error("{why}")]
    Form {
        /// What it has.
        why: String,
    },
    /// It was given a form inside that the host's does not have: nothing of it is taken.
    #[error("{why}")]
    Inside {
        /// What it has.
        why: String,
    },
    /// A file in it cannot be read.
    #[error("cannot read {}: {why}", shown(path))]
    File {
        /// The file, relative to the project.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// An object is not what it has to be.
    #[error("object {id} {why}")]
    Object {
        /// Its name in hexadecimal.
        id: String,
        /// What is wrong.
        why: String,
    },
    /// There is more than a limit allows.
    #[error("{what}: more than {limit}")]
    Limit {
        /// What there is too much of.
        what: &'static str,
        /// The limit, with its unit.
        limit: String,
    },
}

impl GitError {
    pub(crate) fn form(why: impl Into<String>) -> Self {
        Self::Form { why: why.into() }
    }

    pub(crate) fn inside(why: impl Into<String>) -> Self {
        Self::Inside { why: why.into() }
    }

    #[allow(clippy::needless_pass_by_value)] // errors and texts alike
    pub(crate) fn file(path: &Path, why: impl std::fmt::Display) -> Self {
        Self::File {
            path: path.to_owned(),
            why: format!("{why}"),
        }
    }

    pub(crate) fn object(id: &gix_hash::oid, why: impl Into<String>) -> Self {
        Self::Object {
            id: id.to_string(),
            why: why.into(),
        }
    }
}
