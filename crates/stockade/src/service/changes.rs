//! Change sets: which are kept, and what each holds.

use std::path::{Path, PathBuf};

use serde::Serialize;
use stockade_host::Error;
use stockade_host::state::ChangeSet as Kept;
use stockade_host::workspace::{ChangeSet, Counts, ScanLimits, scan};

use super::{Result, state};

/// A change set in a list.
#[derive(Debug, Serialize)]
pub struct Summary {
    /// The sandbox that made the changes: its name, or its id.
    pub sandbox: String,
    /// Its id.
    pub id: String,
    /// The directory that was changed.
    pub workspace: Option<PathBuf>,
    /// The sandbox runs: more may come.
    pub live: bool,
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
    /// The sandbox that made the changes: its name, or its id.
    pub sandbox: String,
    /// The directory that was changed.
    pub workspace: Option<PathBuf>,
    /// The changes.
    #[serde(flatten)]
    pub set: ChangeSet,
}

/// All change sets, oldest first.
pub fn list() -> Result<Vec<Summary>> {
    let dirs = state()?;
    let sets = dirs.change_sets()?;
    Ok(sets
        .iter()
        .map(|kept| summary(kept, Origin::of(kept, &dirs)))
        .collect())
}

/// The files of the change set that a sandbox made. Where several sandboxes had the same
/// name one after the other, the newest is meant.
pub fn of(name: &str) -> Result<Details> {
    let dirs = state()?;
    let sets = dirs.change_sets()?;
    let found = sets
        .iter()
        .rev()
        .map(|kept| (kept, Origin::of(kept, &dirs)))
        .find(|(kept, origin)| {
            origin.sandbox == name || kept.id == name || (name.len() >= 4 && kept.id.starts_with(name))
        });
    let Some((kept, origin)) = found else {
        // A sandbox that changed nothing is no mistake; one that never was is.
        let listed = dirs.find(name)?;
        let workspace = listed.status.workspace.clone();
        return Ok(Details {
            sandbox: listed.status.label().to_owned(),
            workspace,
            set: ChangeSet::default(),
        });
    };
    let set = read(kept, origin.workspace.as_deref(), ScanLimits::LIST)?;
    Ok(Details {
        sandbox: origin.sandbox,
        workspace: origin.workspace,
        set,
    })
}

/// Where a change set comes from: from its own description, or while its sandbox runs from
/// that of the sandbox.
struct Origin {
    sandbox: String,
    workspace: Option<PathBuf>,
}

impl Origin {
    fn of(kept: &Kept, dirs: &stockade_host::state::StateDirs) -> Self {
        if let Some(meta) = &kept.meta {
            let sandbox = meta.name.clone().unwrap_or_else(|| meta.id.clone());
            return Self {
                sandbox,
                workspace: Some(meta.workspace.clone()),
            };
        }
        match dirs.find(&kept.id) {
            Ok(listed) => Self {
                sandbox: listed.status.label().to_owned(),
                workspace: listed.status.workspace,
            },
            Err(_) => Self {
                sandbox: kept.id.clone(),
                workspace: None,
            },
        }
    }
}

fn summary(kept: &Kept, origin: Origin) -> Summary {
    let read = read(
        kept,
        origin.workspace.as_deref(),
        ScanLimits {
            listed: 0,
            ..ScanLimits::LIST
        },
    );
    let (set, error) = match read {
        Ok(set) => (set, None),
        Err(failure) => (ChangeSet::default(), Some(failure.to_string())),
    };
    Summary {
        sandbox: origin.sandbox,
        id: kept.id.clone(),
        workspace: origin.workspace,
        live: kept.live,
        counts: set.counts,
        truncated: set.truncated,
        error,
    }
}

fn read(kept: &Kept, workspace: Option<&Path>, limits: ScanLimits) -> Result<ChangeSet> {
    if !kept.upper.exists() {
        return Ok(ChangeSet::default()); // a sandbox that is just being made
    }
    // Without its workspace a change set can still be read: all is called added.
    let lower = workspace.unwrap_or(Path::new(""));
    let read = scan(&kept.upper, lower, limits);
    Ok(read.map_err(|error| {
        Error::io(
            format!("read the changes of {}", kept.id),
            std::io::Error::other(error),
        )
    })?)
}
