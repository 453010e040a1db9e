//! What happened in a git repository inside, as commits and references rather than as files.
//!
//! Everything in a `.git` of the change set was written by untrusted code. Git itself is never
//! run on it: its settings name programs. Objects are read by a library, each is hashed, and
//! only what the references reach is looked at. Of the repository's settings nothing is obeyed;
//! they only tell whether its form is one that is understood here.

mod commits;
mod dir;
mod error;
mod form;
mod name;
mod refs;
mod store;
mod tell;

pub use error::GitError;
pub use tell::{CommitTold, HeadTold, RefFate, RefTold, Told};

pub(crate) use dir::GitDir;
pub(crate) use form::{directories, git_directory};
pub(crate) use name::{Class, class};
pub(crate) use tell::tell;
