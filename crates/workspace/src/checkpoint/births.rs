//! When files of a change set were made, where their copies do not tell.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Stat, StatxFlags};
use serde::{Deserialize, Serialize};

use crate::files::read_json;
use crate::place::Place;
use crate::write_error::{WriteError, WriteResult};

/// A file of a change set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Known {
    #[serde(with = "crate::name")]
    pub(super) path: PathBuf,
    pub(super) inode: u64,
    /// ctime: seconds and nanoseconds.
    pub(super) changed: (i64, u32),
    /// When it was made, in milliseconds since 1970; none if the file system does not tell.
    pub(super) born_ms: Option<u64>,
}

/// As a file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Index {
    pub(super) version: u32,
    pub(super) files: Vec<Known>,
}

/// What a rewound change set knows of its files, which are copies.
#[derive(Clone, Debug, Default)]
pub struct Births(BTreeMap<(PathBuf, u64), Known>);

/// In a change set's directory: of the files that the last rewind brought back.
pub(super) const BIRTHS: &str = "births.json";

impl Births {
    /// Reads what is known of the set in a directory.
    ///
    /// # Errors
    /// [`WriteError::History`].
    pub fn of(set: &Path) -> WriteResult<Self> {
        let failed = |cause: std::io::Error| WriteError::history("read", &set.join(BIRTHS), cause);
        let dir = Place::open(set).map_err(|cause| failed(cause.into()))?;
        let index: Option<Index> = read_json(&dir, BIRTHS, crate::journal::VERSION).map_err(failed)?;
        Ok(Self::from(index.unwrap_or_default()))
    }

    /// What is known of files that stand there now.
    pub(super) fn standing(self, upper: &Place) -> impl Iterator<Item = Known> {
        let stands = |known: &Known| {
            let found = upper.stat(&known.path).ok().flatten();
            found.is_some_and(|found| found.st_ino == known.inode)
        };
        self.0.into_values().filter(stands)
    }

    /// When a file was made, in milliseconds since 1970.
    pub(crate) fn born_ms(&self, upper: &Place, path: &Path) -> Option<u64> {
        let (parent, name) = upper.parent(path).ok()?;
        let wanted = StatxFlags::BTIME | StatxFlags::INO;
        let found = rustix::fs::statx(&parent, name.as_c_str(), AtFlags::SYMLINK_NOFOLLOW, wanted).ok()?;
        if let Some(known) = self.0.get(&(path.to_owned(), found.stx_ino)) {
            return known.born_ms;
        }
        let has = found.stx_mask & StatxFlags::BTIME.bits() != 0;
        let (seconds, nanos) = (found.stx_btime.tv_sec, found.stx_btime.tv_nsec);
        let ms = u64::try_from(seconds).ok()?.checked_mul(1000)? + u64::from(nanos / 1_000_000);
        has.then_some(ms)
    }
}

impl From<Index> for Births {
    fn from(index: Index) -> Self {
        Self(
            index
                .files
                .into_iter()
                .map(|one| ((one.path.clone(), one.inode), one))
                .collect(),
        )
    }
}

#[allow(clippy::useless_conversion)] // the fields differ between architectures
pub(super) fn changed(stat: &Stat) -> (i64, u32) {
    (stat.st_ctime.into(), stat.st_ctime_nsec.try_into().unwrap_or(0))
}
