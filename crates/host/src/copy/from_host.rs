//! Into a sandbox. The host's tree is read by descriptors, without following links below its top:
//! a sandbox may be able to write in it (`--rw`), and must not be shown what its links name.

use std::collections::VecDeque;
use std::ffi::{CStr, CString, OsStr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;

use super::{Copied, Count, Limits, MAX_DEPTH};
use crate::control::RemoteFiles;
use crate::error::{Error, Result};
use crate::files::{CHUNK, FileKind, FileOperation};

/// What of permissions is passed on.
const MODE: u32 = 0o777;
const OPEN: OFlags = OFlags::RDONLY
    .union(OFlags::NONBLOCK)
    .union(OFlags::NOCTTY)
    .union(OFlags::CLOEXEC);

/// Copies a file or directory into a sandbox, to an absolute path inside. Where that is a
/// directory, it goes into it under its own name. What is there already is replaced, directories
/// are merged.
///
/// # Errors
/// If the source or the destination cannot be used at all, a limit is passed, or the sandbox ends.
/// What could not be copied of a directory is in the result.
pub async fn into_sandbox(files: &mut RemoteFiles, from: &Path, to: &Path, limits: Limits) -> Result<Copied> {
    // The user's own choice: a link that they name is followed.
    let source = rustix::fs::openat(CWD, from, OPEN, Mode::empty()).map_err(|error| host(from, error))?;
    let stat = rustix::fs::fstat(&source).map_err(|error| host(from, error))?;
    let target = match files.stat(to, true).await {
        Ok(there) if there.kind == FileKind::Directory => match from.file_name() {
            Some(name) => to.join(name),
            None => to.to_owned(),
        },
        Ok(_) | Err(Error::File { .. }) => to.to_owned(),
        Err(error) => return Err(error),
    };
    let mut copy = Copy {
        files,
        count: Count::new(limits),
    };
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::Directory => copy.tree(source, from, target, stat.st_mode).await?,
        FileType::RegularFile => copy.file(&source, from, &target, &stat).await?,
        _ => {
            return Err(Error::Impossible {
                what: format!("copy {}", from.display()),
                why: "it is no file and no directory".to_owned(),
                remedy: None,
            });
        }
    }
    Ok(copy.count.copied)
}

fn host(path: &Path, error: Errno) -> Error {
    Error::io(format!("read {}", path.display()), error)
}

struct Copy<'a> {
    files: &'a mut RemoteFiles,
    count: Count,
}

/// A directory that is being copied.
struct Frame {
    directory: OwnedFd,
    path: PathBuf,
    target: PathBuf,
    waiting: VecDeque<CString>,
}

impl Copy<'_> {
    async fn tree(&mut self, top: OwnedFd, path: &Path, target: PathBuf, mode: u32) -> Result<()> {
        self.make_directory(&target, mode).await?;
        let mut frames = vec![frame(top, path.to_owned(), target)?];
        while let Some(frame) = frames.last_mut() {
            let Some(name) = frame.waiting.pop_front() else {
                frames.pop();
                continue;
            };
            self.count.entry()?;
            let part = OsStr::from_bytes(name.to_bytes());
            let (path, target) = (frame.path.join(part), frame.target.join(part));
            let depth = frames.len();
            let Some(frame) = frames.last() else { break };
            let below = self.entry(frame.directory.as_fd(), &name, &path, &target).await;
            match below {
                Ok(Some(_)) if depth >= MAX_DEPTH => {
                    self.count
                        .refuse(path, format!("more than {MAX_DEPTH} directories in one another"));
                }
                Ok(Some(below)) => frames.push(below),
                Ok(None) => {}
                Err(Error::Io { source, .. }) => self.count.refuse(path, source.to_string()),
                Err(error) => self.count.settle(Err(error))?,
            }
        }
        Ok(())
    }

    async fn entry(
        &mut self,
        at: BorrowedFd<'_>,
        name: &CStr,
        path: &Path,
        target: &Path,
    ) -> Result<Option<Frame>> {
        let failed = |error| host(path, error);
        let stat = rustix::fs::statat(at, name, AtFlags::SYMLINK_NOFOLLOW).map_err(failed)?;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => {
                let flags = OPEN | OFlags::DIRECTORY | OFlags::NOFOLLOW;
                let directory = rustix::fs::openat(at, name, flags, Mode::empty()).map_err(failed)?;
                self.make_directory(target, stat.st_mode).await?;
                return frame(directory, path.to_owned(), target.to_owned()).map(Some);
            }
            FileType::RegularFile => {
                let file =
                    rustix::fs::openat(at, name, OPEN | OFlags::NOFOLLOW, Mode::empty()).map_err(failed)?;
                let stat = rustix::fs::fstat(&file).map_err(failed)?;
                if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
                    self.count.refuse(path, "it became something else");
                    return Ok(None);
                }
                self.file(&file, path, target, &stat).await?;
            }
            FileType::Symlink => {
                let says = rustix::fs::readlinkat(at, name, Vec::new()).map_err(failed)?;
                self.link(target, says.as_bytes()).await?;
            }
            _ => self.count.refuse(path, "it is no file, directory or link"),
        }
        Ok(None)
    }

    async fn make_directory(&mut self, target: &Path, mode: u32) -> Result<()> {
        let operation = FileOperation::MakeDir {
            mode: mode & MODE | 0o700,
            parents: false,
        };
        match self.files.change(target, operation).await {
            Err(Error::File { errno, .. }) if errno == Errno::EXIST.raw_os_error() => {}
            other => other?,
        }
        self.count.copied.directories += 1;
        Ok(())
    }

    async fn file(&mut self, file: &OwnedFd, path: &Path, target: &Path, stat: &Stat) -> Result<()> {
        let mut offset = 0;
        let mut buffer = vec![0; CHUNK];
        loop {
            let count = read_full(file, &mut buffer, offset).map_err(|error| host(path, error))?;
            if count == 0 && offset > 0 {
                break;
            }
            self.count.bytes(count)?;
            let operation = FileOperation::Write {
                offset,
                bytes: buffer[..count].to_vec(),
                create: (offset == 0).then_some(stat.st_mode & MODE),
                truncate: offset == 0,
            };
            self.files.change(target, operation).await?;
            offset += u64::try_from(count).unwrap_or(0);
            if count < buffer.len() {
                break;
            }
        }
        self.count.copied.files += 1;
        Ok(())
    }

    async fn link(&mut self, target: &Path, says: &[u8]) -> Result<()> {
        let operation = || FileOperation::MakeLink {
            target: says.to_vec(),
        };
        match self.files.change(target, operation()).await {
            Err(Error::File { errno, .. }) if errno == Errno::EXIST.raw_os_error() => {
                self.files
                    .change(target, FileOperation::Remove { recursive: false })
                    .await?;
                self.files.change(target, operation()).await?;
            }
            other => other?,
        }
        self.count.copied.links += 1;
        Ok(())
    }
}

fn frame(directory: OwnedFd, path: PathBuf, target: PathBuf) -> Result<Frame> {
    let failed = |error| host(&path, error);
    let mut waiting = VecDeque::new();
    for entry in Dir::read_from(&directory).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let name = entry.file_name();
        if name != c"." && name != c".." {
            waiting.push_back(name.to_owned());
        }
    }
    Ok(Frame {
        directory,
        path,
        target,
        waiting,
    })
}

fn read_full(file: &OwnedFd, buffer: &mut [u8], offset: u64) -> Result<usize, Errno> {
    let mut filled = 0;
    while filled < buffer.len() {
        let at = offset + u64::try_from(filled).unwrap_or(0);
        match rustix::io::pread(file, &mut buffer[filled..], at) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(Errno::INTR) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}
