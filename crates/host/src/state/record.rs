//! The record of a driver: what another process needs to find its sandbox again.

use std::path::Path;

use super::files::{Dir, Durability, from_json, to_json};
use crate::driver::Record;
use crate::error::{Error, Result};

const FILE: &str = "record.json";
/// The body's version is the driver's; this is the newest envelope.
const NEWEST_ENVELOPE: u32 = u32::MAX;

/// Writes the record of a sandbox into its state directory. Where something outlives the
/// supervisor or the power (an engine's object), it is an intent: written before the object
/// is made, and with [`Durability::Power`].
///
/// # Errors
/// [`Error::State`].
pub fn save(state_dir: &Path, record: &Record, durability: Durability) -> Result<()> {
    let dir = Dir::open(state_dir).map_err(|error| Error::state("open", state_dir, error))?;
    let bytes = to_json(record, &state_dir.join(FILE))?;
    match dir.write_new(FILE, &bytes, durability) {
        Err(Error::State { source, .. }) if source.kind() == std::io::ErrorKind::AlreadyExists => {
            dir.replace(FILE, &bytes, durability)
        }
        other => other,
    }
}

/// Reads it back.
///
/// # Errors
/// [`Error::State`] and [`Error::Corrupt`].
pub fn load(state_dir: &Path) -> Result<Option<Record>> {
    let dir = Dir::open(state_dir).map_err(|error| Error::state("open", state_dir, error))?;
    load_from(&dir)
}

pub(crate) fn load_from(dir: &Dir) -> Result<Option<Record>> {
    let Some(bytes) = dir.read(FILE)? else {
        return Ok(None);
    };
    from_json(&bytes, NEWEST_ENVELOPE, &dir.path().join(FILE)).map(Some)
}
