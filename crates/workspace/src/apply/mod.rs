//! Taking changes over to the host: what is new is made aside, and moved in by steps that
//! are taken whole or not at all.

mod clock;
mod git;
mod leave;
mod objects;
mod part;
mod put;
mod select;
mod stage;
mod steps;

use std::collections::BTreeMap;
use std::path::PathBuf;

pub use git::preview;
pub use part::compose;
use serde::Serialize;

use crate::change::{ChangeSet, NodeKind};
use crate::copy::Owners;
use crate::git::{GitDone, GitWish};
use crate::journal::{History, Journal, Mark, Pause, STAGE, VERSION};
use crate::merge::Merged;
use crate::place::Place;
use crate::trees::Trees;
use crate::write_error::{WriteError, WriteResult};

/// What becomes of one change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Decision {
    /// It stays in the change set.
    Leave,
    /// The host gets what stands inside.
    Apply,
    /// The host's file stays as it is, and the change is forgotten.
    Keep,
    /// The host gets some of it, see [`Request::parts`]; the rest stays in the change set.
    Part,
    /// The host gets what was put together from both sides, see [`Request::merged`].
    Merge,
    /// The host's file stays as it is, and gets what stands inside beside it, as
    /// `NAME.stockade`.
    Beside,
}

/// What is to be applied.
#[derive(Clone, Debug)]
pub struct Request<'a> {
    /// The user's directory.
    pub project: PathBuf,
    /// The change set's upper directory. Nothing writes to it: its sandbox has ended.
    pub upper: PathBuf,
    /// What a scan of the two found.
    pub set: &'a ChangeSet,
    /// What becomes of each change, in the order of [`ChangeSet::changes`].
    pub decisions: Vec<Decision>,
    /// The content of the files of which the host gets a part, by the number of the change.
    pub parts: BTreeMap<usize, Vec<u8>>,
    /// The files that were put together from both sides, by the number of the change.
    pub merged: BTreeMap<usize, Merged>,
    /// Which changes meet a file that the host changed since, in their order.
    pub conflicts: Vec<bool>,
    /// Repositories of which the host gets what happened in them.
    pub git: Vec<GitWish>,
    /// Whose the files become, if the change set has owners of its own.
    pub owners: Option<Owners>,
    /// Now, in milliseconds since 1970.
    pub now_ms: u64,
    /// What the caller wants to know of the change set when it is undone.
    pub note: Option<String>,
}

/// What was applied.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Applied {
    /// The number by which it is undone; none if there was nothing to do.
    pub number: Option<u64>,
    /// Paths of the project that are as they stand inside now.
    pub applied: u64,
    /// Changes that were forgotten, because the host's file was kept.
    pub kept: u64,
    /// Changes that are still in the change set.
    pub left: u64,
    /// What became of references of git.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub git: Vec<GitDone>,
}

/// Applies what was decided.
///
/// # Errors
/// [`WriteError::Changed`] if a file is not what the scan saw, on the host or inside, and
/// whatever preparing and moving files meets. The project is then as it was.
pub fn apply(history: &History, request: &Request<'_>, pause: Pause<'_>) -> WriteResult<Applied> {
    let changes = &request.set.changes;
    let mut decisions = request.decisions.clone();
    decisions.resize(changes.len(), Decision::Leave);
    for (change, decision) in changes.iter().zip(&mut decisions) {
        // Pipes, sockets and devices never reach the host, whatever was decided; forgetting
        // them is no more than that.
        let special = change.after.is_some_and(|after| after.node == NodeKind::Special);
        if special && *decision != Decision::Keep {
            *decision = Decision::Leave;
        }
    }
    git::decide(request.set, &request.git, &mut decisions);
    select::complete(changes, &mut decisions);
    let failed = |cause| WriteError::history("open", &request.project, cause);
    let project = Place::open(&request.project).map_err(failed)?;
    let upper =
        Place::open(&request.upper).map_err(|cause| WriteError::history("open", &request.upper, cause))?;
    let trees = Trees::open(&request.upper, &request.project)
        .map_err(|error| WriteError::history("open", &request.upper, std::io::Error::other(error)))?;
    let inode = Mark::of(&rustix::fs::fstat(project.root()).map_err(failed)?).inode;
    let draft = history.draft(&project, &request.project)?;
    let prepared =
        steps::Builder::new(&draft, &project, &upper, request, pause).build(&mut decisions, &trees);
    let prepared = match prepared {
        Ok(prepared) => prepared,
        Err(error) => {
            draft.drop()?;
            return Err(error);
        }
    };
    let count = |of: &[Decision]| decisions.iter().filter(|one| of.contains(one)).count() as u64;
    let mut applied = Applied {
        number: None,
        applied: count(&[Decision::Apply, Decision::Part, Decision::Merge, Decision::Beside]),
        kept: count(&[Decision::Keep]),
        left: count(&[Decision::Leave, Decision::Part]),
        git: prepared.git,
    };
    if prepared.steps.is_empty() {
        draft.drop()?;
        return Ok(applied);
    }
    let journal = Journal {
        version: VERSION,
        made_ms: request.now_ms,
        project: request.project.clone(),
        project_inode: inode,
        changes: request.upper.clone(),
        beside: draft.beside.clone(),
        stage: STAGE.to_owned(),
        steps: prepared.steps,
        touched: prepared.touched,
        parts: prepared.parts,
        indexes: prepared.indexes,
        paths: applied.applied,
        note: request.note.clone(),
    };
    applied.number = Some(draft.intend(journal, pause)?.carry_out(pause)?);
    Ok(applied)
}
