//! Checkpoints of change sets.

use serde::Serialize;
use stockade_host::checkpoints;
use stockade_host::state::Restored;
use stockade_host::workspace::checkpoint::{Checkpoint, Rewound};

use super::apply::find;
use super::{Result, state};

/// Takes a checkpoint of a set, or of the project's pending one.
///
/// # Errors
/// There is no such set, or the sandbox that uses it cannot be paused.
pub async fn take(set: Option<&str>, name: Option<&str>) -> Result<Checkpoint> {
    let dirs = state()?;
    let set = find(&dirs, set)?;
    Ok(checkpoints::take(&dirs, &set, name).await?)
}

/// The checkpoints of a set, oldest first.
///
/// # Errors
/// There is no such set.
pub fn list(set: Option<&str>) -> Result<Vec<Checkpoint>> {
    let dirs = state()?;
    Ok(checkpoints::list(&find(&dirs, set)?)?)
}

/// Goes back to a checkpoint, by its number or name.
///
/// # Errors
/// There is no such set or checkpoint, or a sandbox uses the set.
pub fn rewind(set: Option<&str>, which: &str) -> Result<Gone> {
    let dirs = state()?;
    let set = find(&dirs, set)?;
    if set.is_live() {
        return Ok(Gone::InPlace(dirs.restore_live(&set, which)?));
    }
    Ok(Gone::Apart(Box::new(checkpoints::rewind(&dirs, &set, which)?)))
}

/// What a rewind has done.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum Gone {
    /// The pending changes are others.
    Apart(Box<Rewound>),
    /// The files of the project are others.
    InPlace(Restored),
}
