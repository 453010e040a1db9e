//! What is kept on disk about a group, to find it again after a restart.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::controller::Controller;
use super::{Error, OURS, Result};

/// The version of [`GroupRecord`] that this program writes.
const VERSION: u32 = 1;

/// Which interface a hierarchy has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// One hierarchy for one or a few controllers.
    V1,
    /// One hierarchy for all.
    V2,
}

/// One directory of a group: v1 has one in each hierarchy, v2 one in all.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeatRecord {
    /// The interface.
    pub kind: Kind,
    /// The controllers used in it.
    pub controllers: Vec<Controller>,
    /// The directory below which `stockade/<id>` is.
    pub base: PathBuf,
    /// The same as a path in the hierarchy, as /proc/PID/cgroup shows it.
    pub base_cgroup: String,
}

/// A group as data.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupRecord {
    /// The version of this form.
    pub version: u32,
    /// The id of the sandbox.
    pub id: String,
    /// Its directories.
    pub seats: Vec<SeatRecord>,
}

impl SeatRecord {
    /// The directory that holds all our groups of this base.
    pub(super) fn ours(&self) -> PathBuf {
        self.base.join(OURS)
    }

    /// The path of the group `id` as /proc/PID/cgroup shows it.
    pub(super) fn cgroup(&self, id: &str) -> String {
        format!("{}/{OURS}/{id}", self.base_cgroup.trim_end_matches('/'))
    }
}

impl GroupRecord {
    pub(super) fn new(id: &str) -> Self {
        Self {
            version: VERSION,
            id: id.to_owned(),
            seats: Vec::new(),
        }
    }

    /// Refuses what this program cannot have written: a record comes from a file.
    pub(super) fn check(&self) -> Result<()> {
        if self.version > VERSION {
            return Err(Error::NewerRecord(self.version));
        }
        check_id(&self.id)
    }
}

/// An id becomes a file name beside the kernel's own (`memory.max`): no dots, no slashes.
pub(super) fn check_id(id: &str) -> Result<()> {
    let fits = (1..=64).contains(&id.len());
    if fits
        && id
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
    {
        return Ok(());
    }
    Err(Error::BadId(id.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_cannot_leave_their_directory_or_meet_a_kernel_file() {
        for bad in ["", "..", "a/b", "memory.max", "a b", &"x".repeat(65)] {
            assert!(check_id(bad).is_err(), "{bad}");
        }
        assert!(check_id("fix-a_B9").is_ok());
    }

    #[test]
    fn the_cgroup_path_has_one_slash_at_the_root() {
        let mut seat = SeatRecord {
            kind: Kind::V2,
            controllers: vec![],
            base: "/sys/fs/cgroup".into(),
            base_cgroup: "/".into(),
        };
        assert_eq!(seat.cgroup("a"), "/stockade/a");
        seat.base_cgroup = "/x".into();
        assert_eq!(seat.cgroup("a"), "/x/stockade/a");
    }

    #[test]
    fn a_record_of_a_newer_version_is_refused() {
        let mut record = GroupRecord::new("a");
        assert!(record.check().is_ok());
        record.version = 2;
        assert!(matches!(record.check(), Err(Error::NewerRecord(2))));
    }
}
