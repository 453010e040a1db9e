//! Checkpoints of change sets.

use stockade_host::checkpoints;
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
pub fn rewind(set: Option<&str>, which: &str) -> Result<Rewound> {
    let dirs = state()?;
    let set = find(&dirs, set)?;
    Ok(checkpoints::rewind(&dirs, &set, which)?)
}
