//! What the host's repository becomes. Nothing is written here.
//!
//! A branch moves on the host if the host has not moved it since, and what it held leads to what
//! it holds now. What does not fit arrives beside it, as a branch of its own; nothing is lost
//! on either side. The branch that is checked out moves only together with all files that git
//! keeps, the index and HEAD: else the host's working tree would look as if it undid the commits.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use gix_hash::ObjectId;
use gix_index::State;
use gix_object::Kind;
use gix_object::bstr::{BStr, BString, ByteSlice, ByteVec};
use serde::Serialize;

use super::commits::new_commits;
use super::dir::GitDir;
use super::error::GitResult;
use super::form::{check, check_finished};
use super::reach::Reach;
use super::refs::{self, Head, RefChange, RemoteDefault};
use super::store::Store;
use super::tell::{RefFate, fate, text};
use super::{index, log, places};
use crate::apply::Decision;
use crate::trees::Side;

/// Where commits go that do not fit the host's branch.
const BESIDE: &str = "refs/heads/stockade/";
const HEADS: &[u8] = b"refs/heads/";
pub(crate) const STASH: &[u8] = b"refs/stash";

/// What is wanted of a repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GitWish {
    /// Its `.git`, relative to the workspace.
    pub path: PathBuf,
    /// The name of branches for commits that do not fit: `stockade/ID`.
    pub id: String,
    /// Somebody said yes to rewritten and deleted references: to all, or to those whose files
    /// are named.
    pub yes: bool,
    /// Paths that were named, relative to the workspace.
    pub named: Vec<PathBuf>,
}

/// What becomes of one reference, or of what is checked out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct GitDone {
    /// The `.git` that it belongs to.
    #[serde(serialize_with = "crate::change::lossless_path")]
    pub repository: PathBuf,
    /// Its full name; `HEAD` for what is checked out.
    pub name: String,
    /// What becomes of it.
    #[serde(flatten)]
    pub outcome: GitOutcome,
    /// Commits that the host gets with it.
    pub commits: usize,
}

/// What becomes of a reference on the host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "outcome")]
pub enum GitOutcome {
    /// It moves forward.
    Moved,
    /// It is made.
    Made,
    /// It holds something that does not contain what it held.
    Rewritten,
    /// It is removed.
    Deleted,
    /// Its commits get a branch of their own.
    Beside {
        /// The full name of that branch.
        to: String,
        /// Why.
        why: String,
    },
    /// It stays as the host has it.
    Stays {
        /// Why.
        why: String,
    },
}

impl GitOutcome {
    /// False if somebody should look before it happens.
    #[must_use]
    pub fn is_safe(&self) -> bool {
        matches!(self, Self::Moved | Self::Made)
    }
}

/// A reference to be written.
pub(crate) struct RefStep {
    pub(crate) name: BString,
    pub(crate) old: Option<ObjectId>,
    pub(crate) new: Option<ObjectId>,
}

/// All that is to be written.
pub(crate) struct Plan {
    pub(crate) refs: Vec<RefStep>,
    pub(crate) defaults: Vec<RemoteDefault>,
    pub(crate) head: Option<Head>,
    /// What the host has checked out before.
    pub(crate) host_head: Option<Head>,
    /// What branches hold that are checked out before or after.
    pub(crate) values: BTreeMap<BString, ObjectId>,
    pub(crate) index: Option<Vec<u8>>,
    /// The list of stashes.
    pub(crate) stashes: Option<Vec<u8>>,
    /// New objects, what is referred to first.
    pub(crate) objects: Vec<ObjectId>,
    pub(crate) done: Vec<GitDone>,
}

/// What is known when it is decided.
pub(crate) struct Planner<'a> {
    pub(crate) dir: &'a GitDir<'a>,
    pub(crate) store: &'a Store<'a>,
    pub(crate) wish: &'a GitWish,
    /// What becomes of each change.
    pub(crate) decisions: &'a [Decision],
    /// Which changes meet a file that the host changed since.
    pub(crate) conflicts: &'a [bool],
}

/// What is checked out on both sides, and whether the host may follow.
struct CheckedOut {
    host: Option<Head>,
    inside: Option<Head>,
    /// Why the host's working tree stays where it is.
    stays: Option<String>,
    host_index: State,
    inside_index: State,
}

impl Planner<'_> {
    /// Decides, and looks at every object that the host would get.
    pub(crate) fn plan(&self) -> GitResult<Plan> {
        check(self.dir)?;
        check_finished(self.dir)?;
        places::check_locks(self.dir)?;
        let changes = refs::changed(self.dir)?;
        let mut out = self.checked_out(&changes.changed)?;
        let mut fates = BTreeMap::new();
        for change in &changes.changed {
            let decided = self.decide(change, &out)?;
            // Where the branch cannot follow, nothing that is checked out does.
            if let (Some(why), true) = (decided.1.why(), out.is_on(&change.name)) {
                out.stays.get_or_insert_with(|| why.to_owned());
            }
            fates.insert(change.name.clone(), (change, decided));
        }
        let mut plan = Plan {
            refs: Vec::new(),
            defaults: Vec::new(),
            head: None,
            host_head: out.host.clone(),
            values: BTreeMap::new(),
            index: None,
            stashes: None,
            objects: Vec::new(),
            done: Vec::new(),
        };
        let mut reach = Reach::new(self.store);
        self.name_beside(&mut fates)?;
        for (name, (change, (fate, outcome))) in fates {
            self.reference(&mut plan, &mut reach, &name, change, fate, outcome)?;
        }
        for (name, why) in changes.left {
            plan.done
                .push(self.done(&name, GitOutcome::Stays { why: why.to_owned() }, 0));
        }
        for default in changes.defaults {
            let outcome = match places::blocked(self.dir, &default.name)? {
                true => GitOutcome::Stays {
                    why: "another reference of the host stands in the way of its name".to_owned(),
                },
                false => GitOutcome::Made,
            };
            let is_made = outcome == GitOutcome::Made;
            plan.done.push(self.done(&default.name, outcome, 0));
            plan.defaults.extend(is_made.then_some(default));
        }
        self.follow(&mut plan, &mut reach, &out)?;
        plan.objects = reach.into_new();
        Ok(plan)
    }

    fn decide(&self, change: &RefChange, out: &CheckedOut) -> GitResult<(RefFate, GitOutcome)> {
        let fate = fate(self.store, change)?;
        let stays = |why: &str| GitOutcome::Stays { why: why.to_owned() };
        let is_branch = change.name.starts_with(HEADS);
        let beside = |why: &str| GitOutcome::Beside {
            to: String::new(),
            why: why.to_owned(),
        };
        let instead = |why: &str| if is_branch { beside(why) } else { stays(why) };
        let moved = "the host moved it meanwhile";
        let is_moved = self.is_conflict(&change.name);
        let has_yes = self.wish.yes || self.wish.named.contains(&self.path_of(&change.name));
        let outcome = match fate {
            RefFate::Deleted if out.is_on(&change.name) => stays("it is checked out"),
            RefFate::Deleted if is_moved => stays(moved),
            RefFate::Deleted if !has_yes => stays("it was deleted inside, and that needs a yes"),
            RefFate::Deleted => GitOutcome::Deleted,
            _ if is_branch && places::is_in_other_worktree(self.dir, &change.name)? => {
                instead("another working tree has it checked out")
            }
            _ if is_moved => instead(moved),
            RefFate::Rewritten if self.is_stash_kept(change)? => GitOutcome::Moved,
            RefFate::Rewritten if !self.was_seen(change)? => instead(moved),
            RefFate::Rewritten if !has_yes => instead("it was rewritten inside, and that needs a yes"),
            _ if out.is_on(&change.name) && out.stays.is_some() => {
                instead(out.stays.as_deref().unwrap_or_default())
            }
            RefFate::Rewritten => GitOutcome::Rewritten,
            RefFate::New => match places::blocked(self.dir, &change.name)? {
                true => instead("a branch of the host stands in the way of its name"),
                false => GitOutcome::Made,
            },
            RefFate::Forward => GitOutcome::Moved,
        };
        Ok((fate, outcome))
    }

    /// Gives the branches that come beside others their names.
    fn name_beside(&self, fates: &mut BTreeMap<BString, (&RefChange, (RefFate, GitOutcome))>) -> GitResult {
        let is_beside = |outcome: &GitOutcome| matches!(outcome, GitOutcome::Beside { .. });
        let count = fates
            .values()
            .filter(|(_, (_, outcome))| is_beside(outcome))
            .count();
        for (name, (change, (_, outcome))) in fates.iter_mut() {
            let GitOutcome::Beside { to, why } = outcome else {
                continue;
            };
            let mut wanted = BString::from(format!("{BESIDE}{}", self.wish.id));
            if count > 1 {
                wanted.push(b'/');
                // Names are Unicode from here on.
                let short = name.strip_prefix(HEADS).unwrap_or(name);
                wanted.push_str(&*String::from_utf8_lossy(short));
            }
            match places::free_name(self.dir, &wanted, change.after)? {
                Some(free) => *to = text(free.as_ref()),
                None => {
                    *outcome = GitOutcome::Stays {
                        why: format!("{why}, and no name is free for a branch beside it"),
                    }
                }
            }
        }
        Ok(())
    }

    fn reference(
        &self,
        plan: &mut Plan,
        reach: &mut Reach<'_, '_>,
        name: &BString,
        change: &RefChange,
        fate: RefFate,
        outcome: GitOutcome,
    ) -> GitResult {
        let mut commits = 0;
        let is_taken = !matches!(outcome, GitOutcome::Stays { .. } | GitOutcome::Deleted);
        if let (true, Some(after)) = (is_taken, change.after) {
            let wanted = name.starts_with(HEADS).then_some(Kind::Commit);
            if reach.add(after, wanted)? == Kind::Commit {
                commits = new_commits(self.store, after)?.count;
            }
        }
        let step = |name: BString, old, new| RefStep { name, old, new };
        match &outcome {
            GitOutcome::Stays { .. } => {}
            GitOutcome::Beside { to, .. } => {
                let to = BString::from(to.as_str());
                if refs::host_value(self.dir, &to)?.is_none() {
                    plan.refs.push(step(to, None, change.after));
                }
            }
            _ => plan.refs.push(step(name.clone(), change.before, change.after)),
        }
        if *name == STASH && is_taken && fate != RefFate::Deleted {
            plan.stashes = Some(log::stashes(self.dir, reach)?);
        }
        plan.done.push(self.done(name, outcome, commits));
        Ok(())
    }

    /// What is checked out, and the index.
    fn follow(&self, plan: &mut Plan, reach: &mut Reach<'_, '_>, out: &CheckedOut) -> GitResult {
        let is_other = out.host != out.inside;
        if let Some(why) = &out.stays {
            if is_other {
                plan.done
                    .push(self.done(b"HEAD".as_bstr(), GitOutcome::Stays { why: why.clone() }, 0));
            }
            return Ok(());
        }
        if is_other && let Some(inside) = &out.inside {
            if let Head::Detached(id) = inside {
                reach.add(*id, Some(Kind::Commit))?;
            }
            for name in [&out.host, &out.inside]
                .into_iter()
                .flatten()
                .filter_map(Head::branch)
            {
                let step = plan.refs.iter().find(|step| step.name == *name);
                let held = if self.dir.is_new() {
                    None
                } else {
                    refs::host_value(self.dir, name)?
                };
                let value = step.map_or(held, |step| step.new);
                plan.values.extend(value.map(|value| (name.clone(), value)));
            }
            plan.head = Some(inside.clone());
            let outcome = if out.host.is_some() {
                GitOutcome::Moved
            } else {
                GitOutcome::Made
            };
            plan.done.push(self.done(b"HEAD".as_bstr(), outcome, 0));
        }
        let index = self.dir.path.join("index");
        let change = self.dir.change(&index);
        let is_changed = change.is_some_and(|change| change.after.is_some());
        // Git writes it anew when it has only looked at files.
        if is_changed && !index::say_the_same(&out.inside_index, &out.host_index) {
            plan.index = Some(index::taken(&out.inside_index, &out.host_index, self.dir, reach)?);
        }
        Ok(())
    }

    fn checked_out(&self, changed: &[RefChange]) -> GitResult<CheckedOut> {
        let is_new = self.dir.is_new();
        let host = if is_new {
            None
        } else {
            refs::head(self.dir, Side::Before)?
        };
        let host_index = match is_new {
            true => State::new(gix_hash::Kind::Sha1),
            false => index::read(self.dir, Side::Before)?,
        };
        let mut out = CheckedOut {
            inside: refs::head(self.dir, Side::After)?,
            inside_index: index::read(self.dir, Side::After)?,
            host,
            host_index,
            stays: None,
        };
        let at_host = |name: &BString| match changed.iter().find(|change| change.name == *name) {
            Some(change) => Ok(change.before),
            None => refs::host_value(self.dir, name),
        };
        let commit = match &out.host {
            Some(Head::Branch(name)) => at_host(name)?,
            Some(Head::Detached(id)) => Some(*id),
            None => None,
        };
        let has_conflict = |name: &str| self.is_conflicting(&self.dir.path.join(name));
        out.stays = if let Some(path) = self.left_file(&out) {
            Some(format!(
                "not all files come with it ({})",
                crate::name::shown(&path)
            ))
        } else if has_conflict("HEAD") {
            Some("the host checked out something else meanwhile".to_owned())
        } else if has_conflict("index") && !index::is_as_committed(&out.host_index, self.store, commit)? {
            Some("the host staged something meanwhile".to_owned())
        } else {
            None
        };
        Ok(out)
    }

    /// A file that git keeps on either side and that does not come.
    fn left_file(&self, out: &CheckedOut) -> Option<PathBuf> {
        let changes = self.dir.set.changes.iter().zip(self.decisions);
        let mut left = changes.filter(|(_, decision)| matches!(decision, Decision::Leave | Decision::Part));
        let found = left.find(|(change, _)| {
            let name = index::relative(self.dir, &change.path);
            let is_kept = |name| index::has(&out.inside_index, name) || index::has(&out.host_index, name);
            change.node() != crate::change::NodeKind::Directory && name.is_some_and(is_kept)
        });
        found.map(|(change, _)| change.path.clone())
    }

    /// True if the host changed the file of a reference since the sandbox began.
    fn is_conflict(&self, name: &BString) -> bool {
        self.is_conflicting(&self.path_of(name))
    }

    fn is_conflicting(&self, path: &Path) -> bool {
        let changes = &self.dir.set.changes;
        let found = changes.binary_search_by(|change| change.path.as_path().cmp(path));
        found.is_ok_and(|at| self.conflicts.get(at).copied().unwrap_or(true))
    }

    /// True if what the host has now was there when the branch was rewritten inside: git wrote it
    /// down then. It could be forged, but a rewritten branch needs a yes in any case.
    fn was_seen(&self, change: &RefChange) -> GitResult<bool> {
        let is_logged = change.name.starts_with(HEADS) || change.name == STASH;
        match change.before {
            Some(before) if is_logged => log::has(self.dir, &change.name, before),
            _ => Ok(true),
        }
    }

    /// A stash never follows the one before it; the list of stashes tells whether any is lost.
    fn is_stash_kept(&self, change: &RefChange) -> GitResult<bool> {
        Ok(change.name == STASH && log::keeps_stashes(self.dir)?)
    }

    fn path_of(&self, name: &BString) -> PathBuf {
        self.dir.path.join(OsStr::from_bytes(name))
    }

    fn done(&self, name: impl AsRef<BStr>, outcome: GitOutcome, commits: usize) -> GitDone {
        GitDone {
            repository: self.dir.path.clone(),
            name: text(name.as_ref()),
            outcome,
            commits,
        }
    }
}

impl Plan {
    /// The commit that is checked out with something.
    pub(crate) fn value_of(&self, head: &Option<Head>) -> Option<ObjectId> {
        match head.as_ref()? {
            Head::Branch(name) => self.values.get(name).copied(),
            Head::Detached(id) => Some(*id),
        }
    }
}

impl CheckedOut {
    /// True if the host has this branch checked out.
    fn is_on(&self, name: &BString) -> bool {
        self.host == Some(Head::Branch(name.clone()))
    }
}

impl GitOutcome {
    fn why(&self) -> Option<&str> {
        match self {
            Self::Beside { why, .. } | Self::Stays { why } => Some(why),
            Self::Moved | Self::Made | Self::Rewritten | Self::Deleted => None,
        }
    }
}
