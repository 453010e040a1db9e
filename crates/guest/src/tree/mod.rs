//! A whole tree, for a host that cannot see it: it is planted, looked at, and fetched. Done by the file worker,
//! behind the same walls as commands. What was told of former looks is kept in the worker's memory: a worker
//! that had to be replaced tells everything anew.

mod fetch;
mod plant;
mod survey;

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, Mode, OFlags, ResolveFlags, chmodat, openat, openat2, statat};
use rustix::io::{Errno, Result};
use stockade_wire::{FileAnswer, FileKind, FileOperation, FileRequest, TreeMark, TreeStat};

use self::survey::Memory;
use crate::files::{kind, open};

/// All permission bits, set-user-id and the like included.
const MODE_BITS: u32 = 0o7777;

/// What is below a tree and nowhere else.
const BENEATH: ResolveFlags = ResolveFlags::BENEATH
    .union(ResolveFlags::NO_SYMLINKS)
    .union(ResolveFlags::NO_MAGICLINKS)
    .union(ResolveFlags::NO_XDEV);

/// How directories are opened.
const DIRECTORY: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC)
    .union(OFlags::NONBLOCK);

/// What is known of the tree.
#[derive(Default)]
pub struct Trees {
    memory: Memory,
}

impl Trees {
    /// Does what is asked, if it is about a tree.
    pub fn perform(&mut self, request: &FileRequest) -> Option<(&'static str, Result<FileAnswer>)> {
        let path = &request.path;
        let root = || open(path.as_bytes(), DIRECTORY, Mode::empty());
        Some(match &request.operation {
            FileOperation::Plant { nodes } => (
                "write below",
                root()
                    .and_then(|root| plant::plant(&root, nodes))
                    .map(|()| FileAnswer::Done),
            ),
            FileOperation::Survey { since, still } => (
                "look through",
                root().and_then(|root| self.memory.survey(&root, *since, *still)),
            ),
            FileOperation::Nodes { generation, from } => (
                "tell of",
                self.memory.page(*generation, *from).map(FileAnswer::Nodes),
            ),
            FileOperation::Fetch { wants, still } => (
                "read below",
                root().map(|root| FileAnswer::Parts(fetch::fetch(&root, wants, *still))),
            ),
            FileOperation::Stat { .. }
            | FileOperation::Read { .. }
            | FileOperation::Write { .. }
            | FileOperation::List { .. }
            | FileOperation::Remove { .. }
            | FileOperation::MakeDir { .. }
            | FileOperation::MakeLink { .. }
            | FileOperation::Rename { .. }
            | FileOperation::SetMode { .. } => return None,
        })
    }
}

/// Opens a directory below the root, never through a link.
fn open_below(root: &OwnedFd, path: &[u8]) -> Result<OwnedFd> {
    if path.is_empty() {
        return openat(root, c".", DIRECTORY, Mode::empty());
    }
    openat2(root, path, DIRECTORY, Mode::empty(), BENEATH)
}

/// A directory and a name in it.
fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|byte| *byte == b'/') {
        Some(cut) => (
            path.get(..cut).unwrap_or_default(),
            path.get(cut.saturating_add(1)..).unwrap_or_default(),
        ),
        None => (&[], path),
    }
}

fn describe(stat: &rustix::fs::Stat) -> TreeStat {
    TreeStat {
        mark: TreeMark {
            inode: stat.st_ino,
            changed: (stat.st_ctime, u32::try_from(stat.st_ctime_nsec).unwrap_or(0)),
            mode: stat.st_mode & MODE_BITS,
            kind: kind(rustix::fs::FileType::from_raw_mode(stat.st_mode)),
        },
        links: stat.st_nlink,
        size: u64::try_from(stat.st_size).unwrap_or(0),
        modified: (stat.st_mtime, u32::try_from(stat.st_mtime_nsec).unwrap_or(0)),
    }
}

/// Opens directories; where nothing else runs, also such as are closed to their owner, and closes them again when it
/// is dropped.
struct Opener<'r> {
    root: &'r OwnedFd,
    still: bool,
    /// Where they are, and their modes, the outermost first.
    forced: Vec<(OwnedFd, Vec<u8>, u32)>,
}

impl<'r> Opener<'r> {
    fn new(root: &'r OwnedFd, still: bool) -> Self {
        Self {
            root,
            still,
            forced: Vec::new(),
        }
    }

    /// Opens a directory below the root, never through a link.
    fn directory(&mut self, path: &[u8]) -> Result<OwnedFd> {
        match open_below(self.root, path) {
            Err(Errno::ACCESS) if self.still && !path.is_empty() => {
                let (above, name) = split(path);
                let parent = self.directory(above)?;
                match openat(&parent, name, DIRECTORY, Mode::empty()) {
                    Err(Errno::ACCESS) => {}
                    other => return other,
                }
                let mode = mode_of(parent.as_fd(), name, FileKind::Directory)?;
                set_mode(parent.as_fd(), name, mode | 0o700)?;
                let opened = openat(&parent, name, DIRECTORY, Mode::empty());
                self.forced.push((parent, name.to_vec(), mode));
                opened
            }
            other => other,
        }
    }

    /// Opens a regular file in an open directory.
    fn file(&self, parent: BorrowedFd<'_>, name: &[u8], flags: OFlags) -> Result<OwnedFd> {
        let opened = openat(parent, name, flags, Mode::empty());
        if !(self.still && opened.as_ref().is_err_and(|error| *error == Errno::ACCESS)) {
            return opened;
        }
        let mode = mode_of(parent, name, FileKind::Regular)?;
        // Nothing else runs, so the name is still that file.
        set_mode(parent, name, mode | 0o400)?;
        let opened = openat(parent, name, flags, Mode::empty());
        set_mode(parent, name, mode)?;
        opened
    }
}

impl Drop for Opener<'_> {
    fn drop(&mut self) {
        while let Some((parent, name, mode)) = self.forced.pop() {
            // It was told as it was; what it is in the end is seen by nobody.
            let _ = set_mode(parent.as_fd(), &name, mode);
        }
    }
}

fn mode_of(parent: BorrowedFd<'_>, name: &[u8], wanted: FileKind) -> Result<u32> {
    let mark = describe(&statat(parent, name, AtFlags::SYMLINK_NOFOLLOW)?).mark;
    if mark.kind == wanted {
        Ok(mark.mode)
    } else {
        Err(Errno::ACCESS)
    }
}

fn set_mode(parent: BorrowedFd<'_>, name: &[u8], mode: u32) -> Result<()> {
    chmodat(parent, name, Mode::from_raw_mode(mode), AtFlags::empty())
}
