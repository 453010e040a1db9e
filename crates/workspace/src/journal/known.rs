//! Files that we have put back. Moving them changed their ctime, but it is not the host that
//! changed them: they count as last changed when they were before.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use super::home::Ground;
use super::{Act, Journal, Mark, Tree, VERSION};
use crate::change::{Entry, Moment};
use crate::files::read_json;
use crate::place::Place;
use crate::write_error::{WriteError, WriteResult};

/// In a history.
pub(super) const KNOWN: &str = "known.json";

/// Files that are remembered; of more, some are taken for changed.
const MAX_KNOWN: usize = 100_000;

/// A file that was put back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Known {
    #[serde(with = "crate::name")]
    path: PathBuf,
    /// What it is now. If it is anything else, somebody has changed it.
    mark: Mark,
    /// The ctime that counts: seconds and nanoseconds.
    changed: (i64, u32),
}

/// As a file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct KnownFiles {
    pub(super) version: u32,
    pub(super) files: Vec<Known>,
}

impl Known {
    /// What the history in a directory knows; nothing where there is no history. The file appears
    /// whole, so no lock is needed.
    pub(crate) fn read(history: &Path) -> WriteResult<Vec<Self>> {
        let failed = |cause: std::io::Error| WriteError::history("read", &history.join(KNOWN), cause);
        let place = match Place::open(history) {
            Ok(place) => place,
            Err(Errno::NOENT) => return Ok(Vec::new()),
            Err(cause) => return Err(failed(cause.into())),
        };
        let known: Option<KnownFiles> = read_json(&place, KNOWN, VERSION).map_err(failed)?;
        Ok(known.map(|known| known.files).unwrap_or_default())
    }

    /// When a file of the host was last changed by somebody else, if we have put it back since.
    pub(crate) fn counts_as(known: &[Self], path: &Path, now: &Entry) -> Option<Moment> {
        let found = known.binary_search_by(|one| one.path.as_path().cmp(path)).ok()?;
        let one = known.get(found).filter(|one| one.mark.is_entry(now))?;
        let (seconds, nanos) = one.changed;
        Some(Moment { seconds, nanos })
    }

    /// What is known after the steps of a journal were taken: a file of which a part was
    /// applied counts as last changed when it was before.
    pub(super) fn after_part(journal: &Journal, ground: &Ground, before: Vec<Self>) -> Vec<Self> {
        let mut all = before;
        for part in &journal.parts {
            let Some(now) = ground.project().stat(&part.path).ok().flatten() else {
                continue;
            };
            let former = all.iter().position(|one| one.path == part.path);
            let former = former.map(|index| all.swap_remove(index));
            // Put back or applied in part before: then it counts as then.
            let changed = former
                .filter(|one| one.mark.changed == part.changed)
                .map_or(part.changed, |one| one.changed);
            all.push(Self {
                path: part.path.clone(),
                mark: Mark::of(&now),
                changed,
            });
        }
        all.sort_by(|a, b| a.path.cmp(&b.path));
        all
    }

    /// What is known after the steps of a journal were taken back.
    pub(super) fn after(journal: &Journal, ground: &Ground, before: Vec<Self>) -> Vec<Self> {
        let mut all: BTreeMap<PathBuf, Self> =
            before.into_iter().map(|one| (one.path.clone(), one)).collect();
        for step in journal.steps.iter().filter(|step| step.tree == Tree::Project) {
            let (Act::Exchange { old, .. } | Act::Take { old }) = &step.act else {
                continue;
            };
            let now = ground.project().stat(&step.path).ok().flatten();
            let Some(mark) = now.map(|now| Mark::of(&now)).filter(|now| old.is_unchanged(now)) else {
                continue;
            };
            let former = all.get(&step.path).filter(|one| one.mark == *old);
            let changed = former.map_or(old.changed, |one| one.changed);
            let path = step.path.clone();
            all.insert(path.clone(), Self { path, mark, changed });
        }
        all.into_values().take(MAX_KNOWN).collect()
    }
}
