//! The steps from a stage into a copy. Each may be done again. What was told is hostile: every path is resolved beneath
//! the copy, through no link, and what does not fit is left out.

use std::collections::BTreeSet;
use std::ffi::{CStr, CString, OsStr};
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FileType, Mode, RenameFlags, Stat};
use rustix::io::Errno;

use super::stage::{Skipped, give};
use super::{PLAN, STAGE, Step, Traits, failed};
use crate::copy::plain_attributes;
use crate::error::Result;
use crate::overlay::stat_at;
use crate::place::Place;
use crate::replica::COPY;
use crate::trees::open_root;

/// More than the steps for the largest copy need.
const MAX_PLAN_BYTES: u64 = 512 << 20;
const OPEN: u32 = 0o700;

/// Writes the plan, whole or not at all. From then on it is done.
pub(super) fn write(changes: &Path, mut steps: Vec<Step>) -> Result<()> {
    let mut all = close_again(&place(changes)?, &steps);
    // Done again, it would take away what has come in its place.
    let new: BTreeSet<PathBuf> = steps
        .iter()
        .filter(|step| !matches!(step, Step::Remove(_)))
        .map(|step| place_of(step).to_owned())
        .collect();
    steps.retain(|step| !matches!(step, Step::Remove(_)) || !new.contains(place_of(step)));
    all.append(&mut steps);
    all.sort_by_cached_key(order);
    let bytes = postcard::to_allocvec(&all).map_err(|error| failed(PLAN, std::io::Error::other(error)))?;
    let aside = changes.join("copy.plan.new");
    let written = File::options()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&aside)
        .and_then(|mut file| file.write_all(&bytes))
        .and_then(|()| std::fs::rename(&aside, changes.join(PLAN)));
    written.map_err(|cause| failed(PLAN, cause))
}

/// What goes comes first, then what is new, parents before what is in them, then what has two names; directories are
/// closed at the end, the innermost first.
fn order(step: &Step) -> (u8, std::cmp::Reverse<usize>, Vec<u8>) {
    let depth = |path: &[u8]| std::cmp::Reverse(path.iter().filter(|byte| **byte == b'/').count());
    let flat = std::cmp::Reverse(0);
    match step {
        Step::Remove(path) => (0, flat, path.clone()),
        Step::Directory(path) | Step::Put(path, _) | Step::Special { path, .. } => (1, flat, path.clone()),
        Step::Also(path, _) => (2, flat, path.clone()),
        Step::Close(path, _) => (3, depth(path), path.clone()),
    }
}

/// Directories that have to be opened for the steps, and of which nothing is told.
fn close_again(copy: &Place, steps: &[Step]) -> Vec<Step> {
    let told: BTreeSet<&[u8]> = steps
        .iter()
        .filter_map(|step| match step {
            Step::Close(path, _) => Some(path.as_slice()),
            _ => None,
        })
        .collect();
    let mut above = BTreeSet::new();
    for step in steps {
        let mut path = place_of(step);
        while let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            if !above.insert(parent) {
                break;
            }
            path = parent;
        }
    }
    let closed = above.into_iter().filter_map(|path| {
        let stat = copy.stat(path).ok().flatten().filter(is_directory)?;
        let bytes = path.as_os_str().as_bytes();
        let is_closed = stat.st_mode & OPEN != OPEN;
        (is_closed && !told.contains(bytes)).then(|| {
            let traits = Traits {
                mode: stat.st_mode & 0o7777,
                modified: (stat.st_mtime, u32::try_from(stat.st_mtime_nsec).unwrap_or(0)),
                attributes: kept_attributes(copy, path),
            };
            Step::Close(bytes.to_vec(), traits)
        })
    });
    closed.collect()
}

fn kept_attributes(copy: &Place, path: &Path) -> Vec<(Vec<u8>, Vec<u8>)> {
    let found = copy
        .directory(path)
        .and_then(|directory| plain_attributes(directory.as_fd()))
        .unwrap_or_default();
    let bytes = found.into_iter().map(|(name, value)| (name.into_bytes(), value));
    bytes.collect()
}

fn place_of(step: &Step) -> &Path {
    let path = match step {
        Step::Remove(path)
        | Step::Directory(path)
        | Step::Put(path, _)
        | Step::Also(path, _)
        | Step::Special { path, .. }
        | Step::Close(path, _) => path,
    };
    Path::new(OsStr::from_bytes(path))
}

fn place(changes: &Path) -> Result<Place> {
    // Ours, and where the copy is.
    let at = std::fs::canonicalize(changes.join(COPY)).map_err(|cause| failed(COPY, cause))?;
    Place::open(&at).map_err(|cause| failed(COPY, cause.into()))
}

/// Does what is planned, if anything is.
pub(super) fn finish(changes: &Path) -> Result<Vec<Skipped>> {
    let mut bytes = Vec::new();
    match File::open(changes.join(PLAN)) {
        Ok(file) => file
            .take(MAX_PLAN_BYTES)
            .read_to_end(&mut bytes)
            .map_err(|cause| failed(PLAN, cause))?,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(cause) => return Err(failed(PLAN, cause)),
    };
    let steps: Vec<Step> =
        postcard::from_bytes(&bytes).map_err(|error| failed(PLAN, std::io::Error::other(error)))?;
    let taking = Taking {
        copy: place(changes)?,
        stage: open_root("what is taken in", &changes.join(STAGE))?,
    };
    let mut skipped = Vec::new();
    for step in &steps {
        match taking.step(step) {
            Ok(()) => {}
            Err(cause) if does_not_fit(cause) => skipped.push((place_of(step).to_owned(), cause)),
            Err(cause) => return Err(failed(place_of(step), cause.into())),
        }
    }
    std::fs::remove_file(changes.join(PLAN)).map_err(|cause| failed(PLAN, cause))?;
    Ok(skipped)
}

/// What was told is at fault, and not this host.
fn does_not_fit(cause: Errno) -> bool {
    matches!(
        cause,
        Errno::NOENT
            | Errno::NOTDIR
            | Errno::LOOP
            | Errno::XDEV
            | Errno::INVAL
            | Errno::NAMETOOLONG
            | Errno::MLINK
            | Errno::NOTSUP
            | Errno::RANGE
            | Errno::TOOBIG
    )
}

struct Taking {
    copy: Place,
    stage: OwnedFd,
}

impl Taking {
    fn step(&self, step: &Step) -> rustix::io::Result<()> {
        let path = place_of(step);
        let (parent, name) = match self.parent(path) {
            // It went with what held it.
            Err(Errno::NOENT | Errno::NOTDIR) if matches!(step, Step::Remove(_)) => return Ok(()),
            other => other?,
        };
        match step {
            Step::Remove(_) => self.remove(parent.as_fd(), &name),
            Step::Directory(_) => self.directory(parent.as_fd(), &name),
            Step::Put(_, number) => self.put(parent.as_fd(), &name, &number.to_string()),
            Step::Also(_, of) => self.also(parent.as_fd(), &name, Path::new(OsStr::from_bytes(of))),
            Step::Special { socket, mode, .. } => self.special(parent.as_fd(), &name, *socket, *mode),
            Step::Close(_, traits) => close(parent.as_fd(), &name, traits),
        }
    }

    /// The directory that holds a path, opened for us on the way.
    fn parent(&self, path: &Path) -> rustix::io::Result<(OwnedFd, CString)> {
        match self.copy.parent(path) {
            Err(Errno::ACCESS) => {}
            Ok(found) if is_open(&found.0)? => return Ok(found),
            Ok(_) => {}
            Err(cause) => return Err(cause),
        }
        let mut at = PathBuf::new();
        for name in path.parent().unwrap_or(Path::new("")).components() {
            let above = self.copy.directory(&at)?;
            at.push(name);
            let stat = rustix::fs::statat(&above, name.as_os_str(), AtFlags::SYMLINK_NOFOLLOW)?;
            if is_directory(&stat) && stat.st_mode & OPEN != OPEN {
                let mode = Mode::from_raw_mode(stat.st_mode & 0o7777 | OPEN);
                rustix::fs::chmodat(&above, name.as_os_str(), mode, AtFlags::empty())?;
            }
        }
        self.copy.parent(path)
    }

    /// Into the stage, which goes.
    fn remove(&self, parent: BorrowedFd<'_>, name: &CStr) -> rustix::io::Result<()> {
        let stat = match stat_at(parent, name) {
            Ok(stat) => stat,
            Err(Errno::NOENT) => return Ok(()),
            Err(cause) => return Err(cause),
        };
        // Moving a directory writes its `..`.
        if is_directory(&stat) && stat.st_mode & OPEN != OPEN {
            let mode = Mode::from_raw_mode(stat.st_mode & 0o7777 | OPEN);
            rustix::fs::chmodat(parent, name, mode, AtFlags::empty())?;
        }
        for number in 0_u64.. {
            // Not twice the same inode under one name.
            let to = format!("gone-{}-{number}", stat.st_ino);
            match rustix::fs::renameat_with(parent, name, &self.stage, &to, RenameFlags::NOREPLACE) {
                Err(Errno::EXIST) => {}
                other => return other,
            }
        }
        Ok(())
    }

    fn directory(&self, parent: BorrowedFd<'_>, name: &CStr) -> rustix::io::Result<()> {
        if stat_at(parent, name).is_ok_and(|stat| is_directory(&stat)) {
            return Ok(());
        }
        self.remove(parent, name)?;
        rustix::fs::mkdirat(parent, name, Mode::RWXU)
    }

    fn put(&self, parent: BorrowedFd<'_>, name: &CStr, staged: &str) -> rustix::io::Result<()> {
        match rustix::fs::statat(&self.stage, staged, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(_) => {}
            // It was put there before this was interrupted.
            Err(Errno::NOENT) => return Ok(()),
            Err(cause) => return Err(cause),
        }
        if stat_at(parent, name).is_ok_and(|stat| is_directory(&stat)) {
            self.remove(parent, name)?;
        }
        rustix::fs::renameat(&self.stage, staged, parent, name)
    }

    fn also(&self, parent: BorrowedFd<'_>, name: &CStr, of: &Path) -> rustix::io::Result<()> {
        const ASIDE: &CStr = c"also";
        let (other, other_name) = self.parent(of)?;
        let there = stat_at(&other, &other_name)?;
        if is_directory(&there) {
            return Err(Errno::INVAL);
        }
        if stat_at(parent, name).is_ok_and(|stat| stat.st_ino == there.st_ino) {
            return Ok(());
        }
        self.remove(parent, name)?;
        match rustix::fs::unlinkat(&self.stage, ASIDE, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(cause) => return Err(cause),
        }
        rustix::fs::linkat(
            &other,
            other_name.as_c_str(),
            &self.stage,
            ASIDE,
            AtFlags::empty(),
        )?;
        rustix::fs::renameat(&self.stage, ASIDE, parent, name)
    }

    fn special(
        &self,
        parent: BorrowedFd<'_>,
        name: &CStr,
        socket: bool,
        mode: u32,
    ) -> rustix::io::Result<()> {
        let kind = if socket { FileType::Socket } else { FileType::Fifo };
        let is_there = stat_at(parent, name).is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == kind);
        let mode = Mode::from_raw_mode(mode & 0o777);
        if !is_there {
            self.remove(parent, name)?;
            rustix::fs::mknodat(parent, name, kind, mode, 0)?;
        }
        rustix::fs::chmodat(parent, name, mode, AtFlags::empty())
    }
}

fn close(parent: BorrowedFd<'_>, name: &CStr, traits: &Traits) -> rustix::io::Result<()> {
    let stat = stat_at(parent, name)?;
    if !is_directory(&stat) {
        return Err(Errno::NOTDIR);
    }
    if stat.st_mode & OPEN != OPEN {
        let mode = Mode::from_raw_mode(stat.st_mode & 0o7777 | OPEN);
        rustix::fs::chmodat(parent, name, mode, AtFlags::empty())?;
    }
    let directory = rustix::fs::openat(parent, name, crate::trees::DIRECTORY, Mode::empty())?;
    for name in plain_attributes(directory.as_fd())?.into_keys() {
        if !traits.attributes.iter().any(|(kept, _)| kept == name.as_bytes()) {
            rustix::fs::fremovexattr(&directory, &name)?;
        }
    }
    give(directory.as_fd(), traits).map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))
}

fn is_open(directory: &OwnedFd) -> rustix::io::Result<bool> {
    Ok(rustix::fs::fstat(directory)?.st_mode & OPEN == OPEN)
}

fn is_directory(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::Directory
}

#[cfg(test)]
mod tests {
    use super::super::{Stage, begin, settled};
    use super::*;

    /// A copy with `a`, `d/b` and a closed directory, and steps that change all of it.
    fn place(steps_from: &mut Vec<Step>) -> (tempfile::TempDir, PathBuf, Stage) {
        let root = tempfile::tempdir().unwrap();
        let changes = root.path().join("changes");
        for name in [
            "changes/copy/d",
            "changes/copy/closed",
            "changes/copy/gone/below",
            "trash",
        ] {
            std::fs::create_dir_all(root.path().join(name)).unwrap();
        }
        for name in ["a", "d/b", "closed/c", "gone/below/x"] {
            std::fs::write(changes.join(COPY).join(name), name).unwrap();
        }
        let closed = changes.join(COPY).join("closed");
        std::fs::set_permissions(closed, std::os::unix::fs::PermissionsExt::from_mode(0o555)).unwrap();
        begin(&changes).unwrap();
        let mut stage = Stage::begin(&changes, &root.path().join("trash")).unwrap();
        let mut staged = |text: &str| {
            let staged = stage.file().unwrap();
            staged.write(0, text.as_bytes()).unwrap();
            let traits = Traits {
                mode: 0o640,
                modified: (1_000_000_000, 5),
                attributes: Vec::new(),
            };
            staged.finish(text.len() as u64, &traits).unwrap();
            staged.number
        };
        let path = |text: &str| text.as_bytes().to_vec();
        let directory = Traits {
            mode: 0o750,
            modified: (1_100_000_000, 0),
            attributes: Vec::new(),
        };
        steps_from.extend([
            Step::Put(path("a/inner"), staged("inner")),
            Step::Directory(path("a")),
            Step::Close(path("a"), directory),
            Step::Put(path("d"), staged("a file now")),
            Step::Put(path("closed/new"), staged("new")),
            Step::Also(path("second"), path("closed/new")),
            Step::Remove(path("gone")),
            Step::Special {
                path: path("pipe"),
                socket: false,
                mode: 0o600,
            },
        ]);
        (root, changes, stage)
    }

    fn picture(root: &Path) -> Vec<String> {
        use std::os::unix::fs::MetadataExt;
        let mut lines = Vec::new();
        let mut pending = vec![root.to_owned()];
        while let Some(at) = pending.pop() {
            for entry in std::fs::read_dir(&at).unwrap() {
                let path = entry.unwrap().path();
                let meta = std::fs::symlink_metadata(&path).unwrap();
                let name = path.strip_prefix(root).unwrap().display().to_string();
                let content = meta.is_file().then(|| std::fs::read_to_string(&path).unwrap());
                lines.push(format!("{name} {:o} {content:?} {}", meta.mode(), meta.nlink()));
                if meta.is_dir() {
                    pending.push(path);
                }
            }
        }
        lines.sort();
        lines
    }

    #[test]
    fn a_plan_that_was_interrupted_anywhere_is_done_to_its_end() {
        let mut steps = Vec::new();
        let (_root, changes, stage) = place(&mut steps);
        let before = picture(&changes.join(COPY));
        assert_eq!(stage.commit(steps.clone()).unwrap(), []);
        let expected = picture(&changes.join(COPY));
        assert_ne!(before, expected);
        assert!(
            expected.iter().any(|line| line.starts_with("closed 40555")),
            "{expected:?}"
        );
        for done in 0..=steps.len() + 1 {
            let mut steps = Vec::new();
            let (_root, changes, stage) = place(&mut steps);
            write(&changes, steps).unwrap();
            // Killed: nothing is tidied up.
            std::mem::forget(stage);
            let planned: Vec<Step> =
                postcard::from_bytes(&std::fs::read(changes.join(PLAN)).unwrap()).unwrap();
            let taking = Taking {
                copy: super::place(&changes).unwrap(),
                stage: open_root("a stage", &changes.join(STAGE)).unwrap(),
            };
            for step in planned.iter().take(done) {
                taking.step(step).unwrap();
            }
            drop(settled(&changes).unwrap());
            assert_eq!(picture(&changes.join(COPY)), expected, "after {done} steps");
            assert!(!changes.join(PLAN).exists());
        }
    }

    #[test]
    fn what_was_not_planned_yet_changes_nothing() {
        let mut steps = Vec::new();
        let (_root, changes, stage) = place(&mut steps);
        let before = picture(&changes.join(COPY));
        std::mem::forget(stage);
        drop(settled(&changes).unwrap());
        assert_eq!(picture(&changes.join(COPY)), before);
    }
}
