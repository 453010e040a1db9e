//! A change set on its way to the host: locked, compared, and applied or undone.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use serde::Serialize;
use stockade_linux::idmap::{Identity, RANGE, first_of_slot, slot_of};
use stockade_workspace::{
    Applied, ChangeSet, Conflicts, Decision, GitDone, GitError, GitWish, History, Merged, Owners,
    Repositories, Request, ScanLimits, ThreeWay, Trees, Undone, WriteError, apply, judge, preview,
};

use crate::error::{Error, Result};
use crate::state::{ChangeSet as Kept, ChangesClaim, RunMeta, StateDirs, unix_ms};

/// A change set that nobody else uses or applies while this lives.
#[derive(Debug)]
pub struct Takeover {
    claim: ChangesClaim,
    history: History,
    project: PathBuf,
    owners: Option<Owners>,
    trees: Trees,
    /// What differs.
    pub set: ChangeSet,
    /// Which of the changes meet a file that changed on the host since the sandbox began.
    pub conflicts: Vec<bool>,
    facts: Conflicts,
    /// Of conflicts: the numbers of the deletions of files that were moved, by those of the additions.
    pub moved: BTreeMap<usize, usize>,
    /// Repositories of git in which something changed.
    pub repositories: Repositories,
    /// The sandbox that used the set last.
    pub last_sandbox: Option<String>,
}

impl Takeover {
    /// Locks a change set and its project, and compares them.
    ///
    /// # Errors
    /// [`Error::Busy`] while a sandbox uses the set, and what opening and reading meets.
    pub fn open(dirs: &StateDirs, kept: &Kept) -> Result<Self> {
        let Some(project) = kept.workspace() else {
            return Err(Error::NotFound {
                what: "workspace known for the change set",
                name: kept.name.clone(),
                remedy: Some(format!("look at its files in {}", kept.upper.display())),
            });
        };
        if kept.is_live() {
            return Err(Error::Busy {
                what: format!("apply or discard the changes {}", kept.name),
                why: "they were made in the workspace itself: `stockade rewind --changes live start` takes them back"
                    .to_owned(),
            });
        }
        let claim = dirs.claim_settled(kept)?;
        let history = dirs.history(project)?;
        let compared = |error| {
            Error::io(
                "compare the changes with the project",
                std::io::Error::other(error),
            )
        };
        let trees = Trees::open(&kept.upper, project).map_err(compared)?;
        let mut set = trees.scan(ScanLimits::LIST).map_err(compared)?;
        judge(&trees, &mut set);
        if set.truncated && set.unread.is_empty() {
            return Err(Error::io(
                format!("apply the changes {}", kept.name),
                std::io::Error::other("there are more than can be looked at in one go"),
            ));
        }
        let facts = Conflicts::of(
            claim.path(),
            &kept.upper,
            &dirs.history_path(project),
            &kept.starts(),
        )?;
        for change in &mut set.changes {
            change.conflict = facts.has(change);
        }
        let moved = facts.moved(&trees, &set.changes);
        for to in moved.keys() {
            set.changes[*to].conflict = true;
        }
        let conflicts = set.changes.iter().map(|change| change.conflict).collect();
        Ok(Self {
            owners: owners(kept, project)?,
            project: project.to_owned(),
            claim,
            history,
            repositories: Repositories::find(&trees, &set),
            last_sandbox: last_sandbox(kept),
            trees,
            set,
            conflicts,
            facts,
            moved,
        })
    }

    /// A change that is a conflict, from three sides; none for any other.
    #[must_use]
    pub fn three_way(&self, number: usize) -> Option<ThreeWay> {
        let change = self.set.changes.get(number)?;
        let is_conflict = self.conflicts.get(number).copied().unwrap_or(false);
        let from = self
            .moved
            .get(&number)
            .and_then(|from| self.set.changes.get(*from));
        let from = from.unwrap_or(change);
        is_conflict.then(|| ThreeWay::of_moved(&self.trees, self.facts.bases(), from, change))
    }

    /// The user's directory.
    #[must_use]
    pub fn project(&self) -> &Path {
        &self.project
    }

    /// The two sides, to look at.
    #[must_use]
    pub fn trees(&self) -> &Trees {
        &self.trees
    }

    /// What would become of a repository.
    ///
    /// # Errors
    /// What is wrong with one that cannot be taken over.
    pub fn preview(
        &self,
        decisions: &[Decision],
        wish: &GitWish,
    ) -> std::result::Result<Vec<GitDone>, GitError> {
        preview(&self.trees, &self.set, decisions, &self.conflicts, wish)
    }

    /// Applies what was decided, one decision for each change, and the content of those that are
    /// neither the sandbox's nor the host's.
    ///
    /// # Errors
    /// [`Error::Write`]; nothing was changed then.
    pub fn apply(
        &self,
        dirs: &StateDirs,
        decisions: Vec<Decision>,
        contents: Contents,
        git: Vec<GitWish>,
    ) -> Result<Applied> {
        let request = Request {
            project: self.project.clone(),
            upper: self.claim.upper(),
            set: &self.set,
            decisions,
            parts: contents.parts,
            merged: contents.merged,
            conflicts: self.conflicts.clone(),
            git,
            owners: self.owners,
            now_ms: unix_ms(),
            note: dirs.describe_changes(&self.claim)?,
        };
        let applied = apply(&self.history, &request, &|_| {})?;
        dirs.recount_changes(&self.claim, &self.project)?;
        Ok(applied)
    }
}

/// What files get that become neither what they are inside nor stay what they are on the host, by
/// the number of the change.
#[derive(Clone, Debug, Default)]
pub struct Contents {
    /// Some of the hunks.
    pub parts: BTreeMap<usize, Vec<u8>>,
    /// What was put together from both sides.
    pub merged: BTreeMap<usize, Merged>,
}

/// As root: files keep the owners that they have in a copy of the project.
pub(crate) fn same_owners(project: &Path) -> Result<Option<Owners>> {
    if !rustix::process::geteuid().is_root() {
        return Ok(None);
    }
    let owner = std::fs::metadata(project)
        .map_err(|error| Error::io(format!("read the owner of {}", project.display()), error))?;
    let own = (owner.uid(), owner.gid());
    Ok(Some(Owners {
        base: 0,
        count: u32::MAX,
        workload: own,
        project: own,
    }))
}

/// What was undone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct UndoneChanges {
    /// The apply.
    #[serde(flatten)]
    pub undone: Undone,
    /// The name under which the changes that were pending are kept, if they had to make room.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub set_aside: Option<String>,
}

/// Brings back what was there before the last apply to a project. With `set_aside`, pending changes
/// of later sandboxes at the same paths make room: the set is kept under another name.
///
/// # Errors
/// [`Error::Busy`] while a sandbox uses the change set that gets its changes back, and
/// [`Error::Write`]; nothing was changed then.
pub fn undo(dirs: &StateDirs, project: &Path, dry_run: bool, set_aside: bool) -> Result<UndoneChanges> {
    let history = dirs.history(project)?;
    let told = |undone, set_aside| UndoneChanges { undone, set_aside };
    let Some((upper, note)) = history.source()? else {
        return Ok(told(history.undo(project, dry_run, &|_| {})?, None));
    };
    // What was applied becomes a pending change again, so its set has to be there and free.
    let mut claim = dirs.reclaim_changes(&upper, note.as_deref(), dry_run)?;
    let mut kept_as = None;
    if set_aside
        && !dry_run
        && let Some(present) = claim.take_if(|_| is_in_the_way(&history, project))
    {
        kept_as = Some(dirs.set_changes_aside(&present, project)?);
        drop(present);
        claim = dirs.reclaim_changes(&upper, note.as_deref(), false)?;
    }
    let undone = history.undo(project, dry_run, &|_| {})?;
    if let (Some(claim), false) = (claim, dry_run) {
        dirs.recount_changes(&claim, project)?;
    }
    Ok(told(undone, kept_as))
}

fn is_in_the_way(history: &History, project: &Path) -> bool {
    matches!(
        history.undo(project, true, &|_| {}),
        Err(WriteError::Pending { .. })
    )
}

fn last_sandbox(kept: &Kept) -> Option<String> {
    let last = kept.meta.as_ref().and_then(|meta| meta.runs.last());
    let user = kept.user.as_ref().map(|user| user.id.clone());
    user.or_else(|| last.map(|run| run.id.clone()))
}

/// How the files of the change set get their owners, where it has ids of its own.
fn owners(kept: &Kept, project: &Path) -> Result<Option<Owners>> {
    let last: Option<&RunMeta> = kept.meta.as_ref().and_then(|meta| meta.runs.last());
    let of_user = || {
        let record = kept.user.as_ref()?.record.as_ref()?;
        record.body.get("identity").cloned()
    };
    let Some(identity) = of_user().or_else(|| last.and_then(|run| run.identity.clone())) else {
        return unowned(kept);
    };
    let identity: Identity = serde_json::from_value(identity).map_err(|error| Error::Corrupt {
        path: kept.upper.clone(),
        why: format!("it is not known whose its files are: {error}"),
    })?;
    let Some(base) = identity.map.uids.first().filter(|_| identity.map.privileged) else {
        return Ok(None);
    };
    let owner = std::fs::metadata(project)
        .map_err(|error| Error::io(format!("read the owner of {}", project.display()), error))?;
    // The range of the files that are there: an older sandbox's, if they were rewound.
    let first = std::fs::metadata(&kept.upper).map(|upper| slot_of(upper.uid()).map(first_of_slot));
    Ok(Some(Owners {
        base: first.ok().flatten().unwrap_or(base.outside),
        count: RANGE,
        workload: (identity.uid, identity.gid),
        project: (owner.uid(), owner.gid()),
    }))
}

/// Files without a known sandbox are taken as they are only if they are ours.
fn unowned(kept: &Kept) -> Result<Option<Owners>> {
    let owner = std::fs::metadata(&kept.upper).map_err(|error| Error::state("read", &kept.upper, error))?;
    if owner.uid() == rustix::process::geteuid().as_raw() {
        return Ok(None);
    }
    Err(Error::Corrupt {
        path: kept.upper.clone(),
        why: "it is not known whose its files are: the sandbox left no record".to_owned(),
    })
}
