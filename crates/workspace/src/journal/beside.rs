//! A stage in the project itself, for a project on another file system than the history.
//!
//! Names cannot be moved between file systems. So new things are made in a directory of the
//! project that is there for as long as an apply takes; afterwards what stood in the project
//! before is copied into the history, and for an undo back into such a directory. A file in
//! the entry says that the directory exists, from before it is made until it is gone.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Mode, Stat, Timespec, Timestamps, UTIME_OMIT};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use super::home::open_project;
use super::{Act, Journal, Mark, Pause, Tree, VERSION};
use crate::copy::TreeCopy;
use crate::files::{random_name, read_json, write_json};
use crate::place::Place;
use crate::scan::each_name;
use crate::write_error::{WriteError, WriteResult};

const FILE: &str = "beside.json";

/// Where such a directory is, or may be.
#[derive(Debug, Serialize, Deserialize)]
struct Beside {
    version: u32,
    #[serde(with = "crate::name")]
    project: PathBuf,
    project_inode: u64,
    name: String,
}

/// Makes a stage in a project. Returns its name.
pub(super) fn make(entry: &Place, project: &Place, path: &Path) -> WriteResult<String> {
    let failed = |cause: std::io::Error| WriteError::step(path, cause);
    let root = rustix::fs::fstat(project.root()).map_err(|cause| failed(cause.into()))?;
    let beside = Beside {
        version: VERSION,
        project: path.to_owned(),
        project_inode: root.st_ino,
        name: format!(".stockade-{}", random_name()),
    };
    write_json(entry, FILE, &beside).map_err(failed)?;
    let made = rustix::fs::mkdirat(project.root(), &beside.name, Mode::RWXU);
    made.and_then(|()| restore_time(project, &root))
        .map_err(|cause| failed(cause.into()))?;
    Ok(beside.name)
}

/// Removes the stage that an entry names, if there is one.
pub(super) fn remove(entry: &Place) -> WriteResult {
    let failed = |cause: std::io::Error| WriteError::history("read", Path::new(FILE), cause);
    let Some(beside) = read_json::<Beside>(entry, FILE, VERSION).map_err(failed)? else {
        return Ok(());
    };
    match open_project(&beside.project, beside.project_inode) {
        Ok(project) => {
            let path = beside.project.join(&beside.name);
            let failed = |cause| WriteError::history("remove", &path, cause);
            let root = rustix::fs::fstat(project.root()).map_err(failed)?;
            if project.stat(Path::new(&beside.name)).map_err(failed)?.is_some() {
                remove_tree(&project, &beside.name).map_err(failed)?;
                restore_time(&project, &root).map_err(failed)?;
            }
        }
        // Gone with the project.
        Err(WriteError::Moved { .. }) => {}
        Err(error) => return Err(error),
    }
    match rustix::fs::unlinkat(entry.root(), FILE, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(cause) => Err(failed(cause.into())),
    }
}

/// True if an entry names a stage.
pub(super) fn is_there(entry: &Place) -> bool {
    entry.stat(Path::new(FILE)).is_ok_and(|stat| stat.is_some())
}

/// Copies what stood in the project into the entry. The journal that is returned says so.
pub(super) fn archive(entry: &Place, journal: &Journal, pause: Pause<'_>) -> WriteResult<Journal> {
    let project = open_project(&journal.project, journal.project_inode)?;
    let Some(name) = &journal.beside else {
        return Ok(journal.clone());
    };
    let failed = |cause| WriteError::history("open", &journal.project.join(name), cause);
    let stage = project.below(name).map_err(failed)?;
    let copies = format!("copies-{}", random_name());
    rustix::fs::mkdirat(entry.root(), &copies, Mode::RWXU).map_err(failed)?;
    let to = entry.below(&copies).map_err(failed)?;
    copy(&stage, &to, pause)?;
    moved(journal, &to, None, copies)
}

/// Copies what stood in the project into a new stage there.
pub(super) fn fetch(entry: &Place, journal: &Journal, pause: Pause<'_>) -> WriteResult<Journal> {
    let project = open_project(&journal.project, journal.project_inode)?;
    let failed = |cause| WriteError::history("open", &journal.project, cause);
    let copies = entry.below(&journal.stage).map_err(failed)?;
    let name = make(entry, &project, &journal.project)?;
    let stage = project.below(&name).map_err(failed)?;
    copy(&copies, &stage, pause)?;
    moved(journal, &stage, Some(name), journal.stage.clone())
}

fn copy(from: &Place, to: &Place, pause: Pause<'_>) -> WriteResult {
    let copied = TreeCopy {
        from,
        to,
        same: &|_: &Path, _: &Stat| false,
        twin: None,
        budget: None,
        told: &mut |_, _, _| {
            pause("copy");
            Ok(())
        },
    };
    copied
        .copy()
        .map_err(|(path, cause)| WriteError::stage(&path, cause))
}

/// The journal with the things that were copied. They count as changed when they were.
fn moved(journal: &Journal, stage: &Place, beside: Option<String>, name: String) -> WriteResult<Journal> {
    let mut journal = Journal {
        beside,
        stage: name,
        ..journal.clone()
    };
    for (number, step) in journal.steps.iter_mut().enumerate() {
        let (Tree::Project, Act::Exchange { old, .. } | Act::Take { old }) = (step.tree, &mut step.act)
        else {
            continue;
        };
        let object = PathBuf::from(number.to_string());
        let stat = stage
            .stat(&object)
            .map_err(|cause| WriteError::stage(&step.path, cause))?;
        let stat = stat.ok_or_else(|| WriteError::stage(&step.path, Errno::NOENT))?;
        *old = Mark {
            changed: old.changed,
            ..Mark::of(&stat)
        };
    }
    follow_taken(&mut journal);
    Ok(journal)
}

/// What a step puts somewhere for a later step to take is the thing that was taken: its copy now.
fn follow_taken(journal: &mut Journal) {
    let taken = journal.steps.iter().filter_map(|step| match step.act {
        Act::Take { old } if step.tree == Tree::Project => Some((step.path.clone(), old)),
        _ => None,
    });
    let taken: BTreeMap<PathBuf, Mark> = taken.collect();
    for step in &mut journal.steps {
        if let (Tree::Project, Act::Place { new }, Some(old)) =
            (step.tree, &mut step.act, taken.get(&step.path))
        {
            *new = *old;
        }
    }
}

/// A directory of ours that comes or goes is no change of the project.
#[allow(clippy::useless_conversion)] // the fields differ between architectures
fn restore_time(project: &Place, root: &Stat) -> Result<(), Errno> {
    let times = Timestamps {
        last_access: Timespec {
            tv_sec: 0,
            tv_nsec: UTIME_OMIT,
        },
        last_modification: Timespec {
            tv_sec: root.st_mtime.into(),
            tv_nsec: root.st_mtime_nsec.try_into().unwrap_or(0),
        },
    };
    rustix::fs::futimens(project.root(), &times)
}

/// Removes a directory with all that is in it, whatever its permissions are.
fn remove_tree(project: &Place, name: &str) -> Result<(), Errno> {
    let mut found = vec![PathBuf::from(name)];
    let mut at = 0;
    while let Some(path) = found.get(at).cloned() {
        at += 1;
        let Some(stat) = project.stat(&path)? else {
            continue;
        };
        let mark = Mark::of(&stat);
        if !mark.is_directory() {
            continue;
        }
        if mark.mode & 0o700 != 0o700 {
            let (parent, name) = project.parent(&path)?;
            rustix::fs::chmodat(&parent, name.as_c_str(), Mode::RWXU, AtFlags::empty())?;
        }
        let directory = project.directory(&path)?;
        each_name(&directory, |name| {
            found.push(path.join(OsStr::from_bytes(name.to_bytes())));
            true
        })?;
    }
    for path in found.iter().rev() {
        let (parent, name) = match project.parent(path) {
            Err(Errno::NOENT) => continue,
            other => other?,
        };
        match rustix::fs::unlinkat(&parent, name.as_c_str(), AtFlags::empty()) {
            Err(Errno::ISDIR) => rustix::fs::unlinkat(&parent, name.as_c_str(), AtFlags::REMOVEDIR)?,
            Ok(()) | Err(Errno::NOENT) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
