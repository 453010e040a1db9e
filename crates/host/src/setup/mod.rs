//! Mending a host for ordinary users, as root: which changes it needs, and a journal by which
//! exactly those are taken back. All paths are below a root, so that a tree which is not this
//! system can be prepared, and tested.

mod apply;
mod changes;
mod files;
mod journal;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

pub use apply::{Done, Outcome, apply, undo};
pub use changes::{Survey, Wanted, survey};
pub use journal::JOURNAL;

/// One thing to write.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Change {
    /// Why it is needed.
    pub why: String,
    /// The file, as the system names it.
    pub path: PathBuf,
    /// What it will hold.
    pub content: String,
    /// What kind of file.
    pub kind: Kind,
    /// What makes the system take it up.
    pub activate: Option<Step>,
    /// What makes the system forget it, before it is removed.
    pub before_undo: Option<Step>,
    /// What tells the system that it is gone.
    pub after_undo: Option<Step>,
}

/// What kind of file is changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A file of ours, that does not exist yet.
    New,
    /// A value of the running kernel, that always exists.
    Value,
}

/// A program to start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// Its name.
    pub program: String,
    /// Its options.
    pub options: Vec<String>,
    /// What it works on.
    pub operand: Option<PathBuf>,
}

impl Step {
    fn new(program: &str, options: &[&str], operand: Option<&Path>) -> Self {
        Self {
            program: program.to_owned(),
            options: options.iter().map(|option| (*option).to_owned()).collect(),
            operand: operand.map(Path::to_owned),
        }
    }
}

impl std::fmt::Display for Step {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(&self.program)?;
        for option in &self.options {
            write!(out, " {option}")?;
        }
        match &self.operand {
            Some(operand) => write!(out, " {}", operand.display()),
            None => Ok(()),
        }
    }
}

/// A path of the system, below a root.
fn below(root: &Path, path: &Path) -> PathBuf {
    root.join(path.strip_prefix("/").unwrap_or(path))
}
