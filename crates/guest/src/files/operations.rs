//! What can be done with files.

use std::collections::BTreeMap;
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, Stat, fstat, ftruncate, readlinkat};
use rustix::io::{Errno, Result};
use stockade_wire::limits::{CHUNK, MAX_ENTRIES, MAX_TEXT};
use stockade_wire::{
    DirectoryEntry, FileAnswer, FileError, FileKind, FileOperation, FileRequest, FileResult, FileStat,
    GuestPath,
};

use super::remove::remove;
use super::resolve::{open, open_place, parent, refuse_proc};
use crate::text::{bounded, shown};
use crate::tree::Trees;

/// All permission bits, set-user-id and the like included.
const MODE_BITS: u32 = 0o7777;

/// Does what is asked. What is about whole trees has a memory.
pub fn perform(request: &FileRequest, trees: &mut Trees) -> FileResult {
    let path = &request.path;
    let (verb, result) = match trees.perform(request) {
        Some(done) => done,
        None => with_file(request),
    };
    result.map_err(|errno| {
        let text = format!(
            "cannot {verb} {}: {}",
            shown(path.as_bytes()),
            std::io::Error::from(errno)
        );
        FileError {
            errno: errno.raw_os_error(),
            text: bounded(text, MAX_TEXT),
        }
    })
}

fn with_file(request: &FileRequest) -> (&'static str, Result<FileAnswer>) {
    let path = &request.path;
    match &request.operation {
        FileOperation::Stat { follow } => ("describe", stat(path, *follow)),
        FileOperation::Read { offset, length } => ("read", read(path, *offset, *length)),
        FileOperation::Write {
            offset,
            bytes,
            create,
            truncate,
        } => ("write", write(path, *offset, bytes, *create, *truncate)),
        FileOperation::List { after } => ("list", list(path, after)),
        FileOperation::Remove { recursive } => ("remove", done(remove(path, *recursive))),
        FileOperation::MakeDir { mode, parents } => {
            ("make the directory", done(make_dir(path, *mode, *parents)))
        }
        FileOperation::MakeLink { target } => ("make the link", done(make_link(path, target))),
        FileOperation::Rename { to } => ("rename", done(rename(path, to))),
        FileOperation::SetMode { mode } => ("change the mode of", done(set_mode(path, *mode))),
        FileOperation::Plant { .. }
        | FileOperation::Survey { .. }
        | FileOperation::Nodes { .. }
        | FileOperation::Fetch { .. } => ("handle", Err(Errno::NOSYS)),
    }
}

fn done(result: Result<()>) -> Result<FileAnswer> {
    result.map(|()| FileAnswer::Done)
}

fn stat(path: &GuestPath, follow: bool) -> Result<FileAnswer> {
    let extra = if follow { OFlags::empty() } else { OFlags::NOFOLLOW };
    let place = open_place(path.as_bytes(), extra)?;
    let mut described = describe(&fstat(&place)?);
    if described.kind == FileKind::Symlink {
        described.target = readlinkat(&place, c"", Vec::new())?.into_bytes();
    }
    Ok(FileAnswer::Stat(described))
}

fn read(path: &GuestPath, offset: u64, length: u32) -> Result<FileAnswer> {
    let (file, stat) = open_regular(path, OFlags::RDONLY, Mode::empty())?;
    let length = usize::try_from(length).unwrap_or(CHUNK).min(CHUNK);
    let mut bytes = vec![0; length];
    let mut filled = 0_usize;
    while let Some(space) = bytes.get_mut(filled..).filter(|space| !space.is_empty()) {
        let position = offset
            .checked_add(u64::try_from(filled).unwrap_or(0))
            .ok_or(Errno::OVERFLOW)?;
        match rustix::io::pread(&file, space, position) {
            Ok(0) => break,
            Ok(count) => filled = filled.saturating_add(count),
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
    }
    bytes.truncate(filled);
    Ok(FileAnswer::Chunk { bytes, stat })
}

fn write(
    path: &GuestPath,
    offset: u64,
    bytes: &[u8],
    create: Option<u32>,
    truncate: bool,
) -> Result<FileAnswer> {
    let (flags, mode) = match create {
        Some(mode) => (
            OFlags::WRONLY | OFlags::CREATE,
            Mode::from_raw_mode(mode & MODE_BITS),
        ),
        None => (OFlags::WRONLY, Mode::empty()),
    };
    let (file, _) = open_regular(path, flags, mode)?;
    if truncate {
        ftruncate(&file, 0)?;
    }
    let mut rest = bytes;
    let mut position = offset;
    while !rest.is_empty() {
        match rustix::io::pwrite(&file, rest, position) {
            Ok(0) => return Err(Errno::IO),
            Ok(count) => {
                rest = rest.get(count..).unwrap_or_default();
                position = position
                    .checked_add(u64::try_from(count).unwrap_or(0))
                    .ok_or(Errno::OVERFLOW)?;
            }
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(FileAnswer::Done)
}

/// Opens a file that holds data. Anything else could wait for ever or be no data at all.
fn open_regular(path: &GuestPath, flags: OFlags, mode: Mode) -> Result<(OwnedFd, FileStat)> {
    let file = open(path.as_bytes(), flags | OFlags::NONBLOCK, mode)?;
    let stat = describe(&fstat(&file)?);
    match stat.kind {
        FileKind::Regular => {}
        FileKind::Directory => return Err(Errno::ISDIR),
        _ => return Err(Errno::INVAL),
    }
    refuse_proc(file.as_fd())?;
    Ok((file, stat))
}

/// The names after `after`, in order, as many as go into a message. However large the
/// directory is, no more than that is kept.
fn list(path: &GuestPath, after: &[u8]) -> Result<FileAnswer> {
    let directory = open(path.as_bytes(), OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty())?;
    let mut names: BTreeMap<Vec<u8>, FileKind> = BTreeMap::new();
    let mut more = false;
    for entry in Dir::read_from(&directory)? {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if name <= after || matches!(name, b"." | b"..") {
            continue;
        }
        if names.len() >= MAX_ENTRIES {
            more = true;
            if names
                .last_key_value()
                .is_some_and(|(last, _)| last.as_slice() < name)
            {
                continue;
            }
            names.pop_last();
        }
        names.insert(name.to_vec(), kind(entry.file_type()));
    }
    let entries = names
        .into_iter()
        .map(|(name, kind)| DirectoryEntry { name, kind })
        .collect();
    Ok(FileAnswer::Entries { entries, more })
}

fn make_dir(path: &GuestPath, mode: u32, parents: bool) -> Result<()> {
    let mode = Mode::from_raw_mode(mode & MODE_BITS);
    if !parents {
        let (directory, name) = parent(path)?;
        return rustix::fs::mkdirat(directory, name, mode);
    }
    let whole = path.as_bytes();
    let ends = whole
        .iter()
        .enumerate()
        .skip(1)
        .filter(|(_, byte)| **byte == b'/')
        .map(|(at, _)| at);
    for end in ends.chain([whole.len()]) {
        let prefix = whole.get(..end).unwrap_or_default();
        let Ok(prefix) = GuestPath::new(prefix) else {
            return Err(Errno::INVAL);
        };
        if open_place(prefix.as_bytes(), OFlags::DIRECTORY).is_ok() {
            continue;
        }
        let (directory, name) = parent(&prefix)?;
        rustix::fs::mkdirat(directory, name, mode)?;
    }
    Ok(())
}

fn make_link(path: &GuestPath, target: &[u8]) -> Result<()> {
    let (directory, name) = parent(path)?;
    rustix::fs::symlinkat(target, directory, name)
}

fn rename(path: &GuestPath, to: &GuestPath) -> Result<()> {
    let (directory, name) = parent(path)?;
    let (other_directory, other_name) = parent(to)?;
    rustix::fs::renameat(directory, name, other_directory, other_name)
}

fn set_mode(path: &GuestPath, mode: u32) -> Result<()> {
    let (directory, name) = parent(path)?;
    let stat = rustix::fs::statat(&directory, &name, AtFlags::SYMLINK_NOFOLLOW)?;
    if FileType::from_raw_mode(stat.st_mode) == FileType::Symlink {
        return Err(Errno::LOOP);
    }
    rustix::fs::chmodat(
        directory,
        name,
        Mode::from_raw_mode(mode & MODE_BITS),
        AtFlags::empty(),
    )
}

fn describe(stat: &Stat) -> FileStat {
    FileStat {
        kind: kind(FileType::from_raw_mode(stat.st_mode)),
        mode: stat.st_mode & MODE_BITS,
        uid: stat.st_uid,
        gid: stat.st_gid,
        size: u64::try_from(stat.st_size).unwrap_or(0),
        identity: (stat.st_dev, stat.st_ino),
        modified: (stat.st_mtime, u32::try_from(stat.st_mtime_nsec).unwrap_or(0)),
        target: Vec::new(),
    }
}

/// What it is.
pub fn kind(file_type: FileType) -> FileKind {
    match file_type {
        FileType::RegularFile => FileKind::Regular,
        FileType::Directory => FileKind::Directory,
        FileType::Symlink => FileKind::Symlink,
        FileType::Fifo => FileKind::Fifo,
        FileType::Socket => FileKind::Socket,
        FileType::CharacterDevice => FileKind::CharDevice,
        FileType::BlockDevice => FileKind::BlockDevice,
        FileType::Unknown => FileKind::Unknown,
    }
}
