//! What is known of a change set, beside the changes.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use stockade_domain::Exit;
use stockade_workspace::Counts;

use super::KeptChanges;
use crate::error::Result;
use crate::state::files::{Dir, Durability, from_json, to_json};
use crate::state::{Clocks, Status};

pub(super) const FILE: &str = "meta.json";
const VERSION: u32 = 2;
/// Runs that are remembered: the first, and the last of the others.
const MAX_RUNS: usize = 200;

/// What is known of a change set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ChangeMeta {
    /// Version of this form.
    pub version: u32,
    /// The directory that was changed.
    pub workspace: PathBuf,
    /// The sandboxes that used it, oldest first. Of very many some are left out.
    pub runs: Vec<RunMeta>,
    /// How much had changed when the last of them ended; none if it could not be read.
    pub counts: Option<Counts>,
    /// There may have been more than was counted.
    pub truncated: bool,
}

/// A sandbox that used a change set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunMeta {
    /// Its id.
    pub id: String,
    /// Its name, if it had one.
    pub name: Option<String>,
    /// Its first command.
    pub command: Vec<String>,
    /// When it began, in milliseconds since 1970.
    pub created_ms: u64,
    /// What files made at that moment bear, in milliseconds since 1970; none from a program
    /// that did not note it.
    #[serde(default)]
    pub stamp_ms: Option<u64>,
    /// The time of day was set back while it ran, so times tell nothing of what it saw.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub time_set_back: bool,
    /// When it ended, in milliseconds since 1970; none if its shim was killed.
    pub ended_ms: Option<u64>,
    /// How it ended, if that is known.
    pub exit: Option<Exit>,
    /// Who owned the files that it made, as its driver's record says.
    pub identity: Option<serde_json::Value>,
}

impl RunMeta {
    /// What people call the sandbox: its name, or its id.
    #[must_use]
    pub fn label(&self) -> &str {
        self.name.as_deref().unwrap_or(&self.id)
    }

    pub(super) fn of(status: &Status) -> Self {
        let record = status.record.as_ref();
        Self {
            id: status.id.clone(),
            name: status.name.clone(),
            command: status.command.clone(),
            created_ms: status.created_ms,
            stamp_ms: status.stamp_ms,
            time_set_back: status.saw_time_set_back(Clocks::now()),
            ended_ms: status.ended_ms,
            exit: status.exit,
            identity: record.and_then(|record| record.body.get("identity")).cloned(),
        }
    }
}

/// What is known of the set in a directory; none if nothing was written yet.
pub(super) fn read(dir: &Dir) -> Result<Option<ChangeMeta>> {
    let path = dir.path().join(FILE);
    dir.read(FILE)?
        .map(|bytes| from_json(&bytes, VERSION, &path))
        .transpose()
}

/// Adds a sandbox that has ended, and what it left.
pub(super) fn write(dir: &Dir, status: &Status, workspace: &Path, kept: &KeptChanges) -> Result<()> {
    let before = read(dir)?;
    let is_new = before.is_none();
    let mut runs = before.map(|meta| meta.runs).unwrap_or_default();
    // A supervisor that was killed while it wrote this has no end in it yet.
    runs.retain(|run| run.id != status.id);
    if runs.len() >= MAX_RUNS {
        runs.remove(1);
    }
    runs.push(RunMeta::of(status));
    let meta = ChangeMeta {
        version: VERSION,
        workspace: workspace.to_owned(),
        runs,
        counts: kept.counts,
        truncated: kept.truncated,
    };
    let bytes = to_json(&meta, &dir.path().join(FILE))?;
    if is_new {
        dir.write_new(FILE, &bytes, Durability::Process)
    } else {
        dir.replace(FILE, &bytes, Durability::Process)
    }
}

/// Notes how much is left.
pub(super) fn recount(dir: &Dir, kept: Option<&KeptChanges>) -> Result<()> {
    let Some(meta) = read(dir)? else { return Ok(()) };
    let meta = ChangeMeta {
        counts: kept.map_or(Some(Counts::default()), |kept| kept.counts),
        truncated: kept.is_some_and(|kept| kept.truncated),
        ..meta
    };
    let bytes = to_json(&meta, &dir.path().join(FILE))?;
    dir.replace(FILE, &bytes, Durability::Process)
}
