//! What can be done with files inside, and what is said of them.

pub use stockade_wire::limits::CHUNK;
pub use stockade_wire::{DirectoryEntry, FileAnswer, FileKind, FileOperation, FileStat, GuestPath};

use crate::error::{Error, Result};

/// A path inside, checked.
///
/// # Errors
/// [`Error::File`] if it is no path: not absolute, too long, or with a NUL byte.
pub fn guest_path(path: &[u8]) -> Result<GuestPath> {
    use std::os::unix::ffi::OsStrExt;
    GuestPath::new(path).map_err(|error| Error::File {
        path: std::ffi::OsStr::from_bytes(path).into(),
        errno: 0,
        text: error.to_string(),
    })
}
