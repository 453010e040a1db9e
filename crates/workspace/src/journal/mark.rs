//! By what a file is known again.

use rustix::fs::{FileType, Stat};
use serde::{Deserialize, Serialize};

use crate::change::{Entry, NodeKind};

/// What a file was when it was looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Mark {
    pub(crate) inode: u64,
    /// Kind and permission bits.
    pub(crate) mode: u32,
    /// Size; 0 for a directory, whose size says nothing.
    pub(crate) bytes: u64,
    /// mtime: seconds and nanoseconds.
    pub(crate) modified: (i64, u32),
    /// ctime: seconds and nanoseconds. Renaming changes it.
    pub(crate) changed: (i64, u32),
}

impl Mark {
    #[allow(clippy::useless_conversion)] // the fields differ between architectures
    pub(crate) fn of(stat: &Stat) -> Self {
        let is_directory = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
        Self {
            inode: stat.st_ino,
            mode: stat.st_mode,
            bytes: if is_directory {
                0
            } else {
                u64::try_from(stat.st_size).unwrap_or(0)
            },
            modified: (stat.st_mtime.into(), nanos(stat.st_mtime_nsec)),
            changed: (stat.st_ctime.into(), nanos(stat.st_ctime_nsec)),
        }
    }

    pub(crate) fn is_directory(&self) -> bool {
        FileType::from_raw_mode(self.mode) == FileType::Directory
    }

    /// The same file with the same content, as far as that is seen from outside. The kernel
    /// changes ctime when a file is moved, so it cannot count.
    pub(crate) fn is_unchanged(&self, now: &Self) -> bool {
        self.inode == now.inode
            && self.mode == now.mode
            && self.bytes == now.bytes
            && self.modified == now.modified
    }

    /// As [`Mark::is_unchanged`], and not even touched. What is done in a directory touches it.
    pub(crate) fn is_untouched(&self, now: &Self) -> bool {
        if self.is_directory() {
            return self.inode == now.inode && now.is_directory();
        }
        self.is_unchanged(now) && self.changed == now.changed
    }

    /// The file of a change, as the scan saw it.
    pub(crate) fn is_entry(&self, entry: &Entry) -> bool {
        let moment = |moment: crate::change::Moment| (moment.seconds, moment.nanos);
        let is_same = self.inode == entry.stamp.inode && self.mode & 0o7777 == entry.mode;
        if entry.node == NodeKind::Directory {
            return is_same && self.is_directory();
        }
        is_same
            && self.modified == moment(entry.stamp.modified)
            && self.changed == moment(entry.stamp.changed)
    }
}

fn nanos(value: impl TryInto<u32>) -> u32 {
    value.try_into().unwrap_or(0)
}
