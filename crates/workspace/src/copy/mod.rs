//! Copies of single nodes between two open directories: content, holes, attributes, mode.

pub(crate) mod acl;
mod attributes;
mod content;
mod tree;

use std::cell::Cell;
use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, Stat, Timespec, Timestamps, UTIME_OMIT, Uid};
use rustix::io::Errno;

pub(crate) use attributes::{Keep, copy_attributes, is_plain, plain_attributes};
pub use attributes::{NOBODY, Owners};
pub(crate) use tree::TreeCopy;

/// What a copy keeps of its original beside the content.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fidelity<'a> {
    /// Which attributes.
    pub(crate) keep: Keep,
    /// Whose the copy is.
    pub(crate) owner: Whose<'a>,
    /// The time of its last change; none for that of the original.
    pub(crate) modified: Option<Timespec>,
    /// Bits of the mode that are not taken.
    pub(crate) strip: u32,
    /// The content, if it is not that of the original.
    pub(crate) content: Option<&'a [u8]>,
    /// Bytes that may be copied, where there is a limit: counted down by what cannot be shared.
    pub(crate) budget: Option<&'a Cell<u64>>,
    /// What is closed to its own user is opened: only for trees that are ours.
    pub(crate) force: bool,
}

/// Whose a copy is, where it does not keep its owner.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Whose<'a> {
    /// Of whoever makes it.
    Maker,
    /// As ids inside a sandbox become ids of the host.
    Mapped(&'a Owners),
    /// This user's and group's.
    Of(u32, u32),
}

impl Fidelity<'_> {
    /// Everything, for copies that nobody else sees.
    pub(crate) const EXACT: Self = Self {
        keep: Keep::All,
        owner: Whose::Maker,
        modified: None,
        strip: 0,
        content: None,
        budget: None,
        force: true,
    };
}

const CREATE: OFlags = OFlags::RDWR
    .union(OFlags::CREATE)
    .union(OFlags::EXCL)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);
const READ: OFlags = OFlags::RDONLY
    .union(OFlags::NOFOLLOW)
    .union(OFlags::NONBLOCK)
    .union(OFlags::NOCTTY)
    .union(OFlags::CLOEXEC);

/// Set-user-id and set-group-id.
pub(crate) const SETID: u32 = 0o6000;

/// Copies a file under a name that must be free. Returns what was read, as it stood when
/// reading was over.
pub(crate) fn copy_file(
    from: BorrowedFd<'_>,
    name: &CStr,
    to: BorrowedFd<'_>,
    new_name: &CStr,
    fidelity: Fidelity<'_>,
) -> Result<Stat, Errno> {
    let stat = rustix::fs::statat(from, name, AtFlags::SYMLINK_NOFOLLOW)?;
    let opened = if fidelity.force {
        open_any(from, name, READ)?
    } else {
        open_readable(from, name)?
    };
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Err(Errno::INVAL);
    }
    copy_opened(&opened, &stat, to, new_name, fidelity)
}

/// Opens what may be read.
pub(crate) fn open_readable(from: BorrowedFd<'_>, name: &CStr) -> Result<Opened, Errno> {
    let descriptor = rustix::fs::openat(from, name, READ, Mode::empty())?;
    Ok(Opened {
        descriptor,
        forced: false,
    })
}

/// Copies an open regular file, of which `stat` was known before.
pub(crate) fn copy_opened(
    opened: &Opened,
    stat: &Stat,
    to: BorrowedFd<'_>,
    new_name: &CStr,
    fidelity: Fidelity<'_>,
) -> Result<Stat, Errno> {
    let original = &opened.descriptor;
    let copy = rustix::fs::openat(to, new_name, CREATE, Mode::RUSR | Mode::WUSR)?;
    let size = u64::try_from(stat.st_size).unwrap_or(0);
    let written = match fidelity.content {
        None => content::copy(original, &copy, size, fidelity.budget),
        Some(bytes) => content::write(&copy, bytes),
    };
    let made = written
        .and_then(|()| copy_attributes(original.as_fd(), copy.as_fd(), fidelity.keep))
        .and_then(|()| finish(&copy, stat, fidelity))
        .and_then(|()| rustix::fs::fstat(original))
        .and_then(|now| {
            // Opening it by force has touched it; nothing else may have.
            let is_same = (now.st_ino, now.st_size) == (stat.st_ino, stat.st_size)
                && (now.st_mtime, now.st_mtime_nsec) == (stat.st_mtime, stat.st_mtime_nsec);
            match opened.forced {
                true if is_same => Ok(*stat),
                true => Err(Errno::AGAIN),
                false => Ok(now),
            }
        });
    if made.is_err() {
        // Half a file is of no use, and may hold the last free block.
        let _ = rustix::fs::unlinkat(to, new_name, AtFlags::empty());
    }
    made
}

/// Copies a link.
pub(crate) fn copy_link(
    from: BorrowedFd<'_>,
    name: &CStr,
    to: BorrowedFd<'_>,
    new_name: &CStr,
    fidelity: Fidelity<'_>,
) -> Result<Stat, Errno> {
    let target = rustix::fs::readlinkat(from, name, Vec::new())?;
    let stat = rustix::fs::statat(from, name, AtFlags::SYMLINK_NOFOLLOW)?;
    rustix::fs::symlinkat(target.as_c_str(), to, new_name)?;
    if let Some((uid, gid)) = owner(&stat, fidelity) {
        rustix::fs::chownat(to, new_name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)?;
    }
    let times = times(&stat, fidelity);
    rustix::fs::utimensat(to, new_name, &times, AtFlags::SYMLINK_NOFOLLOW)?;
    Ok(stat)
}

/// Makes a directory that is open to us, and gives it the attributes of another. Its mode
/// comes when it is full, by [`close_directory`].
pub(crate) fn copy_directory(
    from: BorrowedFd<'_>,
    to: BorrowedFd<'_>,
    new_name: &CStr,
    fidelity: Fidelity<'_>,
) -> Result<OwnedFd, Errno> {
    rustix::fs::mkdirat(to, new_name, Mode::RWXU)?;
    let made = rustix::fs::openat(to, new_name, READ | OFlags::DIRECTORY, Mode::empty())?;
    copy_attributes(from, made.as_fd(), fidelity.keep)?;
    Ok(made)
}

/// Gives a directory its mode, owner and times.
pub(crate) fn close_directory(
    directory: BorrowedFd<'_>,
    like: &Stat,
    fidelity: Fidelity<'_>,
) -> Result<(), Errno> {
    finish(directory, like, fidelity)
}

/// The owner first: changing it clears bits of the mode.
fn finish(copy: impl AsFd, like: &Stat, fidelity: Fidelity<'_>) -> Result<(), Errno> {
    if let Some((uid, gid)) = owner(like, fidelity) {
        rustix::fs::fchown(&copy, Some(uid), Some(gid))?;
    }
    let mode = like.st_mode & 0o7777 & !fidelity.strip;
    rustix::fs::fchmod(&copy, Mode::from_raw_mode(mode))?;
    rustix::fs::futimens(&copy, &times(like, fidelity))
}

fn owner(like: &Stat, fidelity: Fidelity<'_>) -> Option<(Uid, Gid)> {
    if fidelity.keep == Keep::All && rustix::process::geteuid().is_root() {
        return Some((Uid::from_raw(like.st_uid), Gid::from_raw(like.st_gid)));
    }
    let (uid, gid) = match fidelity.owner {
        Whose::Maker => return None,
        Whose::Mapped(owners) => owners.of(like.st_uid, like.st_gid),
        Whose::Of(uid, gid) => (uid, gid),
    };
    Some((Uid::from_raw(uid), Gid::from_raw(gid)))
}

#[allow(clippy::useless_conversion)] // the fields differ between architectures
fn times(like: &Stat, fidelity: Fidelity<'_>) -> Timestamps {
    let original = Timespec {
        tv_sec: like.st_mtime.into(),
        tv_nsec: like.st_mtime_nsec.try_into().unwrap_or(0),
    };
    Timestamps {
        last_access: Timespec {
            tv_sec: 0,
            tv_nsec: UTIME_OMIT,
        },
        last_modification: fidelity.modified.unwrap_or(original),
    }
}

/// What was opened, and whether its mode had to be changed for it.
pub(crate) struct Opened {
    pub(crate) descriptor: OwnedFd,
    pub(crate) forced: bool,
}

/// Opens what belongs to us even if its mode forbids it: untrusted code may have taken the
/// bits away. The mode is put back.
pub(crate) fn open_any(from: BorrowedFd<'_>, name: &CStr, flags: OFlags) -> Result<Opened, Errno> {
    match rustix::fs::openat(from, name, flags, Mode::empty()) {
        Err(Errno::ACCESS) => {}
        other => {
            return other.map(|descriptor| Opened {
                descriptor,
                forced: false,
            });
        }
    }
    let path = rustix::fs::openat(
        from,
        name,
        OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC,
        Mode::empty(),
    )?;
    let stat = rustix::fs::fstat(&path)?;
    let kind = FileType::from_raw_mode(stat.st_mode);
    if !matches!(kind, FileType::RegularFile | FileType::Directory) {
        return Err(Errno::ACCESS);
    }
    let magic = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&path));
    let mode = stat.st_mode & 0o7777;
    rustix::fs::chmod(&magic, Mode::from_raw_mode(mode | 0o700))?;
    let opened = rustix::fs::openat(from, name, flags, Mode::empty());
    rustix::fs::chmod(&magic, Mode::from_raw_mode(mode))?;
    let opened = opened?;
    let now = rustix::fs::fstat(&opened)?;
    if (now.st_dev, now.st_ino) == (stat.st_dev, stat.st_ino) {
        Ok(Opened {
            descriptor: opened,
            forced: true,
        })
    } else {
        Err(Errno::AGAIN)
    }
}
