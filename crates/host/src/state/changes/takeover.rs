//! A change set before and after its changes were taken over to the host.

use std::path::Path;

use rustix::io::Errno;

use super::{ChangesClaim, Lock, UPPER, busy, meta, name_in, path_of, settle};
use crate::error::Result;
use crate::state::StateDirs;
use crate::state::files::Durability;

impl StateDirs {
    /// What is known of a set, as text that [`Self::reclaim_changes`] takes.
    pub(crate) fn describe_changes(&self, claim: &ChangesClaim) -> Result<Option<String>> {
        let bytes = claim.dir.read(meta::FILE)?;
        Ok(bytes.and_then(|bytes| String::from_utf8(bytes).ok()))
    }

    /// Notes how much is left in a set, and keeps the bases of that and no others.
    pub(crate) fn recount_changes(&self, claim: &ChangesClaim, workspace: &Path) -> Result<()> {
        stockade_workspace::forget(claim.path(), &claim.upper())?;
        let looked = settle::look_through(claim, workspace, settle::LISTED);
        meta::recount(&claim.dir, looked.as_ref().map(|(kept, _)| kept))?;
        // An undo and a rewind bring back what has no base yet.
        if let Some((_, changes)) = looked {
            self.keep_bases(claim, workspace, &changes);
        }
        Ok(())
    }

    /// Gives a set another name, so that its own is free. Returns that.
    pub(crate) fn set_changes_aside(&self, claim: &ChangesClaim, workspace: &Path) -> Result<String> {
        super::open::set_aside(self, workspace, claim)
    }

    /// Locks the set whose upper directory this is. Where it is gone, it is made again from its
    /// description; where only a look is wanted, or it is not one of ours, there is none.
    pub(crate) fn reclaim_changes(
        &self,
        upper: &Path,
        description: Option<&str>,
        only_look: bool,
    ) -> Result<Option<ChangesClaim>> {
        let key = upper
            .parent()
            .and_then(Path::file_name)
            .and_then(|key| key.to_str());
        let Some((key, name)) = key.and_then(|key| Some((key, name_in(key)?))) else {
            return Ok(None);
        };
        match ChangesClaim::lock(self, key)? {
            Lock::Taken(claim) => return Ok(Some(claim)),
            Lock::Busy => return Err(busy(name, None)),
            Lock::Missing if only_look => return Ok(None),
            Lock::Missing => {}
        }
        let path = path_of(key);
        let failed = |error: Errno| self.root().error("create", &path, error);
        self.make_parts()?;
        self.root().make_directory(&path).map_err(failed)?;
        let Lock::Taken(claim) = ChangesClaim::lock(self, key)? else {
            return Err(busy(name, None));
        };
        for name in [UPPER, stockade_workspace::BASES] {
            claim.dir.make_directory(name).map_err(failed)?;
        }
        if let Some(description) = description {
            claim
                .dir
                .write_new(meta::FILE, description.as_bytes(), Durability::Process)?;
        }
        Ok(Some(claim))
    }
}
