//! What there is to review in a change set.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Serialize;
use stockade_host::Error;
use stockade_host::state::{ChangeSet as Kept, Look, RunMeta, StateDirs, notes};
use stockade_host::workspace::replica::Calm;
use stockade_host::workspace::{
    self, Bases, Conflicts, Detail, Item, Merges, Patch, Review, ScanLimits, ThreeWay, Trees, Wish,
};

use super::audit::{Entry, Seen, Wanted, show};
use super::{Result, change_set, fresh, state};
use crate::failure::Failure;

/// Records of one change set that are told.
const MAX_RECORDS: usize = 2000;
/// Records that tell what was run and what was refused.
const KINDS: [&str; 8] = [
    "created",
    "refused",
    "failed",
    "exec-started",
    "exec-ended",
    "limit-hit",
    "stopped",
    "lost",
];

/// What is wanted.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// The change set, or a sandbox that used it; none: the project's pending one.
    pub changes: Option<String>,
    /// Only these paths, relative to the current directory.
    pub paths: Vec<PathBuf>,
    /// Ignored files one by one.
    pub ignored: bool,
    /// What was run and refused as well.
    pub history: bool,
}

/// A change set under review.
pub struct Reviewed {
    /// Its name among those of the project.
    pub name: String,
    /// The project.
    pub workspace: PathBuf,
    /// The project can be looked at.
    pub has_workspace: bool,
    /// A sandbox uses it now.
    pub live: bool,
    /// What the supervisor of that sandbox noted.
    pub notes: Vec<String>,
    /// What was run and refused, if that was asked for.
    pub history: Vec<Entry>,
    /// The changes.
    pub review: Review,
    /// Of those that are conflicts: what can be done.
    pub conflicts: BTreeMap<PathBuf, Merges>,
    trees: Trees,
    /// What is shown lies there.
    _look: Look,
}

/// A change with what JSON tells of it beside.
#[derive(Debug, Serialize)]
struct Told<'a> {
    #[serde(flatten)]
    item: &'a Item,
    /// Why it is risky, in words.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    why: Vec<&'static str>,
    added_lines: u64,
    removed_lines: u64,
    binary: bool,
    /// Of a conflict: what can be done.
    #[serde(flatten)]
    merge: Option<&'a Merges>,
}

/// A review as JSON.
#[derive(Debug, Serialize)]
pub struct Json<'a> {
    name: &'a str,
    #[serde(serialize_with = "lossless")]
    workspace: &'a Path,
    live: bool,
    notes: &'a [String],
    counts: workspace::Counts,
    changes: Vec<Told<'a>>,
    folded: &'a [workspace::Fold],
    git: &'a [workspace::GitTold],
    truncated: bool,
    unread: &'a [workspace::Unread],
}

fn lossless<S: serde::Serializer>(path: &&Path, to: S) -> std::result::Result<S::Ok, S::Error> {
    to.serialize_str(&workspace::lossless(path.as_os_str()))
}

/// Reads a change set; none if the project has no pending one.
///
/// # Errors
/// There is no such change set, or it cannot be read.
pub fn review(request: &Request) -> Result<Option<Reviewed>> {
    let here = std::env::current_dir().map_err(Failure::NoCurrentDirectory)?;
    let dirs = state()?;
    let Some(kept) = find(&dirs, request.changes.as_deref(), &here)? else {
        return Ok(None);
    };
    let unreadable = |error: workspace::Error| {
        Failure::from(Error::io(
            format!("read the changes {}", kept.name),
            std::io::Error::other(error),
        ))
    };
    let workspace = kept.workspace().map(Path::to_owned).unwrap_or_default();
    let paths = request.paths.iter().map(|path| below(path, &here, &workspace));
    let wish = Wish {
        limits: ScanLimits::LIST,
        paths: paths.collect::<Result<_>>()?,
        ignored: request.ignored,
        live: kept.live,
    };
    let stale = fresh(&dirs, &kept).err();
    let look = dirs.look(&kept, Calm::Moving)?;
    let trees = Trees::open(look.upper(), look.lower().unwrap_or(&workspace)).map_err(unreadable)?;
    let facts = facts(&dirs, &kept, look.upper())?;
    let bases = Bases::default();
    let bases = facts.as_ref().map_or(&bases, Conflicts::bases);
    let mut review = trees.review_with(&wish, bases).map_err(unreadable)?;
    let conflicts = facts.map(|facts| conflicts(&facts, &trees, &mut review));
    let user = kept.user.as_ref().filter(|_| kept.live);
    let folder = user.map(|user| dirs.path().join("sandboxes").join(&user.id));
    let mut noted = folder.map(|folder| notes(&folder)).unwrap_or_default();
    noted.extend(stale.map(|why| format!("what is shown is what was fetched last: {why}")));
    let runs = kept.meta.map(|meta| meta.runs).unwrap_or_default();
    let history = if request.history {
        history(&runs)?
    } else {
        Vec::new()
    };
    Ok(Some(Reviewed {
        name: kept.name,
        has_workspace: trees.has_workspace(),
        workspace,
        live: kept.live,
        notes: noted,
        history,
        review,
        conflicts: conflicts.unwrap_or_default(),
        trees,
        _look: look,
    }))
}

/// What tells conflicts; none where the workspace was written in place, because there is nothing to apply.
fn facts(dirs: &StateDirs, kept: &Kept, upper: &Path) -> Result<Option<Conflicts>> {
    let Some(project) = kept.workspace().filter(|_| !kept.is_live()) else {
        return Ok(None);
    };
    let history = dirs.history_path(project);
    let facts = Conflicts::of(kept.directory(), upper, &history, &kept.starts());
    Ok(Some(facts.map_err(Error::from)?))
}

/// Marks what changed on the host, too, and says of each what can be done.
fn conflicts(facts: &Conflicts, trees: &Trees, review: &mut Review) -> BTreeMap<PathBuf, Merges> {
    facts.mark(review);
    let conflicts = review.changes.iter().filter(|item| item.change.conflict);
    let told = conflicts.map(|item| {
        let three = ThreeWay::of_item(trees, facts.bases(), item);
        (item.change.path.clone(), three.merges())
    });
    told.collect()
}

/// The set that is meant: the one that `stockade apply` takes.
fn find(dirs: &StateDirs, label: Option<&str>, here: &Path) -> Result<Option<Kept>> {
    let found = change_set::find(dirs, label, here)?;
    match (found.filter(Kept::is_there), label) {
        (None, Some(label)) => Err(Failure::from(Error::NotFound {
            what: "change set",
            name: label.to_owned(),
            remedy: Some("`stockade changes` lists them".to_owned()),
        })),
        (found, _) => Ok(found),
    }
}

/// A path as the change set knows it. It need not exist on the host, so links in it are not
/// looked at.
fn below(path: &Path, here: &Path, workspace: &Path) -> Result<PathBuf> {
    change_set::without_dots(&here.join(path))
        .strip_prefix(workspace)
        .map(Path::to_owned)
        .map_err(|_| Failure::NotInProject {
            path: path.to_owned(),
            project: workspace.to_owned(),
        })
}

fn history(runs: &[RunMeta]) -> Result<Vec<Entry>> {
    let wanted = Wanted {
        kinds: KINDS.map(str::to_owned).to_vec(),
        ..Wanted::default()
    };
    let mut found = Vec::new();
    show(&wanted, &mut |seen| {
        if let Seen::Record(entry, _) = seen
            && runs.iter().any(|run| run.id == entry.sandbox)
        {
            found.push(entry.clone());
        }
        Ok(found.len() < MAX_RECORDS)
    })?;
    Ok(found)
}

impl Reviewed {
    /// The content of a change.
    #[must_use]
    pub fn detail(&self, item: &Item) -> Detail {
        self.trees.detail(item)
    }

    /// The changes as a patch for git.
    ///
    /// # Errors
    /// A file cannot be read.
    pub fn patch(&self) -> Result<Patch> {
        self.trees.patch(&self.review).map_err(|error| {
            Failure::from(Error::io(
                "write a patch".to_owned(),
                std::io::Error::other(error),
            ))
        })
    }

    /// All of it, for a program.
    #[must_use]
    pub fn as_json(&self) -> Json<'_> {
        let told = |item| {
            let detail = self.detail(item);
            let (added_lines, removed_lines) = detail.lines();
            Told {
                item,
                why: item.change.risks.iter().map(|risk| risk.why()).collect(),
                added_lines,
                removed_lines,
                binary: detail == Detail::Binary,
                merge: self.conflicts.get(&item.change.path),
            }
        };
        Json {
            name: &self.name,
            workspace: &self.workspace,
            live: self.live,
            notes: &self.notes,
            counts: self.review.counts,
            changes: self.review.changes.iter().map(told).collect(),
            folded: &self.review.folded,
            git: &self.review.git,
            truncated: self.review.truncated,
            unread: &self.review.unread,
        }
    }
}
