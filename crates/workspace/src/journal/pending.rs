//! What was applied becomes a pending change again by an undo. A later sandbox may have written to
//! the same change set since: both stay, or nothing is done.

use std::ffi::OsStr;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Gid, Mode, Stat, Uid};
use rustix::io::Errno;

use super::forward::rename_free;
use super::home::Ground;
use super::{Act, Journal, Mark, Tree};
use crate::overlay::is_opaque;
use crate::place::Place;
use crate::scan::each_name;
use crate::write_error::{WriteError, WriteResult};

/// The paths at which a later sandbox has written what would have to make room.
pub(super) fn taken(journal: &Journal, ground: &Ground) -> WriteResult<Vec<PathBuf>> {
    let mut taken = Vec::new();
    let steps = journal.steps.iter().enumerate();
    for (number, step) in steps.filter(|(_, step)| step.tree == Tree::Changes) {
        if matches!(step.act, Act::Take { .. }) && ground.has(Tree::Changes) {
            let looked = collisions(ground, number, &step.path, &mut taken);
            looked.map_err(|cause| WriteError::step(&step.path, cause))?;
        }
    }
    Ok(taken)
}

/// Moves what has left the change set back into it, between what is there now. False if that is in
/// the way. May be ended and begun again.
pub(super) fn give_back(ground: &Ground, number: usize, path: &Path) -> WriteResult<bool> {
    let failed = |cause: Errno| WriteError::step(path, cause);
    let mut blocked = Vec::new();
    collisions(ground, number, path, &mut blocked).map_err(failed)?;
    if !blocked.is_empty() {
        return Ok(false);
    }
    make_parents(ground, path).map_err(failed)?;
    let mut emptied = Vec::new();
    let mut pending = vec![(PathBuf::from(number.to_string()), path.to_owned())];
    while let Some((from, to)) = pending.pop() {
        if move_one(ground, &from, &to).map_err(failed)? {
            continue;
        }
        let inner = names(&ground.stage(Tree::Changes).directory(&from).map_err(failed)?).map_err(failed)?;
        pending.extend(inner.iter().map(|name| (from.join(name), to.join(name))));
        emptied.push(from);
    }
    // Innermost last.
    for directory in emptied.iter().rev() {
        let (parent, name) = ground.stage(Tree::Changes).parent(directory).map_err(failed)?;
        rustix::fs::unlinkat(&parent, name.as_c_str(), AtFlags::REMOVEDIR).map_err(failed)?;
    }
    Ok(true)
}

/// False if a directory is there already: then what is in it is moved.
fn move_one(ground: &Ground, from: &Path, to: &Path) -> Result<bool, Errno> {
    let (old_parent, name) = ground.stage(Tree::Changes).parent(from)?;
    let (parent, new_name) = ground.tree(Tree::Changes).parent(to)?;
    match rename_free(&old_parent, &name, &parent, &new_name) {
        Ok(()) => Ok(true),
        Err(Errno::EXIST) => Ok(false),
        Err(cause) => Err(cause),
    }
}

/// Directories of both are one, if both are open to us and neither hides what lies below it;
/// everything else collides.
fn collisions(ground: &Ground, number: usize, path: &Path, to: &mut Vec<PathBuf>) -> Result<(), Errno> {
    let (stage, changes) = (ground.stage(Tree::Changes), ground.tree(Tree::Changes));
    if is_blocked(changes, path)? {
        to.push(path.to_owned());
        return Ok(());
    }
    let mut pending = vec![(PathBuf::from(number.to_string()), path.to_owned())];
    while let Some((from, at)) = pending.pop() {
        let (Some(staged), Some(there)) = (stage.stat(&from)?, changes.stat(&at)?) else {
            continue;
        };
        let is_open = |stat: &Stat| Mark::of(stat).is_directory() && stat.st_mode & 0o700 == 0o700;
        if !is_open(&staged) || !is_open(&there) {
            to.push(at);
            continue;
        }
        let (staged, there) = (stage.directory(&from)?, changes.directory(&at)?);
        if is_opaque(&staged) || is_opaque(&there) {
            to.push(at);
            continue;
        }
        pending.extend(
            names(&staged)?
                .into_iter()
                .map(|name| (from.join(&name), at.join(&name))),
        );
    }
    Ok(())
}

/// Something above a path is no directory: a deletion, or a file.
fn is_blocked(changes: &Place, path: &Path) -> Result<bool, Errno> {
    for above in path
        .ancestors()
        .skip(1)
        .filter(|above| !above.as_os_str().is_empty())
    {
        match changes.stat(above) {
            Ok(None) => {}
            Ok(Some(stat)) => return Ok(!Mark::of(&stat).is_directory()),
            Err(Errno::LOOP | Errno::XDEV) => return Ok(true),
            Err(cause) => return Err(cause),
        }
    }
    Ok(false)
}

/// Directories on the way that the change set does not hold any more: as overlay would copy them,
/// with the permissions of the project's.
fn make_parents(ground: &Ground, path: &Path) -> Result<(), Errno> {
    let changes = ground.tree(Tree::Changes);
    let mut above: Vec<&Path> = path.ancestors().skip(1).collect();
    above.reverse();
    for directory in above.into_iter().filter(|above| !above.as_os_str().is_empty()) {
        if changes.stat(directory)?.is_some() {
            continue;
        }
        let (parent, name) = changes.parent(directory)?;
        rustix::fs::mkdirat(&parent, name.as_c_str(), Mode::RWXU)?;
        let owner = rustix::fs::fstat(changes.root())?;
        let made = changes.directory(directory)?;
        rustix::fs::fchown(
            &made,
            Some(Uid::from_raw(owner.st_uid)),
            Some(Gid::from_raw(owner.st_gid)),
        )?;
        let like = ground.project().stat(directory)?;
        let mode = like.map_or(0o755, |like| like.st_mode & 0o777 | 0o700);
        rustix::fs::fchmod(&made, Mode::from_raw_mode(mode))?;
    }
    Ok(())
}

fn names(directory: &OwnedFd) -> Result<Vec<PathBuf>, Errno> {
    let mut names = Vec::new();
    each_name(directory, |name| {
        names.push(PathBuf::from(OsStr::from_bytes(name.to_bytes())));
        true
    })?;
    Ok(names)
}
