//! Going back, from the last step to the first. Each step sees by the stage whether it was
//! taken, so going back can be interrupted and begun again.

use std::path::PathBuf;

use rustix::fs::{AtFlags, RenameFlags, Timespec, Timestamps, UTIME_OMIT};
use rustix::io::Errno;

use super::forward::{place, rename_new, set_mode};
use super::home::Ground;
use super::pending::give_back;
use super::{Act, Journal, Mark, Pause, Step, Touched, Tree};
use crate::write_error::{WriteError, WriteResult};

/// Paths at which somebody has put something else meanwhile: those stay as they are.
#[derive(Debug, Default)]
pub(super) struct Foreign {
    /// In the project.
    pub(super) project: Vec<PathBuf>,
    /// In the change set.
    pub(super) changes: Vec<PathBuf>,
}

/// Takes back every step that was taken, and gives directories their times back.
pub(super) fn reverse(
    journal: &Journal,
    touched: &[Touched],
    ground: &Ground,
    pause: Pause<'_>,
) -> WriteResult<Foreign> {
    let mut foreign = Foreign::default();
    for (number, step) in journal.steps.iter().enumerate().rev() {
        pause("step back");
        // A change set that was thrown away takes nothing back.
        if !ground.has(step.tree) || take_back(step, number, ground)? {
            continue;
        }
        match (step.tree, &step.act) {
            (Tree::Project, _) => foreign.project.push(step.path.clone()),
            (Tree::Changes, Act::Take { .. }) => foreign.changes.push(step.path.clone()),
            (Tree::Changes | Tree::Bases, _) => {}
        }
    }
    for directory in touched {
        pause("time");
        restore_time(directory, ground)?;
    }
    Ok(foreign)
}

/// False if something else stands there.
fn take_back(step: &Step, number: usize, ground: &Ground) -> WriteResult<bool> {
    let failed = |cause: Errno| WriteError::step(&step.path, cause);
    let object = number.to_string();
    let stage = ground.stage(step.tree);
    let staged = match rustix::fs::statat(stage.root(), &object, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => Some(Mark::of(&stat)),
        Err(Errno::NOENT) => None,
        Err(cause) => return Err(failed(cause)),
    };
    let parent = || ground.tree(step.tree).parent(&step.path);
    let there = || ground.tree(step.tree).stat(&step.path);
    match &step.act {
        Act::Place { new } => {
            if staged.is_some() {
                return Ok(true);
            }
            if !is_ours(new, there()).map_err(failed)? {
                return Ok(false);
            }
            let (parent, name) = parent().map_err(failed)?;
            rename_new(&parent, &name, stage.root(), &object).map_err(failed)?;
        }
        Act::Exchange { new, old } => {
            if staged.is_none_or(|staged| staged.inode != old.inode) {
                return Ok(true);
            }
            if !is_ours(new, there()).map_err(failed)? {
                return Ok(false);
            }
            let (parent, name) = parent().map_err(failed)?;
            rustix::fs::renameat_with(
                stage.root(),
                &object,
                &parent,
                name.as_c_str(),
                RenameFlags::EXCHANGE,
            )
            .map_err(failed)?;
        }
        Act::Take { .. } => {
            if staged.is_none() {
                return Ok(true);
            }
            if step.tree == Tree::Changes {
                return give_back(ground, number, &step.path);
            }
            let (parent, name) = match parent() {
                Ok(found) => found,
                Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::XDEV) => return Ok(false),
                Err(cause) => return Err(failed(cause)),
            };
            match place(stage.root(), &object, &parent, &name) {
                Err(Errno::EXIST) => return Ok(false),
                other => other.map_err(failed)?,
            }
        }
        Act::Mode { from, to } => match set_mode(step, ground, *to, *from) {
            Ok(()) => {}
            Err(Errno::AGAIN | Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::XDEV) => return Ok(false),
            Err(cause) => return Err(failed(cause)),
        },
    }
    Ok(true)
}

/// What a step put there still stands there. A directory is known by its inode: what is in it
/// is looked at before an undo begins.
fn is_ours(new: &Mark, now: Result<Option<rustix::fs::Stat>, Errno>) -> Result<bool, Errno> {
    match now {
        Ok(Some(now)) if new.is_directory() => Ok(new.inode == now.st_ino),
        Ok(Some(now)) => Ok(new.is_unchanged(&Mark::of(&now))),
        Ok(None) | Err(Errno::LOOP | Errno::XDEV) => Ok(false),
        Err(cause) => Err(cause),
    }
}

fn restore_time(touched: &Touched, ground: &Ground) -> WriteResult {
    let directory = match ground.tree(Tree::Project).directory(&touched.path) {
        Ok(directory) => directory,
        // Somebody else removed it; then it has no time.
        Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::XDEV) => return Ok(()),
        Err(cause) => return Err(WriteError::step(&touched.path, cause)),
    };
    let omit = Timespec {
        tv_sec: 0,
        tv_nsec: UTIME_OMIT,
    };
    let times = Timestamps {
        last_access: omit,
        last_modification: Timespec {
            tv_sec: touched.modified.0,
            tv_nsec: touched.modified.1.into(),
        },
    };
    rustix::fs::futimens(&directory, &times).map_err(|cause| WriteError::step(&touched.path, cause))
}
