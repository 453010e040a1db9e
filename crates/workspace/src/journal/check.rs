//! Whether a project is still as an apply left it.

use std::ffi::OsStr;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::AtFlags;
use rustix::io::Errno;

use super::home::Ground;
use super::{Act, Done, Journal, Mark, Placed, Touched, Tree, VERSION};
use crate::place::Place;
use crate::scan::each_name;
use crate::write_error::{WriteError, WriteResult};

/// What stands at the places of a journal, once its steps were taken.
pub(super) fn look(journal: &Journal, ground: &Ground) -> WriteResult<Done> {
    let mut placed = Vec::new();
    let project = ground.project();
    for step in &journal.steps {
        if step.tree != Tree::Project {
            continue;
        }
        if matches!(step.act, Act::Place { .. } | Act::Exchange { .. }) {
            all_below(project, &step.path, &mut placed)
                .map_err(|cause| WriteError::step(&step.path, cause))?;
        }
    }
    let mut touched = Vec::new();
    for directory in &journal.touched {
        if let Some(now) = time_of(project, &directory.path)? {
            touched.push(now);
        }
    }
    Ok(Done {
        version: VERSION,
        placed,
        touched,
    })
}

/// A node with all that lies below it, one path at a time: depth costs no stack.
fn all_below(project: &Place, path: &Path, to: &mut Vec<Placed>) -> Result<(), Errno> {
    let mut pending = vec![path.to_owned()];
    while let Some(path) = pending.pop() {
        let Some(stat) = project.stat(&path)? else {
            continue;
        };
        let mark = Mark::of(&stat);
        if mark.is_directory() {
            let directory = project.directory(&path)?;
            push_names(&directory, &path, &mut pending)?;
        }
        to.push(Placed { path, mark });
    }
    Ok(())
}

fn push_names(directory: &OwnedFd, path: &Path, to: &mut Vec<PathBuf>) -> Result<(), Errno> {
    each_name(directory, |name| {
        to.push(path.join(OsStr::from_bytes(name.to_bytes())));
        true
    })
}

/// The time of a directory; none if it is gone.
pub(crate) fn time_of(project: &Place, path: &Path) -> WriteResult<Option<Touched>> {
    let directory = match project.directory(path) {
        Ok(directory) => directory,
        Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::XDEV) => return Ok(None),
        Err(cause) => return Err(WriteError::step(path, cause)),
    };
    let stat = rustix::fs::fstat(&directory).map_err(|cause| WriteError::step(path, cause))?;
    Ok(Some(Touched {
        path: path.to_owned(),
        modified: Mark::of(&stat).modified,
    }))
}

/// The paths that are not as the apply left them. None of them may be undone blindly.
pub(super) fn changed_since(journal: &Journal, done: &Done, ground: &Ground) -> Vec<PathBuf> {
    let project = ground.project();
    let mut changed = Vec::new();
    for placed in &done.placed {
        let now = project.stat(&placed.path).ok().flatten();
        if !now.is_some_and(|now| is_as_placed(placed, &Mark::of(&now))) {
            changed.push(placed.path.clone());
        }
    }
    for step in journal.steps.iter().filter(|step| step.tree == Tree::Project) {
        let is_changed = match &step.act {
            // Something stands where it must come back; or there is nowhere to come back to.
            Act::Take { .. } => !is_free(project, &step.path),
            Act::Mode { to, .. } => !has_mode(project, journal, &step.path, *to),
            Act::Place { .. } | Act::Exchange { .. } => false,
        };
        if is_changed {
            changed.push(step.path.clone());
        }
    }
    changed.sort();
    changed.dedup();
    changed
}

/// In a repository that an apply brought, later ones add objects, and their undo leaves them there. An
/// object alone is nobody's work: what leads to it is a reference, the index or a record, which are looked at.
fn is_as_placed(placed: &Placed, now: &Mark) -> bool {
    let mark = match placed.mark.is_directory() && is_of_objects(&placed.path) {
        true => Mark {
            modified: now.modified,
            ..placed.mark
        },
        false => placed.mark,
    };
    mark.is_unchanged(now)
}

fn is_of_objects(path: &Path) -> bool {
    let names: Vec<&OsStr> = path.iter().collect();
    names
        .windows(2)
        .any(|two| two[0] == ".git" && two[1] == "objects")
}

fn is_free(project: &Place, path: &Path) -> bool {
    project.parent(path).is_ok_and(|(parent, name)| {
        let stands = rustix::fs::statat(&parent, name.as_c_str(), AtFlags::SYMLINK_NOFOLLOW);
        matches!(stands, Err(Errno::NOENT))
    })
}

/// Where a directory was opened and closed again, only its last mode counts; where it was
/// taken away afterwards, none.
fn has_mode(project: &Place, journal: &Journal, path: &Path, to: u32) -> bool {
    let of_path = journal
        .steps
        .iter()
        .rev()
        .filter(|step| step.tree == Tree::Project && step.path == path);
    let last = of_path.map(|step| step.act).next();
    match last {
        Some(Act::Mode { to: last, .. }) if last != to => true,
        Some(Act::Mode { .. }) => project
            .stat(path)
            .is_ok_and(|stat| stat.is_some_and(|stat| stat.st_mode & 0o7777 == to)),
        _ => true,
    }
}
