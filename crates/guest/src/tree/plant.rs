//! A tree that the host sends in.

use std::ffi::CString;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, Mode, OFlags, Timespec, Timestamps, UTIME_OMIT, XattrFlags, ftruncate, openat};
use rustix::io::{Errno, Result};
use stockade_wire::{Attribute, Plant, PlantNode};

use super::{DIRECTORY, MODE_BITS, open_below, split};

const CREATE: OFlags = OFlags::WRONLY
    .union(OFlags::CREATE)
    .union(OFlags::EXCL)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);
const GO_ON: OFlags = OFlags::WRONLY
    .union(OFlags::NOFOLLOW)
    .union(OFlags::NONBLOCK)
    .union(OFlags::CLOEXEC);

/// Makes nodes.
pub fn plant(root: &OwnedFd, nodes: &[PlantNode]) -> Result<()> {
    let mut directory: Option<(&[u8], OwnedFd)> = None;
    for node in nodes {
        let (above, name) = split(node.path.as_bytes());
        let parent = match directory.take() {
            Some((path, opened)) if path == above => opened,
            _ => open_below(root, above)?,
        };
        one(parent.as_fd(), name, node)?;
        directory = Some((above, parent));
    }
    Ok(())
}

fn one(parent: BorrowedFd<'_>, name: &[u8], node: &PlantNode) -> Result<()> {
    let mode = Mode::from_raw_mode(node.mode & MODE_BITS);
    match &node.what {
        Plant::Directory => rustix::fs::mkdirat(parent, name, mode | Mode::RWXU),
        Plant::Close => {
            let made = openat(parent, name, DIRECTORY, Mode::empty())?;
            permitted(set_attributes(made.as_fd(), &node.attributes))?;
            permitted(rustix::fs::fchmod(&made, mode))?;
            permitted(rustix::fs::futimens(&made, &times(node)))
        }
        Plant::Target(target) => {
            rustix::fs::symlinkat(target.as_slice(), parent, name)?;
            permitted(rustix::fs::utimensat(
                parent,
                name,
                &times(node),
                AtFlags::SYMLINK_NOFOLLOW,
            ))
        }
        Plant::Bytes {
            first,
            at,
            bytes,
            size,
        } => {
            let file = if *first {
                let file = openat(parent, name, CREATE, mode)?;
                permitted(set_attributes(file.as_fd(), &node.attributes))?;
                file
            } else {
                openat(parent, name, GO_ON, Mode::empty()).or_else(|error| reopen(parent, name, error))?
            };
            write_at(&file, bytes, *at)?;
            if let Some(size) = size {
                ftruncate(&file, *size)?;
                permitted(rustix::fs::fchmod(&file, mode))?;
                permitted(rustix::fs::futimens(&file, &times(node)))?;
            }
            Ok(())
        }
    }
}

/// A file that its owner may not write, which gets another part.
fn reopen(parent: BorrowedFd<'_>, name: &[u8], error: Errno) -> Result<OwnedFd> {
    if error != Errno::ACCESS {
        return Err(error);
    }
    rustix::fs::chmodat(parent, name, Mode::RUSR | Mode::WUSR, AtFlags::empty())?;
    openat(parent, name, GO_ON, Mode::empty())
}

/// Some walls let nobody inside change what is known of files. Their modes are those with which they were made, and
/// their times are those of their making; the host remembers what they were.
fn permitted(result: Result<()>) -> Result<()> {
    match result {
        Err(Errno::PERM | Errno::NOTSUP | Errno::NOSYS) => Ok(()),
        other => other,
    }
}

fn set_attributes(of: BorrowedFd<'_>, attributes: &[Attribute]) -> Result<()> {
    for one in attributes {
        let name = CString::new(one.name.as_slice()).map_err(|_| Errno::INVAL)?;
        rustix::fs::fsetxattr(of, &name, &one.value, XattrFlags::empty())?;
    }
    Ok(())
}

fn times(node: &PlantNode) -> Timestamps {
    let (seconds, nanoseconds) = node.modified;
    Timestamps {
        last_access: Timespec {
            tv_sec: 0,
            tv_nsec: UTIME_OMIT,
        },
        last_modification: Timespec {
            tv_sec: seconds,
            tv_nsec: nanoseconds.into(),
        },
    }
}

fn write_at(file: &OwnedFd, mut bytes: &[u8], mut at: u64) -> Result<()> {
    while !bytes.is_empty() {
        match rustix::io::pwrite(file, bytes, at) {
            Ok(0) => return Err(Errno::IO),
            Ok(count) => {
                bytes = bytes.get(count..).unwrap_or_default();
                at = at
                    .checked_add(u64::try_from(count).unwrap_or(0))
                    .ok_or(Errno::OVERFLOW)?;
            }
            Err(Errno::INTR) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
