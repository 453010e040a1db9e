//! What happened in a git repository inside, as commits and references rather than as files.
//!
//! Everything in a `.git` of the change set was written by untrusted code. Git itself is never
//! run on it: its settings name programs. Objects are read by a library, each is hashed, and
//! only what the references reach is looked at. Of the repository's settings nothing is obeyed;
//! they only tell whether its form is one that is understood here.

mod commits;
mod dir;
mod error;
mod find;
mod form;
mod index;
mod log;
mod modules;
mod name;
mod object;
mod places;
mod plan;
mod reach;
mod refs;
mod store;
mod tell;

pub use error::GitError;
pub use find::{GitFile, Repositories};
pub use plan::{GitDone, GitOutcome, GitWish};
pub use tell::{CommitTold, HeadTold, RefFate, RefTold, Told};

pub(crate) use dir::GitDir;
pub(crate) use form::{directories, git_directory};
pub(crate) use index::{MAX_BYTES as MAX_INDEX_BYTES, meaning};
pub(crate) use log::name_of as log_of;
pub(crate) use name::{Class, class};
pub(crate) use plan::{Plan, Planner, RefStep};
pub(crate) use refs::{Head, host_head, host_value, packed_without};
pub(crate) use store::Store;
pub(crate) use tell::tell;
