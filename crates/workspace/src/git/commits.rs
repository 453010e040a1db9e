//! Which commits were made inside, and whether one commit follows another.

use std::collections::{BinaryHeap, HashSet, VecDeque};

use gix_hash::ObjectId;
use gix_object::bstr::ByteSlice;

use super::error::{GitError, GitResult};
use super::store::Store;

/// Commits of one branch that are counted.
const MAX_NEW: usize = 100_000;
/// Commits of one branch that are told.
const MAX_TOLD: usize = 20;
/// Longest subject that is told, in bytes.
const MAX_SUBJECT_BYTES: usize = 500;
/// Commits of the host that are looked at to see whether one follows another.
const MAX_WALKED: usize = 200_000;
/// By how much clocks of authors may differ, in seconds.
const SLACK_S: i64 = 86_400;

/// Commits that the host does not have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct NewCommits {
    pub(crate) count: usize,
    /// The newest, with their subjects.
    pub(crate) newest: Vec<(ObjectId, Vec<u8>)>,
}

/// The commits that lead to `tip` and that the host does not have, the newest first.
pub(crate) fn new_commits(store: &Store<'_>, tip: ObjectId) -> GitResult<NewCommits> {
    let mut found = NewCommits::default();
    let mut seen = HashSet::from([tip]);
    let mut pending = VecDeque::from([tip]);
    while let Some(id) = pending.pop_front() {
        if store.host_has(&id) {
            continue;
        }
        let read = store.commit(&id, |commit, _| {
            let title = commit.message().title.trim();
            let end = title.len().min(MAX_SUBJECT_BYTES);
            let parents: Vec<ObjectId> = commit.parents().collect();
            (title.get(..end).unwrap_or_default().to_vec(), parents)
        })?;
        let Some((subject, parents)) = read else {
            return Err(GitError::object(&id, "is missing, or is no commit"));
        };
        if found.count == MAX_NEW {
            return Err(GitError::Limit {
                what: "commits made inside",
                limit: MAX_NEW.to_string(),
            });
        }
        found.count += 1;
        if found.newest.len() < MAX_TOLD {
            found.newest.push((id, subject));
        }
        pending.extend(parents.into_iter().filter(|parent| seen.insert(*parent)));
    }
    Ok(found)
}

/// True if `new` is `old` or comes after it. Where that cannot be seen with bounded work it is
/// false, which makes a person look.
pub(crate) fn follows(store: &Store<'_>, new: ObjectId, old: ObjectId) -> GitResult<bool> {
    if new == old {
        return Ok(true);
    }
    let time = |id: &ObjectId| {
        store.commit(id, |commit, of_host| {
            let seconds = commit.time().map_or(0, |time| time.seconds);
            (seconds, of_host, commit.parents().collect::<Vec<_>>())
        })
    };
    let Some((oldest, ..)) = time(&old)? else {
        return Ok(false);
    };
    let mut seen = HashSet::from([new]);
    let mut pending = BinaryHeap::new();
    let mut next = vec![new];
    let mut walked = 0;
    loop {
        for id in next.drain(..) {
            let Some((seconds, of_host, parents)) = time(&id)? else {
                return Err(GitError::object(&id, "is missing, or is no commit"));
            };
            // Times made inside are whatever somebody wanted.
            if !of_host || seconds.saturating_add(SLACK_S) >= oldest {
                pending.push((seconds, id, parents));
            }
        }
        let Some((_, _, parents)) = pending.pop() else {
            return Ok(false);
        };
        walked += 1;
        if walked > MAX_WALKED {
            return Ok(false);
        }
        for parent in parents {
            if parent == old {
                return Ok(true);
            }
            if seen.insert(parent) {
                next.push(parent);
            }
        }
    }
}
