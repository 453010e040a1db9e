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
