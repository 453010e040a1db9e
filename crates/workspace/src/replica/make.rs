//! Making the copy. Regular files share their blocks with the original where the file system can.

use std::cell::Cell;
use std::ffi::{CString, OsStr};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FileType, Mode, Stat};
use rustix::io::Errno;

use super::list::{List, Was};
use super::{Copied, Order, open_below};
use crate::copy::{self, Fidelity, Keep, Whose};
use crate::error::{Error, Result};
use crate::overlay::stat_at;
use crate::scan::each_name;
use crate::trees::open_root;

/// Copies a workspace. `stop` is asked now and then whether to go on.
///
/// # Errors
/// [`Error::Copy`], [`Error::CopyLimit`] and [`Error::CopyStopped`]; what was made so far stays.
pub fn make(order: &Order, stop: &dyn Fn() -> bool) -> Result<Copied> {
    build(order, stop, Remember::Copy)
}

/// Copies a workspace that is then written itself: the list tells what that was like, and the copy
/// is like it in everything.
///
/// # Errors
/// As [`make`].
pub fn snapshot(order: &Order, stop: &dyn Fn() -> bool) -> Result<Copied> {
    build(order, stop, Remember::Original)
}

/// Of which the list tells what it was like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Remember {
    Copy,
    Original,
}

fn build(order: &Order, stop: &dyn Fn() -> bool, remember: Remember) -> Result<Copied> {
    let source = open_root("the workspace", &order.source)?;
    let root = rustix::fs::fstat(&source).map_err(|cause| failed(Path::new("."), cause))?;
    rustix::fs::mkdirat(CWD, &order.copy, Mode::RWXU).map_err(|cause| failed(&order.copy, cause))?;
    let copy = open_root("the copy of the workspace", &order.copy)?;
    let mut making = Making {
        order,
        stop,
        remember,
        source,
        copy,
        root,
        list: List::new(),
        done: Copied::default(),
        budget: Cell::new(order.limits.bytes),
        upper_uid: None,
        pending: vec![PathBuf::new()],
        directories: vec![(PathBuf::new(), root)],
        over: Vec::new(),
    };
    while let Some(directory) = making.pending.pop() {
        making.directory(&directory)?;
    }
    if let Some(upper) = order.upper.as_ref().filter(|upper| upper.exists()) {
        let upper = open_root("the change set", upper)?;
        let seen = rustix::fs::fstat(&upper).map_err(|cause| failed(Path::new("."), cause))?;
        making.upper_uid = Some(seen.st_uid);
        making.lay_over(&upper)?;
    }
    making.close()?;
    making.list.write(&order.list).map_err(|cause| Error::Copy {
        path: order.list.clone(),
        cause,
    })?;
    Ok(Copied {
        bytes: order.limits.bytes - making.budget.get(),
        ..making.done
    })
}

pub(super) struct Making<'a> {
    order: &'a Order,
    stop: &'a dyn Fn() -> bool,
    remember: Remember,
    source: OwnedFd,
    copy: OwnedFd,
    root: Stat,
    list: List,
    done: Copied,
    /// Bytes that may still be copied.
    budget: Cell<u64>,
    /// Who owns what the workload changed before.
    upper_uid: Option<u32>,
    pending: Vec<PathBuf>,
    /// Directories get their modes and times at the end: until then they must be writable.
    directories: Vec<(PathBuf, Stat)>,
    /// Directories of earlier changes.
    over: Vec<(PathBuf, Stat)>,
}

impl Making<'_> {
    fn directory(&mut self, at: &Path) -> Result<()> {
        let from = match open_below(&self.source, at) {
            Ok(from) => from,
            // What the caller cannot read, the sandbox cannot either.
            Err(Errno::ACCESS | Errno::NOENT | Errno::NOTDIR) => return Ok(()),
            Err(cause) => return Err(failed(at, cause)),
        };
        let to = open_below(&self.copy, at).map_err(|cause| failed(at, cause))?;
        let mut names: Vec<CString> = Vec::new();
        each_name(&from, |name| {
            names.push(name.to_owned());
            true
        })
        .map_err(|cause| failed(at, cause))?;
        for name in names {
            let path = at.join(OsStr::from_bytes(name.as_bytes()));
            self.count(&path)?;
            self.name(&from, &to, &name, &path)?;
        }
        Ok(())
    }

    pub(super) fn count(&mut self, path: &Path) -> Result<()> {
        self.done.names += 1;
        let limits = self.order.limits;
        if self.done.names > limits.names {
            return Err(Error::CopyLimit {
                what: format!("more than {} names", limits.names),
            });
        }
        if self.done.names.is_multiple_of(64) && (self.stop)() {
            return Err(Error::CopyStopped {
                path: path.to_owned(),
            });
        }
        Ok(())
    }

    fn name(&mut self, from: &OwnedFd, to: &OwnedFd, name: &CString, path: &Path) -> Result<()> {
        let Ok(stat) = stat_at(from, name) else {
            return Ok(()); // removed meanwhile
        };
        let hidden = self.order.hidden.iter().any(|hidden| hidden == path);
        let made = match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => {
                rustix::fs::mkdirat(to, name, Mode::RWXU).map_err(|cause| failed(path, cause))?;
                self.directories.push((path.to_owned(), stat));
                if stat.st_dev == self.root.st_dev && !hidden {
                    self.pending.push(path.to_owned());
                } else {
                    self.done.left_out += 1;
                }
                return Ok(());
            }
            FileType::RegularFile => self.file(from, to, name, &stat, hidden),
            FileType::Symlink => self.link(from, to, name, &stat),
            _ => Ok(false),
        };
        if self.step(path, made)? {
            let now = match self.remember {
                Remember::Copy => stat_at(to, name).map_err(|cause| failed(path, cause))?,
                // From before it was read: what changed meanwhile differs.
                Remember::Original => stat,
            };
            self.remember_name(path, &now);
        } else {
            self.done.left_out += 1;
            if self.remember == Remember::Original {
                self.remember_name(path, &stat);
            }
        }
        Ok(())
    }

    fn remember_name(&mut self, path: &Path, stat: &Stat) {
        let name = path.as_os_str().as_bytes().to_vec();
        self.list.names.insert(name, Was::of(stat));
    }

    fn file(
        &self,
        from: &OwnedFd,
        to: &OwnedFd,
        name: &CString,
        stat: &Stat,
        hidden: bool,
    ) -> rustix::io::Result<bool> {
        let opened = match copy::open_readable(from.as_fd(), name) {
            Ok(opened) => opened,
            Err(Errno::ACCESS | Errno::NOENT | Errno::LOOP) => return Ok(false),
            Err(cause) => return Err(cause),
        };
        if FileType::from_raw_mode(rustix::fs::fstat(&opened.descriptor)?.st_mode) != FileType::RegularFile {
            return Ok(false);
        }
        let fidelity = Fidelity {
            content: hidden.then_some(&[]),
            ..self.fidelity(stat)
        };
        copy::copy_opened(&opened, stat, to.as_fd(), name, fidelity).map(|_| true)
    }

    fn link(&self, from: &OwnedFd, to: &OwnedFd, name: &CString, stat: &Stat) -> rustix::io::Result<bool> {
        copy::copy_link(from.as_fd(), name, to.as_fd(), name, self.fidelity(stat)).map(|_| true)
    }

    fn fidelity(&self, stat: &Stat) -> Fidelity<'_> {
        if self.remember == Remember::Original {
            return Fidelity {
                budget: Some(&self.budget),
                force: false,
                ..Fidelity::EXACT
            };
        }
        Fidelity {
            keep: Keep::Plain,
            owner: self.owner(stat),
            strip: copy::SETID,
            budget: Some(&self.budget),
            force: false,
            ..Fidelity::EXACT
        }
    }

    /// Copies what is no directory, of a tree whose owners are those of a sandbox already.
    pub(super) fn copy_node(
        &mut self,
        from: &OwnedFd,
        to: &OwnedFd,
        name: &CString,
        stat: &Stat,
    ) -> rustix::io::Result<()> {
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => self.file(from, to, name, stat, false)?,
            FileType::Symlink => self.link(from, to, name, stat)?,
            _ => false,
        };
        Ok(())
    }

    /// A directory that is to look like another one than that of the workspace.
    pub(super) fn forget(&mut self, path: &Path, stat: &Stat) {
        if let Some(index) = self.directories.iter().position(|(other, _)| other == path) {
            let (_, before) = self.directories.swap_remove(index);
            self.list_directory(path, &before);
        }
        self.over.push((path.to_owned(), *stat));
    }

    pub(super) fn copy(&self) -> &OwnedFd {
        &self.copy
    }

    /// A path of the copy by its name.
    pub(super) fn place(&self, path: &Path) -> PathBuf {
        self.order.copy.join(path)
    }

    pub(super) fn step<T>(&self, path: &Path, result: rustix::io::Result<T>) -> Result<T> {
        result.map_err(|cause| match cause {
            Errno::FBIG => Error::CopyLimit {
                what: format!("more than {} bytes", self.order.limits.bytes),
            },
            cause => failed(path, cause),
        })
    }

    fn owner(&self, stat: &Stat) -> Whose<'_> {
        let Some(owner) = self.order.owner else {
            return Whose::Maker;
        };
        let of_workload = stat.st_uid == self.root.st_uid || Some(stat.st_uid) == self.upper_uid;
        let (uid, gid) = if of_workload { owner.workload } else { owner.others };
        Whose::Of(uid, gid)
    }

    /// Modes and times of directories, the deepest first. The list has the modes of the workspace,
    /// so that a former change of mode is one again.
    fn close(&mut self) -> Result<()> {
        let listed = std::mem::take(&mut self.directories);
        for (path, stat) in listed.iter().rev() {
            self.list_directory(path, stat);
            match self.close_one(path, stat) {
                // An earlier change has removed it.
                Ok(()) | Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => {}
                Err(cause) => return Err(failed(path, cause)),
            }
        }
        for (path, stat) in std::mem::take(&mut self.over).iter().rev() {
            self.close_one(path, stat).map_err(|cause| failed(path, cause))?;
        }
        Ok(())
    }

    fn list_directory(&mut self, path: &Path, stat: &Stat) {
        if !path.as_os_str().is_empty() {
            let mut was = Was::of(stat);
            if self.remember == Remember::Copy {
                was.mode &= !copy::SETID;
            }
            self.list.names.insert(path.as_os_str().as_bytes().to_vec(), was);
        }
    }

    fn close_one(&self, path: &Path, stat: &Stat) -> rustix::io::Result<()> {
        let directory = open_below(&self.copy, path)?;
        copy::close_directory(directory.as_fd(), stat, self.fidelity(stat))
    }
}

fn failed(path: &Path, cause: Errno) -> Error {
    Error::Copy {
        path: path.to_owned(),
        cause: cause.into(),
    }
}
