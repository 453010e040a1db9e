//! Where things lie while steps are taken.

use std::path::Path;

use rustix::fs::{AtFlags, CWD, StatxFlags};
use rustix::io::Errno;

use super::{Journal, Tree};
use crate::bases::BASES;
use crate::place::Place;
use crate::write_error::{WriteError, WriteResult};

/// In an entry: what moves between it and the project.
pub(crate) const STAGE: &str = "project";
/// In an entry: what was applied and has left the change set.
pub(super) const APPLIED: &str = "applied";
/// In an entry: the bases of that.
pub(super) const FORMER: &str = "bases";

/// The open trees.
#[derive(Debug)]
pub(crate) struct Ground {
    project: Place,
    changes: Option<Place>,
    stage: Place,
    applied: Place,
    /// The change set's bases and where they go; none where there are none, or were none when an
    /// older program applied.
    bases: Option<(Place, Place)>,
}

impl Ground {
    /// Opens all that a journal names. A change set that was thrown away meanwhile is missing;
    /// the project must be there.
    pub(crate) fn open(journal: &Journal, entry: &Place) -> WriteResult<Self> {
        let project = open_project(&journal.project, journal.project_inode)?;
        let stage = match &journal.beside {
            None => entry.below(&journal.stage),
            Some(name) => project.below(name),
        };
        let failed = |cause: Errno| WriteError::history("open the stage of", &journal.project, cause);
        let bases = || {
            let path = journal.changes.parent()?.join(BASES);
            Place::open(&path).ok().zip(entry.below(FORMER).ok())
        };
        Ok(Self {
            bases: bases(),
            stage: stage.map_err(failed)?,
            applied: entry.below(APPLIED).map_err(failed)?,
            changes: Place::open(&journal.changes).ok(),
            project,
        })
    }

    pub(crate) fn project(&self) -> &Place {
        &self.project
    }

    pub(crate) fn has(&self, tree: Tree) -> bool {
        match tree {
            Tree::Project => true,
            Tree::Changes => self.changes.is_some(),
            Tree::Bases => self.bases.is_some(),
        }
    }

    pub(crate) fn tree(&self, tree: Tree) -> &Place {
        match tree {
            Tree::Project => &self.project,
            // Whoever asks has asked whether it is there; steps in nothing fail.
            Tree::Changes => self.changes.as_ref().unwrap_or(&self.applied),
            Tree::Bases => self.bases.as_ref().map_or(&self.applied, |(bases, _)| bases),
        }
    }

    pub(crate) fn stage(&self, tree: Tree) -> &Place {
        match tree {
            Tree::Project => &self.stage,
            Tree::Changes => &self.applied,
            Tree::Bases => self.bases.as_ref().map_or(&self.applied, |(_, former)| former),
        }
    }
}

/// Opens a project, if it is still the same directory.
pub(crate) fn open_project(path: &Path, inode: u64) -> WriteResult<Place> {
    let moved = || WriteError::Moved {
        project: path.to_owned(),
    };
    let project = match Place::open(path) {
        Err(Errno::NOENT | Errno::NOTDIR) => return Err(moved()),
        other => other.map_err(|cause| WriteError::history("open", path, cause))?,
    };
    let stat = rustix::fs::fstat(project.root()).map_err(|cause| WriteError::history("read", path, cause))?;
    if stat.st_ino == inode {
        Ok(project)
    } else {
        Err(moved())
    }
}

/// True if names can be moved between two directories: they are on one file system and in
/// one mount of it.
pub(super) fn share_a_mount(one: &Place, other: &Place) -> Result<bool, Errno> {
    let of = |place: &Place| {
        let flags = AtFlags::EMPTY_PATH;
        let found = rustix::fs::statx(place.root(), c"", flags, StatxFlags::MNT_ID | StatxFlags::INO)?;
        Ok::<_, Errno>((
            found.stx_mask & StatxFlags::MNT_ID.bits() != 0,
            found.stx_mnt_id,
            found.stx_dev_major,
            found.stx_dev_minor,
        ))
    };
    let (one, other) = (of(one)?, of(other)?);
    Ok(one.0 && one == other)
}

/// Opens a directory of ours, making it where it does not exist.
pub(super) fn open_or_make(path: &Path) -> WriteResult<Place> {
    let failed = |cause: Errno| WriteError::history("open", path, cause);
    match rustix::fs::mkdirat(CWD, path, rustix::fs::Mode::RWXU) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(cause) => return Err(WriteError::history("create", path, cause)),
    }
    Place::open(path).map_err(failed)
}
