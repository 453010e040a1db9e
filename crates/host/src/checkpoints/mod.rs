//! Checkpoints of change sets: taken while a sandbox is paused or has ended, gone back to
//! when it has ended.

pub(crate) mod inside;

use stockade_workspace::checkpoint::{self, Checkpoint, Rewound};
use stockade_workspace::replica::Calm;

use crate::control::Client;
use crate::error::{Error, Result};
use crate::state::{ChangeSet, StateDirs, unix_ms};

/// Takes a checkpoint. A sandbox that uses the set is paused meanwhile.
///
/// # Errors
/// [`Error::Busy`] if the sandbox cannot be paused here, with the reason, and [`Error::Write`].
pub async fn take(dirs: &StateDirs, set: &ChangeSet, name: Option<&str>) -> Result<Checkpoint> {
    let copy = || {
        let look = dirs.look(set, Calm::Still)?;
        Ok(checkpoint::take(
            set.directory(),
            look.upper(),
            &dirs.trash_path(),
            name,
            unix_ms(),
            &|_| {},
        )?)
    };
    let Some(user) = set.user.as_ref().filter(|_| set.live) else {
        let _claim = dirs.claim_settled(set)?;
        return copy();
    };
    if set.is_told() {
        // What was told stays as it is, whatever goes on inside.
        fresh(dirs, set).await?;
        return copy();
    }
    if user.paused {
        return copy();
    }
    let pause = async |pause: bool| Client::connect(dirs, &user.id).await?.pause(pause).await;
    pause(true).await.map_err(|error| Error::Busy {
        what: format!("take a checkpoint while {} runs", user.label()),
        why: format!("it cannot be paused: {error}; stop it first"),
    })?;
    let taken = copy();
    // What failed first is told first; a sandbox that stays paused is told by `stockade ls`.
    let resumed = pause(false).await;
    let taken = taken?;
    resumed?;
    Ok(taken)
}

/// Has a set that follows what a guest tells be what is inside now. Others are that anyway.
///
/// # Errors
/// Why it is what it was some time ago.
pub async fn fresh(dirs: &StateDirs, set: &ChangeSet) -> Result<()> {
    match set.user.as_ref().filter(|_| set.live && set.is_told()) {
        Some(user) => Client::connect(dirs, &user.id).await?.fetch().await,
        None => Ok(()),
    }
}

/// The checkpoints of a set, oldest first.
///
/// # Errors
/// [`Error::Write`].
pub fn list(set: &ChangeSet) -> Result<Vec<Checkpoint>> {
    Ok(checkpoint::list(set.directory())?)
}

/// Goes back to a checkpoint, by its number or name.
///
/// # Errors
/// [`Error::Busy`] while a sandbox uses the set, and [`Error::Write`].
pub fn rewind(dirs: &StateDirs, set: &ChangeSet, which: &str) -> Result<Rewound> {
    let claim = dirs.claim_settled(set)?;
    let rewound = checkpoint::rewind(claim.path(), &dirs.trash_path(), which, unix_ms(), &|_| {})?;
    if let Some(workspace) = set.workspace() {
        dirs.recount_changes(&claim, workspace)?;
    }
    Ok(rewound)
}
