//! What a workspace was like before a sandbox wrote to it in place.

use std::path::Path;

use rustix::io::Errno;
use stockade_workspace::replica::{self, BASE, BASE_LIST, Copied, CopyLimits, Order};
use stockade_workspace::{Counts, ScanLimits, Trees};

use super::{ChangeSet, ChangesClaim, KeptChanges, Lock, busy, key, open};
use crate::error::{Error, Result};
use crate::state::{StateDirs, unix_ms};

/// The change set of what is changed in place.
pub const LIVE: &str = "live";
/// The copy and its list while they are made.
const NEW: [(&str, &str); 2] = [("base.new", BASE), ("base.list.new", BASE_LIST)];
/// Of the run before.
const FORMER: [&str; 5] = [BASE, BASE_LIST, "checkpoints", "births.json", "meta.json"];

impl ChangeSet {
    /// What it tells was changed in the workspace itself.
    #[must_use]
    pub fn is_live(&self) -> bool {
        self.directory().join(BASE_LIST).exists()
    }
}

/// Takes the set of a workspace that is to be written in place.
pub(in crate::state) fn open_live(dirs: &StateDirs, workspace: &Path) -> Result<ChangesClaim> {
    let key = key(workspace, LIVE);
    match ChangesClaim::lock(dirs, &key)? {
        Lock::Taken(claim) => Ok(claim),
        Lock::Missing => open::make(dirs, &key),
        Lock::Busy => Err(busy(LIVE, None)),
    }
}

impl ChangesClaim {
    /// Copies the workspace as it is now, in place of the copy of the run before.
    pub(in crate::state) fn take_baseline(
        &self,
        dirs: &StateDirs,
        workspace: &Path,
        stop: &dyn Fn() -> bool,
    ) -> Result<Copied> {
        let discard = |name: &str| match dirs.trash()?.take_any(self.dir.fd(), name) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(error) => Err(self.dir.error("remove", name, error)),
        };
        for (new, _) in NEW {
            discard(new)?;
        }
        let [(copy, _), (list, _)] = NEW;
        let order = Order {
            source: workspace.to_owned(),
            copy: self.path().join(copy),
            upper: None,
            list: self.path().join(list),
            owner: None,
            hidden: Vec::new(),
            limits: CopyLimits::default(),
        };
        let copied = replica::snapshot(&order, stop)?;
        for name in FORMER {
            discard(name)?;
        }
        // The list comes last: with it the copy counts.
        for (new, name) in NEW {
            rustix::fs::renameat(self.dir.fd(), new, self.dir.fd(), name)
                .map_err(|error| self.dir.error("rename", new, error))?;
        }
        Ok(copied)
    }
}

/// What was changed in place; none if nothing was.
pub(super) fn look(dirs: &StateDirs, claim: &ChangesClaim, workspace: &Path) -> Result<Option<KeptChanges>> {
    let set = ChangeSet {
        key: claim.key.clone(),
        name: claim.name().to_owned(),
        upper: claim.upper(),
        live: false,
        user: None,
        meta: None,
    };
    let look = dirs.look_at(&set, Some(workspace), replica::Calm::Moving)?;
    let unread = |error| {
        Error::io(
            "compare the workspace with its checkpoint",
            std::io::Error::other(error),
        )
    };
    let found = stockade_workspace::scan(
        look.upper(),
        look.lower().unwrap_or(workspace),
        ScanLimits::COUNTS,
    )
    .map_err(unread)?;
    let is_same = found.counts == Counts::default() && !found.truncated;
    let kept = KeptChanges {
        key: set.key,
        name: set.name,
        upper: set.upper,
        counts: Some(found.counts),
        truncated: found.truncated,
    };
    Ok((!is_same).then_some(kept))
}

/// What a rewind of a workspace that was written in place has done.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Restored {
    /// The checkpoint: its number, or `start`.
    pub to: String,
    /// The checkpoint of what was there; none if that was no different.
    pub saved: u64,
    /// How many files of the workspace changed.
    pub files: u64,
}

impl StateDirs {
    /// Makes the workspace of a live set what it was at its start, or at a checkpoint. `undo` takes
    /// that back.
    ///
    /// # Errors
    /// [`Error::Busy`] while a sandbox uses the set, and what reading and applying meets; nothing was
    /// changed then.
    pub fn restore_live(&self, set: &ChangeSet, which: &str) -> Result<Restored> {
        use stockade_workspace::{Decision, Request, apply, checkpoint};
        const START: &str = "start";
        const BACK: &str = "back";
        let claim = self.claim_changes(set)?;
        let project = set.workspace().map(Path::to_owned).unwrap_or_default();
        let history = self.history(&project)?;
        let reading = |error| {
            Error::io(
                "compare the workspace with its checkpoint",
                std::io::Error::other(error),
            )
        };
        let over = if which == START {
            None
        } else {
            Some(checkpoint::find(claim.path(), which)?)
        };
        let look = self.look(set, replica::Calm::Moving)?;
        let name = format!("before rewind to {which}");
        let saved = checkpoint::take(
            claim.path(),
            look.upper(),
            &self.trash_path(),
            Some(&name),
            unix_ms(),
            &|_| {},
        )?;
        match self.trash()?.take_any(claim.dir.fd(), BACK) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(error) => return Err(claim.dir.error("remove", BACK, error)),
        }
        let back = claim.path().join(BACK);
        replica::back(claim.path(), &project, over.as_deref(), &back).map_err(reading)?;
        let found = Trees::open(&back, &project)
            .and_then(|trees| trees.scan(ScanLimits::LIST))
            .map_err(reading)?;
        if found.truncated {
            return Err(Error::io(
                "rewind the workspace",
                std::io::Error::other("there is more to change than can be looked at in one go"),
            ));
        }
        let request = Request {
            upper: back,
            decisions: vec![Decision::Apply; found.changes.len()],
            merged: std::collections::BTreeMap::new(),
            parts: std::collections::BTreeMap::new(),
            conflicts: vec![false; found.changes.len()],
            // Its data is brought back as files.
            git: Vec::new(),
            owners: crate::takeover::same_owners(&project)?,
            now_ms: unix_ms(),
            note: None,
            set: &found,
            project,
        };
        let applied = apply(&history, &request, &|_| {})?;
        Ok(Restored {
            to: which.to_owned(),
            saved: saved.number,
            files: applied.applied,
        })
    }
}
