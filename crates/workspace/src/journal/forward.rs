//! Taking the steps, in order. Whatever stands in the way ends it with an error; taking back
//! what was done is for [`super::reverse`].

use std::collections::BTreeSet;

use rustix::fs::{AtFlags, Mode, RenameFlags};
use rustix::io::Errno;

use super::home::Ground;
use super::{Act, Journal, Mark, Pause, Step, Tree};
use crate::write_error::{WriteError, WriteResult};

/// Takes all steps.
pub(crate) fn forward(journal: &Journal, ground: &Ground, pause: Pause<'_>) -> WriteResult {
    // A file with several names is touched when the first of them is moved.
    let mut moved = BTreeSet::new();
    for (number, step) in journal.steps.iter().enumerate() {
        pause("step");
        take(step, number, ground, &moved)?;
        match &step.act {
            Act::Exchange { old, .. } | Act::Take { old } => {
                moved.insert((step.tree, old.inode));
            }
            // Taken again by a later step.
            Act::Place { new } => {
                moved.insert((step.tree, new.inode));
            }
            Act::Mode { .. } => {}
        }
    }
    Ok(())
}

fn take(step: &Step, number: usize, ground: &Ground, ours: &BTreeSet<(Tree, u64)>) -> WriteResult {
    let failed = |cause: Errno| WriteError::step(&step.path, cause);
    let (parent, name) = ground.tree(step.tree).parent(&step.path).map_err(failed)?;
    let stage = ground.stage(step.tree);
    let object = number.to_string();
    let stands = || match rustix::fs::statat(&parent, name.as_c_str(), AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => Ok(Some(Mark::of(&stat))),
        Err(Errno::NOENT) => Ok(None),
        Err(cause) => Err(failed(cause)),
    };
    let moved = || WriteError::changed(&step.path);
    let is_expected = |old: &Mark, now: &Mark| {
        old.is_untouched(now) || ours.contains(&(step.tree, old.inode)) && old.is_unchanged(now)
    };
    match &step.act {
        Act::Place { .. } => match place(stage.root(), &object, &parent, &name) {
            Err(Errno::EXIST) => Err(moved()),
            other => other.map_err(failed),
        },
        Act::Exchange { old, .. } => {
            if !stands()?.is_some_and(|now| is_expected(old, &now)) {
                return Err(moved());
            }
            let exchange = || {
                rustix::fs::renameat_with(
                    stage.root(),
                    &object,
                    &parent,
                    name.as_c_str(),
                    RenameFlags::EXCHANGE,
                )
            };
            match exchange() {
                Err(Errno::NOENT) => return Err(moved()),
                other => other.map_err(failed)?,
            }
            if is_in_stage(ground, step.tree, &object, old)? {
                return Ok(());
            }
            // Somebody was faster: what they put there goes back where they put it.
            exchange().map_err(failed)?;
            Err(moved())
        }
        Act::Take { old } => {
            if !stands()?.is_some_and(|now| is_expected(old, &now)) {
                return Err(moved());
            }
            match rename_new(&parent, &name, stage.root(), &object) {
                Err(Errno::NOENT) => return Err(moved()),
                other => other.map_err(failed)?,
            }
            if is_in_stage(ground, step.tree, &object, old)? {
                return Ok(());
            }
            place(stage.root(), &object, &parent, &name).map_err(failed)?;
            Err(moved())
        }
        Act::Mode { from, to } => set_mode(step, ground, *from, *to).map_err(|cause| match cause {
            Errno::AGAIN => moved(),
            cause => failed(cause),
        }),
    }
}

fn is_in_stage(ground: &Ground, tree: Tree, object: &str, old: &Mark) -> WriteResult<bool> {
    let stat = rustix::fs::statat(ground.stage(tree).root(), object, AtFlags::SYMLINK_NOFOLLOW)
        .map_err(|cause| WriteError::step(std::path::Path::new(object), cause))?;
    let now = Mark::of(&stat);
    Ok(if old.is_directory() {
        old.is_untouched(&now)
    } else {
        old.is_unchanged(&now)
    })
}

/// Sets the bits of a directory that has the expected ones; `AGAIN` if it has others.
pub(super) fn set_mode(step: &Step, ground: &Ground, from: u32, to: u32) -> Result<(), Errno> {
    let directory = ground.tree(step.tree).directory(&step.path)?;
    let now = rustix::fs::fstat(&directory)?.st_mode & 0o7777;
    if now == to {
        return Ok(());
    }
    if now != from {
        return Err(Errno::AGAIN);
    }
    rustix::fs::fchmod(&directory, Mode::from_raw_mode(to))
}

/// Moves something to a free name.
pub(super) fn place(
    from: impl std::os::fd::AsFd,
    name: &str,
    to: &std::os::fd::OwnedFd,
    new_name: &std::ffi::CStr,
) -> Result<(), Errno> {
    let name = std::ffi::CString::new(name).map_err(|_| Errno::INVAL)?;
    rename_free(&from, &name, to, new_name)
}

/// The other way: into the stage.
pub(super) fn rename_new(
    from: &std::os::fd::OwnedFd,
    name: &std::ffi::CStr,
    to: impl std::os::fd::AsFd,
    new_name: &str,
) -> Result<(), Errno> {
    let new_name = std::ffi::CString::new(new_name).map_err(|_| Errno::INVAL)?;
    rename_free(from, name, &to, &new_name)
}

/// Renames without ever replacing anything.
pub(super) fn rename_free(
    from: &impl std::os::fd::AsFd,
    name: &std::ffi::CStr,
    to: &impl std::os::fd::AsFd,
    new_name: &std::ffi::CStr,
) -> Result<(), Errno> {
    match rustix::fs::renameat_with(from, name, to, new_name, RenameFlags::NOREPLACE) {
        // A file system that does not know the flag (some network ones). A link never
        // replaces, and a directory replaces nothing but an empty one.
        Err(Errno::INVAL | Errno::NOSYS) => {}
        other => return other,
    }
    match rustix::fs::linkat(from, name, to, new_name, AtFlags::empty()) {
        Ok(()) => rustix::fs::unlinkat(from, name, AtFlags::empty()),
        Err(Errno::PERM | Errno::ISDIR) => rustix::fs::renameat(from, name, to, new_name),
        Err(error) => Err(error),
    }
}
