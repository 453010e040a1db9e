//! What was touched in a copy. It was written by untrusted code: no link is followed, and nothing but
//! directories is opened. Whether a touched file is different is for a scan to tell.

use std::collections::BTreeSet;
use std::ffi::{CString, OsStr};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FileType, Mode, Stat};
use rustix::io::Errno;

use super::list::{List, Was};
use super::open_below;
use crate::error::{Error, Result};
use crate::overlay::stat_at;
use crate::scan::each_name;

/// One difference.
#[derive(Debug)]
pub(super) enum Difference {
    /// Something that is no directory is new or was touched.
    File(PathBuf),
    /// A directory was not there before. What is in it is not looked at.
    NewDirectory(PathBuf, Stat),
    /// A directory has another mode.
    Mode(PathBuf, Stat),
    /// A name is gone.
    Gone(PathBuf),
}

/// Whether something may write to a tree while it is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Calm {
    /// Nothing does: what is closed to its own user may be opened.
    Still,
    /// Somebody may: a name can become another's between two looks.
    Moving,
}

/// Tells each difference, parents first.
pub(super) fn walk(
    copy: &OwnedFd,
    list: &List,
    calm: Calm,
    each: &mut dyn FnMut(Difference) -> Result<()>,
) -> Result<()> {
    let mut pending = vec![PathBuf::new()];
    while let Some(at) = pending.pop() {
        let directory = match open_any(copy, &at, calm) {
            Ok(directory) => directory,
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) if calm == Calm::Moving => continue,
            // It could not be read when the copy was made, either.
            Err(Errno::ACCESS) if calm == Calm::Moving && children(list, &at).next().is_none() => continue,
            // Another file system is mounted there, of which nothing was copied.
            Err(Errno::XDEV) => continue,
            Err(cause) => {
                return Err(Error::List {
                    path: at,
                    cause: cause.into(),
                });
            }
        };
        let mut names: BTreeSet<CString> = BTreeSet::new();
        each_name(&directory, |name| {
            names.insert(name.to_owned());
            true
        })
        .map_err(|cause| Error::List {
            path: at.clone(),
            cause: cause.into(),
        })?;
        for name in children(list, &at) {
            let known = CString::new(name).is_ok_and(|name| names.contains(&name));
            if !known {
                each(Difference::Gone(at.join(OsStr::from_bytes(name))))?;
            }
        }
        for name in &names {
            let Ok(now) = stat_at(&directory, name) else {
                continue;
            };
            let path = at.join(OsStr::from_bytes(name.as_bytes()));
            let was = list.names.get(path.as_os_str().as_bytes());
            let is_directory = FileType::from_raw_mode(now.st_mode) == FileType::Directory;
            match was {
                Some(was) if is_directory && was.kind() == FileType::Directory => {
                    if was.mode != now.st_mode {
                        each(Difference::Mode(path.clone(), now))?;
                    }
                    pending.push(path);
                }
                _ if is_directory => each(Difference::NewDirectory(path, now))?,
                Some(was) if *was == Was::of(&now) => {}
                _ => each(Difference::File(path))?,
            }
        }
    }
    Ok(())
}

/// The names that a directory had.
fn children<'l>(list: &'l List, at: &Path) -> impl Iterator<Item = &'l [u8]> {
    let mut prefix = at.as_os_str().as_bytes().to_vec();
    if !prefix.is_empty() {
        prefix.push(b'/');
    }
    let length = prefix.len();
    let start = prefix.clone();
    list.names
        .range(start..)
        .take_while(move |(path, _)| path.starts_with(&prefix))
        .filter_map(move |(path, _)| {
            let name = path.get(length..)?;
            (!name.is_empty() && !name.contains(&b'/')).then_some(name)
        })
}

/// Opens a directory whatever its permission bits are.
fn open_any(copy: &OwnedFd, at: &Path, calm: Calm) -> rustix::io::Result<OwnedFd> {
    match open_below(copy, at) {
        Err(Errno::ACCESS) if calm == Calm::Still => {
            let (parent, name) = (at.parent().unwrap_or(Path::new("")), at.file_name());
            let parent = open_below(copy, parent)?;
            let name = name.unwrap_or(OsStr::new("."));
            let stat = rustix::fs::statat(&parent, name, AtFlags::SYMLINK_NOFOLLOW)?;
            if FileType::from_raw_mode(stat.st_mode) != FileType::Directory {
                return Err(Errno::NOTDIR);
            }
            // Nothing of the sandbox runs any more, so the name is still that directory.
            rustix::fs::chmodat(&parent, name, Mode::RWXU, AtFlags::empty())?;
            open_below(copy, at)
        }
        other => other,
    }
}
