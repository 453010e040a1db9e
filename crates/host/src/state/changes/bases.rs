//! What stood on the host when a sandbox first changed it, kept so that conflicts can be merged.

use std::path::Path;

use stockade_workspace::{Change, Conflicts, Start, Trees};

use super::{ChangeSet, ChangesClaim, meta};
use crate::state::{StateDirs, Status};

impl ChangeSet {
    /// When the sandboxes that used it began.
    #[must_use]
    pub fn starts(&self) -> Vec<Start> {
        starts(self.meta.as_ref(), self.user.as_ref())
    }
}

fn starts(meta: Option<&meta::ChangeMeta>, user: Option<&Status>) -> Vec<Start> {
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
            facts.keep(claim.path(), &trees, changes.iter()).ok()
        };
        let _ = keep();
    }
}
