//! What happened in a repository, for people and programs. Nothing is written.

use std::path::{Path, PathBuf};

use gix_hash::ObjectId;
use serde::Serialize;

use super::commits::{follows, new_commits};
use super::dir::GitDir;
use super::error::GitResult;
use super::form::check;
use super::refs::{self, Head, RefChange};
use super::store::Store;
use crate::change::{Counts, lossless, lossless_path};
use crate::trees::Side;

/// References that are told one by one.
const MAX_TOLD: usize = 1000;

/// What a reference became.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum RefFate {
    /// There was none of this name.
    New,
    /// What it held before leads to what it holds now.
    Forward,
    /// What it held before is not part of what it holds now.
    Rewritten,
    /// There is none of this name any more.
    Deleted,
}

/// A commit that was made inside.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CommitTold {
    /// Its name in hexadecimal.
    pub id: String,
    /// The first line of its message, as Unicode. To be escaped before it is shown.
    pub subject: String,
}

/// A reference that is another than before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RefTold {
    /// Its full name.
    pub name: String,
    /// What became of it.
    pub fate: RefFate,
    /// What it held, in hexadecimal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<String>,
    /// What it holds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// Commits that lead to it and that the host does not have.
    pub commits: usize,
    /// The newest of them, the first before the others.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub newest: Vec<CommitTold>,
}

/// What is checked out, where it is another thing than before: a branch, or a commit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct HeadTold {
    /// Before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<String>,
    /// Now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
}

/// What happened in one repository.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Told {
    /// Its `.git`, relative to the workspace.
    #[serde(serialize_with = "lossless_path")]
    pub path: PathBuf,
    /// The references that are others.
    pub refs: Vec<RefTold>,
    /// References that are others and not told here.
    pub more_refs: usize,
    /// What is checked out, if that is another.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub head: Option<HeadTold>,
    /// References that are never taken over: the name, and why.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub left: Vec<(String, &'static str)>,
    /// How much changed in its files.
    pub files: Counts,
    /// Why it cannot be told what happened: it is shown as files.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

impl Told {
    /// True if there is nothing but git's own bookkeeping.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.refs.is_empty() && self.head.is_none() && self.problem.is_none() && self.left.is_empty()
    }
}

/// What happened in a repository. What cannot be read is told, too.
pub(crate) fn tell(dir: &GitDir<'_>, live: bool) -> Option<Told> {
    if !is_repository(dir) {
        return None;
    }
    let mut told = Told {
        path: dir.path.clone(),
        refs: Vec::new(),
        more_refs: 0,
        head: None,
        left: Vec::new(),
        files: Counts::default(),
        problem: None,
    };
    if let Err(error) = fill(&mut told, dir, live) {
        told.problem = Some(error.to_string());
    }
    Some(told)
}

/// What git takes for a repository: on the host, or inside where the host has no such directory.
pub(crate) fn is_repository(dir: &GitDir<'_>) -> bool {
    let side = if dir.is_new() { Side::After } else { Side::Before };
    let is_there = |name: &&str| {
        dir.entry(side, Path::new(name))
            .is_ok_and(|entry| entry.is_some())
    };
    ["HEAD", "objects", "refs"].iter().all(is_there)
}

fn fill(told: &mut Told, dir: &GitDir<'_>, live: bool) -> GitResult {
    check(dir)?;
    let changes = refs::changed(dir)?;
    let store = Store::open(dir, live)?;
    told.left = changes
        .left
        .into_iter()
        .map(|(name, why)| (text(name.as_ref()), why))
        .collect();
    told.more_refs = changes.changed.len().saturating_sub(MAX_TOLD);
    for change in changes.changed.iter().take(MAX_TOLD) {
        told.refs.push(one(&store, change)?);
    }
    told.refs.extend(changes.defaults.iter().map(|default| RefTold {
        name: text(default.name.as_ref()),
        fate: RefFate::New,
        before: None,
        after: None,
        commits: 0,
        newest: Vec::new(),
    }));
    let before = if dir.is_new() {
        None
    } else {
        refs::head(dir, Side::Before)?
    };
    let after = refs::head(dir, Side::After)?;
    if before != after {
        told.head = Some(HeadTold {
            before: before.as_ref().map(head_text),
            after: after.as_ref().map(head_text),
        });
    }
    Ok(())
}

fn one(store: &Store<'_>, change: &RefChange) -> GitResult<RefTold> {
    let made = match change.after {
        Some(tip) if is_commit(store, &tip)? => new_commits(store, tip)?,
        _ => super::commits::NewCommits::default(),
    };
    let newest = made.newest.into_iter().map(|(id, subject)| CommitTold {
        id: id.to_string(),
        subject: text(subject.as_slice().into()),
    });
    Ok(RefTold {
        name: text(change.name.as_ref()),
        fate: fate(store, change)?,
        before: change.before.map(|id| id.to_string()),
        after: change.after.map(|id| id.to_string()),
        commits: made.count,
        newest: newest.collect(),
    })
}

/// What becomes of a reference.
pub(crate) fn fate(store: &Store<'_>, change: &RefChange) -> GitResult<RefFate> {
    Ok(match (change.before, change.after) {
        (None, _) => RefFate::New,
        (_, None) => RefFate::Deleted,
        (Some(before), Some(after)) => {
            let both = is_commit(store, &before)? && is_commit(store, &after)?;
            if both && follows(store, after, before)? {
                RefFate::Forward
            } else {
                RefFate::Rewritten
            }
        }
    })
}

/// False for a tag object, and for what is missing.
fn is_commit(store: &Store<'_>, id: &ObjectId) -> GitResult<bool> {
    Ok(store.commit(id, |_, _| ())?.is_some())
}

fn head_text(head: &Head) -> String {
    match head {
        Head::Branch(name) => text(name.as_ref()),
        Head::Detached(id) => id.to_string(),
    }
}

pub(crate) fn text(name: &gix_object::bstr::BStr) -> String {
    use std::os::unix::ffi::OsStrExt;
    lossless(std::ffi::OsStr::from_bytes(name))
}
