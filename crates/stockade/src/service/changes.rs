//! Change sets: which are kept, and what each holds.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::Serialize;
use stockade_host::Error;
use stockade_host::state::{ChangeSet as Kept, StateDirs};
use stockade_host::workspace::replica::Calm;
use stockade_host::workspace::{ChangeSet, Counts, ScanLimits, scan};

use super::{Result, change_set, fresh, state};
use crate::failure::Failure;

/// A change set in a list.
#[derive(Debug, Serialize)]
pub struct Summary {
    /// Its name among those of the workspace.
    pub name: String,
    /// The directory that was changed.
    pub workspace: Option<PathBuf>,
    /// The sandbox that uses it now or used it last: its name, or its id.
    pub sandbox: Option<String>,
    /// That sandbox's id.
    pub id: Option<String>,
    /// The sandbox runs: more may come.
    pub live: bool,
    /// How many sandboxes have used it.
    pub runs: usize,
    /// Seconds since the first of them began.
    pub age_seconds: u64,
    /// How much changed.
    #[serde(flatten)]
    pub counts: Counts,
    /// There are more changes than were counted.
    pub truncated: bool,
    /// The changes could not be read; why.
    pub error: Option<String>,
}

/// A change set with its files.
#[derive(Debug, Serialize)]
pub struct Details {
    /// Its name among those of the workspace; none where nothing changed.
    pub name: Option<String>,
    /// The directory that was changed.
    pub workspace: Option<PathBuf>,
    /// The changes.
    #[serde(flatten)]
    pub set: ChangeSet,
}

/// The names of all change sets, without a look at what they hold.
pub fn names() -> Result<Vec<String>> {
    let mut names: Vec<String> = state()?
        .change_sets()?
        .into_iter()
        .map(|kept| kept.name)
        .collect();
    names.sort_unstable();
    // Those of several projects can be called alike.
    names.dedup();
    Ok(names)
}

/// All change sets, oldest first.
pub fn list() -> Result<Vec<Summary>> {
    let now = SystemTime::now();
    let dirs = state()?;
    Ok(dirs
        .change_sets()?
        .iter()
        .map(|kept| summary(&dirs, kept, now))
        .collect())
}

/// The files of a change set: one of this name, or one that a sandbox of this name or id used.
pub fn of(name: &str) -> Result<Details> {
    let dirs = state()?;
    let here = std::env::current_dir().map_err(Failure::NoCurrentDirectory)?;
    let Some(kept) = change_set::find(&dirs, Some(name), &here)? else {
        // A sandbox that changed nothing is no mistake; one that never was is.
        let listed = dirs.find(name)?;
        return Ok(Details {
            name: None,
            workspace: listed.status.workspace,
            set: ChangeSet::default(),
        });
    };
    fresh(&dirs, &kept)?;
    let set = read(&dirs, &kept, ScanLimits::LIST)?;
    Ok(Details {
        name: Some(kept.name.clone()),
        workspace: kept.workspace().map(Path::to_owned),
        set,
    })
}

fn summary(dirs: &StateDirs, kept: &Kept, now: SystemTime) -> Summary {
    let limits = ScanLimits {
        listed: 0,
        ..ScanLimits::LIST
    };
    let stale = fresh(dirs, kept).err().map(|failure| failure.to_string());
    let (set, error) = match read(dirs, kept, limits) {
        Ok(set) => (set, stale),
        Err(failure) => (ChangeSet::default(), Some(failure.to_string())),
    };
    let last = kept.meta.as_ref().and_then(|meta| meta.runs.last());
    let (sandbox, id) = match (&kept.user, last) {
        (Some(user), _) => (Some(user.label().to_owned()), Some(user.id.clone())),
        (None, Some(run)) => (Some(run.label().to_owned()), Some(run.id.clone())),
        (None, None) => (None, None),
    };
    let began = UNIX_EPOCH + Duration::from_millis(kept.began_ms());
    Summary {
        name: kept.name.clone(),
        workspace: kept.workspace().map(Path::to_owned),
        sandbox,
        id,
        live: kept.live,
        runs: kept.meta.as_ref().map_or(0, |meta| meta.runs.len()),
        age_seconds: now.duration_since(began).unwrap_or_default().as_secs(),
        counts: set.counts,
        truncated: set.truncated,
        error,
    }
}

fn read(dirs: &StateDirs, kept: &Kept, limits: ScanLimits) -> Result<ChangeSet> {
    if !kept.is_there() {
        return Ok(ChangeSet::default()); // of a sandbox that is just being made
    }
    // Without its workspace a change set can still be read: all is called added.
    let lower = kept.workspace().unwrap_or(Path::new(""));
    let look = dirs.look(kept, Calm::Moving)?;
    Ok(
        scan(look.upper(), look.lower().unwrap_or(lower), limits).map_err(|error| {
            Error::io(
                format!("read the changes {}", kept.name),
                std::io::Error::other(error),
            )
        })?,
    )
}
