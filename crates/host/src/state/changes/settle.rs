//! What becomes of a change set when the sandbox that used it has ended.

use std::path::Path;

use rustix::io::Errno;
use stockade_workspace::replica::BASE_LIST;
use stockade_workspace::{Change, ScanLimits};

use super::look::DRAFT;
use super::{ChangesClaim, KeptChanges, UPPER, WORK, discard, live, meta, path_of};
use crate::error::Result;
use crate::state::files::Dir;
use crate::state::spare::Kind;
use crate::state::{StateDirs, Status};

/// Changes that are looked at for files of the host that are to be kept.
pub(super) const LISTED: usize = 20_000;

/// Brings the change set of an ended sandbox into its lasting form, or removes it if it is
/// empty or not wanted. May be called again.
pub(in crate::state) fn settle(
    dirs: &StateDirs,
    status: &Status,
    claim: &ChangesClaim,
) -> Result<Option<KeptChanges>> {
    let Some(workspace) = &status.workspace else {
        return Ok(None);
    };
    if status.discard_changes {
        return discard(dirs, &claim.key).map(|()| None);
    }
    if claim.dir.path().join(BASE_LIST).exists() {
        return settle_live(dirs, status, claim, workspace);
    }
    take_out(dirs, &claim.dir)?;
    let Some((kept, found)) = look_through(claim, workspace, LISTED) else {
        return hand_on_or_discard(dirs, claim).map(|()| None);
    };
    meta::write(&claim.dir, status, workspace, &kept)?;
    dirs.keep_bases(claim, workspace, &found);
    match dirs.trash()?.take(claim.dir.fd(), WORK) {
        Ok(()) | Err(Errno::NOENT) => Ok(Some(kept)),
        Err(error) => Err(claim.dir.error("remove", WORK, error)),
    }
}

/// What was changed in place is not kept apart, only what was there before; and that only if it differs.
fn settle_live(
    dirs: &StateDirs,
    status: &Status,
    claim: &ChangesClaim,
    workspace: &Path,
) -> Result<Option<KeptChanges>> {
    match live::look(dirs, claim, workspace)? {
        Some(kept) => meta::write(&claim.dir, status, workspace, &kept)?,
        None => discard(dirs, &claim.key)?,
    }
    Ok(None)
}

/// A workspace that was copied: what changed in the copy becomes the change set.
pub(super) fn take_out(dirs: &StateDirs, dir: &Dir) -> Result<()> {
    use stockade_workspace::replica::{COPY, OLD, distil, mirror};
    // Of a copy without a list: it was being made when its maker was killed.
    let of_copy = [COPY, mirror::STAGE, mirror::PLAN, mirror::MIRROR];
    if !distil(dir.path())? {
        return of_copy.into_iter().try_for_each(|name| remove(dirs, dir, name));
    }
    let drafts = dir.names()?.into_iter().filter(|name| name.starts_with(DRAFT));
    for name in drafts.chain([OLD].into_iter().chain(of_copy).map(str::to_owned)) {
        remove(dirs, dir, &name)?;
    }
    Ok(())
}

/// The wall never stood, so nothing was changed in a copy of the workspace: it is not compared, for which a
/// full disk, because of which the wall may not stand, has no place.
pub(in crate::state) fn disown_copy(claim: &ChangesClaim) -> Result<()> {
    claim.dir.remove_file(stockade_workspace::replica::LIST)
}

pub(super) fn remove(dirs: &StateDirs, dir: &Dir, name: &str) -> Result<()> {
    match dirs.trash()?.take_any(dir.fd(), name) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(error) => Err(dir.error("remove", name, error)),
    }
}

/// What the change set holds; none if nothing. What cannot be read is kept.
pub(super) fn look(claim: &ChangesClaim, workspace: &Path) -> Option<KeptChanges> {
    look_through(claim, workspace, 0).map(|(kept, _)| kept)
}

/// The same, with a list of the first changes.
pub(super) fn look_through(
    claim: &ChangesClaim,
    workspace: &Path,
    listed: usize,
) -> Option<(KeptChanges, Vec<Change>)> {
    let upper = claim.upper();
    // By the descriptor: that a path leads nowhere does not mean that there are no changes.
    let is_missing = matches!(claim.dir.open_below(UPPER), Err(Errno::NOENT));
    if is_missing || stockade_workspace::is_empty(&upper).unwrap_or(false) {
        return None;
    }
    let limits = ScanLimits {
        listed,
        ..ScanLimits::COUNTS
    };
    let found = stockade_workspace::scan(&upper, workspace, limits).ok();
    let counts = found.as_ref().map(|found| found.counts);
    let (truncated, changes) = found.map_or((false, Vec::new()), |found| (found.uncounted, found.changes));
    // Copied-up directories in which nothing is different.
    if !truncated && counts.is_some_and(|counts| counts.is_empty()) {
        return None;
    }
    let kept = KeptChanges {
        key: claim.key.clone(),
        name: claim.name().to_owned(),
        upper,
        counts,
        truncated,
    };
    Some((kept, changes))
}

/// Leaves the directory to a later run if it holds nothing, else to the trash. Who takes it
/// may find it still locked for a moment, and makes another.
fn hand_on_or_discard(dirs: &StateDirs, claim: &ChangesClaim) -> Result<()> {
    let is_bare = is_bare(dirs, &claim.dir).unwrap_or(false);
    if is_bare && dirs.hand_on(Kind::Changes, &path_of(&claim.key)) {
        Ok(())
    } else {
        discard(dirs, &claim.key)
    }
}

/// True if nothing is left of what a sandbox could write: no name, no attribute.
fn is_bare(dirs: &StateDirs, dir: &Dir) -> Result<bool> {
    let (Ok(upper), Ok(work)) = (dir.open_below(UPPER), dir.open_below(WORK)) else {
        return Ok(false);
    };
    if !has_only_overlay_attributes(&upper) {
        return Ok(false);
    }
    // The kernel wants to make its own.
    if dirs.trash()?.take_any(work.fd(), WORK).is_err() && work.names()? == [WORK] {
        return Ok(false);
    }
    Ok(dir.names()?.len() == 2 && upper.is_empty()? && work.is_empty()?)
}

/// Attributes that overlay itself gives to its upper directory and takes as they are.
fn has_only_overlay_attributes(upper: &Dir) -> bool {
    const KNOWN: [&str; 4] = [
        "user.overlay.uuid",
        "user.overlay.impure",
        "trusted.overlay.uuid",
        "trusted.overlay.impure",
    ];
    let mut names = [0; 256];
    match rustix::fs::flistxattr(upper.fd(), &mut names) {
        Ok(length) => names
            .get(..length)
            .unwrap_or_default()
            .split(|byte| *byte == 0)
            .all(|name| name.is_empty() || KNOWN.iter().any(|known| known.as_bytes() == name)),
        Err(Errno::NOTSUP) => true,
        Err(_) => false,
    }
}
