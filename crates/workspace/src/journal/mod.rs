//! Changes to a project that happen whole or not at all, and that can be taken back.
//!
//! Everything that is new is made aside first, in a *stage* on the project's own file
//! system. Then the steps are written down, and only then taken: each is one `renameat2`
//! (or one `fchmod`) that moves a new thing in and the former one out into the stage. How
//! far a process came that was killed is seen from what lies in the stage, so nothing is
//! written while steps are taken, and the same walk backwards serves to roll back and to
//! undo: the former files are the very same inodes, with all that belongs to them.

mod beside;
mod check;
mod forward;
mod history;
mod home;
mod index;
mod known;
mod mark;
mod pending;
mod reverse;

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

pub(crate) use check::time_of;
use forward::forward;
pub(crate) use history::Draft;
pub use history::{History, Undone};
pub(crate) use home::STAGE;
pub(crate) use index::IndexAt;
pub(crate) use known::Known;
pub(crate) use mark::Mark;

/// Called before each effect, with a word for it. Tests end the process there; otherwise it
/// does nothing.
pub type Pause<'a> = &'a dyn Fn(&'static str);

/// The tree that a step belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Tree {
    /// The user's project.
    Project,
    /// The change set: what was applied leaves it.
    Changes,
    /// What is known of the bases of its files: it goes with them.
    Bases,
}

/// What one step does. The thing that it moves lies in the stage under the step's number,
/// before or after.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "act")]
pub(crate) enum Act {
    /// Moves a new thing to a free name.
    Place { new: Mark },
    /// Exchanges what stands there with a new thing.
    Exchange { new: Mark, old: Mark },
    /// Moves what stands there away.
    Take { old: Mark },
    /// Changes the permission bits of a directory.
    Mode { from: u32, to: u32 },
}

/// One step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Step {
    pub(crate) tree: Tree,
    #[serde(with = "crate::name")]
    pub(crate) path: PathBuf,
    #[serde(flatten)]
    pub(crate) act: Act,
}

/// A directory of the project that gets, loses or exchanges a name: its time is put back by
/// an undo.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Touched {
    #[serde(with = "crate::name")]
    pub(crate) path: PathBuf,
    /// Seconds and nanoseconds of its mtime.
    pub(crate) modified: (i64, u32),
}

/// A file of which only a part was applied: that it changes is no conflict with the rest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PartOf {
    #[serde(with = "crate::name")]
    pub(crate) path: PathBuf,
    /// The ctime that it had: seconds and nanoseconds.
    pub(crate) changed: (i64, u32),
}

/// What is about to be done. Written before the first step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Journal {
    /// Version of this form.
    pub(crate) version: u32,
    /// When, in milliseconds since 1970.
    pub(crate) made_ms: u64,
    /// The project's root.
    #[serde(with = "crate::name")]
    pub(crate) project: PathBuf,
    /// Its inode: a directory that was put in its place is another project.
    pub(crate) project_inode: u64,
    /// The change set's upper directory.
    #[serde(with = "crate::name")]
    pub(crate) changes: PathBuf,
    /// The stage of the project's tree, if it cannot be in the history: a name in the
    /// project's root.
    pub(crate) beside: Option<String>,
    /// Otherwise its name in the entry.
    pub(crate) stage: String,
    /// The steps, in order.
    pub(crate) steps: Vec<Step>,
    /// Directories whose times change on the way.
    pub(crate) touched: Vec<Touched>,
    /// Indexes of git among what was put there.
    #[serde(default)]
    pub(crate) indexes: Vec<IndexAt>,
    /// Files of which only a part was applied.
    pub(crate) parts: Vec<PartOf>,
    /// How many paths this is to a person.
    pub(crate) paths: u64,
    /// The caller's own.
    pub(crate) note: Option<String>,
}

/// What stands in the project when all steps were taken. Its presence says that they were.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Done {
    pub(crate) version: u32,
    /// Every path that was put there, with all that lies below.
    pub(crate) placed: Vec<Placed>,
    /// The directories of [`Journal::touched`], with the times that they have now.
    pub(crate) touched: Vec<Touched>,
}

/// A path as the steps left it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Placed {
    #[serde(with = "crate::name")]
    pub(crate) path: PathBuf,
    pub(crate) mark: Mark,
}

/// That an undo has begun, and which directories get their times back.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Undoing {
    pub(crate) version: u32,
    pub(crate) touched: Vec<Touched>,
}

/// Version of all these forms.
pub(crate) const VERSION: u32 = 1;
