//! The file that holds a sandbox's status. It is written in place: a file that appears by
//! a rename is a new one each time, or makes ext4 write the old one to disk. Its last field
//! is a hash of all before, by which a reader that comes in the middle of a write notices
//! it and looks again.

use std::fs::File;
use std::os::unix::fs::FileExt;

use rustix::fs::{Mode, OFlags};

use super::files::{Dir, NEWER, OLDER, from_json, to_json};
use super::status::{STATUS_VERSION, Status};
use crate::audit::hash;
use crate::error::{Error, Result};

pub(super) const FILE: &str = "status.json";
/// Sizes are multiples of this, filled up with blanks: a file never shrinks, as ext4 writes
/// one to disk that was cut to nothing.
const GRAIN: usize = 4096;
/// A longer file is not handed on to later runs.
const MAX_HANDED_ON: u64 = 16 << 10;
/// What precedes the hash.
const CHECK: &str = ",\"check\":\"";
const HASH_LENGTH: usize = 64;
/// How often a reader looks before it believes that there is no status.
const LOOKS: u32 = 8;

/// The status file of a sandbox that this process supervises.
#[derive(Debug)]
pub(super) struct StatusFile {
    file: File,
}

impl StatusFile {
    /// Opens the file, making it where it does not exist.
    pub(super) fn open(dir: &Dir) -> Result<Self> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = rustix::fs::openat(dir.fd(), FILE, flags, Mode::RUSR | Mode::WUSR);
        fd.map(|fd| Self { file: fd.into() })
            .map_err(|error| dir.error("write", FILE, error))
    }

    pub(super) fn write(&self, dir: &Dir, status: &Status) -> Result<()> {
        let failed = |error: std::io::Error| Error::state("write", dir.path().join(FILE), error);
        let mut bytes = seal(to_json(status, &dir.path().join(FILE))?);
        let present = self.file.metadata().map_err(failed)?.len();
        let present = usize::try_from(present).unwrap_or(0);
        bytes.resize(bytes.len().max(present).next_multiple_of(GRAIN), b'\n');
        self.file.write_all_at(&bytes, 0).map_err(failed)
    }

    /// Makes the status void. True if the file may be handed on.
    pub(super) fn make_void(&self) -> bool {
        let is_small = self
            .file
            .metadata()
            .is_ok_and(|metadata| metadata.len() <= MAX_HANDED_ON);
        is_small && self.file.write_all_at(b"-", 0).is_ok()
    }
}

/// Adds the hash as the last field.
pub(crate) fn seal(mut json: Vec<u8>) -> Vec<u8> {
    json.truncate(json.trim_ascii_end().len());
    let digest = hash(&json);
    json.pop(); // the closing brace
    json.extend_from_slice(CHECK.as_bytes());
    json.extend_from_slice(digest.as_bytes());
    json.extend_from_slice(b"\"}\n");
    json
}

/// What was sealed; none if it is not whole.
pub(crate) fn unseal(bytes: &[u8]) -> Option<Vec<u8>> {
    let text = bytes.trim_ascii_end().strip_suffix(b"\"}")?;
    let (sealed, digest) = text.split_at_checked(text.len().checked_sub(HASH_LENGTH)?)?;
    let mut json = sealed.strip_suffix(CHECK.as_bytes())?.to_vec();
    json.push(b'}');
    (hash(&json).as_bytes() == digest).then_some(json)
}

/// Reads the status of a sandbox; none if it is not written yet.
pub(super) fn read(dir: &Dir, id: &str) -> Result<Option<Status>> {
    let path = dir.path().join(FILE);
    let mut last = Vec::new();
    for _ in 0..LOOKS {
        let Some(bytes) = dir.read(FILE)? else {
            return Ok(None);
        };
        if let Some(json) = unseal(&bytes) {
            let status: Status = from_json(&json, STATUS_VERSION, &path)?;
            // The directory's former user may have left one.
            return Ok((status.id == id).then_some(status));
        }
        last = bytes;
        std::thread::yield_now();
    }
    // Void, cut off by a crash, or in a form that only a newer program knows.
    match from_json::<Status>(&last, STATUS_VERSION, &path) {
        Err(Error::Corrupt { why, .. }) if why.contains(NEWER) || why.contains(OLDER) => {
            Err(Error::Corrupt { path, why })
        }
        _ => Ok(None),
    }
}
