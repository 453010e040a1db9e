//! Change sets to look at while a sandbox may use them.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use stockade_workspace::replica::{self, BASE, Calm};

use super::ChangeSet;
use crate::error::{Error, Result};
use crate::state::{StateDirs, id};

/// How the names of drafts begin.
pub(super) const DRAFT: &str = "look-";

/// The changes of a set as an overlay's upper directory. Those in a copy that has not been looked
/// through are put together in a draft, which goes with this.
#[derive(Debug)]
pub struct Look {
    upper: PathBuf,
    /// What they are compared with, where that is not the workspace.
    lower: Option<PathBuf>,
    /// It is a draft: where it goes.
    trash: Option<PathBuf>,
}

impl Look {
    /// The changes.
    #[must_use]
    pub fn upper(&self) -> &Path {
        &self.upper
    }

    /// What they are compared with, where that is not the workspace: its copy, if it is written in
    /// place.
    #[must_use]
    pub fn lower(&self) -> Option<&Path> {
        self.lower.as_deref()
    }
}

impl Drop for Look {
    fn drop(&mut self) {
        if let Some(trash) = &self.trash {
            // What stays goes with the set.
            let _ = fs::set_permissions(&self.upper, Permissions::from_mode(0o700))
                .and_then(|()| fs::rename(&self.upper, trash));
        }
    }
}

impl ChangeSet {
    /// There is something to look at.
    #[must_use]
    pub fn is_there(&self) -> bool {
        self.upper.exists() || self.is_live() || replica::at(self.directory()).is_some()
    }

    /// What is in its copy was told by a guest, some time ago.
    #[must_use]
    pub fn is_told(&self) -> bool {
        replica::mirror::is_mirror(self.directory()) && replica::at(self.directory()).is_some()
    }

    /// Its directory.
    #[must_use]
    pub fn directory(&self) -> &Path {
        self.upper.parent().unwrap_or(&self.upper)
    }
}

impl StateDirs {
    /// The changes of a set as they are now.
    ///
    /// # Errors
    /// [`Error::Io`] if what is in a copy cannot be read.
    pub fn look(&self, set: &ChangeSet, calm: Calm) -> Result<Look> {
        self.look_at(set, set.workspace(), calm)
    }

    pub(super) fn look_at(&self, set: &ChangeSet, workspace: Option<&Path>, calm: Calm) -> Result<Look> {
        let name = format!("{DRAFT}{}", id::new_id());
        let directory = set.directory();
        let mut look = Look {
            upper: directory.join(&name),
            lower: None,
            trash: Some(self.trash_path().join(&name)),
        };
        let unread = |error| {
            Error::io(
                format!("read the changes {}", set.name),
                std::io::Error::other(error),
            )
        };
        if let Some(workspace) = workspace.filter(|_| set.is_live()) {
            replica::changed(directory, workspace, &look.upper).map_err(unread)?;
            look.lower = Some(directory.join(BASE));
        } else if !replica::gather(directory, &look.upper, calm).map_err(unread)? {
            look.trash = None;
            look.upper.clone_from(&set.upper);
        }
        Ok(look)
    }
}
