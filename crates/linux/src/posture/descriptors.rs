//! Open descriptors of a process, and what they lead to.

use std::ffi::OsString;
use std::os::fd::{AsRawFd, BorrowedFd};

use rustix::fs::{CWD, Dir, Mode, OFlags, openat, readlinkat};
use rustix::io::Errno;
use rustix::process::{PidfdGetfdFlags, pidfd_getfd};

use super::text::{lines, number, os, read_file};
use super::{Cause, Part};

/// A guest has some tens.
const DESCRIPTORS_LIMIT: usize = 65_536;
/// Numbers that are tried where the directory cannot be listed.
const TRIED_LIMIT: i32 = 4096;

/// One open descriptor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Descriptor {
    /// Its number.
    pub number: i32,
    /// What it leads to, as the kernel names it: a path, `socket:[17]`, `anon_inode:[pidfd]`.
    pub target: OsString,
}

/// Ascending by number.
pub(super) fn read(process: BorrowedFd<'_>, pidfd: BorrowedFd<'_>) -> Part<Vec<Descriptor>> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let mut all = match openat(process, "fd", flags, Mode::empty()) {
        // A process that is not dumpable belongs to root here, even if it is the reader's
        // own: whoever made its user namespace has the rights over it all the same, but not
        // over files of root.
        Err(Errno::ACCESS | Errno::PERM) => copied(process, pidfd)?,
        directory => listed(Dir::new(directory?)?)?,
    };
    all.sort_unstable_by_key(|descriptor| descriptor.number);
    Ok(all)
}

fn listed(mut directory: Dir) -> Part<Vec<Descriptor>> {
    let mut names = Vec::new();
    for entry in &mut directory {
        match entry?.file_name().to_bytes() {
            b"." | b".." => {}
            name => names.push(number::<i32>(name, 10).ok_or(Cause::Malformed("a name in fd"))?),
        }
        if names.len() > DESCRIPTORS_LIMIT {
            return Err(Cause::TooMuch(DESCRIPTORS_LIMIT));
        }
    }
    let mut all = Vec::with_capacity(names.len());
    for number in names {
        match readlinkat(directory.fd()?, number.to_string(), Vec::new()) {
            Ok(target) => all.push(Descriptor {
                number,
                target: os(target.as_bytes()),
            }),
            // Closed meanwhile.
            Err(Errno::NOENT) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(all)
}

/// Takes a copy of every descriptor there may be and looks where it leads. The kernel tells
/// how many numbers the table has room for.
fn copied(process: BorrowedFd<'_>, pidfd: BorrowedFd<'_>) -> Part<Vec<Descriptor>> {
    let room = table_size(process)?;
    if room > TRIED_LIMIT {
        return Err(Cause::TooMuch(usize::try_from(TRIED_LIMIT).unwrap_or_default()));
    }
    let mut all = Vec::new();
    for number in 0..room {
        let copy = match pidfd_getfd(pidfd, number, PidfdGetfdFlags::empty()) {
            Err(Errno::BADF) => continue,
            copy => copy?,
        };
        let target = readlinkat(CWD, format!("/proc/self/fd/{}", copy.as_raw_fd()), Vec::new())?;
        all.push(Descriptor {
            number,
            target: os(target.as_bytes()),
        });
    }
    Ok(all)
}

fn table_size(process: BorrowedFd<'_>) -> Part<i32> {
    const STATUS_LIMIT_BYTES: usize = 1 << 20;
    let status = read_file(process, "status", STATUS_LIMIT_BYTES)?;
    lines(&status)
        .find_map(|line| line.strip_prefix(b"FDSize:"))
        .and_then(|value| number(value.trim_ascii(), 10))
        .ok_or(Cause::Malformed("FDSize of status"))
}
