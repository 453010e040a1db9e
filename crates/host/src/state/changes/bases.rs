//! What stood on the host when a sandbox first changed it, kept so that conflicts can be merged.

use std::path::{Path, PathBuf};

use stockade_workspace::replica;
use stockade_workspace::{Change, Conflicts, Room, Start, Trees};

use super::{ChangeSet, ChangesClaim, meta};
use crate::state::{Clocks, StateDirs, Status};

impl ChangeSet {
    /// When the sandboxes that used it began.
    #[must_use]
    pub fn starts(&self) -> Vec<Start> {
        starts(self.meta.as_ref(), self.user.as_ref())
    }
}

/// None where the time of day was set back meanwhile: without any, each file of the host that would be changed
/// counts as a conflict.
fn starts(meta: Option<&meta::ChangeMeta>, user: Option<&Status>) -> Vec<Start> {
    let is_set_back = meta.is_some_and(|meta| meta.runs.iter().any(|run| run.time_set_back))
        || user.is_some_and(|user| user.saw_time_set_back(Clocks::now()));
    if is_set_back {
        return Vec::new();
    }
    let start = |began_ms, stamp_ms: Option<u64>| Start {
        began_ms,
        stamp_ms: stamp_ms.unwrap_or(began_ms),
    };
    let runs = meta.into_iter().flat_map(|meta| &meta.runs);
    runs.map(|run| start(run.created_ms, run.stamp_ms))
        .chain(user.map(|user| start(user.created_ms, user.stamp_ms)))
        .collect()
}

impl StateDirs {
    /// Keeps what the host's files hold that a set changes, as long as that is what its sandboxes
    /// saw. Where it cannot be kept, conflicts are still found, and cannot be merged.
    pub(crate) fn keep_bases(&self, claim: &ChangesClaim, workspace: &Path, changes: &[Change]) {
        let keep = || {
            let upper = claim.upper();
            let trees = Trees::open(&upper, workspace).ok()?;
            let starts = starts(meta::read(&claim.dir).ok()?.as_ref(), None);
            let history = self.history_path(workspace);
            let facts = Conflicts::of(claim.path(), &upper, &history, &starts).ok()?;
            facts.keep(claim.path(), &trees, changes.iter(), &|_| {}).ok()
        };
        let _ = keep();
    }
}

/// Keeps them while a sandbox runs, as soon as it begins to change a file: from then on the host may change it, too.
#[derive(Debug)]
pub struct EarlyBases {
    set: PathBuf,
    upper: PathBuf,
    workspace: PathBuf,
    history: PathBuf,
    starts: Vec<Start>,
    user: Status,
    room: Room,
    facts: Option<(Trees, Conflicts)>,
}

impl EarlyBases {
    pub(in crate::state) fn new(dirs: &StateDirs, claim: &ChangesClaim, user: &Status) -> Option<Self> {
        let workspace = user.workspace.clone()?;
        Some(Self {
            set: claim.path().to_owned(),
            upper: claim.upper(),
            history: dirs.history_path(&workspace),
            starts: starts(meta::read(&claim.dir).ok()?.as_ref(), Some(user)),
            user: user.clone(),
            workspace,
            room: Room::default(),
            facts: None,
        })
    }

    /// Where the sandbox writes, and whether that is a copy of the workspace.
    #[must_use]
    pub fn inside(&self) -> (PathBuf, bool) {
        match replica::at(&self.set) {
            Some(copy) => (copy, true),
            None => (self.upper.clone(), false),
        }
    }

    /// Files that the sandbox has begun to change. What cannot be kept is looked at again when it has ended.
    pub fn keep(&mut self, paths: &[PathBuf]) {
        if self.user.saw_time_set_back(Clocks::now()) {
            return;
        }
        if self.facts.is_none() {
            // A copy in which there are no earlier changes was made for this sandbox, as all that is in it.
            let upper = if self.upper.exists() {
                self.upper.clone()
            } else {
                self.inside().0
            };
            let trees = Trees::open(&upper, &self.workspace);
            let facts = Conflicts::of(&self.set, &upper, &self.history, &self.starts);
            self.facts = trees.ok().zip(facts.ok());
        }
        if let Some((trees, facts)) = &self.facts {
            let paths = paths.iter().map(PathBuf::as_path);
            let _ = facts.keep_early(&self.set, trees, paths, &mut self.room);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use stockade_workspace::Counts;

    use super::*;
    use crate::state::NewSandbox;

    #[test]
    fn where_time_was_set_back_no_start_is_told() {
        let place = tempfile::tempdir().unwrap();
        let dirs = Arc::new(StateDirs::open(&place.path().join("stockade")).unwrap());
        let folder = dirs.create(NewSandbox::default()).unwrap();
        let told = folder.status().clone();
        let hour_ms = 3_600_000;
        let set_back = Status {
            created_ms: told.created_ms + hour_ms,
            ..told.clone()
        };
        let ended = |status: &Status| meta::ChangeMeta {
            version: 1,
            workspace: place.path().to_owned(),
            runs: vec![meta::RunMeta::of(status)],
            counts: Some(Counts::default()),
            truncated: false,
        };
        for (status, expected) in [(&told, 1), (&set_back, 0)] {
            assert_eq!(starts(None, Some(status)).len(), expected);
            assert_eq!(starts(Some(&ended(status)), None).len(), expected);
        }
        // What changes on the host now would look as if it had been there at the start.
        let kept = |user: &Status| {
            let set = tempfile::tempdir().unwrap();
            let part = |name: &str| set.path().join(name);
            for name in ["upper", "workspace"] {
                std::fs::create_dir(part(name)).unwrap();
                std::fs::write(part(name).join("file"), name).unwrap();
            }
            let mut early = EarlyBases {
                set: part(""),
                upper: part("upper"),
                workspace: part("workspace"),
                history: part("history"),
                starts: vec![Start {
                    began_ms: u64::MAX,
                    stamp_ms: 0,
                }],
                user: user.clone(),
                room: Room::default(),
                facts: None,
            };
            early.keep(&["file".into()]);
            part("bases").exists()
        };
        assert_eq!((kept(&told), kept(&set_back)), (true, false));
        // One such run is enough.
        assert!(starts(Some(&ended(&set_back)), Some(&told)).is_empty());
    }
}
