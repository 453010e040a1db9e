//! Out of a sandbox.

use std::collections::VecDeque;
use std::ffi::{CStr, CString, OsStr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Mode, OFlags};
use rustix::io::Errno;

use super::link::stays_within;
use super::{Copied, Count, Limits, MAX_DEPTH};
use crate::control::RemoteFiles;
use crate::error::{Error, Result};
use crate::files::{CHUNK, DirectoryEntry, FileKind, FileStat};
use crate::state::random_bytes;

/// What of a file's permissions is kept: others never write.
const FILE_MODE: u32 = 0o755;
/// While a file or directory is being filled.
const PRIVATE_FILE: Mode = Mode::RUSR.union(Mode::WUSR);
const DIRECTORY: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);

/// Copies a file or directory out of a sandbox. Where `to` is a directory, it goes into it under
/// its own name; else it gets the name `to`. What is there already is replaced, directories are
/// merged.
///
/// # Errors
/// If the source or the destination cannot be used at all, a limit is passed, or the sandbox ends.
/// What could not be copied of a directory is in the result.
pub async fn out_of_sandbox(
    files: &mut RemoteFiles,
    from: &Path,
    to: &Path,
    limits: Limits,
) -> Result<Copied> {
    let stat = files.stat(from, true).await?;
    let (directory, name) = destination(from, to)?;
    let mut copy = Copy {
        files,
        count: Count::new(limits),
    };
    match (stat.kind, name) {
        (FileKind::Directory, name) => {
            let (top, is_new) = match name {
                Some(name) => make_directory(directory.as_fd(), &name).map_err(|error| host(to, error))?,
                None => (directory, false),
            };
            copy.tree(top, from, is_new.then_some(stat.mode)).await?;
        }
        (FileKind::Regular, Some(name)) => copy.file(directory.as_fd(), &name, from).await?,
        (kind, _) => {
            return Err(Error::File {
                path: from.to_owned(),
                errno: 0,
                text: format!("a {kind:?} is not copied: it is no file and no directory").to_lowercase(),
            });
        }
    }
    Ok(copy.count.copied)
}

/// The directory to copy into, and the name to get; none: the content goes into the directory.
fn destination(from: &Path, to: &Path) -> Result<(OwnedFd, Option<CString>)> {
    let is_directory = std::fs::metadata(to).is_ok_and(|found| found.is_dir());
    let (directory, name) = if is_directory {
        (to, from.file_name())
    } else {
        let parent = to.parent().filter(|parent| !parent.as_os_str().is_empty());
        (parent.unwrap_or(Path::new(".")), to.file_name())
    };
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    // The user's own choice of a place: links in it are theirs.
    let opened =
        rustix::fs::openat(CWD, directory, flags, Mode::empty()).map_err(|error| host(directory, error))?;
    let name = name.map(|name| CString::new(name.as_bytes()));
    Ok((opened, name.transpose().map_err(|_| host(to, Errno::INVAL))?))
}

fn host(path: &Path, error: Errno) -> Error {
    Error::io(format!("write {}", path.display()), error)
}

/// Makes a directory, or takes the one that is there; never one behind a link. Says whether it
/// is new.
fn make_directory(at: BorrowedFd<'_>, name: &CStr) -> Result<(OwnedFd, bool), Errno> {
    let is_new = match rustix::fs::mkdirat(at, name, Mode::RWXU) {
        Ok(()) => true,
        Err(Errno::EXIST) => false,
        Err(error) => return Err(error),
    };
    Ok((rustix::fs::openat(at, name, DIRECTORY, Mode::empty())?, is_new))
}

struct Copy<'a> {
    files: &'a mut RemoteFiles,
    count: Count,
}

/// A directory that is being copied.
struct Frame {
    directory: OwnedFd,
    /// Inside.
    path: PathBuf,
    /// What it gets when it is filled; none for one that was there before.
    mode: Option<u32>,
    waiting: VecDeque<DirectoryEntry>,
    last: Vec<u8>,
    more: bool,
}

impl Frame {
    fn new(directory: OwnedFd, path: PathBuf, mode: Option<u32>) -> Self {
        Self {
            directory,
            path,
            mode,
            waiting: VecDeque::new(),
            last: Vec::new(),
            more: true,
        }
    }
}

impl Copy<'_> {
    async fn tree(&mut self, top: OwnedFd, path: &Path, mode: Option<u32>) -> Result<()> {
        self.count.copied.directories += 1;
        let mut frames = vec![Frame::new(top, path.to_owned(), mode)];
        while let Some(frame) = frames.last_mut() {
            let Some(entry) = frame.waiting.pop_front() else {
                if frame.more && self.fill(frame).await? {
                    continue;
                }
                // Last, so that a directory without permissions can be filled.
                if let Some(mode) = frame.mode {
                    let mode = Mode::from_raw_mode(mode & FILE_MODE | 0o700);
                    rustix::fs::fchmod(&frame.directory, mode).map_err(|error| host(&frame.path, error))?;
                }
                frames.pop();
                continue;
            };
            self.count.entry()?;
            let inside = frame.path.join(OsStr::from_bytes(&entry.name));
            let depth = frames.len();
            let Some(frame) = frames.last() else { break };
            let below = self
                .entry(frame.directory.as_fd(), &entry, &inside, depth - 1)
                .await?;
            if let Some(below) = below {
                if depth >= MAX_DEPTH {
                    self.count.refuse(
                        inside,
                        format!("more than {MAX_DEPTH} directories in one another"),
                    );
                } else {
                    self.count.copied.directories += 1;
                    frames.push(below);
                }
            }
        }
        Ok(())
    }

    /// Asks for more names; false if there are none or they cannot be had.
    async fn fill(&mut self, frame: &mut Frame) -> Result<bool> {
        match self.files.list(&frame.path, &frame.last).await {
            Ok((entries, more)) => {
                frame.more = more;
                if let Some(last) = entries.last() {
                    frame.last.clone_from(&last.name);
                }
                frame.waiting = entries.into();
                Ok(!frame.waiting.is_empty())
            }
            Err(error) => {
                frame.more = false;
                self.count.settle(Err(error)).map(|()| false)
            }
        }
    }

    /// Copies one entry; a directory is made and returned to be filled.
    async fn entry(
        &mut self,
        at: BorrowedFd<'_>,
        entry: &DirectoryEntry,
        inside: &Path,
        depth: usize,
    ) -> Result<Option<Frame>> {
        let Ok(name) = CString::new(entry.name.clone()) else {
            return Err(Error::protocol("a name holds a NUL byte"));
        };
        let stat = match self.files.stat(inside, false).await {
            Ok(stat) => stat,
            Err(error) => return self.count.settle(Err(error)).map(|()| None),
        };
        match stat.kind {
            FileKind::Directory => match make_directory(at, &name) {
                Ok((directory, is_new)) => {
                    let mode = is_new.then_some(stat.mode);
                    return Ok(Some(Frame::new(directory, inside.to_owned(), mode)));
                }
                Err(Errno::NOTDIR | Errno::LOOP) => {
                    self.count
                        .refuse(inside, "a file or link of this name is at the destination");
                }
                Err(error) => return Err(host(inside, error)),
            },
            FileKind::Regular => {
                let done = self.file(at, &name, inside).await;
                self.count.settle(done)?;
            }
            FileKind::Symlink if stays_within(&stat.target, depth) => self.link(at, &name, inside, &stat)?,
            FileKind::Symlink => {
                let target = String::from_utf8_lossy(&stat.target).into_owned();
                self.count.refuse(
                    inside,
                    format!("a link that could lead out of the copy, to {target}"),
                );
            }
            FileKind::Fifo
            | FileKind::Socket
            | FileKind::CharDevice
            | FileKind::BlockDevice
            | FileKind::Unknown => {
                self.count.refuse(inside, "it is no file, directory or link");
            }
        }
        Ok(None)
    }

    /// Fills a new file and gives it its name when it is complete.
    async fn file(&mut self, at: BorrowedFd<'_>, name: &CStr, inside: &Path) -> Result<()> {
        let draft = draft_name();
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = rustix::fs::openat(at, draft.as_c_str(), flags, PRIVATE_FILE)
            .map_err(|error| host(inside, error))?;
        let done = match self.fill_file(&file, inside).await {
            Ok(stat) => rustix::fs::fchmod(&file, Mode::from_raw_mode(stat.mode & FILE_MODE | 0o600))
                .and_then(|()| rustix::fs::renameat(at, draft.as_c_str(), at, name))
                .map_err(|error| match error {
                    Errno::ISDIR => changed(inside, "a directory of this name is at the destination"),
                    error => host(inside, error),
                }),
            Err(error) => Err(error),
        };
        if done.is_err() {
            let _ = rustix::fs::unlinkat(at, draft.as_c_str(), AtFlags::empty());
        } else {
            self.count.copied.files += 1;
        }
        done
    }

    async fn fill_file(&mut self, file: &OwnedFd, inside: &Path) -> Result<FileStat> {
        let mut offset = 0;
        let mut first: Option<FileStat> = None;
        loop {
            let (bytes, stat) = self.files.read(inside, offset).await?;
            let seen = |stat: &FileStat| (stat.identity, stat.modified, stat.size);
            if first.as_ref().is_some_and(|first| seen(first) != seen(&stat)) {
                return Err(changed(inside, "it changed while it was copied: copy it again"));
            }
            self.count.bytes(bytes.len())?;
            write_all(file, &bytes).map_err(|error| host(inside, error))?;
            if bytes.len() < CHUNK {
                return Ok(stat);
            }
            offset += u64::try_from(bytes.len()).unwrap_or(0);
            first.get_or_insert(stat);
        }
    }

    fn link(&mut self, at: BorrowedFd<'_>, name: &CStr, inside: &Path, stat: &FileStat) -> Result<()> {
        let draft = draft_name();
        let target = stat.target.as_slice();
        rustix::fs::symlinkat(target, at, draft.as_c_str()).map_err(|error| host(inside, error))?;
        if let Err(error) = rustix::fs::renameat(at, draft.as_c_str(), at, name) {
            let _ = rustix::fs::unlinkat(at, draft.as_c_str(), AtFlags::empty());
            if error != Errno::ISDIR {
                return Err(host(inside, error));
            }
            self.count
                .refuse(inside, "a directory of this name is at the destination");
            return Ok(());
        }
        self.count.copied.links += 1;
        Ok(())
    }
}

fn changed(inside: &Path, text: &str) -> Error {
    Error::File {
        path: inside.to_owned(),
        errno: 0,
        text: text.to_owned(),
    }
}

fn draft_name() -> CString {
    let chance = u64::from_le_bytes(random_bytes());
    CString::new(format!(".stockade-cp-{chance:016x}")).unwrap_or_default()
}

fn write_all(file: &OwnedFd, mut bytes: &[u8]) -> Result<(), Errno> {
    while !bytes.is_empty() {
        match rustix::io::write(file, bytes) {
            Ok(0) => return Err(Errno::IO),
            Ok(count) => bytes = bytes.get(count..).unwrap_or_default(),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
