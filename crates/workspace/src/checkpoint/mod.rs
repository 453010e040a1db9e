//! Copies of a change set, to go back to.
//!
//! A checkpoint costs with what was changed, and only once: blocks are shared where the file
//! system can, and a file that is the same as in the checkpoint before is that one's copy.
//! Copies are never written to, so they can share; what is brought back is copied again.

mod births;
mod inside;
mod rewind;
mod take;

use std::path::Path;

use serde::{Deserialize, Serialize};

pub use births::Births;
pub use inside::{InsideLimits, Wish, take_inside};
pub use rewind::{Rewound, find, rewind};
pub use take::take;

use crate::files::read_json;
use crate::place::Place;
use crate::scan::each_name;
use crate::write_error::{WriteError, WriteResult};

/// In a change set's directory.
const DIRECTORY: &str = "checkpoints";
const UPPER: &str = "upper";
const ABOUT: &str = "about.json";
const INDEX: &str = "index.json";
/// Checkpoints of one set; the oldest make room.
const MAX_CHECKPOINTS: usize = 200;

/// A checkpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkpoint {
    version: u32,
    /// Its number: 1 is the first of the set.
    pub number: u64,
    /// What it was called.
    pub name: Option<String>,
    /// When it was taken, in milliseconds since 1970.
    pub taken_ms: u64,
    /// Files, directories and deletions that it holds.
    pub nodes: u64,
    /// The sandbox that asked for it from inside; none if somebody outside took it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inside: Option<String>,
    /// Something may have been written while it was taken: the sandbox could not be paused.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub moving: bool,
    /// Bytes on disk of all that it holds, shared or not; 0 in those of earlier versions.
    #[serde(default)]
    pub bytes: u64,
}

/// The checkpoints of the change set in a directory, oldest first.
///
/// # Errors
/// [`WriteError::History`].
pub fn list(set: &Path) -> WriteResult<Vec<Checkpoint>> {
    let path = set.join(DIRECTORY);
    let dir = match Place::open(&path) {
        Ok(dir) => dir,
        Err(rustix::io::Errno::NOENT) => return Ok(Vec::new()),
        Err(cause) => return Err(WriteError::history("open", &path, cause)),
    };
    list_in(&dir, &path)
}

fn list_in(dir: &Place, path: &Path) -> WriteResult<Vec<Checkpoint>> {
    let mut all = Vec::new();
    for number in numbers(dir, path)? {
        let failed =
            |cause: std::io::Error| WriteError::history("read", &path.join(number.to_string()), cause);
        let entry = match dir.below(&number.to_string()) {
            // One that made room meanwhile.
            Err(rustix::io::Errno::NOENT) => continue,
            other => other.map_err(|cause| failed(cause.into()))?,
        };
        let about = read_json(&entry, ABOUT, crate::journal::VERSION).map_err(failed)?;
        all.extend(about);
    }
    Ok(all)
}

fn numbers(dir: &Place, path: &Path) -> WriteResult<Vec<u64>> {
    let mut numbers: Vec<u64> = Vec::new();
    dir.directory(Path::new(""))
        .and_then(|own| {
            each_name(&own, |name| {
                numbers.extend(name.to_str().ok().and_then(|name| name.parse::<u64>().ok()));
                true
            })
        })
        .map_err(|cause| WriteError::history("list", path, cause))?;
    numbers.sort_unstable();
    Ok(numbers)
}
