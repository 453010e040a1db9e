//! What a copy was like when it was made.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rustix::fs::{FileType, Stat};
use serde::{Deserialize, Serialize};

/// Version of the form.
const VERSION: u32 = 1;
/// More than the names of the largest copy need.
const MAX_BYTES: u64 = 256 << 20;

/// One name of the copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Was {
    /// Its type and permissions.
    pub mode: u32,
    inode: u64,
    changed_seconds: i64,
    changed_nanoseconds: u64,
}

/// All names, by their paths relative to the workspace.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct List {
    version: u32,
    pub names: BTreeMap<Vec<u8>, Was>,
}

impl Was {
    pub(super) fn of(stat: &Stat) -> Self {
        Self {
            mode: stat.st_mode,
            inode: stat.st_ino,
            changed_seconds: stat.st_ctime,
            changed_nanoseconds: stat.st_ctime_nsec,
        }
    }

    pub(super) fn kind(&self) -> FileType {
        FileType::from_raw_mode(self.mode)
    }
}

impl List {
    pub(super) fn new() -> Self {
        Self {
            version: VERSION,
            names: BTreeMap::new(),
        }
    }

    pub(super) fn write(&self, path: &Path) -> std::io::Result<()> {
        let bytes = postcard::to_allocvec(self).map_err(std::io::Error::other)?;
        // Whole or not at all: half of one would keep the copy from ever being looked through.
        let aside = path.with_extension("new");
        let mut file = File::options()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&aside)?;
        file.write_all(&bytes)?;
        std::fs::rename(aside, path)
    }

    pub(super) fn read(path: &Path) -> std::io::Result<Self> {
        let mut bytes = Vec::new();
        File::open(path)?.take(MAX_BYTES + 1).read_to_end(&mut bytes)?;
        if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > MAX_BYTES {
            return Err(std::io::Error::other("it is too large"));
        }
        let list: Self = postcard::from_bytes(&bytes).map_err(std::io::Error::other)?;
        if list.version == VERSION {
            Ok(list)
        } else {
            Err(std::io::Error::other(format!("it has version {}", list.version)))
        }
    }
}
