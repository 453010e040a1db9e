//! What can go wrong while a change set is read.

use std::path::PathBuf;

/// Result of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// A change set could not be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The directory of a change set or of its workspace could not be opened.
    #[error("cannot open {what} {path}: {cause}; {remedy}")]
    Open {
        /// What it is: "the change set", "the workspace".
        what: &'static str,
        /// Where it is.
        path: PathBuf,
        /// What the kernel said.
        cause: std::io::Error,
        /// What to do.
        remedy: &'static str,
    },
    /// The workspace could not be copied.
    #[error(
        "cannot copy {path} of the workspace: {cause}; use --workspace-mode ro or rw, or cow with driver native"
    )]
    Copy {
        /// The file, relative to the workspace.
        path: PathBuf,
        /// What the kernel said.
        cause: std::io::Error,
    },
    /// The workspace is too large to be copied.
    #[error(
        "the workspace is too large to be copied: {what}; name a smaller one with --workspace, or use --workspace-mode ro or rw, or cow with driver native"
    )]
    CopyLimit {
        /// What there is too much of.
        what: String,
    },
    /// Whoever wanted a copy does not want it any more.
    #[error(
        "copying the workspace was stopped at {path}; it takes too long: name a smaller one with --workspace"
    )]
    CopyStopped {
        /// How far it came.
        path: PathBuf,
    },
    /// The changes could not be taken out of a copy.
    #[error(
        "cannot take the changes out of the copy of the workspace: {path}: {cause}; free space and run `stockade gc`"
    )]
    Distil {
        /// The file, relative to the copy.
        path: PathBuf,
        /// What the kernel said.
        cause: std::io::Error,
    },
    /// Somebody removed the copy.
    #[error(
        "the copy of the workspace at {at} is gone, and what was changed in it with it; `stockade gc` keeps what \
         earlier runs changed"
    )]
    CopyLost {
        /// Where it was.
        at: PathBuf,
    },
    /// Not all changes can be told, so no hash stands for them.
    #[error("the changes have no hash: {why}; apply or discard some of them")]
    Incomplete {
        /// Why not.
        why: String,
    },
    /// What a sandbox told of its workspace could not be taken into the copy of it.
    #[error(
        "cannot take in what the sandbox told of its workspace: {path}: {cause}; free space below the state directory"
    )]
    Mirror {
        /// The file, relative to the workspace.
        path: PathBuf,
        /// What the kernel said.
        cause: std::io::Error,
    },
    /// A directory inside the change set could not be listed.
    #[error("cannot list {path} in the change set: {cause}; run as the user that made the sandbox")]
    List {
        /// The directory, relative to the change set.
        path: PathBuf,
        /// What the kernel said.
        cause: std::io::Error,
    },
    /// A file or link of one of the trees could not be read.
    #[error("cannot read {path}: {cause}; make it readable for the user that runs stockade, or leave it out")]
    Read {
        /// The path, relative to the workspace.
        path: PathBuf,
        /// What the kernel said.
        cause: std::io::Error,
    },
}
