//! Contents of a tree's nodes.

use std::ffi::CString;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, OFlags, SeekFrom, fstat, readlinkat, statat};
use rustix::io::{Errno, Result};
use stockade_wire::limits::{MAX_ATTRIBUTE_BYTES, MAX_ATTRIBUTES, TREE_FULL, TREE_NODE, TREE_PIECE};
use stockade_wire::{Attribute, FileKind, TreeContent, TreePart, TreeResult, TreeStat, TreeWant};

use super::{Opener, describe, split};

const FILE: OFlags = OFlags::RDONLY
    .union(OFlags::NOFOLLOW)
    .union(OFlags::NONBLOCK)
    .union(OFlags::NOCTTY)
    .union(OFlags::CLOEXEC);
/// The access control list, which says what the group bits of the mode mean.
const LIST: &[u8] = b"system.posix_acl_access";
/// Longest list of names of attributes (the kernel's own limit).
const MAX_LIST_BYTES: usize = 64 << 10;

/// Parts of what is wanted, in that order, as far as a message reaches.
pub fn fetch(root: &OwnedFd, wants: &[TreeWant], still: bool) -> Vec<TreeResult> {
    let mut used = 0_usize;
    let mut parts = Vec::new();
    let mut opener = Opener::new(root, still);
    for want in wants {
        if used >= TREE_FULL {
            break;
        }
        let part = one(&mut opener, want);
        used = used.saturating_add(TREE_NODE);
        if let Ok(part) = &part {
            used = used.saturating_add(size(part));
        }
        parts.push(part.map_err(Errno::raw_os_error));
    }
    parts
}

fn size(part: &TreePart) -> usize {
    let attributes = part
        .attributes
        .iter()
        .map(|one| one.name.len().saturating_add(one.value.len()));
    let content = match &part.content {
        TreeContent::Bytes { bytes, .. } | TreeContent::Target(bytes) => bytes.len(),
        TreeContent::Nothing => 0,
    };
    attributes.fold(content, usize::saturating_add)
}

fn one(opener: &mut Opener<'_>, want: &TreeWant) -> Result<TreePart> {
    let (above, name) = split(want.path.as_bytes());
    let parent = opener.directory(above)?;
    let stat = describe(&statat(&parent, name, AtFlags::SYMLINK_NOFOLLOW)?);
    match stat.mark.kind {
        FileKind::Regular => file(opener, &parent, name, want.offset),
        FileKind::Directory => {
            let directory = opener.directory(want.path.as_bytes())?;
            let (attributes, content) = (attributes(directory.as_fd())?, TreeContent::Nothing);
            Ok(TreePart {
                // It may have been opened by force, which is not told.
                stat,
                attributes,
                content,
            })
        }
        FileKind::Symlink => Ok(TreePart {
            stat,
            attributes: Vec::new(),
            content: TreeContent::Target(readlinkat(&parent, name, Vec::new())?.into_bytes()),
        }),
        _ => Ok(TreePart {
            stat,
            attributes: Vec::new(),
            content: TreeContent::Nothing,
        }),
    }
}

fn file(opener: &Opener<'_>, parent: &OwnedFd, name: &[u8], offset: u64) -> Result<TreePart> {
    let seen = describe(&statat(parent, name, AtFlags::SYMLINK_NOFOLLOW)?);
    let file = opener.file(parent.as_fd(), name, FILE)?;
    let is_file = |stat: &TreeStat| stat.mark.kind == FileKind::Regular;
    if !is_file(&describe(&fstat(&file)?)) {
        return Err(Errno::AGAIN);
    }
    let attributes = if offset == 0 {
        attributes(file.as_fd())?
    } else {
        Vec::new()
    };
    let (at, bytes, last) = piece(&file, offset)?;
    Ok(TreePart {
        stat: before(&seen, &fstat(&file)?),
        attributes,
        content: TreeContent::Bytes { at, bytes, last },
    })
}

/// A file that had to be opened by force was touched by us alone, and is told as it was.
fn before(seen: &TreeStat, now: &rustix::fs::Stat) -> TreeStat {
    let now = describe(now);
    let is_same = (seen.mark.inode, seen.mark.mode) == (now.mark.inode, now.mark.mode)
        && (seen.modified, seen.size) == (now.modified, now.size);
    if is_same { *seen } else { now }
}

/// The next stretch of data, where it is, and whether it is the last.
fn piece(file: &OwnedFd, offset: u64) -> Result<(u64, Vec<u8>, bool)> {
    let size = u64::try_from(fstat(file)?.st_size).unwrap_or(0);
    if offset >= size {
        return Ok((offset, Vec::new(), true));
    }
    let at = match rustix::fs::seek(file, SeekFrom::Data(offset)) {
        Ok(at) => at,
        Err(Errno::NXIO) => return Ok((offset, Vec::new(), true)),
        // A file system that knows no holes.
        Err(Errno::INVAL | Errno::OPNOTSUPP) => offset,
        Err(error) => return Err(error),
    };
    let end = match rustix::fs::seek(file, SeekFrom::Hole(at)) {
        Ok(end) => end,
        Err(_) => size,
    };
    let length = usize::try_from(end.saturating_sub(at)).map_or(TREE_PIECE, |length| length.min(TREE_PIECE));
    let mut bytes = vec![0; length];
    let mut filled = 0_usize;
    while let Some(space) = bytes.get_mut(filled..).filter(|space| !space.is_empty()) {
        let position = at.saturating_add(u64::try_from(filled).unwrap_or(0));
        match rustix::io::pread(file, space, position) {
            Ok(0) => break,
            Ok(count) => filled = filled.saturating_add(count),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error),
        }
    }
    bytes.truncate(filled);
    let next = at.saturating_add(u64::try_from(filled).unwrap_or(0));
    // Shorter than it was: there is nothing more.
    let last = next >= size || filled == 0;
    Ok((at, bytes, last))
}

/// The attributes that programs set for themselves, without overlay's marks, and the access control list.
fn attributes(of: BorrowedFd<'_>) -> Result<Vec<Attribute>> {
    // Most files have none.
    match rustix::fs::flistxattr(of, &mut [0_u8; 64][..]) {
        Ok(0) | Err(Errno::NOTSUP) => return Ok(Vec::new()),
        Ok(_) | Err(Errno::RANGE) => {}
        Err(error) => return Err(error),
    }
    let mut names = vec![0; MAX_LIST_BYTES];
    let length = rustix::fs::flistxattr(of, names.as_mut_slice())?;
    names.truncate(length);
    let is_wanted =
        |name: &&[u8]| *name == LIST || (name.starts_with(b"user.") && !name.starts_with(b"user.overlay."));
    let mut found = Vec::new();
    let mut left = MAX_ATTRIBUTE_BYTES;
    for name in names.split(|byte| *byte == 0).filter(is_wanted) {
        let key = CString::new(name).map_err(|_| Errno::INVAL)?;
        left = left.checked_sub(name.len()).ok_or(Errno::TOOBIG)?;
        let mut value = vec![0; left.saturating_add(1)];
        let length = match rustix::fs::fgetxattr(of, &key, value.as_mut_slice()) {
            Ok(length) => length,
            Err(Errno::NODATA) => continue,
            Err(Errno::RANGE) => return Err(Errno::TOOBIG),
            Err(error) => return Err(error),
        };
        left = left.checked_sub(length).ok_or(Errno::TOOBIG)?;
        if found.len() >= MAX_ATTRIBUTES {
            return Err(Errno::TOOBIG);
        }
        value.truncate(length);
        found.push(Attribute {
            name: name.to_vec(),
            value,
        });
    }
    Ok(found)
}
